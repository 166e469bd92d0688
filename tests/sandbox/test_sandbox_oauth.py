"""OAuth: issuing tokens, their scopes and their time."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox

GRANT = {"grant_type": "client_credentials", "scope": "exports"}


async def generate(http, **changed):
    async with http.post("/v1/oauth/token", data={**GRANT, **changed}) as answer:
        return answer.status, await answer.json()


async def token_of(http, **changed):
    return (await generate(http, **changed))[1]["access_token"]


async def revoke(http, token):
    async with http.post("/v1/oauth/token/revoke", data={"access_token": token}) as answer:
        return answer.status, await answer.read()


async def ask(sandbox, token, path="/v1/exports", method="GET", scheme="Bearer"):
    """Send a request with a token instead of the keys."""
    headers = {"Authorization": f"{scheme} {token}"}
    async with ClientSession(sandbox.url, headers=headers) as http, http.request(method, path) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


class TestGenerate:
    async def test_shape(self, http, clock):
        """A token comes with its scopes and its expiry."""
        clock.now = 1_700_000_000.5
        status, body = await generate(http)
        assert (status, len(body.pop("access_token")), len(body.pop("client_id"))) == (200, 50, 21)
        assert body == {
            "token_type": "Bearer",
            "expires_in": 900,
            "expires_at": 1_700_000_900,
            "scope": "exports",
        }

    @pytest.mark.parametrize(
        ("changed", "key", "message"),
        [
            ({"grant_type": "password"}, "invalid_grant_type", "Invalid grant_type"),
            ({"grant_type": ""}, "invalid_grant_type", "Invalid grant_type"),
            ({"scope": "vouchers,campaigns"}, "invalid_scope", "Invalid scope: vouchers,campaigns"),
            ({"scope": ""}, "invalid_scope", "Invalid scope: "),
        ],
    )
    async def test_refused(self, http, changed, key, message):
        """Another grant type or an unknown scope is refused with the documented body."""
        status, body = await generate(http, **changed)
        assert body.pop("request_id").startswith("v-")
        assert (status, body) == (400, {"code": 400, "key": key, "message": message})

    async def test_json(self, http):
        """A body that is not a form is refused."""
        async with http.post("/v1/oauth/token", json=GRANT) as answer:
            assert (answer.status, (await answer.json())["key"]) == (415, "unsupported_media_type")

    async def test_needs_keys(self, sandbox, http):
        """Only the keys can get a token."""
        token = await token_of(http, scope="api")
        assert (await ask(sandbox, token, "/v1/oauth/token", "POST"))[0] == 401

    async def test_so_many(self, http, clock):
        """A project has at most 1,000 tokens; an expired one makes room."""
        assert await generate(http) != await generate(http)
        clock.now += 1
        for _ in range(998):
            await generate(http)
        status, body = await generate(http)
        assert (status, body["key"]) == (400, "oauth_tokens_limit_exceeded")
        clock.now += 899
        assert [(await generate(http))[0] for _ in range(3)] == [200, 200, 400]


class TestBearer:
    async def test_opens(self, sandbox, http):
        """A token is accepted where its scopes allow it."""
        sandbox.add_export("order", id="exp_1")
        exports, orders, everything = [
            await token_of(http, scope=scope) for scope in ("exports assets", "orders", "api")
        ]
        for token, path, method, status in (
            (exports, "/v1/exports", "GET", 200),
            (exports, "/v1/exports/exp_1", "GET", 200),
            (exports, "/v1/orders/export", "POST", 403),
            (orders, "/v1/exports", "GET", 403),
            (orders, "/v1/orders/export", "POST", 400),
            (everything, "/v1/exports", "GET", 200),
            (everything, "/v1/orders/export", "POST", 400),
            (exports, "/v1/exports/exp_1", "DELETE", 204),
            (exports, "/v1/nothing", "GET", 401),
        ):
            assert (await ask(sandbox, token, path, method))[0] == status

    async def test_forbidden(self, sandbox, http):
        """The error for another scope names the one that is needed."""
        _, body = await ask(sandbox, await token_of(http, scope="orders"))
        assert (body["key"], body["details"]) == ("forbidden", "The token needs the scope exports")

    async def test_expires(self, clock):
        """A token is valid for its time."""
        async with Sandbox(clock=clock, oauth_ttl=60) as sandbox:
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            async with ClientSession(sandbox.url, headers=keys) as http:
                _, body = await generate(http)
            assert body["expires_in"] == 60
            clock.now += 59.9
            assert (await ask(sandbox, body["access_token"]))[0] == 200
            clock.now += 0.1
            status, refusal = await ask(sandbox, body["access_token"])
            assert (status, refusal) == (401, {"code": 401, "message": "Unauthorized", "key": "unauthorized"})

    async def test_wrong(self, sandbox, http):
        """An invented token, another scheme and a missing token are refused."""
        token = await token_of(http)
        assert (await ask(sandbox, token, scheme="bearer"))[0] == 200
        assert (await ask(sandbox, token, scheme="Basic"))[0] == 401
        assert (await ask(sandbox, token[:-1]))[0] == 401
        assert (await ask(sandbox, ""))[0] == 401


class TestRevoke:
    async def test_revoked(self, sandbox, http):
        """A revoked token is invalid, and cannot be revoked again."""
        token = await token_of(http)
        assert await revoke(http, token) == (204, b"")
        assert (await ask(sandbox, token))[0] == 401
        assert await revoke(http, token) == (404, b"")

    async def test_expired(self, http, clock):
        """An expired token cannot be revoked."""
        token = await token_of(http)
        clock.now += 900
        assert await revoke(http, token) == (404, b"")

    async def test_nothing(self, http):
        """Revoking needs a token."""
        async with http.post("/v1/oauth/token/revoke", data={"a": "b"}) as answer:
            assert (answer.status, (await answer.json())["key"]) == (400, "missing_parameters")
