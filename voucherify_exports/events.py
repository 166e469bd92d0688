"""The events of a client: one frozen class per fact, and the hook that logs them.

A hook is called in the event loop, in the order in which things happen. It must be quick, and it must not
raise: its exception would end the call, or the waits, during which it was called. No event contains a secret.
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
    """A response came, with any status; `elapsed` is in seconds, `path` is without the query."""

    method: str
    path: str
    status: int
    attempt: int
    elapsed: float
    rate_limit: RateLimit


@frozen(kw_only=True)
class RequestFailed:
    """A request failed without a usable response; `elapsed` is in seconds."""

    method: str
    path: str
    attempt: int
    elapsed: float
    error: str


@frozen(kw_only=True)
class RetryScheduled:
    """A request will be sent again in `delay` seconds, after `error`."""

    method: str
    path: str
    attempt: int
    delay: float
    error: str


@frozen(kw_only=True)
class QuotaExhausted:
    """No request is allowed for `delay` seconds, until `retry_at` (`None` beyond the year 9999)."""

    delay: float
    retry_at: datetime | None


@frozen(kw_only=True)
class StatusChanged:
    """An awaited export has a new status; `previous` is `None` for the first status that a poll returned."""

    export_id: str
    previous: ExportStatus | None
    status: ExportStatus


@frozen(kw_only=True)
class RoundCompleted:
    """The watcher polled: it sent `requests` requests, which returned `seen` awaited exports.

    `pending` exports are still awaited. `remaining` is what the project's quota has left, `None` if unknown.
    The next poll is due in `next_due` seconds, `None` if no export is awaited any more.
    """

    requests: int
    seen: int
    pending: int
    remaining: int | None
    next_due: float | None


@frozen(kw_only=True)
class WaitEnded:
    """A wait ended; `outcome` is the last status of the export, or the class name of the error."""

    export_id: str
    outcome: str
    elapsed: float
    polls: int


@frozen(kw_only=True)
class DownloadStarted:
    """A download starts, or resumes after `received` bytes; `size` is `None` if unknown."""

    export_id: str
    received: int
    size: int | None


@frozen(kw_only=True)
class DownloadInterrupted:
    """A download broke off after `received` bytes; it is requested again in `delay` seconds."""

    export_id: str
    received: int
    delay: float
    error: str


@frozen(kw_only=True)
class DownloadCompleted:
    """A download is complete: `received` bytes, those of earlier attempts included, in `elapsed` seconds."""

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
    """Whether a hook uses such an event: the default hook ignores what is not logged."""
    return hook is not log_event or _logger.isEnabledFor(_LEVELS[kind])


def log_event(event: Event) -> None:
    """Log an event to the logger `voucherify_exports`; the default hook."""
    _logger.log(_LEVELS[type(event)], "%s", event)
