"""What a client tells of its work, for the person who waits in front of it."""

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


class Listener:
    """An event hook that counts requests, knows the quota, and says what one must know.

    `requests` are those sent, `quota` is what the last answer said of it.
    """

    def __init__(self, say: Callable[[str], object], *, now: Callable[[], float] = time.monotonic) -> None:
        self.requests = 0
        self.quota = RateLimit()
        self._say = say
        self._now = now
        self._looks_at: float | None = None
        self._in_trouble = False
        self._broke_off: set[str] = set()
        self._said_of_quota = ""

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, RequestFailed):
            self.requests += 1
            self._trouble(event.error)
        elif isinstance(event, RequestCompleted):
            self.requests += 1
            self._answered(event)
        elif isinstance(event, RoundCompleted):
            self._looks_at = None if event.next_due is None else self._now() + event.next_due
        elif isinstance(event, QuotaExhausted):
            self._quota_spent(event.retry_at)
        elif isinstance(event, DownloadInterrupted):
            self._broken_off(event)

    @property
    def cost(self) -> str:
        """The requests so far, when the next look is due, and what is left of the quota if that is known."""
        parts = [f"{self.requests:,} request{'' if self.requests == 1 else 's'}"]
        if self._looks_at is not None:
            parts.append(f"next in {max(0.0, self._looks_at - self._now()):.0f} s")
        if self.quota.limit is not None and self.quota.remaining is not None:
            parts.append(f"quota left: {self.quota.remaining:,} of {self.quota.limit:,}")
        return " · ".join(parts)

    def _answered(self, event: RequestCompleted) -> None:
        if event.rate_limit.limit is not None:
            self.quota = event.rate_limit
        if event.status >= 500:
            self._trouble(f"{event.method} {event.path}: {event.status}")
        elif self._in_trouble:
            self._in_trouble = False
            self._say("Voucherify answers again.")

    def _trouble(self, fault: str) -> None:
        """Say it once, and not again before things have been well."""
        if not self._in_trouble:
            self._in_trouble = True
            self._say(f"No usable answer: {fault}")

    def _broken_off(self, event: DownloadInterrupted) -> None:
        """Say it once for a file, which may break off after every few bytes."""
        if event.export_id not in self._broke_off:
            self._broke_off.add(event.export_id)
            self._say(
                f"The file broke off after {event.received:,} bytes, and is asked for again: {event.error}"
            )

    def _quota_spent(self, until: datetime | None) -> None:
        end = "the year 10000" if until is None else f"{until.astimezone():%Y-%m-%d %H:%M:%S}"
        said = f"The project's quota is spent: nothing is sent before {end}."
        if said != self._said_of_quota:  # each request that was under way is refused in its own event
            self._said_of_quota = said
            self._say(said)


@contextmanager
def warnings_shown_by(say: Callable[[str], object]) -> Generator[None]:
    """Have the package's warnings said, rather than written across a live table."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(str(message))

    handler = _Said(say)
    logger = logging.getLogger("voucherify_exports")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ColumnWarning)
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)


class _Said(logging.Handler):
    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())
