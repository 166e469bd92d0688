"""How files are served: lengths, validators, ranges, compression, and a host of their own."""

from __future__ import annotations

import gzip
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from raw import raw_get

from voucherify_exports.sandbox import Sandbox
from voucherify_exports.sandbox._data.content import FileContent
from voucherify_exports.sandbox._data.world import World
from voucherify_exports.sandbox._http.result_files import ResultFile


async def url_of(sandbox, export_id):
    keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    async with (
        ClientSession(headers=keys) as http,
        http.get(f"{sandbox.url}/v1/exports/{export_id}") as answer,
    ):
        return (await answer.json())["result"]["url"]


async def fetch(url, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with ClientSession() as http, http.request(method, url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def url(sandbox):
    return await url_of(sandbox, sandbox.add_export("customer", rows=1000, created_at=1_600_000_000))


class TestWhole:
    async def test_headers(self, url):
        """A file has a length, validators and ranges."""
        status, headers, content = await fetch(url)
        assert (status, headers["Content-Length"]) == (200, str(len(content)))
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Last-Modified"] == "Sun, 13 Sep 2020 12:27:10 GMT"
        assert headers["ETag"][0] == headers["ETag"][-1] == '"'
        assert "Content-Encoding" not in headers

    async def test_etag(self, sandbox, url):
        """The ETag belongs to the file; another file has another one."""
        other = await url_of(sandbox, sandbox.add_export("customer", rows=999, created_at=0))
        etags = [(await fetch(each))[1]["ETag"] for each in (url, url, other)]
        assert etags[0] == etags[1] != etags[2]

    async def test_finished_on_demand(self, sandbox, clock):
        """The file of an export finished by `finish` has the date of that moment."""
        export_id = sandbox.add_export("order")
        clock.now += 1
        sandbox.finish(export_id)
        clock.now += 1
        _, headers, _ = await fetch(await url_of(sandbox, export_id))
        assert headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:21 GMT"

    async def test_very_many_rows(self, sandbox):
        """A very large file is sent in chunks, without a length and ranges."""
        url = await url_of(sandbox, sandbox.add_export("order", rows=10**9, created_at=0))
        async with ClientSession() as http, http.get(url, headers={"Range": "bytes=5-"}) as answer:
            assert answer.status == 200
            assert answer.headers["Transfer-Encoding"] == "chunked"
            assert not {"Content-Length", "Accept-Ranges"} & set(answer.headers)
            assert (await answer.content.readline()).decode() == "ID,Source Id,Status\n"


class TestRange:
    @pytest.mark.parametrize(
        ("requested", "first", "last"),
        [
            ("bytes=0-0", 0, 0),
            ("bytes=10-19", 10, 19),
            ("bytes=20000-", 20_000, -1),
            ("bytes=20000-999999", 20_000, -1),
            ("BYTES=3-30000", 3, 30_000),
            ("bytes=-7", -7, -1),
            ("bytes=-999999", 0, -1),
        ],
    )
    async def test_part(self, url, requested, first, last):
        """A range returns these bytes, with their position and the length of the file."""
        _, whole_headers, whole = await fetch(url)
        status, headers, content = await fetch(url, Range=requested)
        first, last = first % len(whole), last % len(whole)
        assert content == whole[first : last + 1]
        assert (status, headers["Content-Length"]) == (206, str(len(content)))
        assert headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
        assert headers["ETag"] == whole_headers["ETag"]

    @pytest.mark.parametrize("requested", ["bytes=999999-", "bytes=999999-1000000", "bytes=-0"])
    async def test_unsatisfiable(self, url, requested):
        """A range past the end is refused with the length of the file."""
        length = len((await fetch(url))[2])
        status, headers, content = await fetch(url, Range=requested)
        assert (status, headers["Content-Range"], content) == (416, f"bytes */{length}", b"")

    @pytest.mark.parametrize(
        "requested", ["", "bytes", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=1-2,5-6", "rows=1-2"]
    )
    async def test_ignored(self, url, requested):
        """A header that is not a single range of bytes is ignored."""
        status, headers, content = await fetch(url, Range=requested)
        assert (status, headers["Content-Length"]) == (200, str(len(content)))

    @pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
    async def test_if_range(self, url, validator):
        """With `If-Range`, the range is returned while the file is the same, and otherwise the whole file."""
        _, headers, _ = await fetch(url)
        same, other = headers[validator], headers[validator].replace("1", "2", 1)
        assert (await fetch(url, Range="bytes=5-", If_Range=same))[0] == 206
        assert (await fetch(url, Range="bytes=5-", If_Range=other))[0] == 200
        assert (await fetch(url, Range="bytes=5-", If_Range=f"W/{same}"))[0] == 200

    async def test_expired_token(self, url, clock):
        """A range needs a valid token, like the whole file."""
        assert (await fetch(url, Range="bytes=5-"))[0] == 206
        clock.now += 60
        assert (await fetch(url, Range="bytes=5-"))[0] == 401

    async def test_without_ranges(self):
        """Without ranges, the whole file is returned and ranges are not announced."""
        async with Sandbox(ranges=False) as sandbox:
            url = await url_of(sandbox, sandbox.add_export("order", created_at=0))
            status, headers, _ = await fetch(url, Range="bytes=5-")
            assert status == 200
            assert "Accept-Ranges" not in headers

    async def test_reads_no_more_than_it_must(self):
        """A range reads only the blocks that contain it."""

        class Counting(FileContent):
            reads = 0

            def block(self, number):
                Counting.reads += 1
                return super().block(number)

        file = ResultFile(Counting(World(0), "order", ("id",), 2000), 0)
        length = await file.length()
        assert Counting.reads == 10
        assert len(b"".join(file.between(length - 5, length - 1))) == 5
        assert await file.length() == length
        assert Counting.reads == 11


class TestGzip:
    @pytest.mark.parametrize(
        ("accepted", "compressed"),
        [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0, br", False), ("identity", False)],
    )
    async def test_requested(self, accepted, compressed):
        """Compression is for clients that accept it, with another ETag and without ranges."""
        async with Sandbox(gzip=True) as sandbox:
            url = await url_of(sandbox, sandbox.add_export("order", rows=500, created_at=0))
            plain = await fetch(url, Accept_Encoding="identity")
            status, headers, content = await raw_get(url, Accept_Encoding=accepted, Range="bytes=0-")
        assert (headers.get("content-encoding") == "gzip") == compressed
        assert (headers["etag"] != plain[1]["ETag"]) == compressed
        assert (status, "content-length" in headers) == ((200, False) if compressed else (206, True))
        assert (gzip.decompress(content) if compressed else content) == plain[2]

    async def test_not_requested(self, url):
        """Files are not compressed by default."""
        assert "content-encoding" not in (await raw_get(url, Accept_Encoding="gzip"))[1]


class TestDownloadHost:
    async def test_own_host(self, clock):
        """Files can have a host of their own, which needs only the token; the API's host serves them too."""
        async with Sandbox(clock=clock, download_host="127.0.0.2", token_ttl=60) as sandbox:
            export_id = sandbox.add_export("order", created_at=0)
            url = await url_of(sandbox, export_id)
            assert url.startswith(f"{sandbox.download_url}/v1/exports/{export_id}?token=")
            assert urlsplit(sandbox.download_url).hostname == "127.0.0.2"
            there = await fetch(url)
            here = await fetch(url.replace(sandbox.download_url, sandbox.url))
            assert there[0] == here[0] == 200
            assert there[2] == here[2]
            assert [request.at_download_host for request in sandbox.requests] == [False, True, False]
            clock.now += 60
            assert (await fetch(url))[0] == 401

    async def test_nothing_but_files(self):
        """The host of the files has no API, and its requests do not count against the rate limit."""
        async with Sandbox(download_host="127.0.0.2", rate_limit=(1, 60)) as sandbox:
            url = await url_of(sandbox, sandbox.add_export("order", created_at=0))
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            assert (await fetch(f"{sandbox.download_url}/v1/exports", **keys))[0] == 401
            assert (await fetch(url.partition("?")[0], **keys))[0] == 401
            status, headers, _ = await fetch(url, method="DELETE")
            assert (status, headers["Allow"]) == (405, "GET")
            assert all(request.is_download for request in sandbox.requests[1:])

    async def test_not_of_this_machine(self):
        """An address that cannot be used is an error at the start, and leaves nothing behind."""
        sandbox = Sandbox(download_host="203.0.113.1")
        with pytest.raises(OSError, match=r"203\.0\.113\.1"):
            await sandbox.__aenter__()
        port = urlsplit(sandbox.url).port
        async with Sandbox(port=port) as another:
            assert urlsplit(another.url).port == port

    async def test_none(self, sandbox):
        """Files come from the API's host by default."""
        assert sandbox.download_url == sandbox.url

    def test_not_running(self):
        """There is no download URL before the sandbox runs."""
        for name in ("url", "download_url"):
            with pytest.raises(RuntimeError, match="async with"):
                getattr(Sandbox(), name)
