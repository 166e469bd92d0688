"""Bearer tokens over real sockets: fetched, kept, renewed and revoked, and never shown."""

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


class Time:
    """One time for sandbox and client, which stands still until somebody moves it."""

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
async def timed(**options: Any) -> AsyncIterator[tuple[Sandbox, OAuth, Time]]:
    """A sandbox with one export, and a time that a test moves."""
    time = Time()
    async with Sandbox(scheduled_for=0, in_progress_for=0, clock=time.wall, **options) as sandbox:
        sandbox.add_export("customer", id="exp_1")
        yield sandbox, OAuth(sandbox.app_id, sandbox.app_token), time


def arrived(sandbox: Sandbox) -> list[tuple[str, int | None]]:
    return [(request.path, request.status) for request in sandbox.requests]


def bearers(sandbox: Sandbox) -> list[str]:
    """The tokens that requests came with, each once, in their order."""
    headers = [request.headers.get("Authorization", "") for request in sandbox.requests]
    return list(dict.fromkeys(header.removeprefix("Bearer ") for header in headers if header))


async def arrivals(sandbox: Sandbox, count: int) -> None:
    while len(sandbox.requests) < count:
        await asyncio.sleep(0.001)


class TestFetching:
    async def test_the_keys_go_to_the_token_alone(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The documented form is posted with the keys; everything else carries the token instead."""
        await connect(auth=auth).get_export("exp_1")

        first, second = sandbox.requests
        assert (first.method, first.path, second.path) == ("POST", TOKEN, PATH)
        assert parse_qs(first.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["exports"]}
        assert first.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert (first.headers["X-App-Id"], first.headers["X-App-Token"]) == (
            sandbox.app_id,
            sandbox.app_token,
        )
        assert "Authorization" not in first.headers
        assert second.headers["Authorization"].startswith("Bearer ")
        assert not {"X-App-Id", "X-App-Token"} & {*second.headers}

    async def test_one_request_however_many_call(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """A hundred calls at once, and those after them, share one token."""
        client = connect(auth=auth)

        await asyncio.gather(*(client.get_export("exp_1") for _ in range(100)))
        await client.get_export("exp_1")

        assert Counter(arrived(sandbox)) == {(TOKEN, 200): 1, (PATH, 200): 101}

    async def test_polls_use_it_too(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """Waits for many exports cost one token."""
        ids = [sandbox.add_export("order") for _ in range(30)]
        client = connect(auth=auth)

        exports = await asyncio.gather(*map(client.wait_until_done, ids))

        assert all(export.is_done for export in exports)
        assert [path for path, _ in arrived(sandbox)].count(TOKEN) == 1
        assert len(bearers(sandbox)) == 1

    @pytest.mark.parametrize(
        ("scope", "error", "message"),
        [
            ("nothing", BadRequestError, "POST /v1/oauth/token: 400 · invalid_scope"),
            ("orders", PermissionDeniedError, "GET /v1/exports/exp_1: 403 · forbidden"),
        ],
    )
    async def test_a_scope_that_does_not_fit(
        self,
        scope: str,
        error: type[Exception],
        message: str,
        connect: Connect,
        sandbox: Sandbox,
        auth: OAuth,
    ) -> None:
        """The scope that was asked for is the one that is sent, and what is refused is told."""
        client = connect(auth=OAuth(auth.app_id, auth.app_token, scope))

        with pytest.raises(error, match=message):
            await client.get_export("exp_1")

    async def test_a_fetch_that_fails_is_the_end_for_all_who_wait(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """Each is told by an exception of its own; the next call asks for a token again."""
        sandbox.fail(path=TOKEN, status=403)
        client = connect(auth=auth)

        errors = await asyncio.gather(
            *(client.get_export("exp_1") for _ in range(10)), return_exceptions=True
        )

        assert {type(error) for error in errors} == {PermissionDeniedError}
        assert len({id(error) for error in errors}) == 10
        assert arrived(sandbox) == [(TOKEN, 403)]
        assert (await client.get_export("exp_1")).is_done

    async def test_wrong_keys(self, connect: Connect, sandbox: Sandbox) -> None:
        """They are refused where the token is asked for, once, and the advice is the same."""
        client = connect(auth=OAuth(sandbox.app_id, "wrong"))

        with pytest.raises(AuthenticationError, match=r"POST /v1/oauth/token: 401 .*check the app id"):
            await client.get_export("exp_1")
        with pytest.raises(AuthenticationError):
            await client.wait_until_done("exp_1")
        assert arrived(sandbox) == [(TOKEN, 401)] * 2

    async def test_a_passing_fault_is_retried(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A call goes on when its token comes later; a wait takes a fault for no news."""
        sandbox.fail(path=TOKEN, status=503, times=2)
        assert (await connect(auth=auth).get_export("exp_1")).is_done

        sandbox.fail(path=TOKEN, reset="body")
        assert (await connect(auth=auth, clock=Hurried()).wait_until_done("exp_1")).is_done

        assert [status for path, status in arrived(sandbox) if path == TOKEN] == [503, 503, 200, None, 200]

    async def test_the_attempts_are_those_of_the_call(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The last fault of the token says how often the call was tried."""
        sandbox.fail(path=TOKEN, reset="body", times=None)

        with pytest.raises(TransportError, match=r"POST /v1/oauth/token: .*\(attempt 5\)") as caught:
            await connect(auth=auth).get_export("exp_1")

        assert caught.value.attempts == 5

    async def test_a_refusal_for_the_quota_is_waited_for(self, connect: Connect) -> None:
        """Nobody asks for a token before the time that a 429 names."""
        async with timed() as (sandbox, auth, time):
            began = time.now
            sandbox.fail(path=TOKEN, status=429, headers={"Retry-After": "30"})
            client = connect(auth=auth, base_url=sandbox.url, clock=time)

            await asyncio.gather(*(client.get_export("exp_1") for _ in range(5)))

            assert [path for path, _ in arrived(sandbox)].count(TOKEN) == 2
            assert all(request.at >= began + 30 for request in sandbox.requests[1:])

    async def test_a_refusal_that_lasts_too_long(self, connect: Connect) -> None:
        """It is the callers' error at once, with the time."""
        async with timed() as (sandbox, auth, time):
            sandbox.fail(path=TOKEN, status=429, headers={"Retry-After": "300"})
            client = connect(auth=auth, base_url=sandbox.url, clock=time)

            with pytest.raises(RateLimitedError) as caught:
                await client.get_export("exp_1")

            assert caught.value.retry_at is not None
            assert caught.value.retry_at.timestamp() == time.now + 300

    async def test_a_cancelled_caller_harms_nobody(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """Another one asks for the token in its place."""
        sandbox.fail(path=TOKEN, delay=math.inf)
        client = connect(auth=auth)
        first = asyncio.ensure_future(client.get_export("exp_1"))
        await arrivals(sandbox, 1)
        others = asyncio.gather(*(client.get_export("exp_1") for _ in range(5)))

        first.cancel()

        assert all(export.is_done for export in await others)
        assert first.cancelled()
        assert Counter(arrived(sandbox)) == {(TOKEN, None): 1, (TOKEN, 200): 1, (PATH, 200): 5}


class TestRenewing:
    @pytest.mark.parametrize(("ttl", "good_for"), [(900, 840), (100, 90)])
    async def test_before_it_expires(self, ttl: float, good_for: float, connect: Connect) -> None:
        """A minute before its end, or a tenth of its life, and no request is ever refused."""
        async with timed(oauth_ttl=ttl) as (sandbox, auth, time):
            client = connect(auth=auth, base_url=sandbox.url, clock=time)
            await client.get_export("exp_1")
            time.now += good_for - 1
            await client.get_export("exp_1")
            assert len(bearers(sandbox)) == 1

            time.now += 1
            await asyncio.gather(*(client.get_export("exp_1") for _ in range(20)))

            assert len(bearers(sandbox)) == 2
            assert {status for _, status in arrived(sandbox)} == {200}
            assert Counter(arrived(sandbox))[TOKEN, 200] == 2

    async def test_after_a_refusal(self, connect: Connect) -> None:
        """A token that ended too early is replaced by one request, and every call is sent again."""
        async with timed() as (sandbox, auth, time):
            client = connect(auth=auth, base_url=sandbox.url)
            await client.get_export("exp_1")
            time.now += 900
            sandbox.clear(requests=True)

            exports = await asyncio.gather(*(client.get_export("exp_1") for _ in range(20)))

            assert all(export.is_done for export in exports)
            counts = Counter(arrived(sandbox))
            assert (counts[TOKEN, 200], counts[PATH, 200]) == (1, 20)
            assert 1 <= counts[PATH, 401] <= 20

    async def test_in_the_middle_of_a_wait(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A look that was refused is repeated with a new token, and the wait goes on."""
        sandbox.fail(path="/v1/exports*", status=401)

        assert (await connect(auth=auth).wait_until_done("exp_1")).is_done
        assert [path for path, _ in arrived(sandbox)].count(TOKEN) == 2

    async def test_a_second_refusal_is_final(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """A new token that is refused too is an error, for this call alone."""
        sandbox.fail(path=PATH, status=401, times=2)
        client = connect(auth=auth)

        with pytest.raises(AuthenticationError, match="GET /v1/exports/exp_1: 401"):
            await client.get_export("exp_1")

        assert arrived(sandbox) == [(TOKEN, 200), (PATH, 401)] * 2
        assert (await client.get_export("exp_1")).is_done

    async def test_what_creates_is_sent_again_after_it(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """A 401 had no effect, so that even a POST may follow; there is one export."""
        sandbox.fail(method="POST", path="/v1/exports", status=401)

        await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        paths = [TOKEN, "/v1/exports"] * 2
        assert arrived(sandbox) == list(zip(paths, [200, 401, 200, 200], strict=True))


class TestUnsent:
    async def test_what_creates_waits_for_its_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """No POST was sent while there was no token: it is sent when there is one, once."""
        sandbox.fail(path=TOKEN, status=503)
        sandbox.fail(path=TOKEN, reset="body")

        await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        paths = [TOKEN] * 3 + ["/v1/exports"]
        assert arrived(sandbox) == list(zip(paths, [503, None, 200, 200], strict=True))

    async def test_what_creates_is_not_uncertain_without_a_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """Nobody needs to look for what was never asked for."""
        sandbox.fail(path=TOKEN, reset="body", times=None)

        with pytest.raises(TransportError) as caught:
            await connect(auth=auth)._api.create("/v1/exports", {"exported_object": "order"})

        assert type(caught.value) is TransportError
        assert "may exist" not in str(caught.value)

    async def test_what_was_not_deleted_for_want_of_a_token(
        self, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The first DELETE that arrives is refused: no earlier one can have had its effect."""
        sandbox.fail(path=TOKEN, status=503)

        with pytest.raises(ExportNotFoundError):
            await connect(auth=auth).delete_export("exp_2")


ANSWERS: dict[str, Any] = {
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


class TestWhatIsNoToken:
    @pytest.mark.parametrize("answer", ANSWERS)
    async def test_it_is_an_invalid_response(
        self, answer: str, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The error says what was expected, and shows nothing of what came, which may be a token."""
        sandbox.fail(path=TOKEN, body=ANSWERS[answer])
        client = connect(auth=auth)

        with pytest.raises(
            InvalidResponseError, match=r"POST /v1/oauth/token.* expected an access token"
        ) as caught:
            await client.get_export("exp_1")

        assert "SECRET" not in shown(caught.value)
        assert arrived(sandbox) == [(TOKEN, 200)]
        assert (await client.get_export("exp_1")).is_done

    @pytest.mark.parametrize("expires_in", [None, "900", 0, -1, 1e308, 10**400])
    async def test_a_life_that_cannot_be_right_does_no_harm(
        self, expires_in: Any, connect: Connect, sandbox: Sandbox, auth: OAuth
    ) -> None:
        """The token is good for the call that needed it; how long it lasts, refusals tell."""
        sandbox.fail(path=TOKEN, edit=lambda wire: {**wire, "expires_in": expires_in}, times=None)
        client = connect(auth=auth)

        await asyncio.gather(*(client.get_export("exp_1") for _ in range(10)))
        await client.get_export("exp_1")

        tokens = 2 if isinstance(expires_in, int) and expires_in <= 0 else 1
        assert Counter(arrived(sandbox)) == {(TOKEN, 200): tokens, (PATH, 200): 11}


LEAKS = "app {app_id} token {app_token} bearing OLD-SECRET, then NEW-SECRET"
SAID = dict.fromkeys(("message", "details", "key", "request_id", "resource_id"), LEAKS)

LEAKY: dict[str, list[dict[str, Any]]] = {
    "refused again": [{"path": "/v1/exports*", "status": 401, "body": SAID, "times": None}],
    "forbidden": [{"path": "/v1/exports*", "status": 403, "body": SAID, "times": None}],
    "a fault": [{"path": "/v1/exports*", "status": 500, "body": SAID, "times": None}],
    "no export": [{"path": "/v1/exports*", "body": {"note": LEAKS}, "times": None}],
    "no page": [{"path": "/v1/exports*", "body": f"<html>{LEAKS}</html>", "times": None}],
    "a redirect": [{"path": "/v1/exports*", "status": 302, "body": LEAKS, "headers": {"Location": "/x?y"}}],
    "no token": [{"path": TOKEN, "status": 401, "body": SAID, "times": None}],
    "a faulty token": [{"path": TOKEN, "status": 500, "body": SAID, "times": None}],
    "a token elsewhere": [
        {"path": TOKEN, "status": 302, "body": {"access_token": "THIRD-SECRET"}, "times": None}
    ],
    "a token too large": [
        {"path": TOKEN, "body": {"access_token": "THIRD-SECRET", "more": "x" * 2**24}, "times": None}
    ],
    "a token in HTML": [{"path": TOKEN, "body": "<p>Your token: THIRD-SECRET</p>", "times": None}],
}


def filled(value: Any, sandbox: Sandbox) -> Any:
    text = json.dumps(value).replace("{app_id}", sandbox.app_id)
    return json.loads(text.replace("{app_token}", sandbox.app_token))


class TestSecrets:
    @pytest.mark.parametrize("case", LEAKY)
    async def test_no_secret_is_shown(
        self,
        case: str,
        connect: Connect,
        sandbox: Sandbox,
        auth: OAuth,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither the keys nor a token, the old and the new one, is in anything that a person may read."""
        caplog.set_level(logging.DEBUG)
        seen: list[str] = []

        def note(event: Any) -> None:
            seen.append(f"{event} {event!r}")
            log_event(event)

        sandbox.fail(path=TOKEN, body={"access_token": "OLD-SECRET", "expires_in": 900})
        sandbox.fail(path=TOKEN, body={"access_token": "NEW-SECRET", "expires_in": 900}, times=None)
        client = connect(
            auth=OAuth(auth.app_id, auth.app_token, revoke_on_close=True), on_event=note, clock=Hurried()
        )
        with pytest.raises(AuthenticationError):
            await client.get_export("exp_1")
        assert bearers(sandbox) == ["OLD-SECRET", "NEW-SECRET"]
        sandbox.clear(faults=True)
        for fault in filled(LEAKY[case], sandbox):
            sandbox.fail(**fault)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: client.get_export("exp_1"),
            lambda: client.list_page(),
            lambda: client.wait_until_done("exp_1", timeout=10),
        ]
        outcomes = [*await asyncio.gather(*(call() for call in calls), return_exceptions=True)]
        await client.close()

        assert any(isinstance(outcome, VoucherifyExportsError) for outcome in outcomes)
        seen += [shown(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]

        seen += [repr(client), *(f"{record.getMessage()} {record.args!r}" for record in caplog.records)]
        everything = "\n".join(seen)
        assert "/v1/oauth/token" in everything
        for secret in (sandbox.app_id, sandbox.app_token, "OLD-SECRET", "NEW-SECRET", "THIRD-SECRET"):
            assert secret not in everything

    async def test_the_reprs_of_what_holds_it(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """Tracebacks with local variables show no token either."""
        client = connect(auth=auth)
        await client.get_export("exp_1")

        (token,) = bearers(sandbox)
        tokens = client._transport._tokens
        assert tokens is not None
        for held in (auth, tokens, tokens._latest, client._transport.redact, client):
            assert token not in repr(held)
            assert sandbox.app_token not in repr(held)


@pytest.fixture
def revoking(auth: OAuth) -> OAuth:
    return OAuth(auth.app_id, auth.app_token, revoke_on_close=True)


class TestClosing:
    async def test_revokes_the_token_if_asked(
        self, connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """The documented form is posted with the keys, once, and the token opens nothing any more."""
        client = connect(auth=revoking)
        await client.get_export("exp_1")
        await asyncio.gather(client.close(), client.close())
        await client.close()

        (token,) = bearers(sandbox)
        *_, revoked = sandbox.requests
        assert arrived(sandbox) == [(TOKEN, 200), (PATH, 200), (REVOKE, 204)]
        assert parse_qs(revoked.body.decode()) == {"access_token": [token]}
        with pytest.raises(AuthenticationError):
            await connect(auth=BearerToken(token)).get_export("exp_1")

    async def test_leaves_it_otherwise(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """It expires by itself, and may be in use elsewhere until then."""
        client = connect(auth=auth)
        await client.get_export("exp_1")
        await client.close()

        assert arrived(sandbox) == [(TOKEN, 200), (PATH, 200)]

    async def test_revokes_nothing_where_there_is_nothing(
        self, connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """A client that never had a token sends nothing."""
        await connect(auth=revoking).close()
        sandbox.fail(path=TOKEN, status=403)
        client = connect(auth=revoking)
        with pytest.raises(PermissionDeniedError):
            await client.get_export("exp_1")
        await client.close()

        assert arrived(sandbox) == [(TOKEN, 403)]

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
    async def test_a_revocation_that_fails_disturbs_nobody(
        self, fault: dict[str, Any], connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """The client is closed all the same, its session too; there is no second try."""
        client = connect(auth=revoking, request_timeout=0.3 if "delay" in fault else 30)
        await client.get_export("exp_1")
        sandbox.fail(path=REVOKE, **fault)

        await client.close()

        session = client._transport._session
        assert session is not None
        assert session.closed
        assert [path for path, _ in arrived(sandbox)].count(REVOKE) == 1

    async def test_when_the_server_is_gone(self, connect: Connect) -> None:
        """Nobody answers any more, and closing ends nevertheless."""
        async with timed() as (sandbox, auth, _):
            client = connect(
                auth=OAuth(auth.app_id, auth.app_token, revoke_on_close=True), base_url=sandbox.url
            )
            await client.get_export("exp_1")
        await client.close()

        with pytest.raises(ClientClosedError):
            await client.get_export("exp_1")

    async def test_with_a_session_that_its_owner_closed(
        self, connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """There is nothing left to revoke with."""
        async with aiohttp.ClientSession() as session:
            client = connect(auth=revoking, session=session)
            await client.get_export("exp_1")
        await client.close()

        assert REVOKE not in dict(arrived(sandbox))

    async def test_cancelled_while_it_revokes(
        self, connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """Cancellation passes, and the session is closed on the way."""
        client = connect(auth=revoking)
        await client.get_export("exp_1")
        sandbox.fail(path=REVOKE, delay=math.inf)
        closing = asyncio.ensure_future(client.close())
        await arrivals(sandbox, 3)

        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        session = client._transport._session
        assert session is not None
        assert session.closed

    async def test_while_a_token_is_fetched(
        self, connect: Connect, sandbox: Sandbox, revoking: OAuth
    ) -> None:
        """All who wait for it are told that the client is closed, polls too."""
        sandbox.fail(path=TOKEN, delay=math.inf, times=None)
        client = connect(auth=revoking)
        calls = asyncio.gather(
            *(client.get_export("exp_1") for _ in range(5)),
            client.wait_until_done("exp_1"),
            return_exceptions=True,
        )
        await arrivals(sandbox, 1)

        await client.close()

        assert {type(error) for error in await calls} == {ClientClosedError}
        assert arrived(sandbox) == [(TOKEN, None)]


class TestBearerToken:
    async def test_it_is_sent_as_it_is(self, connect: Connect, sandbox: Sandbox, auth: OAuth) -> None:
        """Somebody else's token serves calls and waits; nothing is asked for, nothing revoked."""
        await connect(auth=auth).get_export("exp_1")
        (token,) = bearers(sandbox)
        sandbox.clear(requests=True)
        client = connect(auth=BearerToken(token))

        await client.get_export("exp_1")
        await client.wait_until_done("exp_1")
        await client.close()

        assert bearers(sandbox) == [token]
        assert {path for path, _ in arrived(sandbox)} <= {PATH, "/v1/exports"}

    async def test_a_refusal_is_final(self, connect: Connect, sandbox: Sandbox) -> None:
        """There is nothing to renew it with: one request, and the error."""
        token = "".join(["SECRET", "TOKEN"])  # which the source lines of a traceback do not hold
        sandbox.fail(path=PATH, status=401, body={"message": f"who is {token}"})

        with pytest.raises(AuthenticationError, match="401 · who is …") as caught:
            await connect(auth=BearerToken(token)).get_export("exp_1")

        assert arrived(sandbox) == [(PATH, 401)]
        assert token not in shown(caught.value)
