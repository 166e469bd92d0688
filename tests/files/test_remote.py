"""The bytes of a file, over real sockets: interrupted, redirected, expired, and not what they should be."""

import asyncio
import gzip
import random
import traceback
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from samples import ID, wire
from scripted import http, scripted
from tenacity import wait_none

from voucherify_exports import (
    AuthenticationError,
    ClientClosedError,
    DownloadCompleted,
    DownloadError,
    DownloadInterrupted,
    DownloadStarted,
    Export,
    ExportFailedError,
    ExportNotFoundError,
    ExportsClient,
    InvalidResponseError,
    OAuth,
    RateLimitedError,
    RetryPolicy,
    Sandbox,
    ServerError,
    TransportError,
)

Connect = Callable[..., ExportsClient]
Event = DownloadStarted | DownloadInterrupted | DownloadCompleted

BODY = random.Random(4).randbytes(300_000)
SECRETS = {"x-app-id", "x-app-token", "authorization"}


def finished(url: str) -> Export:
    """A finished export whose file is there."""
    return Export.from_dict(wire(result={"url": url}))


async def taken(client: ExportsClient, export: str | Export) -> bytes:
    return b"".join([piece async for piece in client.stream(export)])


async def taken_from(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


async def plainly(sandbox: Sandbox, export_id: str) -> bytes:
    """The file as a plain client gets it."""
    keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    async with aiohttp.ClientSession(headers=keys) as session:
        async with session.get(f"{sandbox.url}/v1/exports/{export_id}") as response:
            url = (await response.json())["result"]["url"]
        async with session.get(url) as response:
            body = await response.read()
    sandbox.clear(requests=True)
    return body


def downloads(sandbox: Sandbox) -> list[Any]:
    return [request for request in sandbox.requests if request.is_download]


@pytest.fixture
async def big(sandbox: Sandbox) -> str:
    """An export with a file of some 300 kB."""
    return sandbox.add_export("customer", rows=3000)


class TestWhole:
    @pytest.mark.parametrize("rows", [0, 1, 3000])
    async def test_arrives_by_id(self, sandbox: Sandbox, connect: Connect, rows: int) -> None:
        """The pieces make up the file, asked for once, at the URL of the result."""
        export_id = sandbox.add_export("customer", rows=rows)
        body = await plainly(sandbox, export_id)
        assert await taken(connect(), export_id) == body
        assert len(sandbox.requests) == 2

    async def test_arrives_by_export(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A finished export at hand is not asked for again."""
        body, client = await plainly(sandbox, big), connect()
        export = await client.get_export(big)
        sandbox.clear(requests=True)
        assert await taken(client, export) == body
        assert len(sandbox.requests) == 1

    async def test_asks_for_the_bytes_as_they_are(self, connect: Connect) -> None:
        """A file that is packed on its way could not be resumed."""
        async with scripted(http(200, BODY)) as server:
            assert await taken(connect(), finished(f"{server.url}/f?token=T")) == BODY
        assert server.headers(0)["accept-encoding"] == "identity"

    async def test_a_body_without_a_length(self, connect: Connect) -> None:
        """A body in chunks is whole when its last chunk came."""
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"a,b\n", b"1,2\n", b""))
        answer = http(200, chunks, Content_Length=None, Transfer_Encoding="chunked")
        async with scripted(answer) as server:
            assert await taken(connect(), finished(server.url)) == b"a,b\n1,2\n"

    async def test_tells_events(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """Start and end are told, with bytes."""
        events: list[Event] = []
        size = len(await taken(connect(on_event=events.append), big))
        started, completed = events[-2:]
        assert started == DownloadStarted(export_id=big, received=0, size=size)
        assert isinstance(completed, DownloadCompleted)
        assert (completed.export_id, completed.received) == (big, size)

    async def test_a_session_that_raises_for_a_status(self, sandbox: Sandbox, big: str) -> None:
        """A session of one's own may be set to raise by itself; a 503 is tried again nevertheless."""
        body = await plainly(sandbox, big)
        sandbox.fail(status=503, times=2)
        sandbox.fail(download=True, status=503)
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            ExportsClient(
                sandbox.app_id,
                sandbox.app_token,
                base_url=sandbox.url,
                session=session,
                retry=RetryPolicy(wait=wait_none()),
            ) as client,
        ):
            assert await taken(client, big) == body


class TestNoFile:
    async def test_not_finished(self, connect: Connect) -> None:
        """An export that goes on is to be awaited."""
        async with Sandbox(scheduled_for=60) as sandbox:
            export_id = sandbox.add_export("order")
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            with pytest.raises(DownloadError, match=rf"{export_id} is SCHEDULED.*wait_until_done"):
                await taken(client, export_id)
            sandbox.finish(export_id)
            assert await taken(client, export_id)

    async def test_seen_before_it_was_finished(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """An export at hand without a result is looked at again."""
        client = connect()
        export = await client.get_export(big)
        before = Export.from_dict(export.to_dict() | {"status": "SCHEDULED", "result": None})
        assert await taken(client, before) == await taken(client, big)

    async def test_failed(self, sandbox: Sandbox, connect: Connect) -> None:
        """There is no file of an export in ERROR."""
        with pytest.raises(ExportFailedError):
            await taken(connect(), sandbox.add_export("order", outcome="ERROR"))

    async def test_unknown(self, connect: Connect) -> None:
        """There is no such export."""
        with pytest.raises(ExportNotFoundError):
            await taken(connect(), "exp_none")

    @pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
    async def test_a_page_instead(self, connect: Connect, content_type: str) -> None:
        """A login page of a proxy, say, is no file."""
        async with scripted(http(200, b"<html>", Content_Type=content_type)) as server:
            with pytest.raises(
                DownloadError, match=r"127\.0\.0\.1 answered with (text/html|application/json)"
            ):
                await taken(connect(), finished(server.url))
        assert len(server.heads) == 1

    @pytest.mark.parametrize("status", [204, 302, 304])
    async def test_a_status_without_a_file(self, connect: Connect, status: int) -> None:
        """Neither an error nor a file."""
        async with scripted(http(status)) as server:
            with pytest.raises(DownloadError, match=f"answered {status}"):
                await taken(connect(), finished(server.url))

    async def test_gone(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """An export that is deleted meanwhile; the error of the answer is the cause."""
        client = connect()
        export = await client.get_export(big)
        sandbox.delete_export(big)
        with pytest.raises(DownloadError, match=f"{big} did not arrive: .*404") as caught:
            await taken(client, export)
        assert isinstance(caught.value.__cause__, ExportNotFoundError)
        assert caught.value.bytes_received == 0
        assert caught.value.path is None

    async def test_an_endless_error_body(self, connect: Connect) -> None:
        """No more of it is read than shows what it says."""
        answer = http(500, b'{"message": "' + b"x" * 400_000, Content_Length=10**12)
        async with scripted(answer) as server:
            with pytest.raises(DownloadError) as caught:
                await taken(connect(retry=RetryPolicy(attempts=1)), finished(server.url))
        assert isinstance(caught.value.__cause__, ServerError)


FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"reset": "before"},
    "reset in the headers": {"reset": "headers"},
    "reset in the body": {"reset": "body", "after": 100_000},
    "reset in the body, soon": {"reset": "body", "after": 0},
    "ends early": {"truncate": True, "after": 100_000},
    "503": {"status": 503},
    "408": {"status": 408},
    "429": {"status": 429},
}


class TestInterrupted:
    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("ranges", [True, False])
    async def test_goes_on(
        self, sandbox: Sandbox, connect: Connect, big: str, fault: str, *, ranges: bool
    ) -> None:
        """Each byte is shown once, whether the server can answer a range or not."""
        body = await plainly(sandbox, big)
        events: list[Event] = []
        sandbox.fail(download=True, times=4, ranges=ranges, **FAULTS[fault])
        sandbox.fail(download=True, times=1, ranges=ranges)
        assert await taken(connect(on_event=events.append), big) == body
        interrupted = [event for event in events if isinstance(event, DownloadInterrupted)]
        # aiohttp itself sends once more what a kept connection did not answer at all.
        assert 0 < len(interrupted) <= len(downloads(sandbox)) - 1
        assert {event.export_id for event in interrupted} == {big}

    async def test_asks_for_the_rest(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The rest of the same file, from the first byte that did not come."""
        body = await plainly(sandbox, big)
        events: list[Event] = []
        sandbox.fail(download=True, truncate=True, after=100_000)
        assert await taken(connect(on_event=events.append), big) == body
        _, rest = downloads(sandbox)
        assert rest.status == 206
        (interrupted,) = [event for event in events if isinstance(event, DownloadInterrupted)]
        assert interrupted.received >= 100_000
        assert rest.headers["Range"] == f"bytes={interrupted.received}-"
        assert rest.headers["If-Range"].startswith('"')
        started = [event.received for event in events if isinstance(event, DownloadStarted)]
        assert started == [0, interrupted.received]

    async def test_gives_up(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """After so many attempts in a row that brought nothing."""
        sandbox.fail(download=True, reset="body", after=100_000)
        sandbox.fail(download=True, reset="body", after=0, times=None)
        with pytest.raises(DownloadError, match=r"\(\d+ of \d+ bytes came\)") as caught:
            await taken(connect(retry=RetryPolicy(attempts=3, wait=wait_none())), big)
        assert isinstance(caught.value.__cause__, TransportError)
        assert caught.value.bytes_received >= 100_000
        assert len(downloads(sandbox)) == 3

    async def test_goes_on_as_long_as_it_gets_further(
        self, sandbox: Sandbox, connect: Connect, big: str
    ) -> None:
        """A bad line takes many attempts."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=20_000, times=None)
        assert await taken(connect(retry=RetryPolicy(attempts=2, wait=wait_none())), big) == body
        starts = [int(request.headers.get("Range", "bytes=0-")[6:-1]) for request in downloads(sandbox)]
        assert len(starts) > 5
        assert all(second - first >= 20_000 for first, second in pairwise(starts))

    async def test_a_server_that_is_silent(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The timeout bounds the silence between two pieces."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, after=100_000, pause=float("inf"))
        assert await taken(connect(request_timeout=0.2), big) == body
        assert len(downloads(sandbox)) == 2

    async def test_not_for_what_is_final(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A 403 is no better the second time."""
        sandbox.fail(download=True, status=403, times=None)
        with pytest.raises(DownloadError, match="403 "):
            await taken(connect(), big)
        assert len(downloads(sandbox)) == 1

    async def test_waits_as_long_as_it_is_told(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A refusal that names its end is honoured."""
        paused: list[float] = []

        class Clock:
            def monotonic(self) -> float:
                return 0.0

            def wall(self) -> float:
                return 1_000.0

            async def sleep(self, seconds: float, /) -> None:
                paused.append(seconds)

        sandbox.fail(download=True, status=429, headers={"Retry-After": "37", "Date": None})
        assert await taken(connect(clock=Clock()), big)
        assert paused == [37.0]

    async def test_not_longer_than_it_may(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A refusal beyond `max_quota_wait` is an error that names its end."""
        sandbox.fail(download=True, status=429, headers={"Retry-After": "3600"}, times=None)
        with pytest.raises(DownloadError) as caught:
            await taken(connect(), big)
        assert isinstance(caught.value.__cause__, RateLimitedError)
        assert caught.value.__cause__.retry_at is not None
        assert len(downloads(sandbox)) == 1


class TestAnotherFile:
    """Bytes of two files are never put together."""

    async def test_changed_meanwhile(self, connect: Connect) -> None:
        """What was shown cannot be taken back."""
        first = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(first, http(200, BODY[:2000], ETag='"two"')) as server:
            with pytest.raises(DownloadError, match="began anew, perhaps with another file"):
                await taken(connect(), finished(server.url))
        assert server.headers(1)["if-range"] == '"one"'

    @pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}, {"Last-Modified": "nonsense"}])
    async def test_perhaps_changed(self, connect: Connect, validator: dict[str, str]) -> None:
        """Without a strong validator nothing is taken for the same."""
        answer = http(200, BODY[:1000], Content_Length=2000, **validator)
        async with scripted(answer) as server:
            with pytest.raises(DownloadError, match="began anew"):
                await taken(connect(), finished(server.url))
        assert len(server.heads) == 2
        assert "range" not in server.headers(1)

    async def test_the_same_again(self, connect: Connect) -> None:
        """A server that ignores ranges, but proves that the file is the same, is listened to."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(broken, http(200, BODY[:2000], ETag='"one"')) as server:
            assert await taken(connect(), finished(server.url)) == BODY[:2000]

    @pytest.mark.parametrize(
        ("status", "headers", "problem"),
        [
            (206, {"Content_Range": "bytes 900-1999/2000"}, "was not asked for"),
            (206, {}, "was not asked for"),
            (206, {"Content_Range": "bytes 1000-1999/3000"}, "of another size"),
            (416, {"Content_Range": "bytes */2000"}, "no such part"),
            (200, {"Content_Encoding": "br"}, "encoding 'br'"),
        ],
    )
    async def test_a_wrong_answer_to_a_range(
        self, connect: Connect, status: int, headers: dict[str, str], problem: str
    ) -> None:
        """It spoils what came before: the next attempt begins at the start."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        events: list[Event] = []
        async with scripted(
            broken, http(status, BODY[1000:2000], **headers), http(200, BODY[:2000])
        ) as server:
            with pytest.raises(DownloadError, match="began anew"):
                await taken(connect(on_event=events.append), finished(server.url))
        assert "range" not in server.headers(2)
        assert problem in [event.error for event in events if isinstance(event, DownloadInterrupted)][1]

    async def test_longer_than_its_range(self, connect: Connect) -> None:
        """More bytes than the whole file has are an error."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        longer = http(206, BODY[1000:2500], Content_Range="bytes 1000-1999/2000")
        events: list[Event] = []
        async with scripted(broken, longer, http(200, BODY[:2000])) as server:
            with pytest.raises(DownloadError, match="began anew"):
                await taken(connect(on_event=events.append), finished(server.url))
        errors = [event.error for event in events if isinstance(event, DownloadInterrupted)]
        assert errors[1] == "more than the announced 2000 bytes came"

    async def test_longer_than_announced(self, connect: Connect) -> None:
        """Bytes after the end are an error, and not told: they may be of anybody."""
        personal = b"Zoe,zoe@example.com" * 1000
        longer = http(200, BODY[:1000] + personal, Content_Length=1000)
        events: list[Event] = []
        client = connect(retry=RetryPolicy(attempts=2, wait=wait_none()), on_event=events.append)
        async with scripted(longer) as server:
            with pytest.raises(DownloadError, match="the connection failed") as caught:
                await taken(client, finished(server.url))
        shown = "".join(traceback.format_exception(caught.value)) + repr(events)
        assert "zoe" not in shown
        assert len(shown) < 5000

    async def test_a_header_that_is_too_long(self, connect: Connect) -> None:
        """Nor is more of a broken answer told than shows what is wrong."""
        client = connect(retry=RetryPolicy(attempts=1))
        async with scripted(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n") as server:
            with pytest.raises(DownloadError, match="Got more than") as caught:
                await taken(client, finished(server.url))
        assert "x" * 500 not in "".join(traceback.format_exception(caught.value))

    async def test_shorter_than_its_range(self, connect: Connect) -> None:
        """A part that ends where it should not is gone on with."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        shorter = http(206, BODY[1000:1500], Content_Range="bytes 1000-1999/2000")
        rest = http(206, BODY[1500:2000], Content_Range="bytes 1500-1999/2000")
        async with scripted(broken, shorter, rest) as server:
            assert await taken(connect(), finished(server.url)) == BODY[:2000]
        assert server.headers(2)["range"] == "bytes=1500-"


class TestGzip:
    """A server may pack what it was asked not to pack."""

    @pytest.mark.parametrize(
        "packed",
        [
            gzip.compress(BODY),
            gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]),
            gzip.compress(BODY[:1]) + gzip.compress(b"") + gzip.compress(BODY[1:]),
        ],
    )
    async def test_is_unpacked(self, connect: Connect, packed: bytes) -> None:
        """One member or several."""
        async with scripted(http(200, packed, Content_Encoding="gzip", ETag='"packed"')) as server:
            assert await taken(connect(), finished(server.url)) == BODY

    async def test_is_unpacked_a_little_at_a_time(self, connect: Connect) -> None:
        """What packs well does not fill the memory."""
        packed = gzip.compress(bytes(64 * 1024 * 1024))
        assert len(packed) < 100_000
        async with scripted(http(200, packed, Content_Encoding="gzip")) as server:
            sizes = [len(piece) async for piece in connect().stream(finished(server.url))]
        assert sum(sizes) == 64 * 1024 * 1024
        assert max(sizes) <= 1024 * 1024

    @pytest.mark.parametrize(
        ("packed", "problem"),
        [
            (gzip.compress(BODY)[:-1], "ended too early"),
            (gzip.compress(BODY) + b"more", "damaged"),
            (b"a,b\n1,2\n", "damaged"),
            (b"", "ended too early"),
        ],
    )
    async def test_is_verified(self, connect: Connect, packed: bytes, problem: str) -> None:
        """A body that is not whole is an error, though its length be as announced."""
        async with scripted(http(200, packed, Content_Encoding="gzip")) as server:
            with pytest.raises(DownloadError, match=f"{problem}|began anew") as caught:
                await taken(connect(retry=RetryPolicy(attempts=1)), finished(server.url))
        assert isinstance(caught.value.__cause__, InvalidResponseError)
        assert problem in caught.value.__cause__.problem


class TestExpired:
    """A URL that was good for a while only."""

    async def test_at_the_start(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The export is asked for again, for a fresh URL."""
        body, client = await plainly(sandbox, big), connect()
        export = await client.get_export(big)
        sandbox.clear(requests=True)
        sandbox.fail(download=True, status=401)
        assert await taken(client, export) == body
        assert [request.status for request in sandbox.requests] == [401, 200, 200]

    async def test_twice(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A fresh URL may have expired, too, before it was used."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, status=401, times=2)
        assert await taken(connect(), big) == body

    async def test_in_the_middle(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The rest is asked for at the fresh URL."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000)
        sandbox.fail(download=True, status=401, times=2)
        assert await taken(connect(), big) == body
        assert [request.status for request in sandbox.requests] == [200, 200, 401, 200, 401, 200, 206]

    async def test_always(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """It is not asked for for ever."""
        sandbox.fail(download=True, status=401, times=None)
        with pytest.raises(DownloadError, match="401") as caught:
            await taken(connect(), big)
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert len(downloads(sandbox)) == 3

    async def test_by_the_clock(self, connect: Connect) -> None:
        """A real token that is too old."""
        now = [1_700_000_000.0]
        async with Sandbox(clock=lambda: now[0], scheduled_for=0, in_progress_for=0, token_ttl=60) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            export = await client.get_export(sandbox.add_export("sku"))
            now[0] += 61
            assert await taken(client, export)
        assert [request.status for request in sandbox.requests] == [200, 401, 200, 200]

    async def test_of_an_export_that_is_gone(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """There is no fresh URL."""
        sandbox.fail(download=True, status=401)
        client = connect()
        export = await client.get_export(big)
        sandbox.fail(download=False, status=404, body={"code": 404, "key": "not_found", "message": "no"})
        with pytest.raises(DownloadError, match="not_found"):
            await taken(client, export)

    async def test_with_oauth(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The file is asked for with the same token as the export."""
        client = connect(auth=OAuth(sandbox.app_id, sandbox.app_token))
        assert await taken(client, big)
        token, export, file = sandbox.requests
        assert token.path == "/v1/oauth/token"
        assert export.headers["Authorization"] == file.headers["Authorization"]
        assert "X-App-Token" not in file.headers


class TestCredentials:
    """Real sockets at two addresses: 127.0.0.1 is the API's, 127.0.0.2 a stranger's."""

    @pytest.fixture
    async def stranger(self) -> AsyncIterator[Any]:
        async with scripted(http(200, BODY), host="127.0.0.2") as server:
            yield server

    async def test_go_to_the_host_of_the_api(self, connect: Connect) -> None:
        """Whatever the port."""
        async with scripted(http(200, BODY)) as server:
            assert await taken(connect(), finished(f"{server.url}/f?token=T")) == BODY
        assert server.headers(0).keys() >= {"x-app-id", "x-app-token"}
        assert server.heads[0].startswith("GET /f?token=T HTTP/1.1")

    async def test_do_not_go_to_a_stranger(self, connect: Connect, stranger: Any) -> None:
        """A result URL with another host is followed, without them."""
        assert await taken(connect(), finished(f"{stranger.url}/f?token=T")) == BODY
        assert not SECRETS & stranger.headers(0).keys()

    async def test_go_to_a_trusted_host(self, connect: Connect, stranger: Any) -> None:
        """By its bare name."""
        assert await taken(connect(trusted_hosts=["127.0.0.2"]), finished(stranger.url)) == BODY
        assert stranger.headers(0).keys() >= {"x-app-id", "x-app-token"}

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("trusted", [True, False])
    async def test_end_at_a_redirect_to_a_stranger(
        self, connect: Connect, stranger: Any, status: int, *, trusted: bool
    ) -> None:
        """Unless it is trusted, too."""
        client = connect(trusted_hosts=["127.0.0.2"] if trusted else [])
        async with scripted(http(status, Location=f"{stranger.url}/signed?s=%2F+%20x")) as server:
            assert await taken(client, finished(server.url)) == BODY
        assert SECRETS & server.headers(0).keys()
        assert bool(SECRETS & stranger.headers(0).keys()) is trusted
        assert stranger.heads[0].startswith("GET /signed?s=%2F+%20x HTTP")

    async def test_do_not_come_back(self, connect: Connect) -> None:
        """A chain that left trusted ground is not trusted again."""
        async with scripted(http(200, BODY)) as home:
            away_and_back = http(302, Location=f"{home.url}/back")
            async with (
                scripted(away_and_back, host="127.0.0.2") as stranger,
                scripted(http(302, Location=stranger.url)) as first,
            ):
                assert await taken(connect(), finished(first.url)) == BODY
        assert [bool(SECRETS & server.headers(0).keys()) for server in (first, stranger, home)] == [
            True,
            False,
            False,
        ]

    async def test_no_bearer_token_either(self, sandbox: Sandbox, connect: Connect, stranger: Any) -> None:
        """Nor is one fetched for a stranger."""
        client = connect(auth=OAuth(sandbox.app_id, sandbox.app_token))
        assert await taken(client, finished(stranger.url)) == BODY
        assert not SECRETS & stranger.headers(0).keys()
        assert sandbox.requests == []

    async def test_are_gone_for_the_rest_too(self, connect: Connect) -> None:
        """What goes on after a fault begins the chain again, with the same rules."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        rest = http(206, BODY[1000:2000], Content_Range="bytes 1000-1999/2000")
        async with (
            scripted(broken, rest, host="127.0.0.2") as stranger,
            scripted(http(302, Location=stranger.url)) as home,
        ):
            assert await taken(connect(), finished(home.url)) == BODY[:2000]
        assert len(home.heads) == len(stranger.heads) == 2
        assert not any(SECRETS & stranger.headers(number).keys() for number in (0, 1))
        assert stranger.headers(1)["range"] == "bytes=1000-"

    @pytest.mark.parametrize("trusted", [True, False])
    async def test_a_download_host_of_its_own(self, connect: Connect, *, trusted: bool) -> None:
        """The sandbox's files at another address."""
        async with Sandbox(download_host="127.0.0.2", scheduled_for=0, in_progress_for=0) as sandbox:
            client = connect(
                base_url=sandbox.url,
                app_id=sandbox.app_id,
                app_token=sandbox.app_token,
                trusted_hosts=["127.0.0.2"] if trusted else [],
            )
            assert await taken(client, sandbox.add_export("order"))
            (download,) = downloads(sandbox)
        assert download.at_download_host
        assert ("X-App-Token" in download.headers) is trusted


class TestRedirects:
    async def test_at_most_five(self, connect: Connect) -> None:
        """The sixth is an error."""
        hops = [http(302, Location=f"/{number}") for number in range(5)]
        async with scripted(*hops, http(200, BODY)) as server:
            assert await taken(connect(), finished(server.url)) == BODY
        assert len(server.heads) == 6
        async with scripted(*hops, http(302, Location="/6")) as server:
            with pytest.raises(DownloadError, match="redirected more than 5 times"):
                await taken(connect(), finished(server.url))
        assert len(server.heads) == 6

    @pytest.mark.parametrize(
        ("location", "problem"),
        [
            ("file:///etc/passwd", "scheme 'file'"),
            ("javascript:alert(1)", "scheme 'javascript'"),
            ("http://user:pw@127.0.0.1/", "user or password"),
            ("http:///x", "without a valid host"),
        ],
    )
    async def test_what_is_not_followed(self, connect: Connect, location: str, problem: str) -> None:
        """The reason is told."""
        async with scripted(http(302, Location=location)) as server:
            with pytest.raises(DownloadError, match=f"redirected, and .*{problem}"):
                await taken(connect(), finished(server.url))
        assert len(server.heads) == 1

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("javascript:alert(1)", "scheme 'javascript'"),
            ("file:///etc/passwd", "scheme 'file'"),
            ("/v1/exports/exp_1?token=T", "scheme ''"),
            ("http://user@127.0.0.1/", "user or password"),
            ("http://", "without a valid host"),
        ],
    )
    async def test_a_result_url_that_is_refused(self, connect: Connect, url: str, problem: str) -> None:
        """Nothing is sent."""
        with pytest.raises(
            DownloadError, match=f"{ID} did not arrive: its result URL is refused: .*{problem}"
        ):
            await taken(connect(), finished(url))

    async def test_never_from_https_to_http(self) -> None:
        """A result URL http URL is not followed from an https URL is not followed from an API with it."""
        async with ExportsClient("app-id", "app-token") as client:
            with pytest.raises(DownloadError, match="http URL is not followed from an https URL"):
                await taken(client, finished("http://download.voucherify.io/v1/exports/exp_1?token=T"))


class TestEnding:
    async def test_breaking_off(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """Leaving the loop closes the connection."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"))
        pieces = connect().stream(big)
        async for piece in pieces:
            assert piece
            break
        await pieces.aclose()

    async def test_cancelling(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A task that waits for a piece ends at once."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"))
        waiting = asyncio.Event()

        async def take() -> None:
            async for _ in connect().stream(big):
                waiting.set()

        task = asyncio.create_task(take())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_closing_the_client(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """Whoever waits for a piece is told, and whoever asks for one later."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"), times=2)
        client = connect()
        idle = client.stream(big)
        assert await anext(idle)
        waiting = asyncio.create_task(taken(client, big))
        while len(downloads(sandbox)) < 2:
            await asyncio.sleep(0)
        await client.close()
        for stream in (waiting, taken_from(idle)):
            with pytest.raises(ClientClosedError):
                await stream

    async def test_a_closed_client(self, connect: Connect, big: str) -> None:
        """Nothing is asked for."""
        client = connect()
        await client.close()
        with pytest.raises(ClientClosedError):
            await taken(client, big)

    async def test_what_is_no_id(self, connect: Connect) -> None:
        """A slip is told before anything is sent."""
        with pytest.raises(ValueError, match="is not an export id"):
            await taken(connect(), "a/b")
