"""The asyncio client for Voucherify exports.

>>> async with ExportsClient(app_id, app_token) as client:
...     export = await client.wait_until_done("exp_CGnCVltmWjI9V1pGlnunw2Nf")
"""

from typing import TYPE_CHECKING

from ._api.creates import ExportOptions
from ._api.settings import ClientOptions
from ._files.download import Progress
from ._ground.clock import Clock, SystemClock
from ._version import __version__
from .auth import AppKeys, Auth, BearerToken, OAuth, RenewableAuth
from .catalog import ColumnType
from .client import ExportsClient, WaitOutcome
from .errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    CreateUncertainError,
    DownloadError,
    ExportFailedError,
    ExportNotFoundError,
    InvalidResponseError,
    MissingExtraError,
    PermissionDeniedError,
    PlanLimitError,
    RateLimitedError,
    ServerError,
    TableError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from .events import (
    DownloadCompleted,
    DownloadInterrupted,
    DownloadStarted,
    Event,
    EventHook,
    QuotaExhausted,
    RequestCompleted,
    RequestFailed,
    RetryScheduled,
    RoundCompleted,
    StatusChanged,
    WaitEnded,
    log_event,
)
from .filters import (
    Condition,
    Filters,
    FilterValue,
    after,
    any_of,
    before,
    contains,
    count,
    count_less,
    count_more,
    ends_with,
    has_value,
    in_,
    is_,
    is_days_ago,
    is_days_in_future,
    is_not,
    is_unknown,
    less_than,
    less_than_ago,
    less_than_equal,
    less_than_future,
    more_than,
    more_than_ago,
    more_than_equal,
    more_than_future,
    not_contains,
    not_in,
    starts_with,
    where,
)
from .models import (
    Export,
    ExportedObject,
    ExportPage,
    ExportParameters,
    ExportResult,
    ExportStatus,
    JSONObject,
    RateLimit,
)
from .polling import PollPolicy, RetryPolicy, WaitStrategy
from .tables._columns import ColumnWarning

if TYPE_CHECKING:
    from .notebook import Shell
    from .sandbox import Sandbox
else:  # with this function, type checkers would accept every name

    def __getattr__(name: str) -> object:
        """Import the sandbox on first use only: a service in production never uses it."""
        if name == "Sandbox":
            from .sandbox import Sandbox

            return Sandbox
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ApiError",
    "AppKeys",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BearerToken",
    "ClientClosedError",
    "ClientOptions",
    "Clock",
    "ColumnType",
    "ColumnWarning",
    "Condition",
    "ConfigurationError",
    "ConflictError",
    "CreateUncertainError",
    "DownloadCompleted",
    "DownloadError",
    "DownloadInterrupted",
    "DownloadStarted",
    "Event",
    "EventHook",
    "Export",
    "ExportFailedError",
    "ExportNotFoundError",
    "ExportOptions",
    "ExportPage",
    "ExportParameters",
    "ExportResult",
    "ExportStatus",
    "ExportedObject",
    "ExportsClient",
    "FilterValue",
    "Filters",
    "InvalidResponseError",
    "JSONObject",
    "MissingExtraError",
    "OAuth",
    "PermissionDeniedError",
    "PlanLimitError",
    "PollPolicy",
    "Progress",
    "QuotaExhausted",
    "RateLimit",
    "RateLimitedError",
    "RenewableAuth",
    "RequestCompleted",
    "RequestFailed",
    "RetryPolicy",
    "RetryScheduled",
    "RoundCompleted",
    "Sandbox",
    "ServerError",
    "StatusChanged",
    "SystemClock",
    "TableError",
    "TransportError",
    "VoucherifyExportsError",
    "WaitEnded",
    "WaitOutcome",
    "WaitStrategy",
    "WaitTimeoutError",
    "__version__",
    "after",
    "any_of",
    "before",
    "contains",
    "count",
    "count_less",
    "count_more",
    "ends_with",
    "has_value",
    "in_",
    "is_",
    "is_days_ago",
    "is_days_in_future",
    "is_not",
    "is_unknown",
    "less_than",
    "less_than_ago",
    "less_than_equal",
    "less_than_future",
    "log_event",
    "more_than",
    "more_than_ago",
    "more_than_equal",
    "more_than_future",
    "not_contains",
    "not_in",
    "starts_with",
    "where",
]


def load_ipython_extension(ipython: "Shell") -> None:
    """Show the results of a gather as one table; called by `%load_ext voucherify_exports`."""
    from .notebook import register

    register(ipython)


def unload_ipython_extension(ipython: "Shell") -> None:
    """Show lists as usual again; called by `%unload_ext voucherify_exports`."""
    from .notebook import unregister

    unregister(ipython)
