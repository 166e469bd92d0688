"""`get`, `list`, `create` and `delete`: exports, without their files."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from ..models import Export
from .conditions import parse_filters
from .connection import Connection, abort_is_interrupt, connects
from .description import describe, summarize
from .options import (
    AsJson,
    AsJsonLines,
    Campaign,
    Conditions,
    CreateOptions,
    ExportedObject,
    ExportId,
    Fields,
    IsAny,
    Order,
    Unchecked,
    complete_object,
    complete_status,
    create_options,
)
from .streams import one_line, print_line, print_results


@connects
def get(connection: Connection, export_id: ExportId, as_json: AsJson = False) -> None:
    """Show one export, with its result URL.

    Anyone who has the result URL can download the file.
    """
    export = asyncio.run(_get(connection, export_id))
    print_results([json.dumps(export.to_dict(), indent=2)] if as_json else describe(export))


async def _get(connection: Connection, export_id: str) -> Export:
    async with connection.open() as (client, _):
        return await client.get_export(export_id)


@connects
def list_exports(
    connection: Connection,
    statuses: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="List only exports with this status; repeatable.",
            autocompletion=complete_status,
        ),
    ] = None,
    exported_objects: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="OBJECT",
            help="List only exports of this object; repeatable.",
            autocompletion=complete_object,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Search all exports, instead of the newest 100.")
    ] = False,
    as_json: AsJsonLines = False,
) -> None:
    """List exports, newest first.

    Prints the id, object, status and creation time (UTC) of each.
    """

    def show(export: Export) -> None:
        is_wanted = not statuses or export.status in statuses
        if is_wanted and (not exported_objects or export.exported_object in exported_objects):
            print_line(json.dumps(export.to_dict()) if as_json else summarize(export))

    asyncio.run(_list(connection, show, everything=everything))


async def _list(connection: Connection, show: Callable[[Export], None], *, everything: bool) -> None:
    async with connection.open() as (client, _):
        if everything:
            async with aclosing(client.list_exports()) as exports:
                async for export in exports:
                    show(export)
            return
        page = await client.list_page()
        for export in page.exports:
            show(export)
        if page.total > len(page.exports):
            connection.console.print_text(
                f"Searched the newest {len(page.exports)} of {page.total:,} exports; --all searches them all."
            )


@connects
def create(
    connection: Connection,
    exported_object: ExportedObject,
    fields: Fields = None,
    order: Order = None,
    conditions: Conditions = None,
    is_any: IsAny = False,
    campaign: Campaign = None,
    unchecked: Unchecked = False,
    as_json: AsJson = False,
) -> None:
    """Create an export, and print its id."""
    filters = parse_filters(conditions or (), exported_object, is_any=is_any)
    options = create_options(fields, order, filters, campaign, unchecked=unchecked)
    export = asyncio.run(_create(connection, exported_object, options))
    print_results([json.dumps(export.to_dict(), indent=2) if as_json else export.id])


async def _create(connection: Connection, exported_object: str, options: CreateOptions) -> Export:
    async with connection.open() as (client, _):
        return await client.create_export(exported_object, **options)


@connects
def delete(
    connection: Connection,
    export_ids: Annotated[list[str], typer.Argument(metavar="ID", help="The ids of the exports.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Permanently delete exports and their files."""
    if not yes:
        _confirm(export_ids)
    asyncio.run(_delete(connection, export_ids))


def _confirm(export_ids: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("cannot ask for confirmation without a terminal; --yes deletes without it")
    what = f"{export_ids[0]} and its file" if len(export_ids) == 1 else f"{len(export_ids):,} exports"
    with abort_is_interrupt():
        if not typer.confirm(f"Permanently delete {one_line(what)}?", err=True):
            raise KeyboardInterrupt("Nothing was deleted.")


async def _delete(connection: Connection, export_ids: Sequence[str]) -> None:
    async with connection.open() as (client, _):
        for export_id in export_ids:
            await client.delete_export(export_id)
            connection.console.print_text(f"{export_id}: deleted")
