"""`download` and `run`: exports as files."""

import asyncio
import shlex
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

import typer
from attrs import define
from rich.filesize import decimal

from ..client import ExportsClient
from ..models import Export
from ..tables import CellOptions, check_target
from .catalog import ExportedObject
from .conditions import filters_of
from .connection import Connection, connects
from .download_display import Transfer
from .exports import (
    Campaign,
    Conditions,
    CreateOptions,
    ExportId,
    Fields,
    IsAny,
    Order,
    Timeout,
    Unchecked,
    creation,
)
from .status_display import Progress, StatusView

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to: .csv as it is, .parquet, .arrow or .jsonl as a table.",
    ),
]
NamesOption = Annotated[
    Literal["field", "header"],
    typer.Option("--names", help="Name the columns of a table as the API does, or as the file's header."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a cell of the wrong type, rather than leave it as text.")
]


@define
class Job:
    """A file that is to be, and how far it has come."""

    connection: Connection
    path: Path
    cells: CellOptions
    export_id: str | None = None
    is_done: bool = False

    async def save(self, client: ExportsClient, export: str | Export) -> None:
        """Download the file, and say what came of it."""
        console = self.connection.console
        with Transfer(console) as transfer:
            await client.save(export, self.path, cells=self.cells, on_progress=transfer)
        console.say(f"{self.path}: {decimal(self.path.stat().st_size)}")

    def how_to_go_on(self) -> str:
        """What to say when the work is interrupted."""
        if self.export_id is None:
            return "Interrupted."
        download = ["download", *self.connection.options, self.export_id, "-o", str(self.path)]
        if not self.is_done:
            wait = ["wait", *self.connection.options, self.export_id]
            return (
                f"Interrupted. {self.export_id} goes on at Voucherify; to pick it up:"
                f" {_command(wait)} && {_command(download)}"
            )
        part = self.path.with_name(f"{self.path.name}.part")
        kept = f"What has arrived is kept in {part}; to go on" if part.exists() else "To begin it again"
        return f"Interrupted. {kept}: {_command(download)}"


def _command(words: list[str]) -> str:
    return shlex.join(["voucherify-exports", *words])


@connects
def download(
    connection: Connection,
    export_id: ExportId,
    output: Output,
    names: NamesOption = "field",
    strict: Strict = False,
) -> None:
    """Download the file of a finished export.

    It goes on with what an interrupted download left. With - for the file, the CSV comes on stdout.
    """
    job = Job(connection, output, {"names": names, "strict": strict}, export_id, is_done=True)
    try:
        asyncio.run(_download(job, export_id))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(job.how_to_go_on() if str(output) != "-" else "Interrupted.") from None


async def _download(job: Job, export_id: str) -> None:
    async with job.connection.open() as (client, _):
        if str(job.path) != "-":
            await job.save(client, export_id)
            return
        async with aclosing(client.stream(export_id)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(sys.stdout.buffer.write, piece)
    sys.stdout.buffer.flush()


@connects
def run(
    connection: Connection,
    exported_object: ExportedObject,
    output: Output,
    fields: Fields = None,
    order: Order = None,
    conditions: Conditions = None,
    is_any: IsAny = False,
    campaign: Campaign = None,
    unchecked: Unchecked = False,
    names: NamesOption = "field",
    strict: Strict = False,
    timeout: Timeout = 1800.0,
) -> None:
    """Export to a file: create an export, wait for it, download it, and convert it by the file's suffix."""
    filters = filters_of(conditions or (), exported_object, is_any=is_any)
    options = creation(fields, order, filters, campaign, unchecked=unchecked)
    job = Job(connection, output, {"names": names, "strict": strict})
    try:
        asyncio.run(_run(job, exported_object, options, timeout))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(job.how_to_go_on()) from None


async def _run(job: Job, exported_object: str, options: CreateOptions, timeout: float) -> None:
    # The steps of export_to one by one: whoever interrupts it is told the id.
    async with job.connection.open() as (client, listener):
        await asyncio.to_thread(check_target, job.path)
        export = await client.create_export(exported_object, **options)
        job.export_id = export.id
        view = StatusView([export.id], summary=lambda: listener.cost)
        async with Progress(view, job.connection.console) as progress:
            progress.update(export)
            done = await client.wait_until_done(export, timeout=timeout, on_update=progress.update)
        job.is_done = True
        await job.save(client, done)
