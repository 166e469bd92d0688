from unittest.mock import Mock

import aiohttp
import pytest

from voucherify_exports import (
    BadRequestError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
)
from voucherify_exports._api.calls import Call


def transport_error(cause: BaseException) -> TransportError:
    """A transport error with this cause."""
    error = TransportError("no response")
    error.__cause__ = cause
    return error


REFUSED = transport_error(aiohttp.ClientConnectorError(Mock(), ConnectionRefusedError()))
RESET = transport_error(ConnectionResetError())
LIMITED = RateLimitedError("429")


class TestMayRepeat:
    @pytest.mark.parametrize("error", [REFUSED, RESET, LIMITED, ServerError("503", status=503)])
    def test_transient_failures(self, error: VoucherifyExportsError) -> None:
        """A GET is repeated after every transient failure."""
        call = Call("GET", "/v1/exports")
        call.is_sent = True

        assert call.may_repeat(error)

    @pytest.mark.parametrize(
        "error", [BadRequestError("400", status=400), InvalidResponseError("x", problem="x")]
    )
    def test_lasting_errors(self, error: VoucherifyExportsError) -> None:
        """A request is not repeated after an error that would occur again."""
        assert not Call("GET", "/v1/exports").may_repeat(error)

    @pytest.mark.parametrize(
        ("error", "may_repeat"),
        [(REFUSED, True), (LIMITED, True), (RESET, False), (ServerError("503", status=503), False)],
    )
    def test_a_create(self, error: VoucherifyExportsError, may_repeat: bool) -> None:
        """A create is repeated only if it certainly did not arrive."""
        call = Call("POST", "/v1/exports", creates=True)
        call.is_sent = True

        assert call.may_repeat(error) is may_repeat

    @pytest.mark.parametrize("error", [RESET, ServerError("503", status=503)])
    def test_a_create_that_was_not_sent(self, error: VoucherifyExportsError) -> None:
        """A failure before the create was sent, such as that of a token request, allows repeating it."""
        assert Call("POST", "/v1/exports", creates=True).may_repeat(error)
