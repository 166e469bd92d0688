"""The asyncio client for Voucherify exports.

>>> async with ExportsClient(app_id, app_token) as client:  # doctest: +SKIP
...     export = await client.wait_until_done("exp_CGnCVltmWjI9V1pGlnunw2Nf")
"""

from typing import TYPE_CHECKING

from ._clock import Clock, SystemClock
from ._version import __version__
from .auth import AppKeys, Auth, BearerToken, OAuth
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
    PermissionDeniedError,
    PlanLimitError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from .events import (
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
from .models import (
    Export,
    ExportedObject,
    ExportPage,
    ExportParameters,
    ExportResult,
    ExportStatus,
    RateLimit,
)
from .polling import PollPolicy, RetryPolicy

if TYPE_CHECKING:
    from .sandbox import Sandbox

__all__ = [
    "ApiError",
    "AppKeys",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BearerToken",
    "ClientClosedError",
    "Clock",
    "ColumnType",
    "ConfigurationError",
    "ConflictError",
    "CreateUncertainError",
    "DownloadError",
    "Event",
    "EventHook",
    "Export",
    "ExportFailedError",
    "ExportNotFoundError",
    "ExportPage",
    "ExportParameters",
    "ExportResult",
    "ExportStatus",
    "ExportedObject",
    "ExportsClient",
    "InvalidResponseError",
    "OAuth",
    "PermissionDeniedError",
    "PlanLimitError",
    "PollPolicy",
    "QuotaExhausted",
    "RateLimit",
    "RateLimitedError",
    "RequestCompleted",
    "RequestFailed",
    "RetryPolicy",
    "RetryScheduled",
    "RoundCompleted",
    "Sandbox",
    "ServerError",
    "StatusChanged",
    "SystemClock",
    "TransportError",
    "VoucherifyExportsError",
    "WaitEnded",
    "WaitOutcome",
    "WaitTimeoutError",
    "__version__",
    "log_event",
]


def __getattr__(name: str) -> object:
    """Import the sandbox when somebody asks for it: a service in production never does."""
    if name == "Sandbox":
        from .sandbox import Sandbox

        return Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
