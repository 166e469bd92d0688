"""Streams over real sockets: interrupted, redirected, expired, and with invalid responses."""

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
    """A finished export with a file."""
    return Export.from_dict(wire(result={"url": url}))


async def read_all(client: ExportsClient, export: str | Export) -> bytes:
    return b"".join([chunk async for chunk in client.stream(export)])


async def read_rest(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def plainly(sandbox: Sandbox, export_id: str) -> bytes:
    """The file as a plain HTTP client receives it."""
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
    """An export with a file of about 300 kB."""
    return sandbox.add_export("customer", rows=3000)


class TestWhole:
    @pytest.mark.parametrize("rows", [0, 1, 3000])
    async def test_by_id(self, sandbox: Sandbox, connect: Connect, rows: int) -> None:
        """The chunks are the file, which is requested once from the result URL."""
        export_id = sandbox.add_export("customer", rows=rows)
        body = await plainly(sandbox, export_id)
        assert await read_all(connect(), export_id) == body
        assert len(sandbox.requests) == 2

    async def test_by_export(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A finished `Export` is not fetched again."""
        body, client = await plainly(sandbox, big), connect()
        export = await client.get_export(big)
        sandbox.clear(requests=True)
        assert await read_all(client, export) == body
        assert len(sandbox.requests) == 1

    async def test_requests_no_compression(self, connect: Connect) -> None:
        """A compressed response could not be resumed."""
        async with scripted(http(200, BODY)) as server:
            assert await read_all(connect(), finished(f"{server.url}/f?token=T")) == BODY
        assert server.headers(0)["accept-encoding"] == "identity"

    async def test_a_body_without_a_length(self, connect: Connect) -> None:
        """A chunked body is complete when its last chunk was received."""
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"a,b\n", b"1,2\n", b""))
        answer = http(200, chunks, Content_Length=None, Transfer_Encoding="chunked")
        async with scripted(answer) as server:
            assert await read_all(connect(), finished(server.url)) == b"a,b\n1,2\n"

    async def test_emits_events(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """Events report start and end, with bytes."""
        events: list[Event] = []
        size = len(await read_all(connect(on_event=events.append), big))
        started, completed = events[-2:]
        assert started == DownloadStarted(export_id=big, received=0, size=size)
        assert isinstance(completed, DownloadCompleted)
        assert (completed.export_id, completed.received) == (big, size)

    async def test_a_session_that_raises_for_a_status(self, sandbox: Sandbox, big: str) -> None:
        """A 503 is retried also with a session of the caller that raises for a status."""
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
            assert await read_all(client, big) == body


class TestNoFile:
    async def test_not_finished(self, connect: Connect) -> None:
        """An unfinished export has no file; the error names `wait_until_done`."""
        async with Sandbox(scheduled_for=60) as sandbox:
            export_id = sandbox.add_export("order")
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            with pytest.raises(DownloadError, match=rf"{export_id} is SCHEDULED.*wait_until_done"):
                await read_all(client, export_id)
            sandbox.finish(export_id)
            assert await read_all(client, export_id)

    async def test_an_outdated_export(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """An `Export` without a result is fetched again."""
        client = connect()
        export = await client.get_export(big)
        before = Export.from_dict(export.to_dict() | {"status": "SCHEDULED", "result": None})
        assert await read_all(client, before) == await read_all(client, big)

    async def test_failed(self, sandbox: Sandbox, connect: Connect) -> None:
        """An export in ERROR has no file."""
        with pytest.raises(ExportFailedError):
            await read_all(connect(), sandbox.add_export("order", outcome="ERROR"))

    async def test_unknown(self, connect: Connect) -> None:
        """An unknown id raises `ExportNotFoundError`."""
        with pytest.raises(ExportNotFoundError):
            await read_all(connect(), "exp_none")

    @pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
    async def test_a_page_instead(self, connect: Connect, content_type: str) -> None:
        """A login page of a proxy, for example, is not a file."""
        async with scripted(http(200, b"<html>", Content_Type=content_type)) as server:
            with pytest.raises(
                DownloadError, match=r"127\.0\.0\.1 returned (text/html|application/json) instead"
            ):
                await read_all(connect(), finished(server.url))
        assert len(server.heads) == 1

    @pytest.mark.parametrize("status", [204, 302, 304])
    async def test_a_status_without_a_file(self, connect: Connect, status: int) -> None:
        """These responses are neither an error nor a file."""
        async with scripted(http(status)) as server:
            with pytest.raises(DownloadError, match=f"returned status {status} without a file"):
                await read_all(connect(), finished(server.url))

    async def test_gone(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """An export was deleted; the error of the response is the cause."""
        client = connect()
        export = await client.get_export(big)
        sandbox.delete_export(big)
        with pytest.raises(
            DownloadError, match=f"^Downloading export {big} failed after 0 bytes: .*404"
        ) as caught:
            await read_all(client, export)
        assert isinstance(caught.value.__cause__, ExportNotFoundError)
        assert caught.value.bytes_received == 0
        assert caught.value.path is None

    async def test_an_endless_error_body(self, connect: Connect) -> None:
        """Only the first bytes of an error response are read."""
        answer = http(500, b'{"message": "' + b"x" * 400_000, Content_Length=10**12)
        async with scripted(answer) as server:
            with pytest.raises(DownloadError) as caught:
                await read_all(connect(retry=RetryPolicy(attempts=1)), finished(server.url))
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
    async def test_resumes_or_restarts(
        self, sandbox: Sandbox, connect: Connect, big: str, fault: str, *, ranges: bool
    ) -> None:
        """Each byte is yielded once, whether or not the server supports ranges."""
        body = await plainly(sandbox, big)
        events: list[Event] = []
        sandbox.fail(download=True, times=4, ranges=ranges, **FAULTS[fault])
        sandbox.fail(download=True, times=1, ranges=ranges)
        assert await read_all(connect(on_event=events.append), big) == body
        interrupted = [event for event in events if isinstance(event, DownloadInterrupted)]
        # aiohttp itself repeats a request to which a kept connection did not respond at all.
        assert 0 < len(interrupted) <= len(downloads(sandbox)) - 1
        assert {event.export_id for event in interrupted} == {big}

    async def test_requests_the_rest(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The rest of the same file is requested, from the first missing byte."""
        body = await plainly(sandbox, big)
        events: list[Event] = []
        sandbox.fail(download=True, truncate=True, after=100_000)
        assert await read_all(connect(on_event=events.append), big) == body
        _, rest = downloads(sandbox)
        assert rest.status == 206
        (interrupted,) = [event for event in events if isinstance(event, DownloadInterrupted)]
        assert interrupted.received >= 100_000
        assert rest.headers["Range"] == f"bytes={interrupted.received}-"
        assert rest.headers["If-Range"].startswith('"')
        started = [event.received for event in events if isinstance(event, DownloadStarted)]
        assert started == [0, interrupted.received]

    async def test_gives_up(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """After `attempts` attempts in a row without new bytes."""
        sandbox.fail(download=True, reset="body", after=100_000)
        sandbox.fail(download=True, reset="body", after=0, times=None)
        with pytest.raises(DownloadError, match=r"failed after \d+ of \d+ bytes: ") as caught:
            await read_all(connect(retry=RetryPolicy(attempts=3, wait=wait_none())), big)
        assert isinstance(caught.value.__cause__, TransportError)
        assert caught.value.bytes_received >= 100_000
        assert len(downloads(sandbox)) == 3

    async def test_continues_while_it_makes_progress(
        self, sandbox: Sandbox, connect: Connect, big: str
    ) -> None:
        """Over a bad connection a download takes more attempts than `attempts`."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=20_000, times=None)
        assert await read_all(connect(retry=RetryPolicy(attempts=2, wait=wait_none())), big) == body
        starts = [int(request.headers.get("Range", "bytes=0-")[6:-1]) for request in downloads(sandbox)]
        assert len(starts) > 5
        assert all(after - before >= 20_000 for before, after in pairwise(starts))

    async def test_a_server_that_is_silent(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The timeout limits the time between two chunks."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, after=100_000, pause=float("inf"))
        assert await read_all(connect(request_timeout=0.2), big) == body
        assert len(downloads(sandbox)) == 2

    async def test_does_not_retry_a_403(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A permanent error ends the download at once."""
        sandbox.fail(download=True, status=403, times=None)
        with pytest.raises(DownloadError, match="403 "):
            await read_all(connect(), big)
        assert len(downloads(sandbox)) == 1

    async def test_waits_for_retry_after(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The time that a 429 names is honoured."""
        paused: list[float] = []

        class Clock:
            def monotonic(self) -> float:
                return 0.0

            def wall(self) -> float:
                return 1_000.0

            async def sleep(self, seconds: float, /) -> None:
                paused.append(seconds)

        sandbox.fail(download=True, status=429, headers={"Retry-After": "37", "Date": None})
        assert await read_all(connect(clock=Clock()), big)
        assert paused == [37.0]

    async def test_not_longer_than_max_quota_wait(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A longer time than `max_quota_wait` is an error with `retry_at`."""
        sandbox.fail(download=True, status=429, headers={"Retry-After": "3600"}, times=None)
        with pytest.raises(DownloadError) as caught:
            await read_all(connect(), big)
        assert isinstance(caught.value.__cause__, RateLimitedError)
        assert caught.value.__cause__.retry_at is not None
        assert len(downloads(sandbox)) == 1


class TestAnotherFile:
    """Bytes of two files are never mixed."""

    async def test_a_changed_file(self, connect: Connect) -> None:
        """Bytes that were yielded cannot be taken back."""
        first = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(first, http(200, BODY[:2000], ETag='"two"')) as server:
            with pytest.raises(
                DownloadError,
                match="sent the file from the start again, and it may have changed; start a new stream",
            ):
                await read_all(connect(), finished(server.url))
        assert server.headers(1)["if-range"] == '"one"'

    @pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}, {"Last-Modified": "nonsense"}])
    async def test_a_file_without_a_validator(self, connect: Connect, validator: dict[str, str]) -> None:
        """Without a strong validator nothing proves that the file is the same."""
        answer = http(200, BODY[:1000], Content_Length=2000, **validator)
        async with scripted(answer) as server:
            with pytest.raises(DownloadError, match="from the start again"):
                await read_all(connect(), finished(server.url))
        assert len(server.heads) == 2
        assert "range" not in server.headers(1)

    async def test_an_unchanged_file(self, connect: Connect) -> None:
        """A server that ignores ranges may restart if it proves that the file is the same."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(broken, http(200, BODY[:2000], ETag='"one"')) as server:
            assert await read_all(connect(), finished(server.url)) == BODY[:2000]

    @pytest.mark.parametrize(
        ("status", "headers", "problem"),
        [
            (206, {"Content_Range": "bytes 900-1999/2000"}, "was not requested"),
            (206, {}, "was not requested"),
            (206, {"Content_Range": "bytes 1000-1999/3000"}, "of another size"),
            (416, {"Content_Range": "bytes */2000"}, "does not have the requested range"),
            (200, {"Content_Encoding": "br"}, "encoding 'br'"),
        ],
    )
    async def test_a_wrong_response_to_a_range(
        self, connect: Connect, status: int, headers: dict[str, str], problem: str
    ) -> None:
        """What was received is discarded, and the next attempt restarts."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        events: list[Event] = []
        async with scripted(
            broken, http(status, BODY[1000:2000], **headers), http(200, BODY[:2000])
        ) as server:
            with pytest.raises(DownloadError, match="from the start again"):
                await read_all(connect(on_event=events.append), finished(server.url))
        assert "range" not in server.headers(2)
        assert problem in [event.error for event in events if isinstance(event, DownloadInterrupted)][1]

    async def test_longer_than_its_range(self, connect: Connect) -> None:
        """More bytes than the file has are an error."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        longer = http(206, BODY[1000:2500], Content_Range="bytes 1000-1999/2000")
        events: list[Event] = []
        async with scripted(broken, longer, http(200, BODY[:2000])) as server:
            with pytest.raises(DownloadError, match="from the start again"):
                await read_all(connect(on_event=events.append), finished(server.url))
        errors = [event.error for event in events if isinstance(event, DownloadInterrupted)]
        assert errors[1] == "received more than the announced 2000 bytes"

    async def test_longer_than_announced(self, connect: Connect) -> None:
        """Bytes after the end are an error, which does not quote them: they may be personal data."""
        personal = b"Zoe,zoe@example.com" * 1000
        longer = http(200, BODY[:1000] + personal, Content_Length=1000)
        events: list[Event] = []
        client = connect(retry=RetryPolicy(attempts=2, wait=wait_none()), on_event=events.append)
        async with scripted(longer) as server:
            with pytest.raises(DownloadError, match="the connection failed") as caught:
                await read_all(client, finished(server.url))
        shown = "".join(traceback.format_exception(caught.value)) + repr(events)
        assert "zoe" not in shown
        assert len(shown) < 5000

    async def test_a_header_that_is_too_long(self, connect: Connect) -> None:
        """The error quotes only the start of a broken response."""
        client = connect(retry=RetryPolicy(attempts=1))
        async with scripted(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n") as server:
            with pytest.raises(DownloadError, match="Got more than") as caught:
                await read_all(client, finished(server.url))
        assert "x" * 500 not in "".join(traceback.format_exception(caught.value))

    async def test_shorter_than_its_range(self, connect: Connect) -> None:
        """A body that ends too early is resumed."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        shorter = http(206, BODY[1000:1500], Content_Range="bytes 1000-1999/2000")
        rest = http(206, BODY[1500:2000], Content_Range="bytes 1500-1999/2000")
        async with scripted(broken, shorter, rest) as server:
            assert await read_all(connect(), finished(server.url)) == BODY[:2000]
        assert server.headers(2)["range"] == "bytes=1500-"


class TestGzip:
    """A server may compress a response although no compression was requested."""

    @pytest.mark.parametrize(
        "packed",
        [
            gzip.compress(BODY),
            gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]),
            gzip.compress(BODY[:1]) + gzip.compress(b"") + gzip.compress(BODY[1:]),
        ],
    )
    async def test_is_decompressed(self, connect: Connect, packed: bytes) -> None:
        """A gzip body of one or several members is decompressed."""
        async with scripted(http(200, packed, Content_Encoding="gzip", ETag='"packed"')) as server:
            assert await read_all(connect(), finished(server.url)) == BODY

    async def test_is_decompressed_in_small_chunks(self, connect: Connect) -> None:
        """A body with a high compression ratio does not fill the memory."""
        packed = gzip.compress(bytes(64 * 1024 * 1024))
        assert len(packed) < 100_000
        async with scripted(http(200, packed, Content_Encoding="gzip")) as server:
            sizes = [len(chunk) async for chunk in connect().stream(finished(server.url))]
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
        """A gzip body that is not complete is an error, even if its length is as announced."""
        async with scripted(http(200, packed, Content_Encoding="gzip")) as server:
            with pytest.raises(DownloadError, match=f"{problem}|from the start again") as caught:
                await read_all(connect(retry=RetryPolicy(attempts=1)), finished(server.url))
        assert isinstance(caught.value.__cause__, InvalidResponseError)
        assert problem in caught.value.__cause__.problem


class TestExpired:
    """A result URL whose download token has expired."""

    async def test_at_the_start(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The export is fetched again for a new result URL."""
        body, client = await plainly(sandbox, big), connect()
        export = await client.get_export(big)
        sandbox.clear(requests=True)
        sandbox.fail(download=True, status=401)
        assert await read_all(client, export) == body
        assert [request.status for request in sandbox.requests] == [401, 200, 200]

    async def test_twice(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A new result URL can expire as well before it is used."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, status=401, times=2)
        assert await read_all(connect(), big) == body

    async def test_in_the_middle(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The rest is requested at the new result URL."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000)
        sandbox.fail(download=True, status=401, times=2)
        assert await read_all(connect(), big) == body
        assert [request.status for request in sandbox.requests] == [200, 200, 401, 200, 401, 200, 206]

    async def test_always(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """After two new result URLs it fails."""
        sandbox.fail(download=True, status=401, times=None)
        with pytest.raises(DownloadError, match="401") as caught:
            await read_all(connect(), big)
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert len(downloads(sandbox)) == 3

    async def test_by_the_clock(self, connect: Connect) -> None:
        """A real download token expires."""
        now = [1_700_000_000.0]
        async with Sandbox(clock=lambda: now[0], scheduled_for=0, in_progress_for=0, token_ttl=60) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            export = await client.get_export(sandbox.add_export("sku"))
            now[0] += 61
            assert await read_all(client, export)
        assert [request.status for request in sandbox.requests] == [200, 401, 200, 200]

    async def test_of_an_export_that_is_gone(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A deleted export has no new result URL."""
        sandbox.fail(download=True, status=401)
        client = connect()
        export = await client.get_export(big)
        sandbox.fail(download=False, status=404, body={"code": 404, "key": "not_found", "message": "no"})
        with pytest.raises(DownloadError, match="not_found"):
            await read_all(client, export)

    async def test_with_oauth(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """The file is requested with the same token as the export."""
        client = connect(auth=OAuth(sandbox.app_id, sandbox.app_token))
        assert await read_all(client, big)
        token, export, file = sandbox.requests
        assert token.path == "/v1/oauth/token"
        assert export.headers["Authorization"] == file.headers["Authorization"]
        assert "X-App-Token" not in file.headers


class TestCredentials:
    """Real sockets at two addresses: 127.0.0.1 is the API's, 127.0.0.2 an untrusted host."""

    @pytest.fixture
    async def other_host(self) -> AsyncIterator[Any]:
        async with scripted(http(200, BODY), host="127.0.0.2") as server:
            yield server

    async def test_go_to_the_host_of_the_api(self, connect: Connect) -> None:
        """The host of the API gets the credentials at any port."""
        async with scripted(http(200, BODY)) as server:
            assert await read_all(connect(), finished(f"{server.url}/f?token=T")) == BODY
        assert server.headers(0).keys() >= {"x-app-id", "x-app-token"}
        assert server.heads[0].startswith("GET /f?token=T HTTP/1.1")

    async def test_do_not_go_to_an_untrusted_host(self, connect: Connect, other_host: Any) -> None:
        """A result URL with another host is followed without credentials."""
        assert await read_all(connect(), finished(f"{other_host.url}/f?token=T")) == BODY
        assert not SECRETS & other_host.headers(0).keys()

    async def test_go_to_a_trusted_host(self, connect: Connect, other_host: Any) -> None:
        """`trusted_hosts` names hosts that get the credentials."""
        assert await read_all(connect(trusted_hosts=["127.0.0.2"]), finished(other_host.url)) == BODY
        assert other_host.headers(0).keys() >= {"x-app-id", "x-app-token"}

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("trusted", [True, False])
    async def test_end_at_a_redirect_to_an_untrusted_host(
        self, connect: Connect, other_host: Any, status: int, *, trusted: bool
    ) -> None:
        """A redirect to another host is followed without credentials, unless it is trusted."""
        client = connect(trusted_hosts=["127.0.0.2"] if trusted else [])
        async with scripted(http(status, Location=f"{other_host.url}/signed?s=%2F+%20x")) as server:
            assert await read_all(client, finished(server.url)) == BODY
        assert SECRETS & server.headers(0).keys()
        assert bool(SECRETS & other_host.headers(0).keys()) is trusted
        assert other_host.heads[0].startswith("GET /signed?s=%2F+%20x HTTP")

    async def test_do_not_come_back(self, connect: Connect) -> None:
        """After an untrusted host no later host of the chain gets the credentials."""
        async with scripted(http(200, BODY)) as home:
            away_and_back = http(302, Location=f"{home.url}/back")
            async with (
                scripted(away_and_back, host="127.0.0.2") as other_host,
                scripted(http(302, Location=other_host.url)) as first,
            ):
                assert await read_all(connect(), finished(first.url)) == BODY
        assert [bool(SECRETS & server.headers(0).keys()) for server in (first, other_host, home)] == [
            True,
            False,
            False,
        ]

    async def test_no_bearer_token(self, sandbox: Sandbox, connect: Connect, other_host: Any) -> None:
        """No bearer token is fetched for an untrusted host."""
        client = connect(auth=OAuth(sandbox.app_id, sandbox.app_token))
        assert await read_all(client, finished(other_host.url)) == BODY
        assert not SECRETS & other_host.headers(0).keys()
        assert sandbox.requests == []

    async def test_are_not_sent_when_resuming(self, connect: Connect) -> None:
        """A resumed download follows the redirects again, by the same rules."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        rest = http(206, BODY[1000:2000], Content_Range="bytes 1000-1999/2000")
        async with (
            scripted(broken, rest, host="127.0.0.2") as other_host,
            scripted(http(302, Location=other_host.url)) as home,
        ):
            assert await read_all(connect(), finished(home.url)) == BODY[:2000]
        assert len(home.heads) == len(other_host.heads) == 2
        assert not any(SECRETS & other_host.headers(number).keys() for number in (0, 1))
        assert other_host.headers(1)["range"] == "bytes=1000-"

    @pytest.mark.parametrize("trusted", [True, False])
    async def test_a_download_host_of_its_own(self, connect: Connect, *, trusted: bool) -> None:
        """The sandbox serves its files at another address."""
        async with Sandbox(download_host="127.0.0.2", scheduled_for=0, in_progress_for=0) as sandbox:
            client = connect(
                base_url=sandbox.url,
                app_id=sandbox.app_id,
                app_token=sandbox.app_token,
                trusted_hosts=["127.0.0.2"] if trusted else [],
            )
            assert await read_all(client, sandbox.add_export("order"))
            (download,) = downloads(sandbox)
        assert download.at_download_host
        assert ("X-App-Token" in download.headers) is trusted


class TestRedirects:
    async def test_at_most_five(self, connect: Connect) -> None:
        """The sixth redirect is an error."""
        hops = [http(302, Location=f"/{number}") for number in range(5)]
        async with scripted(*hops, http(200, BODY)) as server:
            assert await read_all(connect(), finished(server.url)) == BODY
        assert len(server.heads) == 6
        async with scripted(*hops, http(302, Location="/6")) as server:
            with pytest.raises(DownloadError, match="redirected more than 5 times"):
                await read_all(connect(), finished(server.url))
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
    async def test_a_redirect_that_is_refused(self, connect: Connect, location: str, problem: str) -> None:
        """The error has the reason."""
        async with scripted(http(302, Location=location)) as server:
            with pytest.raises(DownloadError, match=f"its redirect is refused: .*{problem}"):
                await read_all(connect(), finished(server.url))
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
        """An invalid result URL is refused before anything is sent."""
        with pytest.raises(
            DownloadError, match=f"{ID} failed after 0 bytes: its result URL is refused: .*{problem}"
        ):
            await read_all(connect(), finished(url))

    async def test_never_from_https_to_http(self) -> None:
        """An `http` result URL of an `https` API is refused."""
        async with ExportsClient("app-id", "app-token") as client:
            with pytest.raises(DownloadError, match="not followed from an https URL"):
                await read_all(client, finished("http://download.voucherify.io/v1/exports/exp_1?token=T"))


class TestEnding:
    async def test_leaving_the_loop(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """Leaving the loop and closing the iterator closes the connection."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"))
        chunks = connect().stream(big)
        async for chunk in chunks:
            assert chunk
            break
        await chunks.aclose()

    async def test_cancelling(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A task that waits for a chunk ends at once."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"))
        waiting = asyncio.Event()

        async def read() -> None:
            async for _ in connect().stream(big):
                waiting.set()

        task = asyncio.create_task(read())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_closing_the_client(self, sandbox: Sandbox, connect: Connect, big: str) -> None:
        """A stream that waits for a chunk raises, and so does one that requests the next chunk later."""
        sandbox.fail(download=True, after=50_000, pause=float("inf"), times=2)
        client = connect()
        idle = client.stream(big)
        assert await anext(idle)
        waiting = asyncio.create_task(read_all(client, big))
        while len(downloads(sandbox)) < 2:
            await asyncio.sleep(0)
        await client.close()
        for stream in (waiting, read_rest(idle)):
            with pytest.raises(ClientClosedError):
                await stream

    async def test_a_closed_client(self, connect: Connect, big: str) -> None:
        """No request is sent."""
        client = connect()
        await client.close()
        with pytest.raises(ClientClosedError):
            await read_all(client, big)

    async def test_an_invalid_id(self, connect: Connect) -> None:
        """An invalid id is refused before anything is sent."""
        with pytest.raises(ValueError, match="is not an export id"):
            await read_all(connect(), "a/b")
