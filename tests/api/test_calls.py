import ssl
from unittest.mock import Mock

import aiohttp
import pytest

from voucherify_exports import (
    BadRequestError,
    CreateUncertainError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
)
from voucherify_exports._api.calls import Call, is_transient, is_unsent, transport_error
from voucherify_exports._ground.redact import Redactor

REFUSED = aiohttp.ClientConnectorError(Mock(), ConnectionRefusedError())
RESET = ConnectionResetError()
LIMITED = RateLimitedError("429")


def refused_by_proxy(status: int) -> aiohttp.ClientHttpProxyError:
    """The failure of a CONNECT."""
    return aiohttp.ClientHttpProxyError(Mock(), (), status=status, message="no")


def tls_failure(kind: type[ssl.SSLError]) -> aiohttp.ClientConnectorSSLError:
    """The failure of a handshake."""
    return aiohttp.ClientConnectorSSLError(Mock(), kind(1, "[SSL] failed"))


PERMANENT: list[Exception] = [
    aiohttp.ClientConnectorCertificateError(Mock(), ssl.SSLCertVerificationError(1, "self-signed")),
    aiohttp.ServerFingerprintMismatch(b"", b"", "localhost", 443),
    tls_failure(ssl.SSLError),
    *map(refused_by_proxy, [400, 403, 407, 451]),
]
TRANSIENT: list[Exception] = [
    REFUSED,
    RESET,
    TimeoutError(),
    *map(tls_failure, [ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError]),
    *map(refused_by_proxy, [408, 429, 500, 502, 503]),
]
UNSENT = [REFUSED, *PERMANENT, *TRANSIENT[3:]]


def name_of(failure: Exception) -> str:
    """The name of a case; a `repr` would contain the addresses of mocks."""
    kind = type(getattr(failure, "os_error", failure)).__name__
    return f"{kind}-{getattr(failure, 'status', '')}"


def sent(method: str, *, creates: bool = False, failure: Exception | None = None) -> Call:
    """A call whose latest attempt was sent, as far as the failure allows."""
    call = Call(method, "/v1/exports", creates=creates)
    call.is_sent = failure is None or not is_unsent(failure)
    return call


def error_after(call: Call, failure: Exception) -> TransportError:
    return transport_error(call, failure, 1, 30, Redactor())


class TestTransportError:
    @pytest.mark.parametrize("failure", PERMANENT, ids=name_of)
    def test_permanent_failures(self, failure: Exception) -> None:
        """What happens each time is permanent, is not repeated, and its error says what to do."""
        error = error_after(sent("GET"), failure)

        assert error.is_permanent
        assert not is_transient(error)
        assert ": check " in str(error) or ": give " in str(error) or ": pass " in str(error)

    @pytest.mark.parametrize("failure", TRANSIENT, ids=name_of)
    def test_transient_failures(self, failure: Exception) -> None:
        """What may pass is not permanent, such as a connection that was cut in the handshake."""
        error = error_after(sent("GET"), failure)

        assert not error.is_permanent
        assert is_transient(error)

    @pytest.mark.parametrize("failure", UNSENT, ids=name_of)
    def test_a_create_without_a_connection(self, failure: Exception) -> None:
        """A create that no connection could take did not arrive, whatever the error shows as its cause."""
        call = sent("POST", creates=True, failure=failure)
        error = error_after(call, failure)

        assert type(error) is TransportError
        assert call.may_repeat(error) is not error.is_permanent

    @pytest.mark.parametrize("failure", [RESET, TimeoutError()], ids=name_of)
    def test_a_create_on_a_connection(self, failure: Exception) -> None:
        """A create whose response was lost may have arrived."""
        call = sent("POST", creates=True, failure=failure)
        error = error_after(call, failure)

        assert type(error) is CreateUncertainError
        assert not call.may_repeat(error)


class TestMayRepeat:
    @pytest.mark.parametrize("error", [LIMITED, ServerError("503", status=503)])
    def test_transient_statuses(self, error: VoucherifyExportsError) -> None:
        """A GET is repeated after every transient failure."""
        assert sent("GET").may_repeat(error)

    @pytest.mark.parametrize(
        "error", [BadRequestError("400", status=400), InvalidResponseError("x", problem="x")]
    )
    def test_lasting_errors(self, error: VoucherifyExportsError) -> None:
        """A request is not repeated after an error that would occur again."""
        assert not Call("GET", "/v1/exports").may_repeat(error)

    @pytest.mark.parametrize(
        ("error", "may_repeat"), [(LIMITED, True), (ServerError("503", status=503), False)]
    )
    def test_a_create(self, error: VoucherifyExportsError, may_repeat: bool) -> None:
        """A create is repeated only if it certainly did not arrive."""
        assert sent("POST", creates=True).may_repeat(error) is may_repeat

    @pytest.mark.parametrize("error", [TransportError("reset"), ServerError("503", status=503)])
    def test_a_create_that_was_not_sent(self, error: VoucherifyExportsError) -> None:
        """A failure before the create was sent, such as that of a token request, allows repeating it."""
        assert Call("POST", "/v1/exports", creates=True).may_repeat(error)
