"""What clients of this API are known to get wrong: each point is a test that ours does not."""

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
    row = next(
        row for row in range(100) if sandbox.cell("voucher", "voucher_type", row=row) == "LOYALTY_CARD"
    )
    return sandbox.cell("voucher", column, row=row)


async def taken(client: ExportsClient, export: str | Export) -> bytes:
    return b"".join([piece async for piece in client.stream(export)])


def shown(headers: Any) -> set[str]:
    """Which credentials a request showed."""
    return CREDENTIALS & {name.lower() for name in headers}


@asynccontextmanager
async def large_file() -> AsyncIterator[Export]:
    """A finished export with a large file, of which the server keeps nothing either."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % LARGE)
        block = b"x" * 65536
        for _ in range(LARGE // len(block)):
            writer.write(block)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Export.from_dict(wire(result={"url": f"http://127.0.0.1:{port}/file"}))


@contextmanager
def little_memory() -> Iterator[None]:
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
        """An empty order is what the reference itself shows: it is read, and given back unchanged."""
        sandbox.fail(body=wire())
        export = await connect().get_export(ID)

        assert export.is_done
        assert export.parameters is not None
        assert export.parameters.order == ""
        assert export.to_dict() == wire()

    async def test_an_empty_order_can_be_sent(self, connect: Connect, sandbox: Sandbox) -> None:
        """Who copies the example gets an export."""
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
    async def test_the_shapes_that_are_seen(
        self, connect: Connect, sandbox: Sandbox, changes: dict[str, Any]
    ) -> None:
        """Optional properties, old forms and new ones are no reason to fail."""
        sandbox.fail(body=wire(**changes))

        assert (await connect().get_export(ID)).to_dict() == wire(**changes)

    @pytest.mark.parametrize("status", ["PAUSED", "done", ""])
    async def test_a_status_that_is_not_known(self, connect: Connect, sandbox: Sandbox, status: str) -> None:
        """It is shown as it came, and counts as unfinished."""
        sandbox.fail(body=wire(status=status, result=None))
        export = await connect().get_export(ID)

        assert export.status == status
        assert isinstance(export.status, ExportStatus)
        assert not export.is_finished

    async def test_a_wait_goes_on_through_it(self, connect: Connect, sandbox: Sandbox) -> None:
        """A status of tomorrow is one on the way."""
        export_id = sandbox.add_export("order")
        sandbox.fail(edit=lambda export: {**export, "status": "VALIDATING", "result": None})
        statuses: list[str] = []

        done = await connect(poll=PollPolicy(initial=0.01, max=0.01)).wait_until_done(
            export_id, on_update=lambda export: statuses.append(export.status)
        )
        assert done.result_url
        assert statuses == ["VALIDATING", "DONE"]

    async def test_an_object_that_is_not_known(self, connect: Connect, sandbox: Sandbox) -> None:
        """More of them are exported than the reference lists, and more may come."""
        export_id = sandbox.add_export("api_log")
        sandbox.fail(edit=lambda export: {**export, "exported_object": "reward"}, export_id=export_id)
        client = connect()
        export = await client.get_export(export_id)

        assert export.exported_object == "reward"
        assert isinstance(export.exported_object, ExportedObject)
        assert (await taken(client, export)).count(b"\n") == 101

    async def test_what_is_no_export(self, connect: Connect, sandbox: Sandbox) -> None:
        """The error is the package's own, and says which property is wrong."""
        sandbox.fail(body=wire(created_at=7))

        with pytest.raises(InvalidResponseError, match=r"expected a string, got int @ .*created_at"):
            await connect().get_export(ID)


class TestList:
    @pytest.mark.parametrize(
        "bad",
        [None, "exp_1", [], {}, wire(id=5), wire(id=...), wire(created_at="soon"), wire(result="no object")],
    )
    async def test_a_bad_entry_spoils_only_itself(
        self, connect: Connect, sandbox: Sandbox, bad: object
    ) -> None:
        """The others are there, in their order."""
        ids = [sandbox.add_export("order", created_at=second) for second in (30, 20, 10)]

        def spoil(page: dict[str, Any]) -> dict[str, Any]:
            return {**page, "exports": [page["exports"][0], bad, *page["exports"][1:]]}

        sandbox.fail(edit=spoil, times=None)
        client = connect()

        assert [export.id for export in (await client.list_page()).exports] == ids
        assert [export.id async for export in client.list_exports()] == ids

    async def test_every_page(self, connect: Connect, sandbox: Sandbox) -> None:
        """Nobody has to count pages; what is new meanwhile shifts them, and shows nothing twice."""
        ids = [sandbox.add_export("order", created_at=second) for second in range(250, 0, -1)]
        found: list[str] = []
        async for export in connect().list_exports():
            if len(found) == 50:
                sandbox.add_export("order", created_at=1000)
            found.append(export.id)

        assert found == ids
        assert len(sandbox.requests) == 3


class TestCreate:
    async def test_any_property_of_metadata(self, connect: Connect, sandbox: Sandbox) -> None:
        """Their names are the project's own: none is unknown, in fields and filters."""
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
        ("create", "owner", "column"),
        [
            ("create_voucher_transactions_export", "code", "voucher_id"),
            ("create_campaign_transactions_export", "campaign_id", "campaign_id"),
            ("create_member_transactions_export", "code", "voucher_id"),
        ],
    )
    async def test_transactions(
        self, connect: Connect, sandbox: Sandbox, create: str, owner: str, column: str
    ) -> None:
        """An export that was created is not lost on its answer; the whole way leads to its rows."""
        client = connect()
        created = await getattr(client, create)(loyalty_card(sandbox, owner), fields=["id", column])
        done = await client.wait_until_done(created)

        assert created.exported_object is ExportedObject.VOUCHER_TRANSACTIONS
        rows = [*csv.reader(io.StringIO((await taken(client, done)).decode(), newline=""))]
        of = loyalty_card(sandbox, "campaign_id" if column == "campaign_id" else "id")
        assert len(rows) > 1
        assert {owner for _, owner in rows[1:]} == {of}


class TestFile:
    async def test_comes_from_where_the_result_says(self, connect: Connect) -> None:
        """The files have a host of their own: that of the API is not asked for them."""
        async with Sandbox(download_host="127.0.0.2", scheduled_for=0, in_progress_for=0) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            export = await client.get_export(sandbox.add_export("order"))
            content = await taken(client, export)

        assert content.count(b"\n") == 101
        asked, fetched = sandbox.requests
        assert not asked.at_download_host
        assert fetched.at_download_host
        assert f"{sandbox.download_url}{fetched.target}" == export.result_url

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_no_credentials_across_hosts(self, connect: Connect, sandbox: Sandbox, status: int) -> None:
        """A redirect leads wherever it likes, and the secret of the account does not go along."""
        export_id = sandbox.add_export("order")
        async with Sandbox(host="127.0.0.2", scheduled_for=0, in_progress_for=0) as stranger:
            stranger.add_export("order", id=export_id)
            sandbox.fail(download=True, status=status, redirect=stranger.url)
            content = await taken(connect(), export_id)

        assert content.count(b"\n") == 101
        assert shown(sandbox.requests[-1].headers) == {"x-app-id", "x-app-token"}
        (followed,) = stranger.requests
        assert shown(followed.headers) == set()
        assert {sandbox.app_id, sandbox.app_token}.isdisjoint(followed.headers.values())

    async def test_is_streamed_in_pieces(self, connect: Connect) -> None:
        """As bytes, of which a few are in memory at a time."""
        client, largest, received = connect(), 0, 0
        async with large_file() as export:
            with little_memory():
                async for piece in client.stream(export):
                    assert isinstance(piece, bytes)
                    largest, received = max(largest, len(piece)), received + len(piece)

        assert received == LARGE
        assert largest <= MEBIBYTE

    async def test_is_downloaded_in_pieces(self, connect: Connect, tmp_path: Path) -> None:
        """What is on disk need not be in memory."""
        client = connect()
        async with large_file() as export:
            with little_memory():
                path = await client.download(export, tmp_path / "large.csv")

        assert path.stat().st_size == LARGE

    async def test_bytes_are_those_of_the_server(self, connect: Connect, sandbox: Sandbox) -> None:
        """Nothing is decoded on the way, so that no encoding can be guessed wrongly."""
        content = b"\xef\xbb\xbfID\r\n\xff\xfe\x00\r\n"

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-16\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            export = Export.from_dict(wire(result={"url": url}))
            assert await taken(connect(), export) == content


class TestAsyncio:
    async def test_calls_run_side_by_side(self) -> None:
        """Each answer is held back until all requests are there: one after the other would never end."""
        together = asyncio.Barrier(5)

        async def hold(_seconds: float) -> None:
            await together.wait()

        async with (
            Sandbox(sleep=hold) as sandbox,
            ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client,
        ):
            ids = [sandbox.add_export("order") for _ in range(5)]
            sandbox.fail(delay=1, times=None)
            exports = await asyncio.gather(*map(client.get_export, ids))

        assert [export.id for export in exports] == ids

    async def test_there_is_a_poller(self) -> None:
        """Nobody has to write a loop that asks until it is done."""
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

            done = await client.wait_until_done(sandbox.add_export("order"), on_update=advance)

        assert statuses == ["SCHEDULED", "IN_PROGRESS", "DONE"]
        assert done.result_url


class TestImport:
    def test_is_light(self) -> None:
        """Nothing but the four dependencies comes with it, and what these bring themselves."""
        ours = third_parties("voucherify_exports")

        assert ours - third_parties("aiohttp, attrs, cattrs, tenacity") == {"voucherify_exports"}
        heavy = {"pydantic", "pydantic_core", "pandas", "polars", "pyarrow", "numpy", "requests", "urllib3"}
        assert ours.isdisjoint(heavy)


def third_parties(modules: str) -> set[str]:
    """The packages beyond the standard library that are loaded by an import in a fresh process."""
    code = f"import sys; before = {{*sys.modules}}; import {modules}; print(*{{*sys.modules}} - before)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20, env=UNMEASURED
    )
    packages = {name.partition(".")[0] for name in run.stdout.split()}
    return packages - sys.stdlib_module_names
