"""What a client tells of its work: one frozen class per fact, and the hook that logs them.

A hook is called in the event loop, in the order of the facts: it must be quick, and must not raise,
since its exception would end the call or the waits that it happened in. No event holds a secret.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from .models import ExportStatus, RateLimit

_logger = logging.getLogger("voucherify_exports")


@frozen(kw_only=True)
class RequestCompleted:
    """An answer came, whatever its status; `elapsed` in seconds, `path` without a query."""

    method: str
    path: str
    status: int
    attempt: int
    elapsed: float
    rate_limit: RateLimit


@frozen(kw_only=True)
class RequestFailed:
    """No usable answer came; `elapsed` in seconds."""

    method: str
    path: str
    attempt: int
    elapsed: float
    error: str


@frozen(kw_only=True)
class RetryScheduled:
    """A request will be sent again after `delay` seconds, because of `error`."""

    method: str
    path: str
    attempt: int
    delay: float
    error: str


@frozen(kw_only=True)
class QuotaExhausted:
    """Nothing may be sent for `delay` seconds, until `retry_at` (`None` beyond the year 9999)."""

    delay: float
    retry_at: datetime | None


@frozen(kw_only=True)
class StatusChanged:
    """An export that is awaited was seen in a new status; `previous` is `None` at first sight."""

    export_id: str
    previous: ExportStatus | None
    status: ExportStatus


@frozen(kw_only=True)
class RoundCompleted:
    """The watcher looked: `requests` were sent, `seen` exports shown, `pending` exports are still awaited.

    `remaining` is what the project's quota has left, `None` if nothing said so; `next_due` is in how
    many seconds the next request is planned, `None` if nothing is left to wait for.
    """

    requests: int
    seen: int
    pending: int
    remaining: int | None
    next_due: float | None


@frozen(kw_only=True)
class WaitEnded:
    """One wait ended: `outcome` is the export's last status, or the name of the error."""

    export_id: str
    outcome: str
    elapsed: float
    polls: int


@frozen(kw_only=True)
class DownloadStarted:
    """A file begins to arrive, or goes on, `received` bytes of `size` being here; `None` if not known."""

    export_id: str
    received: int
    size: int | None


@frozen(kw_only=True)
class DownloadInterrupted:
    """A file stopped arriving after `received` bytes; it is asked for again after `delay` seconds."""

    export_id: str
    received: int
    delay: float
    error: str


@frozen(kw_only=True)
class DownloadCompleted:
    """A file arrived whole: `received` bytes, those of an earlier download included, in `elapsed` seconds."""

    export_id: str
    received: int
    elapsed: float


Event: TypeAlias = (
    RequestCompleted
    | RequestFailed
    | RetryScheduled
    | QuotaExhausted
    | StatusChanged
    | RoundCompleted
    | WaitEnded
    | DownloadStarted
    | DownloadInterrupted
    | DownloadCompleted
)
EventHook: TypeAlias = Callable[[Event], object]

_LEVELS: dict[type, int] = {
    RequestCompleted: logging.DEBUG,
    RequestFailed: logging.INFO,
    RetryScheduled: logging.INFO,
    QuotaExhausted: logging.WARNING,
    StatusChanged: logging.INFO,
    RoundCompleted: logging.DEBUG,
    WaitEnded: logging.INFO,
    DownloadStarted: logging.INFO,
    DownloadInterrupted: logging.WARNING,
    DownloadCompleted: logging.INFO,
}


def is_wanted(kind: type[Event], hook: EventHook) -> bool:
    """Whether a hook does anything with such an event: the one that logs mostly does not."""
    return hook is not log_event or _logger.isEnabledFor(_LEVELS[kind])


def log_event(event: Event) -> None:
    """Log an event to the logger `voucherify_exports`; the hook of a client that is given none."""
    _logger.log(_LEVELS[type(event)], "%s", event)
