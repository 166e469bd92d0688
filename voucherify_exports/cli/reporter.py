"""An event hook for a person at a terminal: it counts requests and prints what that person should know."""

import logging
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime

from ..events import (
    DownloadInterrupted,
    Event,
    QuotaExhausted,
    RequestCompleted,
    RequestFailed,
    RoundCompleted,
)
from ..models import RateLimit
from ..tables import ColumnWarning


class Reporter:
    """Counts requests, keeps the quota of the last response, and prints failures and pauses.

    `requests` is the number of requests sent, `quota` the rate limit of the last response that had one.
    `now` returns the time in seconds.
    """

    def __init__(
        self, print_text: Callable[[str], object], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.requests = 0
        self.quota = RateLimit()
        self._print_text = print_text
        self._now = now
        self._next_poll: float | None = None
        self._is_failing = False
        self._interrupted_exports: set[str] = set()
        self._last_pause = ""

    def __call__(self, event: Event) -> None:
        """Handle an event of the client."""
        if isinstance(event, RequestFailed):
            self.requests += 1
            self._report_failure(event.error)
        elif isinstance(event, RequestCompleted):
            self.requests += 1
            self._note_response(event)
        elif isinstance(event, RoundCompleted):
            self._next_poll = None if event.next_due is None else self._now() + event.next_due
        elif isinstance(event, QuotaExhausted):
            self._report_pause(event.retry_at)
        elif isinstance(event, DownloadInterrupted):
            self._report_interruption(event)

    @property
    def summary(self) -> str:
        """The number of requests, the time until the next poll, and the quota, as far as they are known."""
        parts = [f"{self.requests:,} request{'' if self.requests == 1 else 's'}"]
        if self._next_poll is not None:
            parts.append(f"poll in {max(0.0, self._next_poll - self._now()):.0f} s")
        if self.quota.limit is not None and self.quota.remaining is not None:
            parts.append(f"quota left: {self.quota.remaining:,} of {self.quota.limit:,}")
        return " · ".join(parts)

    def _note_response(self, event: RequestCompleted) -> None:
        if event.rate_limit.limit is not None:
            self.quota = event.rate_limit
        if event.status >= 500:
            self._report_failure(f"{event.method} {event.path}: {event.status}")
        elif self._is_failing:
            self._is_failing = False
            self._print_text("Requests succeed again.")

    def _report_failure(self, error: str) -> None:
        """Report the first of several failures in a row."""
        if not self._is_failing:
            self._is_failing = True
            self._print_text(f"Request failed: {error}")

    def _report_interruption(self, event: DownloadInterrupted) -> None:
        """Report the first interruption of each download: a bad connection may cause hundreds."""
        if event.export_id not in self._interrupted_exports:
            self._interrupted_exports.add(event.export_id)
            self._print_text(f"Download interrupted after {event.received:,} bytes, resuming: {event.error}")

    def _report_pause(self, until: datetime | None) -> None:
        end = "the year 10000" if until is None else f"{until.astimezone():%Y-%m-%d %H:%M:%S}"
        text = f"The quota is used up; no request is sent before {end}."
        if text != self._last_pause:  # each request under way is refused with an event of its own
            self._last_pause = text
            self._print_text(text)


@contextmanager
def warnings_printed_by(print_text: Callable[[str], object]) -> Generator[None]:
    """Print the warnings of the package with a function, since stderr may hold a live table."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print_text(str(message))

    handler = _PrintingHandler(print_text)
    logger = logging.getLogger("voucherify_exports")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ColumnWarning)
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)


class _PrintingHandler(logging.Handler):
    def __init__(self, print_text: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._print_text = print_text

    def emit(self, record: logging.LogRecord) -> None:
        self._print_text(record.getMessage())
