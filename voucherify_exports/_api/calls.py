"""What is asked of the API, and what its failure means for asking again."""

import aiohttp
from attrs import define, field

from .._ground.redact import Redactor
from ..errors import ApiError, CreateUncertainError, RateLimitedError, TransportError, VoucherifyExportsError

LOOK_FOR_IT = "the export may exist nevertheless: look for it in list_exports() before creating it again"

LONGEST_REASON = 300  # characters

_TRANSIENT = {408, 500, 502, 503, 504}


@define  # a frozen one takes thrice as long to make
class Call:
    """A request of the API; its `str` is without the query. `creates`: must not have its effect twice."""

    method: str
    path: str
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    creates: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def is_transient(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, TransportError):
        return not isinstance(error.__cause__, aiohttp.ClientSSLError)
    if isinstance(error, RateLimitedError):
        return error.retry_at is None  # otherwise it is known that a little later is too soon
    return isinstance(error, ApiError) and error.status in _TRANSIENT


def mark_unsent(error: VoucherifyExportsError) -> None:
    """Mark what ended a call before its request was sent: nobody gave it credentials."""
    vars(error)["unsent"] = True


def may_have_arrived(error: BaseException) -> bool:
    """Whether the request may have had its effect although it ended in this error."""
    if "unsent" in vars(error):
        return False
    if isinstance(error, TransportError):
        return not isinstance(error.__cause__, aiohttp.ClientConnectorError)
    return not isinstance(error, RateLimitedError)


def is_repeatable(error: BaseException) -> bool:
    """Whether even a request that must not have its effect twice may be sent again."""
    return is_transient(error) and not may_have_arrived(error)


def transport_error(
    call: Call, fault: Exception, attempt: int, timeout: float, redact: Redactor
) -> TransportError:
    """The error for an exception of aiohttp's, or the system's, that ended a call."""
    text = f"{call}: {redact(_reason(fault, timeout))[:LONGEST_REASON]} (attempt {attempt})"
    if call.creates and not isinstance(fault, aiohttp.ClientConnectorError):
        return CreateUncertainError(f"{text}; {LOOK_FOR_IT}", attempts=attempt)
    return TransportError(text, attempts=attempt)


def _reason(fault: Exception, timeout: float) -> str:
    if isinstance(fault, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return f"the host name {fault.host!r} could not be resolved: check the network and the cluster"
    if isinstance(fault, aiohttp.ClientSSLError):
        return f"TLS failed: {told(fault)}"
    return f"the connection failed: {type(fault).__name__}: {told(fault)}"


def told(fault: Exception) -> str:
    """What an exception tells, without the bytes of an answer that aiohttp quotes in further lines."""
    return message_of(fault).partition("\n")[0].rstrip(": ")


def message_of(fault: Exception) -> str:
    """All of what an exception tells, but the URL that was asked."""
    return fault.message if isinstance(fault, aiohttp.ClientResponseError) else str(fault)
