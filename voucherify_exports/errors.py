"""Everything that can go wrong, as one tree.

    VoucherifyExportsError
    ├── ConfigurationError (ValueError)      credentials, base_url, ids: before anything is sent
    │   └── MissingExtraError (ImportError)  a package that an extra installs is not there
    ├── ApiError                             Voucherify answered with an error
    │   ├── BadRequestError                  400
    │   ├── AuthenticationError              401
    │   ├── PlanLimitError                   402
    │   ├── PermissionDeniedError            403
    │   ├── ExportNotFoundError              404 (also LookupError)
    │   ├── ConflictError                    409, 423
    │   ├── RateLimitedError                 429
    │   └── ServerError                      5xx
    ├── TransportError                       no usable answer: DNS, refused, reset, TLS, timeout
    │   └── CreateUncertainError             a POST was sent and its answer lost
    ├── InvalidResponseError                 an answer that is not what was asked for
    ├── ExportFailedError                    the export ended in ERROR
    ├── WaitTimeoutError (TimeoutError)      the export was not finished in time
    ├── DownloadError                        the file did not arrive whole
    ├── TableError (ValueError)              a file that is no table, or cells of another type
    └── ClientClosedError                    the client was closed

Each survives `pickle` and `copy`, and none holds a token, a whole app id, or the query of a result URL.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from .models import Export


class VoucherifyExportsError(Exception):
    """The base of every error of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__.copy())


def _revive(
    kind: type[VoucherifyExportsError], args: tuple[object, ...], state: dict[str, object]
) -> VoucherifyExportsError:
    """Make an error again without calling its `__init__`, whose keywords pickle does not know."""
    error = kind.__new__(kind, *args)
    error.args = args  # which OSError, a base of TimeoutError, leaves to its __init__
    error.__dict__.update(state)
    return error


class ConfigurationError(VoucherifyExportsError, ValueError):
    """Credentials, a URL or an id that cannot be right; nothing was sent."""


class MissingExtraError(ConfigurationError, ImportError):
    """A package is not installed, without which this cannot be done; the message names the extra."""


class ApiError(VoucherifyExportsError):
    """Voucherify answered with an error.

    `status` is the HTTP status. The rest is what the body said, where it did: `key` (such as
    `not_found`), `message`, `details`, `request_id` (quote it to Voucherify's support),
    `resource_id` and `resource_type`.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int,
        key: str | None = None,
        message: str | None = None,
        details: str | None = None,
        request_id: str | None = None,
        resource_id: str | None = None,
        resource_type: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.key = key
        self.message = message
        self.details = details
        self.request_id = request_id
        self.resource_id = resource_id
        self.resource_type = resource_type

    @classmethod
    def for_status(cls, status: int) -> type["ApiError"]:
        """The class of error that an HTTP status is raised as."""
        return _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)


class BadRequestError(ApiError):
    """400: Voucherify did not accept the request as it was written."""


class AuthenticationError(ApiError):
    """401: Voucherify does not know these credentials."""


class PlanLimitError(ApiError):
    """402: the plan's quota is used up."""


class PermissionDeniedError(ApiError):
    """403: these credentials may not do this."""


class ExportNotFoundError(ApiError, LookupError):
    """404: there is no such export in this project."""


class ConflictError(ApiError):
    """409 or 423: something else is being done with this resource."""


class RateLimitedError(ApiError):
    """429: too many requests; `retry_at` is when one is allowed again, `None` if nothing said so.

    It is also raised without a request when it is known that one would be refused for longer than
    the caller can wait. `retry_at` is aware, in UTC, by this machine's clock.
    """

    retry_at: datetime | None = None


class ServerError(ApiError):
    """5xx: Voucherify, or a gateway before it, had a fault."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PlanLimitError,
    403: PermissionDeniedError,
    404: ExportNotFoundError,
    409: ConflictError,
    423: ConflictError,
    429: RateLimitedError,
}


class TransportError(VoucherifyExportsError):
    """No usable answer came: DNS, connection, TLS, timeout; `attempts` is how often it was tried."""

    def __init__(self, text: str, *, attempts: int = 1) -> None:
        super().__init__(text)
        self.attempts = attempts


class CreateUncertainError(TransportError):
    """A request that creates an export was sent and its answer lost, or not readable: the export may exist.

    It is not sent again, since a second export might be created. Look for the first one among those
    that `list_exports` shows, by what was asked for and the time.
    """


class InvalidResponseError(VoucherifyExportsError):
    """An answer that is not what was asked for.

    `problem` says what is wrong and where, `excerpt` is the first 200 characters of the body.
    """

    def __init__(self, text: str, *, problem: str, excerpt: str = "") -> None:
        super().__init__(text)
        self.problem = problem
        self.excerpt = excerpt


class ExportFailedError(VoucherifyExportsError):
    """The export ended in ERROR; `export` is its last state. Voucherify gives no reason for it."""

    def __init__(self, export: Export) -> None:
        super().__init__(
            f"Export {export.id} ({export.exported_object}) ended in ERROR at Voucherify, which says no more:"
            " check its fields and filters, and create it again"
        )
        self.export = export


class WaitTimeoutError(VoucherifyExportsError, TimeoutError):
    """The export was not finished in time; it goes on at Voucherify, and can be awaited again.

    `elapsed` is in seconds, `polls` how often it was looked at, `last_export` what was seen last
    and `last_error` the last fault on the way, each `None` if there was none.
    """

    def __init__(
        self,
        export_id: str,
        *,
        elapsed: float,
        polls: int,
        last_export: Export | None = None,
        last_error: VoucherifyExportsError | None = None,
    ) -> None:
        seen = f"was still {last_export.status}" if last_export else "could not be looked at"
        fault = f" The last fault on the way: {last_error}" if last_error else ""
        super().__init__(
            f"Export {export_id} {seen} after {elapsed:.1f} s and {polls} polls."
            f" It goes on at Voucherify: wait for it again, or longer.{fault}"
        )
        self.export_id = export_id
        self.elapsed = elapsed
        self.polls = polls
        self.last_export = last_export
        self.last_error = last_error


class DownloadError(VoucherifyExportsError):
    """The file of an export did not arrive whole; `path` is where it was to be."""

    def __init__(self, text: str, *, bytes_received: int = 0, path: Path | None = None) -> None:
        super().__init__(text)
        self.bytes_received = bytes_received
        self.path = path


class TableError(VoucherifyExportsError, ValueError):
    """A file that cannot be read as a table, or a cell that does not fit its column's type.

    `line` is counted from 1, the header's; `column` is the title in the file and `value` the cell; each
    is `None` where it is not the matter.
    """

    def __init__(
        self, text: str, *, line: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        super().__init__(text)
        self.line = line
        self.column = column
        self.value = value


class ClientClosedError(VoucherifyExportsError):
    """The client was closed before, or while, this was asked of it."""

    def __init__(self, text: str = "The client is closed: make a new ExportsClient") -> None:
        super().__init__(text)
