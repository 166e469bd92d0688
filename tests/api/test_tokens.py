import asyncio
import json
import math
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import VirtualClock, virtually

from voucherify_exports import InvalidResponseError, OAuth, ServerError, TransportError
from voucherify_exports._api.tokens import Tokens
from voucherify_exports._api.wire import AccessToken, Response, token_from
from voucherify_exports._ground.redact import Redactor

AUTH = OAuth("c70a6f00-cf91", "3266b9f8-e246", revoke_on_close=True)


class FakeServer:
    """Returns token-1, token-2 and so on, a second after each request."""

    def __init__(self, lifetime: float = 900.0) -> None:
        self.lifetime = lifetime
        self.forms: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    async def fetch(self, form: bytes, attempt: int) -> AccessToken:
        self.forms.append(parse_qs(form.decode()))
        await asyncio.sleep(1)
        if self.failures:
            raise self.failures.pop(0)
        return AccessToken(f"token-{len(self.forms)}", self.lifetime)

    def tokens(self, auth: OAuth = AUTH) -> Tokens:
        return Tokens(auth, self.fetch, VirtualClock())


class TestTokens:
    @virtually
    async def test_a_token_is_fetched_and_kept(self) -> None:
        """The documented form is posted once."""
        server = FakeServer()
        tokens = server.tokens(OAuth("id", "token", scope="exports api"))

        assert await tokens.headers() == await tokens.headers() == {"Authorization": "Bearer token-1"}
        assert server.forms == [{"grant_type": ["client_credentials"], "scope": ["exports api"]}]

    @virtually
    async def test_concurrent_calls_share_one_request(self) -> None:
        """Calls that need a token while it is fetched share it."""
        server = FakeServer()
        tokens = server.tokens()

        headers = await asyncio.gather(*(tokens.headers() for _ in range(100)))

        assert headers == [{"Authorization": "Bearer token-1"}] * 100
        assert len(server.forms) == 1

    @pytest.mark.parametrize(("lifetime", "renewal_age"), [(900, 840), (100, 90), (0, 0)])
    def test_a_token_is_renewed_before_it_expires(self, lifetime: float, renewal_age: float) -> None:
        """It is renewed a minute, or a tenth of its life, before its end, counted from the request."""

        @virtually
        async def check() -> None:
            server = FakeServer(lifetime)
            tokens = server.tokens()
            await tokens.headers()
            await asyncio.sleep(max(renewal_age - 1.5, 0))
            before = await tokens.headers()
            await asyncio.sleep(1)
            assert await tokens.headers() != before

        check()

    @virtually
    async def test_a_token_without_an_expiry_is_kept(self) -> None:
        """A token whose end the server does not name is replaced only after a refusal."""
        tokens = FakeServer(float("inf")).tokens()
        await tokens.headers()
        await asyncio.sleep(1e6)

        assert await tokens.headers() == {"Authorization": "Bearer token-1"}

    @virtually
    async def test_a_rejected_token_is_not_used_again(self) -> None:
        """Rejecting the old token again does not reject the new one."""
        tokens = FakeServer().tokens()
        rejected = await tokens.headers()

        tokens.reject(rejected)
        renewed = await tokens.headers()
        tokens.reject(rejected)

        assert await tokens.headers() == renewed == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_a_token_rejected_while_others_wait(self) -> None:
        """A call that waited for the token fetches another if the token was rejected meanwhile."""
        server = FakeServer()
        tokens = server.tokens()

        async def take_and_reject() -> None:
            tokens.reject(await tokens.headers())

        _, headers = await asyncio.gather(take_and_reject(), tokens.headers())

        assert headers == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_a_failure_is_shared_by_the_waiting_calls(self) -> None:
        """Each waiting call raises an exception of its own, and the next call fetches again."""
        server = FakeServer()
        server.failures = [ServerError("503", status=503)]
        tokens = server.tokens()

        failures = await asyncio.gather(*(tokens.headers() for _ in range(3)), return_exceptions=True)

        assert [str(failure) for failure in failures] == ["503"] * 3
        assert len(set(map(id, failures))) == 3
        assert len(server.forms) == 1
        assert await tokens.headers() == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_a_cancelled_fetch_is_taken_over(self) -> None:
        """The next waiting call fetches instead."""
        server = FakeServer()
        tokens = server.tokens()
        cancelled, waiting = (asyncio.ensure_future(tokens.headers()) for _ in range(2))
        await asyncio.sleep(0.5)
        cancelled.cancel()

        assert await waiting == {"Authorization": "Bearer token-2"}
        assert cancelled.cancelled()

    @virtually
    async def test_the_token_to_revoke(self) -> None:
        """The present token is returned once, and only if it is to be revoked."""
        revoking, not_revoking = FakeServer().tokens(), FakeServer().tokens(OAuth("id", "token"))
        failed = FakeServer()
        failed.failures = [TransportError("refused", attempts=1)]
        tokens = failed.tokens()
        await revoking.headers()
        await not_revoking.headers()
        with pytest.raises(TransportError):
            await tokens.headers()

        to_revoke = [each.take_for_revocation() for each in (revoking, revoking, not_revoking, tokens)]
        assert to_revoke == ["token-1", None, None, None]


NOW = 1_767_225_600.0
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def response(wire: Any) -> Response:
    body = wire if isinstance(wire, bytes) else json.dumps(wire).encode()
    return Response("POST /v1/oauth/token", 200, {}, body, NOW)


class TestTokenFrom:
    @pytest.mark.parametrize(
        ("properties", "lifetime"),
        [
            ({"expires_in": 900, "expires_at": NOW + 5}, 900),
            ({"expires_in": 0.5}, 0.5),
            ({"expires_in": 0}, 0),
            ({"expires_in": -5}, 0),
            ({"expires_at": NOW + 600}, 600),
            ({"expires_at": NOW - 600}, 0),
            ({"expires_in": None, "expires_at": NOW + 600}, 600),
            ({"expires_in": "900"}, math.inf),
            ({"expires_in": 10**400}, 1e12),
            ({"expires_in": -(10**400)}, 0),
            ({"expires_at": 10**400}, 1e12 - NOW),
            ({"expires_at": -(10**400)}, 0),
            ({}, math.inf),
        ],
        ids=str,
    )
    def test_the_lifetime(self, properties: dict[str, Any], lifetime: float) -> None:
        """`expires_in` wins over `expires_at` by the server's clock; without both the token never expires."""
        assert token_from(response({"access_token": "abc", **properties}), Redactor()) == AccessToken(
            "abc", lifetime
        )

    def test_the_repr_hides_the_token(self) -> None:
        """The repr shows the lifetime and not the token, as in tracebacks with local variables."""
        assert repr(token_from(response({"access_token": "abc"}), Redactor())) == "AccessToken(lifetime=inf)"

    @given(
        st.binary().map(bytes)
        | st.lists(values, max_size=2)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("access_token", "expires_in"), values))
    )
    def test_anything_is_a_token_or_an_invalid_response(self, wire: Any) -> None:
        """Any body is an invalid response or a token that a header can contain, with no negative lifetime."""
        with suppress(InvalidResponseError):
            token = token_from(response(wire), Redactor())
            assert token.token == wire["access_token"]
            assert token.token.isascii()
            assert token.token.isprintable()
            assert token.lifetime >= 0
