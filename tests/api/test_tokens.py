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


class Server:
    """Hands out token-1, token-2 and so on, a second after it was asked."""

    def __init__(self, lifetime: float = 900.0) -> None:
        self.lifetime = lifetime
        self.forms: list[dict[str, Any]] = []
        self.faults: list[Exception] = []

    async def fetch(self, form: bytes, attempt: int) -> AccessToken:
        self.forms.append(parse_qs(form.decode()))
        await asyncio.sleep(1)
        if self.faults:
            raise self.faults.pop(0)
        return AccessToken(f"token-{len(self.forms)}", self.lifetime)

    def tokens(self, auth: OAuth = AUTH) -> Tokens:
        return Tokens(auth, self.fetch, VirtualClock())


class TestTokens:
    @virtually
    async def test_one_is_fetched_and_kept(self) -> None:
        """The documented form is posted once."""
        server = Server()
        tokens = server.tokens(OAuth("id", "token", scope="exports api"))

        assert await tokens.headers() == await tokens.headers() == {"Authorization": "Bearer token-1"}
        assert server.forms == [{"grant_type": ["client_credentials"], "scope": ["exports api"]}]

    @virtually
    async def test_one_request_however_many_wait(self) -> None:
        """Whoever needs a token while it is being fetched takes the same one."""
        server = Server()
        tokens = server.tokens()

        headers = await asyncio.gather(*(tokens.headers() for _ in range(100)))

        assert headers == [{"Authorization": "Bearer token-1"}] * 100
        assert len(server.forms) == 1

    @pytest.mark.parametrize(("lifetime", "good_for"), [(900, 840), (100, 90), (0, 0)])
    def test_it_is_renewed_before_it_expires(self, lifetime: float, good_for: float) -> None:
        """A minute before, or a tenth of its life; reckoned from when it was asked for."""

        @virtually
        async def check() -> None:
            server = Server(lifetime)
            tokens = server.tokens()
            await tokens.headers()
            await asyncio.sleep(max(good_for - 1.5, 0))
            before = await tokens.headers()
            await asyncio.sleep(1)
            assert await tokens.headers() != before

        check()

    @virtually
    async def test_one_that_never_expires_is_kept(self) -> None:
        """A server that names no time is asked again after a refusal alone."""
        tokens = Server(float("inf")).tokens()
        await tokens.headers()
        await asyncio.sleep(1e6)

        assert await tokens.headers() == {"Authorization": "Bearer token-1"}

    @virtually
    async def test_a_rejected_one_is_not_used_again(self) -> None:
        """Whoever reports the same token later does not reject its successor."""
        tokens = Server().tokens()
        first = await tokens.headers()

        tokens.reject(first)
        second = await tokens.headers()
        tokens.reject(first)

        assert await tokens.headers() == second == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_one_rejected_while_others_wait_for_it(self) -> None:
        """Who queued for the token fetches another, if it is gone when the turn comes."""
        server = Server()
        tokens = server.tokens()

        async def take_and_reject() -> None:
            tokens.reject(await tokens.headers())

        _, headers = await asyncio.gather(take_and_reject(), tokens.headers())

        assert headers == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_a_fault_is_shared_by_those_who_waited(self) -> None:
        """They are told the same by exceptions of their own; the next one tries again."""
        server = Server()
        server.faults = [ServerError("503", status=503)]
        tokens = server.tokens()

        faults = await asyncio.gather(*(tokens.headers() for _ in range(3)), return_exceptions=True)

        assert [str(fault) for fault in faults] == ["503"] * 3
        assert len(set(map(id, faults))) == 3
        assert len(server.forms) == 1
        assert await tokens.headers() == {"Authorization": "Bearer token-2"}

    @virtually
    async def test_a_cancelled_fetch_is_taken_over(self) -> None:
        """The next in line asks instead."""
        server = Server()
        tokens = server.tokens()
        first, second = (asyncio.ensure_future(tokens.headers()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()

        assert await second == {"Authorization": "Bearer token-2"}
        assert first.cancelled()

    @virtually
    async def test_what_is_revoked_at_the_end(self) -> None:
        """The token that is held, if that is wanted, and only once."""
        wanted, unwanted, failed = Server().tokens(), Server().tokens(OAuth("id", "token")), Server()
        failed.faults = [TransportError("refused", attempts=1)]
        tokens = failed.tokens()
        await wanted.headers()
        await unwanted.headers()
        with pytest.raises(TransportError):
            await tokens.headers()

        taken = [each.take_for_revocation() for each in (wanted, wanted, unwanted, tokens)]
        assert taken == ["token-1", None, None, None]


NOW = 1_767_225_600.0
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def response(wire: Any) -> Response:
    body = wire if isinstance(wire, bytes) else json.dumps(wire).encode()
    return Response("POST /v1/oauth/token", 200, {}, body, NOW)


class TestTokenFrom:
    @pytest.mark.parametrize(
        ("said", "lifetime"),
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
    def test_how_long_it_lasts(self, said: dict[str, Any], lifetime: float) -> None:
        """The span comes first, then the epoch by the server's clock; where neither is said, for ever."""
        assert token_from(response({"access_token": "abc", **said}), Redactor()) == AccessToken(
            "abc", lifetime
        )

    def test_its_repr_does_not_show_it(self) -> None:
        """A traceback with local variables shows how long it lasts, no more."""
        assert repr(token_from(response({"access_token": "abc"}), Redactor())) == "AccessToken(lifetime=inf)"

    @given(
        st.binary().map(bytes)
        | st.lists(values, max_size=2)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("access_token", "expires_in"), values))
    )
    def test_anything_is_a_token_or_an_invalid_response(self, wire: Any) -> None:
        """Whatever comes, a token can stand in a header and lasts no negative time."""
        with suppress(InvalidResponseError):
            token = token_from(response(wire), Redactor())
            assert token.token == wire["access_token"]
            assert token.token.isascii()
            assert token.token.isprintable()
            assert token.lifetime >= 0
