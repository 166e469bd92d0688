"""`get`, `list`, `create`, `delete` and `wait`: exports, without their files."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from .._api.parameters import ExportOptions
from ..filters import Filters
from ..models import Export, ExportStatus
from .boundary import print_error
from .catalog import AsJson, ExportedObject, complete_field, complete_object
from .conditions import filters_of
from .connection import Connection, asking, connects
from .description import describe, in_a_line
from .status_display import Progress, StatusView
from .streams import one_line, print_line, print_results
from .wait import Wait


class CreateOptions(ExportOptions):
    """What `create_export` takes besides the object."""

    campaign_id: str | None


def creation(
    fields: list[str] | None,
    order: str | None,
    filters: Filters | None,
    campaign_id: str | None,
    *,
    unchecked: bool,
) -> CreateOptions:
    """The options of `create_export` that those of a command mean."""
    return {
        "fields": fields or None,
        "order": order,
        "filters": filters,
        "campaign_id": campaign_id,
        "strict": not unchecked,
    }


def complete_status(incomplete: str) -> list[str]:
    """The statuses that a shell may offer."""
    return [status for status in ExportStatus if status.startswith(incomplete)]


ExportId = Annotated[str, typer.Argument(metavar="ID", help="The export's id, such as exp_….")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME",
        help="A field to export; may be given again. Without any, Voucherify chooses.",
        autocompletion=complete_field,
    ),
]
Order = Annotated[
    str | None, typer.Option(metavar="NAME", help="The field to sort by, with - before it for descending.")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="What rows must fulfil, such as 'created_at after 2026-01-01'; may be given again.",
    ),
]
IsAny = Annotated[bool, typer.Option("--any", help="One condition is enough.")]
Unchecked = Annotated[
    bool, typer.Option("--unchecked", help="Send also what the catalog of this version does not know.")
]
Campaign = Annotated[str | None, typer.Option(metavar="ID", help="The campaign whose vouchers are meant.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Seconds to wait in all.")]


@connects
def get(connection: Connection, export_id: ExportId, as_json: AsJson = False) -> None:
    """Show one export as it is now.

    Its result URL is shown as well, and is as good as a password for the file.
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
            help="Only exports in this status; may be given again.",
            autocompletion=complete_status,
        ),
    ] = None,
    exported_objects: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="OBJECT",
            help="Only exports of this object; may be given again.",
            autocompletion=complete_object,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Look at all exports, rather than at the newest 100.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each, result URL included.")
    ] = False,
) -> None:
    """List exports, the newest first: id, object, status, and when it was created (UTC)."""

    def show(export: Export) -> None:
        is_wanted = not statuses or export.status in statuses
        if is_wanted and (not exported_objects or export.exported_object in exported_objects):
            print_line(json.dumps(export.to_dict()) if as_json else in_a_line(export))

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
            connection.console.say(
                f"These are of the newest {len(page.exports)} of {page.total:,} exports: --all looks at all."
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON of the API instead.")] = False,
) -> None:
    """Create an export, and print its id, for wait and download."""
    filters = filters_of(conditions or (), exported_object, is_any=is_any)
    options = creation(fields, order, filters, campaign, unchecked=unchecked)
    export = asyncio.run(_create(connection, exported_object, options))
    print_results([json.dumps(export.to_dict(), indent=2) if as_json else export.id])


async def _create(connection: Connection, exported_object: str, options: CreateOptions) -> Export:
    async with connection.open() as (client, _):
        return await client.create_export(exported_object, **options)


@connects
def delete(
    connection: Connection,
    export_ids: Annotated[list[str], typer.Argument(metavar="ID", help="The ids of exports.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete exports and their files for good."""
    if not yes:
        _confirm(export_ids)
    asyncio.run(_delete(connection, export_ids))


def _confirm(export_ids: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to be asked: --yes deletes without asking")
    what = export_ids[0] if len(export_ids) == 1 else f"{len(export_ids):,} exports"
    with asking():
        if not typer.confirm(f"Delete {one_line(what)} with its file for good?", err=True):
            raise KeyboardInterrupt("Nothing is deleted.")


async def _delete(connection: Connection, export_ids: Sequence[str]) -> None:
    async with connection.open() as (client, _):
        for export_id in export_ids:
            await client.delete_export(export_id)
            connection.console.say(f"{export_id}: deleted")


@connects
def wait(
    connection: Connection,
    export_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="The ids of exports; without any they are read from stdin."),
    ] = None,
    timeout: Timeout = 1800.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each export instead.")
    ] = False,
) -> None:
    """Wait until exports are finished.

    The result URLs come on stdout, in the order of the ids, all else on stderr.
    Each URL is as good as a password for its file.
    The exit code is that of the worst outcome.
    """
    waiting = Wait(export_ids or _ids_from_stdin())
    try:
        asyncio.run(_wait(connection, waiting, timeout))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(waiting.how_to_go_on(connection.options)) from None
    finally:
        print_results(map(json.dumps, waiting.documents) if as_json else waiting.urls)
        for error in waiting.errors:
            print_error(error)
    raise typer.Exit(waiting.exit_code)


def _ids_from_stdin() -> list[str]:
    ids = [] if sys.stdin.isatty() else sys.stdin.read().split()
    if not ids:
        raise typer.BadParameter("name at least one export", param_hint="ID")
    return ids


async def _wait(connection: Connection, waiting: Wait, timeout: float) -> None:
    async with connection.open() as (client, listener):
        view = StatusView(waiting.export_ids, summary=lambda: listener.cost)
        await waiting.run(client, Progress(view, connection.console), timeout)
