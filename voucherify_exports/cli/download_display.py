"""The progress of a download: a bar on a terminal, a line every ten seconds elsewhere."""

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .streams import StreamConsole

_SECONDS_PER_FRAME = 0.1
_SECONDS_PER_LINE = 10.0


class DownloadDisplay:
    """Displays the progress of a download inside `with`; `now` returns the time in seconds."""

    def __init__(self, console: StreamConsole, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._is_live = console.is_interactive
        self._shown_at = -math.inf if self._is_live else now()
        self._bar = Progress(
            BarColumn(20),
            TaskProgressColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            get_time=now,
        )
        self._task = self._bar.add_task("", total=None)

    def update(self, received: int, total: int | None) -> None:
        """Show the number of bytes received, of a total if it is known."""
        self._bar.update(self._task, completed=received, total=total)
        interval = _SECONDS_PER_FRAME if self._is_live else _SECONDS_PER_LINE
        if self._now() - self._shown_at >= interval or (self._is_live and received == total):
            self._shown_at = self._now()
            self._show(received, total)

    def _show(self, received: int, total: int | None) -> None:
        if self._is_live:
            self._bar.refresh()
        else:
            self._console.print_text(decimal(received) + ("" if total is None else f" of {decimal(total)}"))

    def __enter__(self) -> Self:
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._bar.stop()
