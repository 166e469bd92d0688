import asyncio
import errno
import inspect
import itertools
import random
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from canned import Api
from samples import ID, wire
from tenacity import wait_fixed
from virtual import EPOCH, VirtualClock, virtually
from yarl import URL

from voucherify_exports import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    Event,
    Export,
    ExportsClient,
    QuotaExhausted,
    RateLimitedError,
    RequestCompleted,
    RequestFailed,
    RetryPolicy,
    RetryScheduled,
    Sandbox,
    ServerError,
    TransportError,
)
from voucherify_exports._api.transport import _Timeouts

KEYS = ("c70a6f00-cf91", "3266b9f8-e246")
URL_OF_ID = f"https://api.voucherify.io/v1/exports/{ID}"
RETRY = RetryPolicy(attempts=5, wait=wait_fixed(3))

Connect = Callable[..., ExportsClient]


def all_subclasses(kind: type) -> Iterator[type]:
    for below in kind.__subclasses__():
        yield below
        yield from all_subclasses(below)


EXCEPTIONS = sorted(
    (
        {kind for kind in all_subclasses(aiohttp.ClientError) if kind.__module__.startswith("aiohttp")}
        | {aiohttp.ClientError, TimeoutError, OSError, ConnectionResetError, socket.gaierror}
    ),
    key=lambda kind: kind.__name__,
)


def exception_of(kind: type[Exception]) -> Exception:
    """An exception of this class, with the arguments that its constructor requires."""
    key = aiohttp.client_reqrep.ConnectionKey("api.voucherify.io", 443, True, True, None, None, None)
    values = {
        "connection_key": key,
        "os_error": OSError(errno.ECONNREFUSED, "refused"),
        "certificate_error": ValueError("self-signed"),
        "request_info": Mock(real_url=URL(URL_OF_ID)),
        "history": (),
        "url": URL(URL_OF_ID),
        "path": "/run/x",
        "expected": b"",
        "got": b"",
        "host": "api.voucherify.io",
        "port": 443,
    }
    if not kind.__module__.startswith("aiohttp"):
        return kind(errno.ECONNRESET, "reset")
    if issubclass(kind, aiohttp.ClientOSError) and not issubclass(kind, aiohttp.ClientConnectorError):
        return kind(errno.ECONNRESET, "reset")
    if "__init__" not in {
        name for base in kind.__mro__ if base.__module__ == kind.__module__ for name in vars(base)
    }:
        return kind("failed")
    needed = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    return kind(*(values[name] for name in needed))


class TestFailures:
    @pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
    def test_each_exception_is_a_transport_error(self, kind: type[Exception], api: Api) -> None:
        """Any exception of aiohttp becomes one error, after all attempts if a retry can help."""
        error = exception_of(kind)
        attempts = 1 if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch) else 5

        @virtually
        async def check() -> None:
            api.get(URL_OF_ID, exception=error, repeat=True)
            async with ExportsClient(*KEYS, retry=RETRY, clock=VirtualClock()) as client:
                with pytest.raises(TransportError, match=f"GET /v1/exports/{ID}") as caught:
                    await client.get_export(ID)
            assert caught.value.attempts == attempts
            assert f"(attempt {attempts})" in str(caught.value)
            assert caught.value.__cause__ is error

        check()

    @pytest.mark.parametrize("status", range(400, 600))
    def test_each_status_has_its_error(self, status: int, api: Api) -> None:
        """Transient statuses are retried, and the others are raised at once."""
        attempts = 5 if status in {408, 429, 500, 502, 503, 504} else 1

        @virtually
        async def check() -> None:
            api.get(URL_OF_ID, status=status, body="<html>", content_type="text/html", repeat=True)
            async with ExportsClient(*KEYS, retry=RETRY, clock=VirtualClock()) as client:
                with pytest.raises(ApiError) as caught:
                    await client.get_export(ID)
            assert type(caught.value) is ApiError.for_status(status)
            assert sum(len(calls) for calls in api.requests.values()) == attempts

        check()

    @pytest.mark.parametrize(
        ("fault", "reason", "requests"),
        [
            # Before there is a whole header, aiohttp itself repeats a GET once.
            ({"reset": "before"}, "the connection failed: ", 10),
            ({"reset": "headers"}, "the connection failed: ", 10),
            ({"reset": "body"}, "the connection failed: ", 5),
            ({"delay": float("inf")}, "no response within 0.02 s", 5),
        ],
        ids=str,
    )
    async def test_failures_of_real_connections(
        self, fault: dict[str, Any], reason: str, requests: int, connect: Connect, sandbox: Sandbox
    ) -> None:
        """Resets at every stage and missing responses are transport errors, over real sockets."""
        sandbox.fail(times=None, **fault)

        # A timeout that a busy machine cannot reach, but where the timeout is what is tested.
        timeout = 0.02 if "delay" in fault else 10
        with pytest.raises(TransportError, match=reason) as caught:
            await connect(request_timeout=timeout).get_export(ID)
        assert caught.value.attempts == 5
        assert len(sandbox.requests) == requests

    async def test_a_refused_connection(self, connect: Connect) -> None:
        """The error names the address where nothing listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with pytest.raises(TransportError, match=f"127.0.0.1:{port}") as caught:
                await connect(base_url=f"http://127.0.0.1:{port}").get_export(ID)
        assert caught.value.attempts == 5

    async def test_a_host_name_that_does_not_resolve(self, connect: Connect) -> None:
        """The error names the host and says what to check."""

        class FailingResolver(aiohttp.abc.AbstractResolver):
            async def resolve(self, *args: Any, **kwargs: Any) -> list[Any]:
                raise OSError(None, "no such host")

            async def close(self) -> None:
                pass

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=FailingResolver())
        ) as session:
            client = connect(base_url="https://api.invalid", session=session)
            with pytest.raises(TransportError, match=r"cannot resolve the host name 'api\.invalid': check"):
                await client.get_export(ID)

    async def test_a_server_without_tls(self, connect: Connect, sandbox: Sandbox) -> None:
        """A failed TLS handshake is not retried."""
        with pytest.raises(TransportError, match="TLS failed") as caught:
            await connect(base_url=sandbox.url.replace("http:", "https:")).get_export(ID)
        assert caught.value.attempts == 1

    async def test_a_malformed_response_with_the_token(self, connect: Connect, sandbox: Sandbox) -> None:
        """The cause is left out if it would show a secret in the traceback."""

        async def quote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nX-Said {sandbox.app_token}\r\n\r\n".encode())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(quote, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = connect(base_url=f"http://127.0.0.1:{port}", retry=RetryPolicy(attempts=1))
            with pytest.raises(TransportError) as caught:
                await client.get_export(ID)
            await client.close()

        assert sandbox.app_token not in str(caught.value)
        assert "X-Said" not in str(caught.value)
        assert caught.value.__cause__ is None


class TestRetries:
    @virtually
    async def test_a_transient_failure_is_retried(self) -> None:
        """After two failures the export is returned, and the delays are those of the policy."""
        clock = VirtualClock()
        events: list[Event] = []
        with Api() as api:
            api.get(URL_OF_ID, exception=aiohttp.ServerDisconnectedError())
            api.get(URL_OF_ID, status=503)
            api.get(URL_OF_ID, payload=wire())
            async with ExportsClient(*KEYS, retry=RETRY, clock=clock, on_event=events.append) as client:
                assert await client.get_export(ID) == Export.from_dict(wire())

        assert clock.monotonic() == 6
        assert [type(event) for event in events] == [
            RequestFailed,
            RetryScheduled,
            RequestCompleted,
            RetryScheduled,
            RequestCompleted,
        ]
        assert [getattr(event, "attempt", None) for event in events] == [1, 1, 2, 2, 3]
        assert isinstance(events[3], RetryScheduled)
        assert events[3].delay == 3
        assert "503" in events[3].error

    @virtually
    async def test_a_policy_of_one_attempt(self) -> None:
        """A policy of one attempt never retries."""
        with Api() as api:
            api.get(URL_OF_ID, status=503)
            async with ExportsClient(*KEYS, retry=RetryPolicy(attempts=1)) as client:
                with pytest.raises(ServerError):
                    await client.get_export(ID)

    @virtually
    async def test_the_number_of_concurrent_requests(self) -> None:
        """`max_connections` bounds the requests under way, and waiting for a connection is no timeout."""
        numbers_under_way: list[int] = []
        under_way = 0

        async def slow(url: URL, **kwargs: Any) -> None:
            nonlocal under_way
            under_way += 1
            numbers_under_way.append(under_way)
            await asyncio.sleep(25)
            under_way -= 1

        with Api() as api:
            api.get(URL_OF_ID, payload=wire(), callback=slow, repeat=True)
            async with ExportsClient(*KEYS, max_connections=3, clock=VirtualClock()) as client:
                await asyncio.gather(*(client.get_export(ID) for _ in range(9)))

        assert max(numbers_under_way) == 3


def epoch(seconds: float) -> str:
    return f"{EPOCH + seconds:.0f}"


RETRY_HEADERS: list[tuple[dict[str, str], float]] = [
    ({"Retry-After": "30"}, 30),
    ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30),
    ({"X-Rate-Limit-Retry": epoch(30)}, 30),
    ({"Retry-After": "30", "X-Rate-Limit-Retry": epoch(5)}, 30),
]


class TestQuota:
    @pytest.mark.parametrize(("headers", "delay"), RETRY_HEADERS)
    @pytest.mark.parametrize("skew", [0, -3600, 3600])
    def test_no_request_is_sent_before_the_time_of_a_429(
        self, headers: dict[str, str], delay: float, skew: float, api: Api
    ) -> None:
        """All calls wait until the time that the server meant, even if the local clock is wrong."""

        @virtually
        async def check() -> None:
            clock = VirtualClock(skew)
            sent: list[float] = []

            def record_time(url: URL, **kwargs: Any) -> None:
                sent.append(clock.monotonic())

            date = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
            api.get(URL_OF_ID, status=429, headers=date | headers, callback=record_time)
            api.get(URL_OF_ID, payload=wire(), callback=record_time, repeat=True)
            async with ExportsClient(*KEYS, clock=clock, retry=RetryPolicy(attempts=1)) as client:
                refused = asyncio.ensure_future(client.get_export(ID))
                await asyncio.sleep(1)
                await asyncio.gather(refused, client.get_export(ID), client.get_export(ID))
            assert sent[0] == 0
            assert len(sent) == 4
            assert all(delay <= at <= delay + 1 for at in sent[1:])
            assert len(set(sent)) == 4

        check()

    @virtually
    async def test_waiting_for_quota_uses_no_attempts(self) -> None:
        """After ten refusals a failure still has all attempts of the policy."""
        clock = VirtualClock()
        with Api() as api:
            for _ in range(10):
                api.get(URL_OF_ID, status=429, headers={"Retry-After": "10"})
            api.get(URL_OF_ID, status=503)
            api.get(URL_OF_ID, payload=wire())
            policy = RetryPolicy(attempts=2, wait=wait_fixed(3))
            async with ExportsClient(*KEYS, clock=clock, retry=policy) as client:
                assert (await client.get_export(ID)).is_done

        assert 103 <= clock.monotonic() <= 113

    @virtually
    async def test_a_wait_beyond_max_quota_wait_is_an_error(self) -> None:
        """The error is raised at once, and the next call raises it without a request."""
        clock = VirtualClock()
        with Api() as api:
            api.get(URL_OF_ID, status=429, headers={"Retry-After": "121"}, payload={"message": "Too many"})
            async with ExportsClient(*KEYS, clock=clock) as client:
                with pytest.raises(RateLimitedError, match="429 · Too many") as caught:
                    await client.get_export(ID)
                assert caught.value.retry_at == datetime(2026, 1, 1, 0, 2, 1, tzinfo=UTC)

                await asyncio.sleep(0.5)
                with pytest.raises(RateLimitedError, match=r"not sent, since .* for another 120 s") as caught:
                    await client.get_export(ID)
                assert caught.value.retry_at == datetime(2026, 1, 1, 0, 2, 1, tzinfo=UTC)
            assert sum(len(calls) for calls in api.requests.values()) == 1

        assert clock.monotonic() == 0.5

    @pytest.mark.parametrize(
        "headers", [{}, {"Retry-After": "0"}, {"X-Rate-Limit-Retry": epoch(-60)}, {"Retry-After": "soon"}]
    )
    def test_a_429_without_a_time_uses_attempts(self, headers: dict[str, str], api: Api) -> None:
        """The client sends nothing for 1, 2, 4 … seconds, and the call ends after its attempts."""

        @virtually
        async def check() -> None:
            clock = VirtualClock()
            sent: list[float] = []
            api.get(
                URL_OF_ID,
                status=429,
                headers=headers,
                callback=lambda url, **kwargs: sent.append(clock.monotonic()),
                repeat=True,
            )
            policy = RetryPolicy(attempts=4, wait=wait_fixed(0.5))
            async with ExportsClient(*KEYS, clock=clock, retry=policy) as client:
                with pytest.raises(RateLimitedError) as caught:
                    await client.get_export(ID)
            assert caught.value.retry_at is None
            gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
            assert all(least <= gap <= least + 1 for gap, least in zip(gaps, [1, 2, 4], strict=True))

        check()

    @virtually
    async def test_an_exhausted_quota_is_an_event(self) -> None:
        """The event says for how long nothing may be sent, and until when."""
        events: list[Event] = []
        with Api() as api:
            api.get(URL_OF_ID, status=429, headers={"Retry-After": "10"})
            api.get(URL_OF_ID, payload=wire())
            async with ExportsClient(*KEYS, clock=VirtualClock(), on_event=events.append) as client:
                await client.get_export(ID)

        assert [event for event in events if isinstance(event, QuotaExhausted)] == [
            QuotaExhausted(delay=10, retry_at=datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC))
        ]

    async def test_calls_wait_for_the_next_window(self, connect: Connect) -> None:
        """If nothing remains in the window, a call waits for the next one and is not refused."""
        now = [1_767_225_600.0]
        async with Sandbox(scheduled_for=0, rate_limit=(2, 60), clock=lambda: now[0]) as sandbox:

            class JumpingClock:
                monotonic = wall = staticmethod(lambda: now[0])

                async def sleep(self, seconds: float, /) -> None:
                    now[0] += seconds

            export_id = sandbox.add_export("customer")
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, clock=JumpingClock()
            )
            for _ in range(5):
                await client.get_export(export_id)

        assert [request.status for request in sandbox.requests] == [200] * 5
        assert 120 <= now[0] - 1_767_225_600 <= 122


async def _answer(url: URL, **kwargs: Any) -> None:
    await asyncio.sleep(0.1)


class TestPolls:
    async def test_a_401_ends_a_wait(self, connect: Connect, sandbox: Sandbox) -> None:
        """A poll that gets a 401 is not repeated."""
        client = connect(app_token="wrong")

        with pytest.raises(AuthenticationError, match="check the app id and token"):
            await client.wait_until_done(ID)
        assert len(sandbox.requests) == 1

    @virtually
    async def test_a_poll_without_a_response_gives_its_slot_back(self) -> None:
        """With one connection for polls, one that hangs delays the next by five seconds."""
        clock = VirtualClock()

        async def hang(url: URL, **kwargs: Any) -> None:
            await asyncio.sleep(1_000)

        with Api() as api:
            root = "https://api.voucherify.io/v1/exports"
            api.get(re.compile(r".*/v1/exports\?.*"), status=403, repeat=True)
            api.get(f"{root}/exp_0", callback=hang, repeat=True)
            api.get(f"{root}/exp_1", payload=wire(id="exp_1"), callback=_answer)
            async with ExportsClient(*KEYS, clock=clock, max_connections=1) as client:
                hanging = asyncio.create_task(client.wait_until_done("exp_0"))
                await asyncio.sleep(1)

                assert (await client.wait_until_done("exp_1", timeout=20)).is_done
                assert clock.monotonic() < 12
                hanging.cancel()
                await asyncio.wait({hanging})

    @pytest.mark.parametrize("calls", [20, 500])
    async def test_direct_calls_do_not_delay_polls(
        self, calls: int, connect: Connect, sandbox: Sandbox
    ) -> None:
        """A wait is polled at once while all connections of direct calls are in use, and more calls queue."""
        export_id = sandbox.add_export("voucher")
        sandbox.fail(times=None, path=f"*/{ID}", delay=float("inf"))
        client = connect()
        hanging = [asyncio.create_task(client.get_export(ID)) for _ in range(calls)]
        while len(sandbox.requests) < 20:
            await asyncio.sleep(0.001)

        assert (await client.wait_until_done(export_id, timeout=5)).is_done
        assert len(sandbox.requests) == 21

        await client.close()
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ClientClosedError}

    async def test_the_number_of_concurrent_polls(self, connect: Connect, sandbox: Sandbox) -> None:
        """`max_connections` bounds the polls under way, too."""
        sandbox.fail(times=None, delay=float("inf"))
        client = connect(max_connections=2)
        polls = [asyncio.create_task(client._watcher._poller.get(f"exp_{number}")) for number in range(5)]
        while len(sandbox.requests) < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)

        assert len(sandbox.requests) == 2
        await client.close()
        await asyncio.gather(*polls, return_exceptions=True)

    @virtually
    async def test_a_queued_poll_is_not_sent_after_a_429(self) -> None:
        """The quota is checked when a queued poll gets its connection."""
        random.seed(1)
        clock = VirtualClock()
        sent: list[float] = []

        async def record_time(url: URL, **kwargs: Any) -> None:
            sent.append(clock.monotonic())
            await asyncio.sleep(1)

        with Api() as api:
            urls = [f"https://api.voucherify.io/v1/exports/exp_{number}" for number in range(3)]
            api.get(re.compile(r".*/v1/exports\?.*"), status=403, repeat=True)
            api.get(urls[0], payload=wire(id="exp_0"), callback=record_time)
            api.get(urls[1], status=429, headers={"Retry-After": "60"}, callback=record_time)
            for number in (1, 2):
                api.get(urls[number], payload=wire(id=f"exp_{number}"), callback=record_time)
            async with ExportsClient(*KEYS, clock=clock, max_connections=1) as client:
                exports = await asyncio.gather(*(client.wait_until_done(f"exp_{n}") for n in range(3)))

        assert all(export.is_done for export in exports)
        assert sent == [0, 1, 62, 63]


class SlowToCancel:
    """A session whose requests take ten seconds to end after they were cancelled."""

    closed = False

    async def request(self, *_: Any, **__: Any) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(10)


class TestTimeouts:
    @virtually
    async def test_closing_while_a_request_that_timed_out_ends(self) -> None:
        """`close` waits for the request and does not cancel it again."""
        session: Any = SlowToCancel()
        client = ExportsClient(*KEYS, session=session, retry=RetryPolicy(attempts=1), clock=VirtualClock())
        call = asyncio.create_task(client.get_export(ID))
        await asyncio.sleep(35)

        await client.close()

        assert asyncio.get_running_loop().time() == 40
        with pytest.raises(ClientClosedError):
            await call

    @virtually
    async def test_each_request_has_its_own_timeout(self) -> None:
        """`request_timeout` counts from the start of each request."""
        session: Any = SlowToCancel()
        end_times = list[float]()
        async with ExportsClient(
            *KEYS, session=session, retry=RetryPolicy(attempts=1), clock=VirtualClock()
        ) as client:

            async def call(start: float) -> None:
                await asyncio.sleep(start)
                with pytest.raises(TransportError, match="no response within 30 s"):
                    await client.get_export(ID)
                end_times.append(asyncio.get_running_loop().time())

            await asyncio.gather(call(0), call(10), call(25))

        assert end_times == [40, 50, 65]

    @virtually
    async def test_a_cancellation_is_raised(self) -> None:
        """Cancelling a call raises CancelledError and not a timeout."""
        session: Any = SlowToCancel()
        async with ExportsClient(*KEYS, session=session, clock=VirtualClock()) as client:
            call = asyncio.create_task(client.get_export(ID))
            await asyncio.sleep(1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    @virtually
    async def test_a_cancellation_after_the_timeout_is_raised(self) -> None:
        """Cancelling a call whose timeout is already over raises CancelledError, too."""
        session: Any = SlowToCancel()
        async with ExportsClient(*KEYS, session=session, clock=VirtualClock()) as client:
            call = asyncio.create_task(client.get_export(ID))
            await asyncio.sleep(35)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    async def test_what_ends_in_the_same_step_is_not_cancelled(self) -> None:
        """A timeout that was left before the loop could cancel its task cancels nothing later."""
        timeouts = _Timeouts(30)
        with timeouts.start():
            closing = asyncio.create_task(timeouts.end_all())
            await asyncio.sleep(0)  # the loop will cancel this task in its next step
        await asyncio.sleep(0)

        await closing
