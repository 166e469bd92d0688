"""`download` and `run`: exports as files."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

import typer
from attrs import define
from rich.filesize import decimal

from ..client import ExportsClient
from ..models import Export
from ..polling import PollPolicy
from ..tables import CellOptions, check_target
from .conditions import parse_filters
from .connection import Connection, connects
from .download_display import DownloadDisplay
from .interruption import INTERRUPTED, download_interrupted, run_interrupted
from .options import (
    Campaign,
    Conditions,
    CreateOptions,
    ExportedObject,
    ExportId,
    Fields,
    Interval,
    IsAny,
    Order,
    Timeout,
    Unchecked,
    create_options,
    poll_policy,
)
from .status_display import StatusDisplay, StatusView

_STDOUT = Path("-")

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file to write: .csv, or .parquet, .arrow or .jsonl for a table.",
    ),
]
NamesOption = Annotated[
    Literal["field", "header"],
    typer.Option("--names", help="Name a table's columns like the fields or like the header of the CSV."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail on a cell of the wrong type, instead of keeping text.")
]


@define
class Job:
    """A file to write: `export_id` once the export is created, `is_done` once it is finished."""

    connection: Connection
    path: Path
    cells: CellOptions
    export_id: str | None = None
    is_done: bool = False

    async def save(self, client: ExportsClient, export: str | Export) -> None:
        """Download the file, and print its size."""
        console = self.connection.console
        with DownloadDisplay(console) as display:
            await client.save(export, self.path, cells=self.cells, on_progress=display.update)
        console.print_text(f"{self.path}: {decimal(self.path.stat().st_size)}")

    @property
    def interruption(self) -> str:
        """What to print after Ctrl-C."""
        if self.export_id is None or self.path == _STDOUT:
            return INTERRUPTED
        text = download_interrupted if self.is_done else run_interrupted
        return text(self.export_id, self.path, self.connection.options)


@connects
def download(
    connection: Connection,
    export_id: ExportId,
    output: Output,
    names: NamesOption = "field",
    strict: Strict = False,
) -> None:
    """Download the file of a finished export.

    Resumes an interrupted download. With - as FILE, the CSV goes to stdout.
    """
    job = Job(connection, output, {"names": names, "strict": strict}, export_id, is_done=True)
    try:
        asyncio.run(_download(job, export_id))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(job.interruption) from None


async def _download(job: Job, export_id: str) -> None:
    async with job.connection.open() as (client, _):
        if job.path != _STDOUT:
            await job.save(client, export_id)
            return
        async with aclosing(client.stream(export_id)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(sys.stdout.buffer.write, chunk)
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
    interval: Interval = None,
) -> None:
    """Create an export, wait for it and save its file.

    The suffix of FILE is the format.
    """
    filters = parse_filters(conditions or (), exported_object, is_any=is_any)
    options = create_options(fields, order, filters, campaign, unchecked=unchecked)
    job = Job(connection, output, {"names": names, "strict": strict})
    try:
        asyncio.run(_run(job, exported_object, options, timeout, poll_policy(interval)))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(job.interruption) from None


async def _run(
    job: Job, exported_object: str, options: CreateOptions, timeout: float, poll: PollPolicy | None
) -> None:
    # The steps of `export_to`, one by one: the text after Ctrl-C needs the id of the export.
    async with job.connection.open() as (client, reporter):
        await asyncio.to_thread(check_target, job.path)
        export = await client.create_export(exported_object, **options)
        job.export_id = export.id
        view = StatusView([export.id], summary=lambda: reporter.summary)
        async with StatusDisplay(view, job.connection.console) as display:
            display.update(export)
            done = await client.wait_until_done(export, timeout=timeout, poll=poll, on_update=display.update)
        job.is_done = True
        await job.save(client, done)
