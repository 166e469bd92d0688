"""The statuses of exports: a live table on a terminal, a line for each change elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from attrs import define
from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..models import Export
from .streams import StreamConsole, one_line

_SECONDS_PER_FRAME = 0.1
_OTHER_LINES = 6  # of the screen: the header, "and 38 more", the summary, the prompt
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"done": "✔", "failed": "✘", "waiting": "·"}
_STYLES = {"running": "yellow", "failed": "red", "done": "green", "waiting": "dim"}
_ORDER = ["running", "waiting", "failed", "done"]


@define
class _Row:
    """One export; `since` is the time of its last change of status, in seconds of the view's clock."""

    export_id: str
    since: float
    exported_object: str = "…"
    status: str = "…"
    stage: str = "waiting"

    @property
    def has_ended(self) -> bool:
        return self.stage in {"done", "failed"}


class StatusView:
    """The statuses of exports, as a table that Rich renders.

    The table never exceeds the height of the screen: rows of finished exports are left out first. `summary`
    returns the end of the line below the table, `now` the time in seconds.
    """

    def __init__(
        self,
        export_ids: Iterable[str],
        *,
        summary: Callable[[], str] = str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._summary = summary
        self._now = now
        self._started = now()
        self._rows = {export_id: _Row(export_id, self._started) for export_id in export_ids}

    def update(self, export: Export) -> None:
        """Set the current status of an export."""
        row = self._rows[export.id]
        row.exported_object, row.status, row.since = export.exported_object, export.status, self._now()
        if export.is_finished:
            row.stage = "done" if export.is_done else "failed"
        else:
            row.stage = "waiting" if export.status == "SCHEDULED" else "running"

    def give_up(self, export_id: str, reason: str) -> None:
        """Set the reason why the wait for an export ended before the export did."""
        row = self._rows[export_id]
        row.status, row.stage, row.since = reason, "failed", self._now()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        room = max(1, console.height - _OTHER_LINES)
        rows = list(self._rows.values())
        if len(rows) > room:
            rows.sort(key=lambda row: _ORDER.index(row.stage))
        yield self._table(rows[:room])
        if len(rows) > room:
            yield Text(f"and {len(rows) - room:,} more", "dim")
        yield Text(self._last_line(rows), "dim")

    def _table(self, rows: Iterable[_Row]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("object", max_width=20, no_wrap=True)
        table.add_column("id", no_wrap=True, overflow="ellipsis")
        table.add_column("status", min_width=13, no_wrap=True)
        table.add_column("time", min_width=12, no_wrap=True)
        for row in rows:
            texts = row.exported_object, row.export_id, f"{self._mark(row)} {row.status}", self._time(row)
            table.add_row(*map(Text, map(one_line, texts)), style=_STYLES[row.stage])
        return table

    def _mark(self, row: _Row) -> str:
        return _MARKS.get(row.stage) or _SPINNER[int(self._now() / _SECONDS_PER_FRAME) % len(_SPINNER)]

    def _time(self, row: _Row) -> str:
        if row.has_ended:
            return f"after {duration(row.since - self._started)}"
        return f"for {duration(self._now() - row.since)}"

    def _last_line(self, rows: list[_Row]) -> str:
        ends = [row.since for row in rows if row.has_ended]
        until = max(ends) if len(ends) == len(rows) else self._now()
        parts = f"{len(ends):,} of {len(rows):,} finished", duration(until - self._started), self._summary()
        return " · ".join(filter(None, parts))


def duration(seconds: float) -> str:
    """A duration in words, such as `2.5 s`, `3 min 20 s` or `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


class StatusDisplay:
    """Displays a view inside `async with`: live, or as a line for each change."""

    def __init__(self, view: StatusView, console: StreamConsole) -> None:
        self._view = view
        self._console = console
        self._live = Live(view, console=console, auto_refresh=False, redirect_stdout=False)
        self._drawing: asyncio.Task[None] | None = None

    def update(self, export: Export) -> None:
        """Show the new status of an export."""
        self._view.update(export)
        if self._drawing is None:
            self._console.print_text(f"{export.id} {export.exported_object}: {export.status}")

    def give_up(self, export_id: str, reason: str) -> None:
        """Show the reason why the wait for an export ended before the export did."""
        self._view.give_up(export_id, reason)
        if self._drawing is None:
            self._console.print_text(f"{export_id}: {reason}")

    async def __aenter__(self) -> Self:
        if self._console.is_interactive:
            self._live.start(refresh=True)
            # A task, since Rich's own thread could draw a half-made change.
            self._drawing = asyncio.create_task(self._draw())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.wait({self._drawing})
            self._live.stop()

    async def _draw(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_PER_FRAME)
            self._live.refresh()
