"""Mistakes that clients of this API are known to make, with a test for each that this client does not."""

import asyncio
import csv
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from samples import ID, wire
from test_house import UNMEASURED

from voucherify_exports import (
    Export,
    ExportedObject,
    ExportsClient,
    ExportStatus,
    InvalidResponseError,
    PollPolicy,
    Sandbox,
)
from voucherify_exports.filters import is_, where

Connect = Callable[..., ExportsClient]

CREDENTIALS = {"x-app-id", "x-app-token", "authorization"}
MEBIBYTE = 1024 * 1024
LARGE = 48 * MEBIBYTE


def loyalty_card(sandbox: Sandbox, column: str) -> str:
    """A cell in the first row of a voucher that is a loyalty card."""
    row = next(
        row for row in range(100) if sandbox.cell("voucher", "voucher_type", row=row) == "LOYALTY_CARD"
    )
    return sandbox.cell("voucher", column, row=row)


async def stream_content(client: ExportsClient, export: str | Export) -> bytes:
    """The whole content of an export's file."""
    return b"".join([piece async for piece in client.stream(export)])


def credentials_in(headers: Any) -> set[str]:
    """The names of the credential headers among the headers of a request."""
    return CREDENTIALS & {name.lower() for name in headers}


@asynccontextmanager
async def large_file() -> AsyncIterator[Export]:
    """A finished export with a large file, which the server does not keep in memory either."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % LARGE)
        block = b"x" * 65536
        for _ in range(LARGE // len(block)):
            writer.write(block)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Export.from_dict(wire(result={"url": f"http://127.0.0.1:{port}/file"}))


@contextmanager
def limited_memory() -> Iterator[None]:
    """Fail if a third of the large file was ever in memory at the same time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LARGE // 3


class TestModels:
    async def test_the_documented_example(self, connect: Connect, sandbox: Sandbox) -> None:
        """The documented example has an empty `order`, which is parsed and written back unchanged."""
        sandbox.fail(body=wire())
        export = await connect().get_export(ID)

        assert export.is_done
        assert export.parameters is not None
        assert export.parameters.order == ""
        assert export.to_dict() == wire()

    async def test_an_empty_order_can_be_sent(self, connect: Connect, sandbox: Sandbox) -> None:
        """An empty `order`, as in the documented example, can be sent."""
        export = await connect().create_export("customer", order="", fields=["name", "id"])

        assert json.loads(sandbox.requests[0].body)["parameters"] == {"order": "", "fields": ["name", "id"]}
        assert export.to_dict()["parameters"]["order"] == ""

    @pytest.mark.parametrize(
        "changes",
        [
            {"parameters": ...},
            {"parameters": {}},
            {"channel": ...},
            {"parameters": {"filters": {"junction": "AND", "voucher_id": {"conditions": {"$in": ["v_1"]}}}}},
            {"created_at": "2017-02-24T13:10:50Z"},
            {"id": "export_1"},
            {"channel": "WEBSITE", "user_id": "user_1"},
            {"of_tomorrow": {"a": [1]}, "result": {"url": "https://h.example/", "expires": 5}},
        ],
        ids=str,
    )
    async def test_the_known_variants_of_an_export(
        self, connect: Connect, sandbox: Sandbox, changes: dict[str, Any]
    ) -> None:
        """Missing optional properties, old formats and new properties are no error."""
        sandbox.fail(body=wire(**changes))

        export = await connect().get_export(wire(**changes)["id"])
        assert export.to_dict() == wire(**changes)

    @pytest.mark.parametrize("status", ["PAUSED", "done", ""])
    async def test_an_unknown_status(self, connect: Connect, sandbox: Sandbox, status: str) -> None:
        """An unknown status keeps its text and counts as unfinished."""
        sandbox.fail(body=wire(status=status, result=None))
        export = await connect().get_export(ID)

        assert export.status == status
        assert isinstance(export.status, ExportStatus)
        assert not export.is_finished

    async def test_a_wait_continues_after_an_unknown_status(self, connect: Connect, sandbox: Sandbox) -> None:
        """An unknown status is reported, and does not end a wait."""
        export_id = sandbox.add_export("order")
        sandbox.fail(edit=lambda export: {**export, "status": "VALIDATING", "result": None})
        statuses: list[str] = []

        finished = await connect(poll=PollPolicy(initial=0.01, max=0.01)).wait_until_done(
            export_id, on_update=lambda export: statuses.append(export.status)
        )
        assert finished.result_url
        assert statuses == ["VALIDATING", "DONE"]

    async def test_an_unknown_exported_object(self, connect: Connect, sandbox: Sandbox) -> None:
        """An export of an object that the reference does not list can be read and downloaded."""
        export_id = sandbox.add_export("api_log")
        sandbox.fail(edit=lambda export: {**export, "exported_object": "reward"}, export_id=export_id)
        client = connect()
        export = await client.get_export(export_id)

        assert export.exported_object == "reward"
        assert isinstance(export.exported_object, ExportedObject)
        assert (await stream_content(client, export)).count(b"\n") == 101

    async def test_what_is_no_export(self, connect: Connect, sandbox: Sandbox) -> None:
        """The error is the package's own, and says which property is wrong."""
        sandbox.fail(body=wire(created_at=7))

        with pytest.raises(InvalidResponseError, match=r"expected a string, got int @ .*created_at"):
            await connect().get_export(ID)


class TestList:
    @pytest.mark.parametrize(
        "malformed",
        [None, "exp_1", [], {}, wire(id=5), wire(id=...), wire(created_at="soon"), wire(result="no object")],
    )
    async def test_a_malformed_entry_is_left_out(
        self, connect: Connect, sandbox: Sandbox, malformed: object
    ) -> None:
        """The other entries of the page are returned in their order."""
        ids = [sandbox.add_export("order", created_at=second) for second in (30, 20, 10)]

        def add_malformed_entry(page: dict[str, Any]) -> dict[str, Any]:
            return {**page, "exports": [page["exports"][0], malformed, *page["exports"][1:]]}

        sandbox.fail(edit=add_malformed_entry, times=None)
        client = connect()

        assert [export.id for export in (await client.list_page()).exports] == ids
        assert [export.id async for export in client.list_exports()] == ids

    async def test_every_page(self, connect: Connect, sandbox: Sandbox) -> None:
        """All pages are read, and new exports that shift the pages cause no duplicates."""
        ids = [sandbox.add_export("order", created_at=second) for second in range(250, 0, -1)]
        listed: list[str] = []
        async for export in connect().list_exports():
            if len(listed) == 50:
                sandbox.add_export("order", created_at=1000)
            listed.append(export.id)

        assert listed == ids
        assert len(sandbox.requests) == 3


class TestCreate:
    async def test_any_property_of_metadata(self, connect: Connect, sandbox: Sandbox) -> None:
        """Names of metadata properties are the project's own: fields and filters accept any."""
        fields = ["id", "metadata.city", "metadata.Ulubiony kolor", "metadata"]
        export = await connect().create_export(
            "customer", fields=fields, filters=where({"metadata.city": is_("Kraków")})
        )

        assert json.loads(sandbox.requests[0].body)["parameters"]["fields"] == fields
        assert export.to_dict()["parameters"] == {
            "fields": fields,
            "filters": {"junction": "and", "metadata.city": {"conditions": {"$is": ["Kraków"]}}},
        }

    @pytest.mark.parametrize(
        ("method", "owner", "column"),
        [
            ("create_voucher_transactions_export", "code", "voucher_id"),
            ("create_campaign_transactions_export", "campaign_id", "campaign_id"),
            ("create_member_transactions_export", "code", "voucher_id"),
        ],
    )
    async def test_transactions(
        self, connect: Connect, sandbox: Sandbox, method: str, owner: str, column: str
    ) -> None:
        """A transactions export is created, waited for and downloaded, and has the rows of its owner only."""
        client = connect()
        created = await getattr(client, method)(loyalty_card(sandbox, owner), fields=["id", column])
        finished = await client.wait_until_done(created)

        assert created.exported_object is ExportedObject.VOUCHER_TRANSACTIONS
        rows = [*csv.reader(io.StringIO((await stream_content(client, finished)).decode(), newline=""))]
        owner_id = loyalty_card(sandbox, "campaign_id" if column == "campaign_id" else "id")
        assert len(rows) > 1
        assert {owner for _, owner in rows[1:]} == {owner_id}


class TestFile:
    async def test_comes_from_the_host_of_the_result_url(self, connect: Connect) -> None:
        """The file is downloaded from the host of the result URL, and not from that of the API."""
        async with Sandbox(download_host="127.0.0.2", scheduled_for=0, in_progress_for=0) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            export = await client.get_export(sandbox.add_export("order"))
            content = await stream_content(client, export)

        assert content.count(b"\n") == 101
        api_request, download_request = sandbox.requests
        assert not api_request.at_download_host
        assert download_request.at_download_host
        assert f"{sandbox.download_url}{download_request.target}" == export.result_url

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_no_credentials_across_hosts(self, connect: Connect, sandbox: Sandbox, status: int) -> None:
        """A redirect to another host is followed without the credentials."""
        export_id = sandbox.add_export("order")
        async with Sandbox(host="127.0.0.2", scheduled_for=0, in_progress_for=0) as other_host:
            other_host.add_export("order", id=export_id)
            sandbox.fail(download=True, status=status, redirect=other_host.url)
            content = await stream_content(connect(), export_id)

        assert content.count(b"\n") == 101
        assert credentials_in(sandbox.requests[-1].headers) == {"x-app-id", "x-app-token"}
        (redirected_request,) = other_host.requests
        assert credentials_in(redirected_request.headers) == set()
        assert {sandbox.app_id, sandbox.app_token}.isdisjoint(redirected_request.headers.values())

    async def test_is_streamed_in_pieces(self, connect: Connect) -> None:
        """A stream yields bytes, few of which are in memory at the same time."""
        client, largest, received = connect(), 0, 0
        async with large_file() as export:
            with limited_memory():
                async for piece in client.stream(export):
                    assert isinstance(piece, bytes)
                    largest, received = max(largest, len(piece)), received + len(piece)

        assert received == LARGE
        assert largest <= MEBIBYTE

    async def test_is_downloaded_in_pieces(self, connect: Connect, tmp_path: Path) -> None:
        """A download to disk does not hold the file in memory."""
        client = connect()
        async with large_file() as export:
            with limited_memory():
                path = await client.download(export, tmp_path / "large.csv")

        assert path.stat().st_size == LARGE

    async def test_bytes_are_those_of_the_server(self, connect: Connect, sandbox: Sandbox) -> None:
        """The content is not decoded, so that no encoding can be guessed wrongly."""
        content = b"\xef\xbb\xbfID\r\n\xff\xfe\x00\r\n"

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-16\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            export = Export.from_dict(wire(result={"url": url}))
            assert await stream_content(connect(), export) == content


class TestAsyncio:
    async def test_calls_run_concurrently(self) -> None:
        """Each response waits until all requests have arrived, so sequential calls would never end."""
        all_arrived = asyncio.Barrier(5)

        async def wait_for_all(_seconds: float) -> None:
            await all_arrived.wait()

        async with (
            Sandbox(sleep=wait_for_all) as sandbox,
            ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client,
        ):
            ids = [sandbox.add_export("order") for _ in range(5)]
            sandbox.fail(delay=1, times=None)
            exports = await asyncio.gather(*map(client.get_export, ids))

        assert [export.id for export in exports] == ids

    async def test_waiting_needs_no_loop_of_the_callers(self) -> None:
        """`wait_until_done` polls until the export is done, so that callers write no loop."""
        now = [1_700_000_000.0]
        async with (
            Sandbox(clock=lambda: now[0], scheduled_for=10, in_progress_for=10) as sandbox,
            ExportsClient(
                sandbox.app_id,
                sandbox.app_token,
                base_url=sandbox.url,
                poll=PollPolicy(initial=0.01, max=0.01),
            ) as client,
        ):
            statuses: list[str] = []

            def advance(export: Export) -> None:
                statuses.append(export.status)
                now[0] += 10

            finished = await client.wait_until_done(sandbox.add_export("order"), on_update=advance)

        assert statuses == ["SCHEDULED", "IN_PROGRESS", "DONE"]
        assert finished.result_url


class TestImport:
    def test_is_light(self) -> None:
        """The import loads only the four dependencies and what these load themselves."""
        loaded = third_parties("voucherify_exports")

        assert loaded - third_parties("aiohttp, attrs, cattrs, tenacity") == {"voucherify_exports"}
        heavy = {"pydantic", "pydantic_core", "pandas", "polars", "pyarrow", "numpy", "requests", "urllib3"}
        assert loaded.isdisjoint(heavy)


def third_parties(modules: str) -> set[str]:
    """The packages outside the standard library that an import loads in a new process."""
    code = f"import sys; before = {{*sys.modules}}; import {modules}; print(*{{*sys.modules}} - before)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20, env=UNMEASURED
    )
    packages = {name.partition(".")[0] for name in run.stdout.split()}
    return packages - sys.stdlib_module_names
