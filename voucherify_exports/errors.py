"""Every error that a public call raises, as one tree.

    VoucherifyExportsError
    ├── ConfigurationError (ValueError)      an invalid option, URL or id; nothing was sent
    │   └── MissingExtraError (ImportError)  the package of an extra is not installed
    ├── ApiError                             Voucherify returned an error
    │   ├── BadRequestError                  400
    │   ├── AuthenticationError              401
    │   ├── PlanLimitError                   402
    │   ├── PermissionDeniedError            403
    │   ├── ExportNotFoundError              404 (also LookupError)
    │   ├── ConflictError                    409, 423
    │   ├── RateLimitedError                 429
    │   └── ServerError                      5xx
    ├── TransportError                       no usable response: DNS, refused, reset, TLS, proxy, timeout
    │   └── CreateUncertainError             a POST was sent and its response lost
    ├── InvalidResponseError                 a response that is not what was requested
    ├── ExportFailedError                    the export ended in ERROR
    ├── WaitTimeoutError (TimeoutError)      the export did not finish in time
    ├── DownloadError                        the file did not arrive, or cannot be written
    ├── TableError (ValueError)              a file that is not a table, or a cell of another type
    └── ClientClosedError                    the client was closed

Every error survives `pickle` and `copy`. None contains a token, a whole app id, or the query of a result URL.
"""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from .models import Export


class VoucherifyExportsError(Exception):
    """The base class of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__.copy())


def _revive(
    kind: type[VoucherifyExportsError], args: tuple[object, ...], state: dict[str, object]
) -> VoucherifyExportsError:
    """Recreate an error without calling its `__init__`, whose keywords pickle does not know."""
    error = kind.__new__(kind, *args)
    error.args = args  # OSError, a base of TimeoutError, sets them only in __init__
    error.__dict__.update(state)
    return error


class ConfigurationError(VoucherifyExportsError, ValueError):
    """An invalid option, URL or id; nothing was sent."""


class MissingExtraError(ConfigurationError, ImportError):
    """A required package is not installed; the message names the extra that installs it."""


class ApiError(VoucherifyExportsError):
    """Voucherify returned an error.

    `status` is the HTTP status. The other attributes come from the body, `None` where it has none: `key`
    (such as `not_found`), `message`, `details`, `request_id` (quote it to Voucherify's support),
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
        """The class of the error for an HTTP status."""
        return _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)


class BadRequestError(ApiError):
    """400: Voucherify rejected the content of the request."""


class AuthenticationError(ApiError):
    """401: Voucherify does not accept these credentials."""


class PlanLimitError(ApiError):
    """402: the plan's quota is used up."""


class PermissionDeniedError(ApiError):
    """403: these credentials do not permit this."""


class ExportNotFoundError(ApiError, LookupError):
    """404: the export does not exist in this project."""


class ConflictError(ApiError):
    """409 or 423: the resource is busy with another operation."""


class RateLimitedError(ApiError):
    """429: too many requests.

    `retry_at` is when a request is allowed again: aware, in UTC, by this machine's clock; `None` if the
    response named no time. The error is also raised without a request, when a request would be refused
    for longer than the caller can wait.
    """

    def __init__(
        self, text: str, *, status: int = 429, retry_at: datetime | None = None, **fields: str | None
    ) -> None:
        super().__init__(text, status=status, **fields)
        self.retry_at = retry_at


class ServerError(ApiError):
    """5xx: Voucherify, or a gateway in front of it, failed."""


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
    """No usable response: DNS, connection, TLS, proxy or timeout.

    `attempts` is the number of attempts. `is_permanent` says that another attempt cannot succeed until
    somebody changes something, as after a certificate that was refused: it is not retried, and ends a wait.
    """

    def __init__(self, text: str, *, attempts: int = 1, is_permanent: bool = False) -> None:
        super().__init__(text)
        self.attempts = attempts
        self.is_permanent = is_permanent


class CreateUncertainError(TransportError):
    """A create was sent and its response was lost or not readable: the export may exist.

    The create is not retried, since that could create a second export. Look for the export among those of
    `list_exports`, by its parameters and its time.
    """


class InvalidResponseError(VoucherifyExportsError):
    """A response that is not what was requested.

    `problem` says what is wrong and where; `excerpt` is the first 200 characters of the body.
    """

    def __init__(self, text: str, *, problem: str, excerpt: str = "") -> None:
        super().__init__(text)
        self.problem = problem
        self.excerpt = excerpt


class ExportFailedError(VoucherifyExportsError):
    """The export ended in ERROR; `export` is its last state. Voucherify gives no reason."""

    def __init__(self, export: Export) -> None:
        super().__init__(
            f"Export {export.id} ({export.exported_object}) ended in ERROR. Voucherify gives no reason:"
            " check its fields and filters, and create it again"
        )
        self.export = export


class WaitTimeoutError(VoucherifyExportsError, TimeoutError):
    """The export did not finish in time. It continues at Voucherify, and you can wait for it again.

    `elapsed` is in seconds, `polls` is the number of polls, `last_export` is what the last successful poll
    returned and `last_error` the error of the last failed one, each `None` if there was none.
    `held_back_by` says why there was no poll at the end of the wait, `None` if there was one.
    """

    def __init__(
        self,
        export_id: str,
        *,
        elapsed: float,
        polls: int,
        last_export: Export | None = None,
        last_error: VoucherifyExportsError | None = None,
        held_back_by: str | None = None,
    ) -> None:
        state = f"was still {last_export.status}" if last_export else "could not be polled"
        reason = f" Polling was held back: {held_back_by}." if held_back_by else ""
        failure = f" The last error was: {last_error}" if last_error else ""
        super().__init__(
            f"Export {export_id} {state} after {elapsed:.1f} s and {polls} polls."
            f" It continues at Voucherify: wait for it again, or longer.{reason}{failure}"
        )
        self.export_id = export_id
        self.elapsed = elapsed
        self.polls = polls
        self.last_export = last_export
        self.last_error = last_error
        self.held_back_by = held_back_by


class DownloadError(VoucherifyExportsError):
    """The file of an export did not arrive completely, or cannot be written; `path` is its target."""

    def __init__(self, text: str, *, bytes_received: int = 0, path: Path | None = None) -> None:
        super().__init__(text)
        self.bytes_received = bytes_received
        self.path = path


class TableError(VoucherifyExportsError, ValueError):
    """A file that cannot be read as a table, or a cell that does not fit the type of its column.

    `line` counts from 1, the header; `column` is the title in the file, and `value` the cell. Each is `None`
    where it does not apply.
    """

    def __init__(
        self, text: str, *, line: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        super().__init__(text)
        self.line = line
        self.column = column
        self.value = value


class ClientClosedError(VoucherifyExportsError):
    """The client was closed before the call, or during it."""

    def __init__(self, text: str = "The client is closed: make a new ExportsClient") -> None:
        super().__init__(text)


def check_range(
    name: str,
    value: float,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Raise `ConfigurationError` for a number outside its range or NaN, `TypeError` for another type."""
    is_number = isinstance(value, int | float)  # pyright: ignore[reportUnnecessaryIsInstance]  # such as a timedelta
    if not is_number or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    # NaN compares false with everything, and passes none of these.
    fits = (above is None or value > above) and (least is None or value >= least)
    if not (fits and (most is None or value <= most) and value == value):
        raise ConfigurationError(f"{name} cannot be {value!r}")


def describe_unknown(kind: str, name: object, known: Collection[str]) -> str:
    """The message for an unknown name: with the names that are similar to it, or else all known ones."""
    from difflib import get_close_matches  # only needed for a mistake

    text = f"unknown {kind} {str(name)!r}"
    suggestions = [repr(str(near)) for near in get_close_matches(str(name), known)]
    if suggestions:
        return f"{text}; did you mean {' or '.join(suggestions)}?"
    return f"{text}; known {kind}s: {', '.join(known)}."
