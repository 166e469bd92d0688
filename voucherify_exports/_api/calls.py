"""A request of the API as a value, and what its failure means for sending it again."""

import aiohttp
from attrs import define, field

from .._ground.redact import Redactor
from ..errors import ApiError, CreateUncertainError, RateLimitedError, TransportError

LOOK_FOR_IT = "the export may exist: look for it in list_exports() before you create it again"

LONGEST_REASON = 300  # characters

_TRANSIENT = {408, 500, 502, 503, 504}


@define  # making a frozen one takes three times as long
class Call:
    """A request of the API, over all its attempts; its `str` leaves out the query.

    `creates`: it must not take effect twice. `is_sent`: the latest attempt got as far as sending it, and it
    was not refused for its credentials.
    """

    method: str
    path: str
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    creates: bool = False
    is_sent: bool = field(default=False, init=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def may_have_arrived(self, error: BaseException) -> bool:
        """Whether the latest attempt may have taken effect although it raised this error."""
        if isinstance(error, TransportError):
            return self.is_sent and not isinstance(error.__cause__, aiohttp.ClientConnectorError)
        return self.is_sent and not isinstance(error, RateLimitedError)

    def may_repeat(self, error: BaseException) -> bool:
        """Whether it may be sent again after this error."""
        return is_transient(error) and not (self.creates and self.may_have_arrived(error))


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, TransportError):
        return not isinstance(error.__cause__, aiohttp.ClientSSLError)
    if isinstance(error, RateLimitedError):
        return error.retry_at is None  # otherwise a little later is known to be too soon
    return isinstance(error, ApiError) and error.status in _TRANSIENT


def transport_error(
    call: Call, failure: Exception, attempt: int, timeout: float, redact: Redactor
) -> TransportError:
    """The error for an exception of aiohttp or of the system that ended an attempt."""
    text = f"{call}: {redact(_reason(failure, timeout))[:LONGEST_REASON]} (attempt {attempt})"
    if call.creates and not isinstance(failure, aiohttp.ClientConnectorError):
        return CreateUncertainError(f"{text}; {LOOK_FOR_IT}", attempts=attempt)
    return TransportError(text, attempts=attempt)


def _reason(failure: Exception, timeout: float) -> str:
    if isinstance(failure, TimeoutError):
        return f"no response within {timeout:g} s"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return f"cannot resolve the host name {failure.host!r}: check the network and the cluster"
    if isinstance(failure, aiohttp.ClientSSLError):
        return f"TLS failed: {_first_line(failure)}"
    return f"the connection failed: {type(failure).__name__}: {_first_line(failure)}"


def _first_line(failure: Exception) -> str:
    """The message without its further lines, in which aiohttp quotes bytes of the response."""
    return message_of(failure).partition("\n")[0].rstrip(": ")


def message_of(failure: Exception) -> str:
    """The message of an exception, without the URL of the request."""
    return failure.message if isinstance(failure, aiohttp.ClientResponseError) else str(failure)
