"""`demo`: seven exports, followed over real HTTP without an account or a network."""

import asyncio
import csv
import time
from collections.abc import Sequence
from contextlib import aclosing

from rich.table import Table
from rich.text import Text

from ..client import ExportsClient
from ..models import Export
from ..polling import PollPolicy
from ..sandbox import Sandbox
from .reporter import Reporter, warnings_printed_by
from .status_display import StatusDisplay, StatusView
from .streams import StreamConsole, one_line

_KINDS = (
    "voucher",
    "redemption",
    "publication",
    "customer",
    "order",
    "points_expiration",
    "voucher_transactions",
)
_FAILING = "publication"
_SHOWN, _FIELDS = "customer", ("name", "address_city", "loyalty_points", "created_at")
_ROWS, _ROWS_SHOWN = 100_000, 3
_POLL = PollPolicy(initial=0.25, factor=1.5, max=0.75)
_CALL = "await gather(*(client.wait_until_done(i, raise_on_error=False) for i in ids))"


async def run_demo(console: StreamConsole) -> None:
    """Start a sandbox, follow seven exports in it, of which one fails, and show the start of one file."""
    reporter = Reporter(console.print_text)
    started = time.monotonic()
    with warnings_printed_by(console.print_text):
        async with _sandbox() as sandbox, _client(sandbox, reporter) as client:
            export_ids = [_add_export(sandbox, kind) for kind in _KINDS]
            _introduce(console, sandbox)
            exports = await _follow(client, export_ids, console, reporter)
            await _show_file(console, client, exports[_KINDS.index(_SHOWN)])
    _conclude(console, reporter, time.monotonic() - started)


def _sandbox() -> Sandbox:
    return Sandbox(seed=7, scheduled_for=(0.3, 1.2), in_progress_for=(0.9, 2.6), rate_limit=(2000, 60))


def _client(sandbox: Sandbox, reporter: Reporter) -> ExportsClient:
    return ExportsClient(
        sandbox.app_id, sandbox.app_token, base_url=sandbox.url, poll=_POLL, on_event=reporter
    )


def _add_export(sandbox: Sandbox, kind: str) -> str:
    return sandbox.add_export(
        kind,
        rows=_ROWS,
        fields=_FIELDS if kind == _SHOWN else None,
        outcome="ERROR" if kind == _FAILING else "DONE",
    )


def _introduce(console: StreamConsole, sandbox: Sandbox) -> None:
    console.print_text(f"Seven exports in a sandbox at {sandbox.url}; one of them will fail.")
    console.print_text(_CALL, "cyan", indent=2)
    console.print()


async def _follow(
    client: ExportsClient, export_ids: Sequence[str], console: StreamConsole, reporter: Reporter
) -> list[Export]:
    view = StatusView(export_ids, summary=lambda: reporter.summary)
    async with StatusDisplay(view, console) as display:
        return await asyncio.gather(
            *(
                client.wait_until_done(export_id, timeout=30, on_update=display.update, raise_on_error=False)
                for export_id in export_ids
            )
        )


async def _show_file(console: StreamConsole, client: ExportsClient, export: Export) -> None:
    titles, *rows = await _first_lines(client, export, 1 + _ROWS_SHOWN)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(Text(one_line(title)))
    for row in rows:
        table.add_row(*map(Text, map(one_line, row)))
    console.print()
    console.print_text(f"The first {_ROWS_SHOWN} of {_ROWS:,} rows of the {export.exported_object} file:")
    console.print(table)
    console.print()


async def _first_lines(client: ExportsClient, export: Export, count: int) -> list[list[str]]:
    """The first lines of a file; the rest is not downloaded."""
    head = b""
    async with aclosing(client.stream(export)) as chunks:
        while head.count(b"\n") < count:
            head += await anext(chunks)
    return list(csv.reader(head.decode(errors="ignore").splitlines()))[:count]


def _conclude(console: StreamConsole, reporter: Reporter, seconds: float) -> None:
    left, limit = reporter.quota.remaining, reporter.quota.limit
    console.print_text(
        f"It took {seconds:.1f} s and {reporter.requests} requests;"
        f" {left:,} of this minute's {limit:,} are left.",
        "bold",
    )
    console.print_text("For your own project, set VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN, then run:")
    console.print_text("voucherify-exports run redemption -o redemptions.csv", "cyan", indent=2)
