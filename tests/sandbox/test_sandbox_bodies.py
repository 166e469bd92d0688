"""Bodies that break off, stop, or differ from what was announced."""

from __future__ import annotations

import asyncio
from math import inf

import pytest
from aiohttp import ClientSession
from raw import exchange, unchunked

from voucherify_exports.sandbox import Sandbox

INVERTED = bytes(range(255, -1, -1))


@pytest.fixture
async def url(sandbox, http):
    export_id = sandbox.add_export("customer", rows=5000, created_at=0)
    async with http.get(f"/v1/exports/{export_id}") as answer:
        return (await answer.json())["result"]["url"]


@pytest.fixture
async def whole(url):
    async with ClientSession() as http, http.get(url) as answer:
        return await answer.read()


async def parts(url, **headers):
    """Return the announced length, the body, and whether the connection was reset."""
    received, was_reset = await exchange(url, **headers)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(lines[b"Content-Length"]) if b"Content-Length" in lines else None, body, was_reset


class TestReset:
    @pytest.mark.parametrize("after", [0, 1, 65_536, 150_000])
    async def test_after(self, sandbox, url, whole, after):
        """The connection is reset after the given number of bytes; the whole length was announced."""
        sandbox.fail(download=True, reset="body", after=after)
        assert await parts(url) == (len(whole), whole[:after], True)

    async def test_resumed(self, sandbox, url, whole):
        """The rest can be requested with a range, and that response can break off as well."""
        sandbox.fail(download=True, reset="body", after=65_536)
        sandbox.fail(download=True, reset="body", after=1000)
        _, first, _ = await parts(url)
        length, second, was_reset = await parts(url, Range=f"bytes={len(first)}-")
        assert (length, was_reset) == (len(whole) - 65_536, True)
        _, third, _ = await parts(url, Range=f"bytes={len(first + second)}-")
        assert first + second + third == whole

    async def test_beyond_the_end(self, sandbox, url, whole):
        """A reset after the last byte leaves the body complete."""
        sandbox.fail(download=True, reset="body", after=10**9)
        assert await parts(url) == (len(whole), whole, True)

    async def test_chunked(self, sandbox, url, whole):
        """A body without a length breaks off as well."""
        sandbox.fail(download=True, reset="body", after=30_000, headers={"Content-Length": None})
        length, body, was_reset = await parts(url)
        assert (length, was_reset) == (None, True)
        assert unchunked(body) == whole[:30_000]


class TestTruncate:
    async def test_file(self, sandbox, url, whole):
        """The connection ends as if the body were complete, although more was announced."""
        sandbox.fail(download=True, truncate=True, after=30_000)
        assert await parts(url) == (len(whole), whole[:30_000], False)

    async def test_json(self, sandbox):
        """Half of the body of an API response is missing."""
        sandbox.fail(truncate=True, status=200, body="0123456789")
        assert await parts(f"{sandbox.url}/v1/exports") == (10, b"01234", False)

    async def test_chunked(self, sandbox, url, whole):
        """The last chunk is missing."""
        sandbox.fail(download=True, truncate=True, after=30_000, headers={"Content-Length": None})
        _, body, was_reset = await parts(url)
        assert (unchunked(body), body.endswith(b"0\r\n\r\n"), was_reset) == (whole[:30_000], False, False)


class TestExtra:
    async def test_longer(self, sandbox, url, whole):
        """More bytes are sent than announced."""
        sandbox.fail(download=True, extra=b"and more")
        assert await parts(url) == (len(whole), whole + b"and more", False)

    async def test_whole_for_a_client(self, sandbox, url, whole):
        """A client that respects the announced length receives the complete file."""
        sandbox.fail(download=True, extra=b"and more")
        async with ClientSession() as http, http.get(url) as answer:
            assert await answer.read() == whole


class TestGarble:
    async def test_after(self, sandbox, url, whole):
        """Bytes are inverted from an offset on; the length is right."""
        sandbox.fail(download=True, garble=True, after=30_000)
        expected = whole[:30_000] + whole[30_000:].translate(INVERTED)
        assert await parts(url) == (len(whole), expected, False)


class TestRange:
    async def test_whole_file_for_a_range(self, sandbox, url, whole):
        """A request for a range can get the whole file."""
        sandbox.fail(download=True, ranges=False)
        async with ClientSession() as http, http.get(url, headers={"Range": "bytes=5-"}) as answer:
            assert (answer.status, await answer.read()) == (200, whole)

    async def test_wrong_content_range(self, sandbox, url, whole):
        """A response can announce another range than it contains."""
        sandbox.fail(download=True, headers={"Content-Range": "bytes 7-9/10"})
        async with ClientSession() as http, http.get(url, headers={"Range": "bytes=5-"}) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 7-9/10")
            assert await answer.read() == whole[5:]

    async def test_no_validators(self, sandbox, url):
        """Validators can be removed or made weak."""
        sandbox.fail(download=True, headers={"ETag": None, "Last-Modified": None})
        sandbox.fail(download=True, headers={"ETag": 'W/"1"'})
        async with ClientSession() as http:
            async with http.get(url) as answer:
                assert not {"ETag", "Last-Modified"} & set(answer.headers)
            async with http.get(url) as answer:
                assert answer.headers["ETag"] == 'W/"1"'

    async def test_gzip_once(self, sandbox, url, whole):
        """A single response can be compressed."""
        sandbox.fail(download=True, gzip=True)
        async with ClientSession() as http:
            for encoding in ("gzip", None):
                async with http.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
                    assert answer.headers.get("Content-Encoding") == encoding
                    assert await answer.read() == whole


class TestPause:
    @pytest.mark.parametrize(("after", "pauses"), [(None, 25), (0, 25), (80_000, 14), (10**9, 0)])
    async def test_slow(self, clock, after, pauses):
        """A slow body pauses before each further block, on a clock that a test drives."""

        async def sleep(seconds):
            clock.now += seconds

        async with Sandbox(clock=clock, sleep=sleep) as sandbox, ClientSession(sandbox.url) as http:
            sandbox.add_export("customer", id="exp_1", rows=5000, created_at=0)
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            async with http.get("/v1/exports/exp_1", headers=keys) as answer:
                url = (await answer.json())["result"]["url"]
            began = clock.now
            sandbox.fail(download=True, pause=2, after=after)
            async with http.get(url) as answer:
                assert len(await answer.read()) == answer.content_length
            assert clock.now - began == 2 * pauses

    async def test_for_ever(self, sandbox, url, whole):
        """A body can stop halfway and leave the client waiting."""
        sandbox.fail(download=True, pause=inf, after=30_000)
        async with ClientSession() as http, http.get(url) as answer:
            assert await answer.content.readexactly(30_000) == whole[:30_000]
            rest = asyncio.ensure_future(answer.content.read(1))
            async with http.get(url) as other:
                assert await other.read() == whole
            assert not rest.done()
            rest.cancel()


class TestRedirect:
    async def test_elsewhere(self):
        """A redirect leads to the same file at another host, and the client can follow it."""
        async with Sandbox(download_host="127.0.0.2") as sandbox, ClientSession() as http:
            export_id = sandbox.add_export("order", id="exp é", created_at=0)
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            async with http.get(f"{sandbox.url}/v1/exports/{export_id}", headers=keys) as answer:
                url = (await answer.json())["result"]["url"]
            sandbox.fail(download=True, redirect=sandbox.url)
            async with http.get(url) as answer:
                assert (answer.status, len(answer.history)) == (200, 1)
                assert answer.history[0].headers["Location"] == str(answer.url)
            assert [request.status for request in sandbox.requests] == [200, 302, 200]
            assert [request.at_download_host for request in sandbox.requests] == [False, True, False]

    async def test_status(self, sandbox, http):
        """The status of a redirect can be chosen; without a query it leads to the path."""
        sandbox.fail(redirect="http://elsewhere.example", status=307)
        async with http.get("/v1/exports", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (307, "http://elsewhere.example/v1/exports")


class TestMistakes:
    @pytest.mark.parametrize("options", [{"after": -1}, {"pause": -1}])
    def test_numbers(self, sandbox, options):
        """An invalid value is a ValueError that names the option."""
        with pytest.raises(ValueError, match=next(iter(options))):
            sandbox.fail(**options)
