"""Access tokens over real sockets: they are fetched, kept, renewed, revoked and never shown."""

import asyncio
import json
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from test_secrets import Hurried, shown

from voucherify_exports import (
    AuthenticationError,
    BadRequestError,
    BearerToken,
    ClientClosedError,
    ExportNotFoundError,
    ExportsClient,
    InvalidResponseError,
    OAuth,
    PermissionDeniedError,
    RateLimitedError,
    Sandbox,
    TransportError,
    VoucherifyExportsError,
    log_event,
)

Connect = Callable[..., ExportsClient]

TOKEN, REVOKE = "/v1/oauth/token", "/v1/oauth/token/revoke"
PATH = "/v1/exports/exp_1"


class ManualTime:
    """The time of both sandbox and client, which changes only by sleeping or by the test."""

    now = 1_767_225_600.0

    def wall(self) -> float:
        return self.now

    monotonic = wall

    async def sleep(self, seconds: float, /) -> None:
        self.now += seconds


@pytest.fixture
def auth(sandbox: Sandbox) -> OAuth:
    sandbox.add_export("customer", id="exp_1")
    return OAuth(sandbox.app_id, sandbox.app_token)


@asynccontextmanager
async def sandbox_in_manual_time(**options: Any) -> AsyncIterator[tuple[Sandbox, OAuth, ManualTime]]:
    """A sandbox with one export, its credentials, and its time, which a test changes."""
    time = ManualTime()
    async with Sandbox(scheduled_for=0, in_progress_for=0, clock=time.wall, **options) as sandbox:
        sandbox.add_export("customer", id="exp_1")
        yield sandbox, OAuth(sandbox.app_id, sandbox.app_token), time


def requested(sandbox: Sandbox) -> list[tuple[str, int | None]]:
    """The path and the status of each request."""
    return [(request.path, request.status) for request in sandbox.requests]


def tokens_sent(sandbox: Sandbox) -> list[str]:
    """The tokens in the requests, each once, in order."""
    headers = [request.headers.get("Authorization", "") for request in sandbox.requests]
    return list(dict.fromkeys(header.removeprefix("Bearer ") for header in headers if header))


async def wait_for_requests(sandbox: Sandbox, count: int) -> None:
    """Wait until this number of requests has arrived."""
    while len(sandbox.requests) < count:
        await asyncio.sleep(0.001)


class TestFetching:
    async def test_the_keys_are_sent_only_to_request_the_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The documented form is posted with the keys, and all other requests have the token instead."""
        await connect(auth=auth).get_export("exp_1")

        token_request, export_request = sandbox.requests
        assert (token_request.method, token_request.path, export_request.path) == ("POST", TOKEN, PATH)
        assert parse_qs(token_request.body.decode()) == {
            "grant_type": ["client_credentials"],
            "scope": ["exports"],
        }
        assert token_request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert (token_request.headers["X-App-Id"], token_request.headers["X-App-Token"]) == (
            sandbox.app_id,
            sandbox.app_token,
        )
        assert "Authorization" not in token_request.headers
        assert export_request.headers["Authorization"].startswith("Bearer ")
        assert not {"X-App-Id", "X-App-Token"} & {*export_request.headers}

    async def test_concurrent_calls_share_one_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """A hundred calls at once, and later ones, share one token."""
        client = connect(auth=auth)

        await asyncio.gather(*(client.get_export("exp_1") for _ in range(100)))
        await client.get_export("exp_1")

        assert Counter(requested(sandbox)) == {(TOKEN, 200): 1, (PATH, 200): 101}

    async def test_polls_share_one_token(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """Waits for many exports request one token."""
        ids = [sandbox.add_export("order") for _ in range(30)]
        client = connect(auth=auth)

        exports = await asyncio.gather(*map(client.wait_until_done, ids))

        assert all(export.is_done for export in exports)
        assert [path for path, _ in requested(sandbox)].count(TOKEN) == 1
        assert len(tokens_sent(sandbox)) == 1

    @pytest.mark.parametrize(
        ("scope", "error", "message"),
        [
            ("nothing", BadRequestError, "POST /v1/oauth/token: 400 · invalid_scope"),
            ("orders", PermissionDeniedError, "GET /v1/exports/exp_1: 403 · forbidden"),
        ],
    )
    async def test_an_unsuitable_scope(
        self,
        scope: str,
        error: type[Exception],
        message: str,
        connect: Connect,
        sandbox: Sandbox,
        auth: OAuth,
    ) -> None:
        """The given scope is requested, and an error about it is raised."""
        client = connect(auth=OAuth(auth.app_id, auth.app_token, scope))

        with pytest.raises(error, match=message):
            await client.get_export("exp_1")

    async def test_a_failed_token_request_fails_all_waiting_calls(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """Each call raises an exception of its own, and the next call requests a token again."""
        sandbox.fail(path=TOKEN, status=403)
        client = connect(auth=auth)

        errors = await asyncio.gather(
            *(client.get_export("exp_1") for _ in range(10)), return_exceptions=True
        )

        assert {type(error) for error in errors} == {PermissionDeniedError}
        assert len({id(error) for error in errors}) == 10
        assert requested(sandbox) == [(TOKEN, 403)]
        assert (await client.get_export("exp_1")).is_done

    async def test_wrong_keys(self, connect: Connect, sandbox: Sandbox) -> None:
        """Wrong keys are refused by the token request, once for each call, with the usual advice."""
        client = connect(auth=OAuth(sandbox.app_id, "wrong"))

        with pytest.raises(AuthenticationError, match=r"POST /v1/oauth/token: 401 .*check the app id"):
            await client.get_export("exp_1")
        with pytest.raises(AuthenticationError):
            await client.wait_until_done("exp_1")
        assert requested(sandbox) == [(TOKEN, 401)] * 2

    async def test_retries_a_transient_failure(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A call retries the token request, and a wait polls again."""
        sandbox.fail(path=TOKEN, status=503, times=2)
        assert (await connect(auth=auth).get_export("exp_1")).is_done

        sandbox.fail(path=TOKEN, reset="body")
        assert (await connect(auth=auth, clock=Hurried()).wait_until_done("exp_1")).is_done

        assert [status for path, status in requested(sandbox) if path == TOKEN] == [503, 503, 200, None, 200]

    async def test_the_attempts_are_those_of_the_call(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The error of the token request counts the attempts of the call."""
        sandbox.fail(path=TOKEN, reset="body", times=None)

        with pytest.raises(TransportError, match=r"POST /v1/oauth/token: .*\(attempt 5\)") as caught:
            await connect(auth=auth).get_export("exp_1")

        assert caught.value.attempts == 5

    async def test_a_429_delays_the_token_request(self, connect: Connect) -> None:
        """No token is requested before the time that a 429 names."""
        async with sandbox_in_manual_time() as (sandbox, auth, time):
            started = time.now
            sandbox.fail(path=TOKEN, status=429, headers={"Retry-After": "30"})
            client = connect(auth=auth, base_url=sandbox.url, clock=time)

            await asyncio.gather(*(client.get_export("exp_1") for _ in range(5)))

            assert [path for path, _ in requested(sandbox)].count(TOKEN) == 2
            assert all(request.at >= started + 30 for request in sandbox.requests[1:])

    async def test_a_429_that_names_a_late_time(self, connect: Connect) -> None:
        """A 429 that names a time beyond `max_quota_wait` is raised at once, with that time."""
        async with sandbox_in_manual_time() as (sandbox, auth, time):
            sandbox.fail(path=TOKEN, status=429, headers={"Retry-After": "300"})
            client = connect(auth=auth, base_url=sandbox.url, clock=time)

            with pytest.raises(RateLimitedError) as caught:
                await client.get_export("exp_1")

            assert caught.value.retry_at is not None
            assert caught.value.retry_at.timestamp() == time.now + 300

    async def test_a_cancelled_call_does_not_affect_others(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """Another call requests the token instead."""
        sandbox.fail(path=TOKEN, delay=math.inf)
        client = connect(auth=auth)
        cancelled_call = asyncio.ensure_future(client.get_export("exp_1"))
        await wait_for_requests(sandbox, 1)
        others = asyncio.gather(*(client.get_export("exp_1") for _ in range(5)))

        cancelled_call.cancel()

        assert all(export.is_done for export in await others)
        assert cancelled_call.cancelled()
        assert Counter(requested(sandbox)) == {(TOKEN, None): 1, (TOKEN, 200): 1, (PATH, 200): 5}


class TestRenewing:
    @pytest.mark.parametrize(("ttl", "renewal_age"), [(900, 840), (100, 90)])
    async def test_before_it_expires(self, ttl: float, renewal_age: float, connect: Connect) -> None:
        """A token is renewed a minute, or a tenth of its life, before it expires; no request is refused."""
        async with sandbox_in_manual_time(oauth_ttl=ttl) as (sandbox, auth, time):
            client = connect(auth=auth, base_url=sandbox.url, clock=time)
            await client.get_export("exp_1")
            time.now += renewal_age - 1
            await client.get_export("exp_1")
            assert len(tokens_sent(sandbox)) == 1

            time.now += 1
            await asyncio.gather(*(client.get_export("exp_1") for _ in range(20)))

            assert len(tokens_sent(sandbox)) == 2
            assert {status for _, status in requested(sandbox)} == {200}
            assert Counter(requested(sandbox))[TOKEN, 200] == 2

    async def test_after_a_401(self, connect: Connect) -> None:
        """A token that expired early is replaced by one request, and every call is sent again."""
        async with sandbox_in_manual_time() as (sandbox, auth, time):
            client = connect(auth=auth, base_url=sandbox.url)
            await client.get_export("exp_1")
            time.now += 900
            sandbox.clear(requests=True)

            exports = await asyncio.gather(*(client.get_export("exp_1") for _ in range(20)))

            assert all(export.is_done for export in exports)
            counts = Counter(requested(sandbox))
            assert (counts[TOKEN, 200], counts[PATH, 200]) == (1, 20)
            assert 1 <= counts[PATH, 401] <= 20

    async def test_during_a_wait(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A refused poll is repeated with a new token, and the wait continues."""
        sandbox.fail(path="/v1/exports*", status=401)

        assert (await connect(auth=auth).wait_until_done("exp_1")).is_done
        assert [path for path, _ in requested(sandbox)].count(TOKEN) == 2

    async def test_a_second_401_is_an_error(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A new token that is refused as well is an error of this call only."""
        sandbox.fail(path=PATH, status=401, times=2)
        client = connect(auth=auth)

        with pytest.raises(AuthenticationError, match="GET /v1/exports/exp_1: 401"):
            await client.get_export("exp_1")

        assert requested(sandbox) == [(TOKEN, 200), (PATH, 401)] * 2
        assert (await client.get_export("exp_1")).is_done

    async def test_a_create_is_sent_again(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A 401 has no effect, so the POST is sent again and there is one export."""
        sandbox.fail(method="POST", path="/v1/exports", status=401)

        await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        paths = [TOKEN, "/v1/exports"] * 2
        assert requested(sandbox) == list(zip(paths, [200, 401, 200, 200], strict=True))


class TestUnsent:
    async def test_a_create_waits_for_its_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """No POST is sent without a token, and one is sent when there is a token."""
        sandbox.fail(path=TOKEN, status=503)
        sandbox.fail(path=TOKEN, reset="body")

        await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        paths = [TOKEN] * 3 + ["/v1/exports"]
        assert requested(sandbox) == list(zip(paths, [503, None, 200, 200], strict=True))

    async def test_a_create_without_a_token_is_not_uncertain(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The error says nothing of an export that may exist, since no POST was sent."""
        sandbox.fail(path=TOKEN, reset="body", times=None)

        with pytest.raises(TransportError) as caught:
            await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        assert type(caught.value) is TransportError
        assert "may exist" not in str(caught.value)

    async def test_a_delete_without_a_token_had_no_effect(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The first DELETE that arrives gets a 404, which is an error since no earlier one was sent."""
        sandbox.fail(path=TOKEN, status=503)

        with pytest.raises(ExportNotFoundError):
            await connect(auth=auth).delete_export("exp_2")


INVALID_TOKEN_RESPONSES: dict[str, Any] = {
    "html": "<html>SECRET-TOKEN</html>",
    "text": '"SECRET-TOKEN"',
    "list": ["SECRET-TOKEN"],
    "none": {"token_type": "Bearer", "secret": "SECRET-TOKEN"},
    "null": {"access_token": None, "secret": "SECRET-TOKEN"},
    "number": {"access_token": 5, "secret": "SECRET-TOKEN"},
    "object": {"access_token": {"secret": "SECRET-TOKEN"}},
    "empty": {"access_token": "", "secret": "SECRET-TOKEN"},
    "spaces": {"access_token": "SECRET-TOKEN and more"},
    "header": {"access_token": "SECRET-TOKEN\r\nX-Evil: 1"},
    "letters": {"access_token": "SECRET-TOKEN-żółw"},
}


class TestInvalidToken:
    @pytest.mark.parametrize("case", INVALID_TOKEN_RESPONSES)
    async def test_is_an_invalid_response(
        self, case: str, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The error says what was expected, and shows nothing of the body, which may be a token."""
        sandbox.fail(path=TOKEN, body=INVALID_TOKEN_RESPONSES[case])
        client = connect(auth=auth)

        with pytest.raises(
            InvalidResponseError, match=r"POST /v1/oauth/token.* expected an access token"
        ) as caught:
            await client.get_export("exp_1")

        assert "SECRET" not in shown(caught.value)
        assert requested(sandbox) == [(TOKEN, 200)]
        assert (await client.get_export("exp_1")).is_done

    @pytest.mark.parametrize("expires_in", [None, "900", 0, -1, 1e308, 10**400])
    async def test_an_invalid_lifetime(
        self, expires_in: Any, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """A token with an invalid lifetime serves the calls until it is refused or ends at once."""
        sandbox.fail(path=TOKEN, edit=lambda wire: {**wire, "expires_in": expires_in}, times=None)
        client = connect(auth=auth)

        await asyncio.gather(*(client.get_export("exp_1") for _ in range(10)))
        await client.get_export("exp_1")

        tokens = 2 if isinstance(expires_in, int) and expires_in <= 0 else 1
        assert Counter(requested(sandbox)) == {(TOKEN, 200): tokens, (PATH, 200): 11}


LEAKS = "app {app_id} token {app_token} bearing OLD-SECRET, then NEW-SECRET"
ERROR_BODY = dict.fromkeys(("message", "details", "key", "request_id", "resource_id"), LEAKS)

LEAKING_FAULTS: dict[str, list[dict[str, Any]]] = {
    "refused again": [{"path": "/v1/exports*", "status": 401, "body": ERROR_BODY, "times": None}],
    "forbidden": [{"path": "/v1/exports*", "status": 403, "body": ERROR_BODY, "times": None}],
    "an error": [{"path": "/v1/exports*", "status": 500, "body": ERROR_BODY, "times": None}],
    "not an export": [{"path": "/v1/exports*", "body": {"note": LEAKS}, "times": None}],
    "not JSON": [{"path": "/v1/exports*", "body": f"<html>{LEAKS}</html>", "times": None}],
    "a redirect": [{"path": "/v1/exports*", "status": 302, "body": LEAKS, "headers": {"Location": "/x?y"}}],
    "a refused token": [{"path": TOKEN, "status": 401, "body": ERROR_BODY, "times": None}],
    "a failed token": [{"path": TOKEN, "status": 500, "body": ERROR_BODY, "times": None}],
    "a token elsewhere": [
        {"path": TOKEN, "status": 302, "body": {"access_token": "THIRD-SECRET"}, "times": None}
    ],
    "a token too large": [
        {"path": TOKEN, "body": {"access_token": "THIRD-SECRET", "more": "x" * 2**24}, "times": None}
    ],
    "a token in HTML": [{"path": TOKEN, "body": "<p>Your token: THIRD-SECRET</p>", "times": None}],
}


def filled(value: Any, sandbox: Sandbox) -> Any:
    """The fault with the sandbox's credentials in the place of the fields of `LEAKS`."""
    text = json.dumps(value).replace("{app_id}", sandbox.app_id)
    return json.loads(text.replace("{app_token}", sandbox.app_token))


class TestSecrets:
    @pytest.mark.parametrize("case", LEAKING_FAULTS)
    async def test_no_secret_is_shown(
        self,
        case: str,
        connect: Connect,
        sandbox: Sandbox,
        auth: OAuth,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Nothing that a person may read contains the keys, the old token or the new one."""
        caplog.set_level(logging.DEBUG)
        texts: list[str] = []

        def record_event(event: Any) -> None:
            texts.append(f"{event} {event!r}")
            log_event(event)

        sandbox.fail(path=TOKEN, body={"access_token": "OLD-SECRET", "expires_in": 900})
        sandbox.fail(path=TOKEN, body={"access_token": "NEW-SECRET", "expires_in": 900}, times=None)
        client = connect(
            auth=OAuth(auth.app_id, auth.app_token, revoke_on_close=True),
            on_event=record_event,
            clock=Hurried(),
        )
        with pytest.raises(AuthenticationError):
            await client.get_export("exp_1")
        assert tokens_sent(sandbox) == ["OLD-SECRET", "NEW-SECRET"]
        sandbox.clear(faults=True)
        for fault in filled(LEAKING_FAULTS[case], sandbox):
            sandbox.fail(**fault)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: client.get_export("exp_1"),
            lambda: client.list_page(),
            lambda: client.wait_until_done("exp_1", timeout=10),
        ]
        outcomes = [*await asyncio.gather(*(call() for call in calls), return_exceptions=True)]
        await client.close()

        assert any(isinstance(outcome, VoucherifyExportsError) for outcome in outcomes)
        texts += [shown(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]

        texts += [repr(client), *(f"{record.getMessage()} {record.args!r}" for record in caplog.records)]
        output = "\n".join(texts)
        assert "/v1/oauth/token" in output
        for secret in (sandbox.app_id, sandbox.app_token, "OLD-SECRET", "NEW-SECRET", "THIRD-SECRET"):
            assert secret not in output

    async def test_no_repr_contains_a_token(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """No object that has the token shows it in its repr, where tracebacks with local variables would."""
        client = connect(auth=auth)
        await client.get_export("exp_1")

        (token,) = tokens_sent(sandbox)
        tokens = client._transport._tokens
        assert tokens is not None
        for holder in (auth, tokens, tokens._latest, client._transport.redact, client):
            assert token not in repr(holder)
            assert sandbox.app_token not in repr(holder)


@pytest.fixture
def revoking_auth(auth: OAuth) -> OAuth:
    return OAuth(auth.app_id, auth.app_token, revoke_on_close=True)


class TestClosing:
    async def test_revokes_the_token(self, connect: Connect, sandbox: Sandbox, revoking_auth: OAuth) -> None:
        """With `revoke_on_close` the documented form is posted once, and the token is refused afterwards."""
        client = connect(auth=revoking_auth)
        await client.get_export("exp_1")
        await asyncio.gather(client.close(), client.close())
        await client.close()

        (token,) = tokens_sent(sandbox)
        *_, revoked = sandbox.requests
        assert requested(sandbox) == [(TOKEN, 200), (PATH, 200), (REVOKE, 204)]
        assert parse_qs(revoked.body.decode()) == {"access_token": [token]}
        with pytest.raises(AuthenticationError):
            await connect(auth=BearerToken(token)).get_export("exp_1")

    async def test_keeps_the_token_by_default(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """Without `revoke_on_close` the token expires by itself, since it may be used elsewhere."""
        client = connect(auth=auth)
        await client.get_export("exp_1")
        await client.close()

        assert requested(sandbox) == [(TOKEN, 200), (PATH, 200)]

    async def test_two_closings_at_once(self, sandbox: Sandbox, auth: OAuth) -> None:
        """The second one does not cancel the timer that bounds the first one's revocation."""
        revoking = OAuth(auth.app_id, auth.app_token, revoke_on_close=True)
        async with aiohttp.ClientSession() as session:
            client = ExportsClient(auth=revoking, base_url=sandbox.url, session=session, request_timeout=0.2)
            await client.list_page()
            sandbox.fail(path="/v1/exports", delay=math.inf)
            sandbox.fail(path=REVOKE, delay=math.inf)
            call = asyncio.create_task(client.list_page())
            while len(sandbox.requests) < 3:  # the token, the first page, and the second one
                await asyncio.sleep(0.001)

            async with asyncio.timeout(5):
                await asyncio.gather(client.close(), client.close())
            with pytest.raises(ClientClosedError):
                await call

    async def test_revokes_nothing_without_a_token(
        self, connect: Connect, sandbox: Sandbox, revoking_auth: OAuth
    ) -> None:
        """A client that never had a token revokes nothing."""
        await connect(auth=revoking_auth).close()
        sandbox.fail(path=TOKEN, status=403)
        client = connect(auth=revoking_auth)
        with pytest.raises(PermissionDeniedError):
            await client.get_export("exp_1")
        await client.close()

        assert requested(sandbox) == [(TOKEN, 403)]

    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 500},
            {"status": 404},
            {"redirect": "http://127.0.0.2:1"},
            {"reset": "before"},
            {"reset": "headers"},
            {"status": 200, "body": "x" * 1000, "truncate": True},
            {"delay": math.inf},
            {"status": 200, "body": "x" * (16 * 1024 * 1024 + 1)},
        ],
        ids=lambda fault: str(fault)[:30],
    )
    async def test_a_failed_revocation_is_ignored(
        self, fault: dict[str, Any], connect: Connect, sandbox: Sandbox, revoking_auth: OAuth
    ) -> None:
        """The client and its session are closed, and the revocation is not repeated."""
        client = connect(auth=revoking_auth, request_timeout=0.3 if "delay" in fault else 30)
        await client.get_export("exp_1")
        sandbox.fail(path=REVOKE, **fault)

        await client.close()

        session = client._transport._session
        assert session is not None
        assert session.closed
        assert [path for path, _ in requested(sandbox)].count(REVOKE) == 1

    async def test_an_unreachable_server(self, connect: Connect) -> None:
        """Closing the client ends without an error although nothing listens."""
        async with sandbox_in_manual_time() as (sandbox, auth, _):
            client = connect(
                auth=OAuth(auth.app_id, auth.app_token, revoke_on_close=True), base_url=sandbox.url
            )
            await client.get_export("exp_1")
        await client.close()

        with pytest.raises(ClientClosedError):
            await client.get_export("exp_1")

    async def test_a_session_that_the_caller_closed(
        self, connect: Connect, sandbox: Sandbox, revoking_auth: OAuth
    ) -> None:
        """The token is not revoked, since no request can be sent."""
        async with aiohttp.ClientSession() as session:
            client = connect(auth=revoking_auth, session=session)
            await client.get_export("exp_1")
        await client.close()

        assert REVOKE not in dict(requested(sandbox))

    async def test_cancelled_while_it_revokes(
        self, connect: Connect, sandbox: Sandbox, revoking_auth: OAuth
    ) -> None:
        """Cancelling `close` raises CancelledError, and the session is closed."""
        client = connect(auth=revoking_auth)
        await client.get_export("exp_1")
        sandbox.fail(path=REVOKE, delay=math.inf)
        closing = asyncio.ensure_future(client.close())
        await wait_for_requests(sandbox, 3)

        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        session = client._transport._session
        assert session is not None
        assert session.closed

    async def test_while_a_token_is_fetched(
        self, connect: Connect, sandbox: Sandbox, revoking_auth: OAuth
    ) -> None:
        """All calls and polls that wait for the token raise ClientClosedError."""
        sandbox.fail(path=TOKEN, delay=math.inf, times=None)
        client = connect(auth=revoking_auth)
        calls = asyncio.gather(
            *(client.get_export("exp_1") for _ in range(5)),
            client.wait_until_done("exp_1"),
            return_exceptions=True,
        )
        await wait_for_requests(sandbox, 1)

        await client.close()

        assert {type(error) for error in await calls} == {ClientClosedError}
        assert requested(sandbox) == [(TOKEN, None)]


class TestBearerToken:
    async def test_is_sent_unchanged(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A token of the caller's serves calls and waits, and is neither requested nor revoked."""
        await connect(auth=auth).get_export("exp_1")
        (token,) = tokens_sent(sandbox)
        sandbox.clear(requests=True)
        client = connect(auth=BearerToken(token))

        await client.get_export("exp_1")
        await client.wait_until_done("exp_1")
        await client.close()

        assert tokens_sent(sandbox) == [token]
        assert {path for path, _ in requested(sandbox)} <= {PATH, "/v1/exports"}

    async def test_a_401_is_an_error(self, connect: Connect, sandbox: Sandbox) -> None:
        """A bearer token cannot be renewed, so one request is sent and the error is raised."""
        token = "".join(["SECRET", "TOKEN"])  # not in the source lines of a traceback
        sandbox.fail(path=PATH, status=401, body={"message": f"who is {token}"})

        with pytest.raises(AuthenticationError, match="401 · who is …") as caught:
            await connect(auth=BearerToken(token)).get_export("exp_1")

        assert requested(sandbox) == [(PATH, 401)]
        assert token not in shown(caught.value)
