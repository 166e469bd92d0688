"""A request of the API as a value, and what its failure means for sending it again."""

import ssl

import aiohttp
from attrs import define, field

from .._ground.redact import Redactor
from ..errors import ApiError, CreateUncertainError, RateLimitedError, TransportError

LOOK_FOR_IT = "the export may exist: look for it in list_exports() before you create it again"

LONGEST_REASON = 300  # characters

_TRANSIENT = {408, 500, 502, 503, 504}
# What a connection raises that was cut during its handshake; other failures of TLS happen each time.
_CUT_HANDSHAKES = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# A proxy that refuses a CONNECT has not received the request that was to follow.
_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
)
_TRANSIENT_OF_PROXY = {408, 429}


@define  # making a frozen one takes three times as long
class Call:
    """A request of the API, over all its attempts; its `str` leaves out the query.

    `creates`: it must not take effect twice. `is_sent`: the latest attempt got as far as sending it, or
    possibly so, and it was not refused for its credentials.
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
        return self.is_sent and not isinstance(error, RateLimitedError)

    def may_repeat(self, error: BaseException) -> bool:
        """Whether it may be sent again after this error."""
        return is_transient(error) and not (self.creates and self.may_have_arrived(error))


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, TransportError):
        return not error.is_permanent
    if isinstance(error, RateLimitedError):
        return error.retry_at is None  # otherwise a little later is known to be too soon
    return isinstance(error, ApiError) and error.status in _TRANSIENT


def is_unsent(failure: Exception) -> bool:
    """Whether there was no connection to send the request on."""
    return isinstance(failure, _NO_CONNECTION)


def transport_error(
    call: Call, failure: Exception, attempt: int, timeout: float, redact: Redactor
) -> TransportError:
    """The error for an exception of aiohttp or of the system that ended an attempt."""
    is_permanent = _is_permanent(failure)
    advice = f": {_advice(failure)}" if is_permanent else ""
    text = f"{call}: {redact(_reason(failure, timeout))[:LONGEST_REASON]}{advice} (attempt {attempt})"
    if call.creates and call.is_sent:
        return CreateUncertainError(f"{text}; {LOOK_FOR_IT}", attempts=attempt)
    return TransportError(text, attempts=attempt, is_permanent=is_permanent)


def _is_permanent(failure: Exception) -> bool:
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return 400 <= failure.status <= 499 and failure.status not in _TRANSIENT_OF_PROXY
    if isinstance(failure, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch):
        return True
    return isinstance(failure, aiohttp.ClientSSLError) and not isinstance(failure.os_error, _CUT_HANDSHAKES)


def _advice(failure: Exception) -> str:
    """What to do about a permanent failure."""
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        if failure.status == 407:
            return "give the session the credentials of the proxy"
        return "check which hosts the proxy permits"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return "pass a session that trusts the CA of the server, and check the system clock"
    return "check the address, and the TLS settings of the session"


def _reason(failure: Exception, timeout: float) -> str:
    if isinstance(failure, TimeoutError):
        return f"no response within {timeout:g} s"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return f"cannot resolve the host name {failure.host!r}: check the network and the cluster"
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return f"the proxy refused to connect: {failure.status} {_first_line(failure)}"
    if isinstance(failure, aiohttp.ServerFingerprintMismatch):
        return f"TLS failed: the certificate of {failure.host!r} has another fingerprint than expected"
    if isinstance(failure, aiohttp.ClientSSLError):
        return f"TLS failed: {_first_line(failure)}"
    return f"the connection failed: {type(failure).__name__}: {_first_line(failure)}"


def _first_line(failure: Exception) -> str:
    """The message without its further lines, in which aiohttp quotes bytes of the response."""
    return message_of(failure).partition("\n")[0].rstrip(": ")


def message_of(failure: Exception) -> str:
    """The message of an exception, without the URL of the request."""
    return failure.message if isinstance(failure, aiohttp.ClientResponseError) else str(failure)
