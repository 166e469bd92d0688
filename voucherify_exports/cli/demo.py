"""`demo`: seven exports followed over real HTTP, with no account and no network."""

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
from .reporter import Listener, warnings_shown_by
from .status_display import Progress, StatusView
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
    """Follow seven exports in a sandbox of its own, one of which fails, and show the file of one."""
    listener = Listener(console.say)
    started = time.monotonic()
    with warnings_shown_by(console.say):
        async with _sandbox() as sandbox, _client(sandbox, listener) as client:
            export_ids = [_add_export(sandbox, kind) for kind in _KINDS]
            _introduce(console, sandbox)
            exports = await _follow(client, export_ids, console, listener)
            await _show_file(console, client, exports[_KINDS.index(_SHOWN)])
    _conclude(console, listener, time.monotonic() - started)


def _sandbox() -> Sandbox:
    return Sandbox(seed=7, scheduled_for=(0.3, 1.2), in_progress_for=(0.9, 2.6), rate_limit=(2000, 60))


def _client(sandbox: Sandbox, listener: Listener) -> ExportsClient:
    return ExportsClient(
        sandbox.app_id, sandbox.app_token, base_url=sandbox.url, poll=_POLL, on_event=listener
    )


def _add_export(sandbox: Sandbox, kind: str) -> str:
    return sandbox.add_export(
        kind,
        rows=_ROWS,
        fields=_FIELDS if kind == _SHOWN else None,
        outcome="ERROR" if kind == _FAILING else "DONE",
    )


def _introduce(console: StreamConsole, sandbox: Sandbox) -> None:
    console.say(f"Seven exports in a sandbox at {sandbox.url}; one is made to fail.")
    console.say(_CALL, "cyan", indent=2)
    console.print()


async def _follow(
    client: ExportsClient, export_ids: Sequence[str], console: StreamConsole, listener: Listener
) -> list[Export]:
    view = StatusView(export_ids, summary=lambda: listener.cost)
    async with Progress(view, console) as progress:
        return await asyncio.gather(
            *(
                client.wait_until_done(export_id, timeout=30, on_update=progress.update, raise_on_error=False)
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
    console.say(f"The first {_ROWS_SHOWN} of {_ROWS:,} rows of the {export.exported_object} file:")
    console.print(table)
    console.print()


async def _first_lines(client: ExportsClient, export: Export, count: int) -> list[list[str]]:
    """The first lines of a file; the rest is not read."""
    begun = b""
    async with aclosing(client.stream(export)) as pieces:
        while begun.count(b"\n") < count:
            begun += await anext(pieces)
    return list(csv.reader(begun.decode(errors="ignore").splitlines()))[:count]


def _conclude(console: StreamConsole, listener: Listener, seconds: float) -> None:
    left, limit = listener.quota.remaining, listener.quota.limit
    console.say(
        f"It took {seconds:.1f} s and {listener.requests} requests;"
        f" {left:,} of this minute's {limit:,} are left.",
        "bold",
    )
    console.say("Now with your own: set VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN, and run")
    console.say("voucherify-exports run redemption -o redemptions.csv", "cyan", indent=2)
