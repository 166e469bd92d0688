import asyncio
import itertools
import json
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from canned import Api as CannedApi
from hypothesis import given
from hypothesis import strategies as st
from samples import ID, wire
from tenacity import wait_none

from voucherify_exports import (
    ApiError,
    BadRequestError,
    ClientClosedError,
    CreateUncertainError,
    Event,
    Export,
    ExportNotFoundError,
    ExportPage,
    ExportsClient,
    InvalidResponseError,
    RateLimitedError,
    RetryPolicy,
    RetryScheduled,
    Sandbox,
    ServerError,
    TransportError,
)
from voucherify_exports._api.endpoints import each_export

Connect = Callable[..., ExportsClient]
KEYS = ("c70a6f00-cf91", "3266b9f8-e246")
LIST = "https://api.voucherify.io/v1/exports"


def page_of(numbers: list[int], total: int) -> ExportPage:
    return ExportPage(
        exports=tuple(Export.from_dict(wire(id=f"exp_{number}")) for number in numbers), total=total
    )


class ExportList:
    """A list of exports, the newest first, that changes between the requests of its pages."""

    def __init__(self, count: int, page_size: int) -> None:
        self.numbers = list(range(count, 0, -1))
        self.page_size = page_size
        self.pages: list[int] = []
        self.changes: dict[int, Callable[[], None]] = {}
        self._next = itertools.count(count + 1)

    def create(self) -> None:
        self.numbers.insert(0, next(self._next))

    async def list_page(self, page: int) -> ExportPage:
        self.changes.pop(len(self.pages), lambda: None)()
        self.pages.append(page)
        start = (page - 1) * self.page_size
        return page_of(self.numbers[start : start + self.page_size], len(self.numbers))

    async def listed_numbers(self) -> list[int]:
        return [int(export.id[4:]) async for export in each_export(self.list_page, self.page_size)]


class TestEachExport:
    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
    async def test_yields_all_in_order(self, count: int) -> None:
        """Pages are read up to the last one."""
        exports = ExportList(count, 10)

        assert await exports.listed_numbers() == list(range(count, 0, -1))
        assert exports.pages == list(range(1, count // 10 + 2))

    async def test_new_exports_shift_the_pages(self) -> None:
        """An export that moved to the next page is not yielded again."""
        exports = ExportList(35, 10)
        exports.changes = dict.fromkeys((1, 2, 3), exports.create)

        assert await exports.listed_numbers() == list(range(35, 0, -1))

    async def test_deleted_exports_shift_the_pages_back(self) -> None:
        """Exports that moved to a page that was already read are still yielded."""
        exports = ExportList(45, 10)
        exports.changes = {2: lambda: exports.numbers.__delitem__(slice(0, 17))}

        assert await exports.listed_numbers() == list(range(45, 0, -1))

    @given(
        count=st.integers(0, 60),
        changes=st.dictionaries(st.integers(1, 8), st.tuples(st.integers(0, 15), st.integers(0, 15))),
    )
    async def test_any_changes(self, count: int, changes: dict[int, tuple[int, int]]) -> None:
        """Each export that exists the whole time is yielded, and none twice."""
        exports = ExportList(count, 10)

        def change(created: int, deleted: int) -> Callable[[], None]:
            def apply() -> None:
                del exports.numbers[:deleted]
                for _ in range(created):
                    exports.create()

            return apply

        exports.changes = {read: change(*numbers) for read, numbers in changes.items()}
        listed = await exports.listed_numbers()

        assert len(listed) == len(set(listed))
        assert set(exports.numbers) & set(range(count + 1)) <= set(listed)

    async def test_a_page_with_malformed_entries_is_not_the_last(self) -> None:
        """A page with fewer exports is not the last while the total says that there are more."""

        async def list_page(page: int) -> ExportPage:
            return page_of([20] if page == 1 else [10, 9], 20)

        assert len([export async for export in each_export(list_page, 10)]) == 3

    @pytest.mark.parametrize("total", [None, 60])
    async def test_a_total_that_varies(self, total: int | None) -> None:
        """A list whose total differs from page to page, or is missing, is not read endlessly."""
        exports = ExportList(45, 10)
        totals = itertools.cycle([45, total])

        async def list_page(page: int) -> ExportPage:
            response = await exports.list_page(page)
            return ExportPage(exports=response.exports, total=next(totals) or len(response.exports))

        listed = [export.id async for export in each_export(list_page, 10)]

        assert listed == [f"exp_{number}" for number in range(45, 0, -1)]
        assert len(exports.pages) < 250

    async def test_the_list_ends_after_100_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """One warning reports that there are more exports than 100 pages contain."""
        exports = ExportList(205, 2)

        assert len(await exports.listed_numbers()) == 200
        assert caplog.messages == ["The list contains only 200 of 205 exports"]

    async def test_exactly_100_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """A list of exactly 100 pages is complete, and nothing is logged."""
        assert len(await ExportList(200, 2).listed_numbers()) == 200
        assert not caplog.messages


class TestList:
    async def test_a_page_is_one_get(self, api: CannedApi) -> None:
        """A page is one GET, as documented."""
        api.get(f"{LIST}?limit=50&order=status&page=2", payload={"exports": [wire()], "total": 51})
        async with ExportsClient(*KEYS) as client:
            page = await client.list_page(2, order="status", page_size=50)

        assert page == ExportPage(exports=(Export.from_dict(wire()),), total=51)

    async def test_over_real_sockets(self, connect: Connect, sandbox: Sandbox) -> None:
        """The exports are in the requested order, the newest first or last."""
        ids = [sandbox.add_export("customer", created_at=number) for number in range(1, 26)]
        client = connect()

        newest = [export.id async for export in client.list_exports(page_size=10)]
        oldest = [export.id async for export in client.list_exports(order="created_at")]

        assert newest == ids[::-1]
        assert oldest == ids
        assert [request.query["page"] for request in sandbox.requests] == ["1", "2", "3", "1"]

    async def test_a_list_that_changes_while_it_is_read(self, connect: Connect, sandbox: Sandbox) -> None:
        """Each export that existed the whole time is yielded once, despite additions and deletions."""
        ids = [sandbox.add_export("customer", created_at=number) for number in range(1, 46)]
        listed: list[str] = []

        async for export in connect().list_exports(page_size=10):
            listed.append(export.id)
            if len(listed) in {5, 15, 25}:
                for _ in range(3):
                    sandbox.add_export("order")
                for deleted_id in listed[-4:]:
                    sandbox.delete_export(deleted_id)

        assert [export_id for export_id in listed if export_id in ids] == ids[::-1]
        assert len(listed) == len(set(listed))

    async def test_an_export_deleted_before_it_is_read(self, connect: Connect, sandbox: Sandbox) -> None:
        """Exports that are deleted before their page is read are not yielded, and hide no others."""
        ids = [sandbox.add_export("customer", created_at=number) for number in range(1, 31)]
        listed: list[str] = []

        async for export in connect().list_exports(page_size=10):
            listed.append(export.id)
            if len(listed) == 10:
                for deleted_id in (*ids[-5:], *ids[:5]):
                    sandbox.delete_export(deleted_id)

        assert listed == ids[:4:-1]

    async def test_a_page_that_fails(self, connect: Connect, sandbox: Sandbox) -> None:
        """A page that fails is retried, and its error follows the exports of the pages before."""
        for number in range(1, 31):
            sandbox.add_export("customer", created_at=number)
        sandbox.fail(status=503)
        client = connect()
        assert len([export async for export in client.list_exports(page_size=10)]) == 30

        exports = client.list_exports(page_size=10)
        for _ in range(10):
            await anext(exports)
        sandbox.fail(status=503, times=None)
        with pytest.raises(ServerError, match="GET /v1/exports: 503"):
            await anext(exports)

    async def test_leaving_without_closing(self, connect: Connect, sandbox: Sandbox) -> None:
        """Leaving the loop without closing the iterator leaves no task and no request behind."""
        for _ in range(5):
            sandbox.add_export("customer")
        client = connect()

        async for _export in client.list_exports(page_size=2):
            break
        for _ in range(5):
            await asyncio.sleep(0)

        left = [task for task in asyncio.all_tasks() if "aiohttp" not in repr(task)]
        assert left == [asyncio.current_task()]
        assert len(sandbox.requests) == 1

    async def test_leaving_and_closing(self, connect: Connect, sandbox: Sandbox) -> None:
        """After the loop was left, no further page is requested."""
        for _ in range(5):
            sandbox.add_export("customer")

        async with aclosing(connect().list_exports(page_size=2)) as exports:
            async for _export in exports:
                break

        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"page": 0}, "page must be from 1 to 100, not 0"),
            ({"page": 101}, "page must be from 1 to 100, not 101"),
            ({"page": 1.5}, "page must be from 1 to 100, not 1.5"),
            ({"page_size": "50"}, "page_size must be from 1 to 100, not '50'"),
            ({"page_size": 0}, "page_size must be from 1 to 100, not 0"),
            ({"page_size": 101}, "page_size must be from 1 to 100, not 101"),
            ({"order": "id"}, "order must be one of -created_at, created_at, -status, status, not 'id'"),
        ],
        ids=str,
    )
    async def test_refuses_invalid_arguments(self, wrong: dict[str, Any], message: str) -> None:
        """An argument that the API does not accept is a ValueError that names the valid values."""
        client = ExportsClient(*KEYS)
        with pytest.raises(ValueError, match=message):
            await client.list_page(**{"page": 1} | wrong)
        if "page" not in wrong:
            with pytest.raises(ValueError, match=message):
                await anext(client.list_exports(**wrong))


class TestDelete:
    async def test_over_a_real_socket(self, connect: Connect, sandbox: Sandbox) -> None:
        """A deleted export is not found afterwards."""
        export_id = sandbox.add_export("customer")
        client = connect()

        await client.delete_export(export_id)

        with pytest.raises(ExportNotFoundError, match=export_id):
            await client.delete_export(export_id)
        assert [request.method for request in sandbox.requests] == ["DELETE", "DELETE"]

    @pytest.mark.parametrize("failure", [{"status": 503}, {"exception": ConnectionResetError()}], ids=str)
    async def test_a_404_after_an_uncertain_attempt(self, failure: dict[str, Any], api: CannedApi) -> None:
        """An attempt whose response was lost may have deleted the export, so a 404 is success."""
        api.delete(f"{LIST}/{ID}", **failure)
        api.delete(f"{LIST}/{ID}", exception=connection_refused())
        api.delete(f"{LIST}/{ID}", status=404)
        async with ExportsClient(*KEYS, retry=RetryPolicy(wait=wait_none())) as client:
            await client.delete_export(ID)

    async def test_a_404_after_attempts_that_did_not_arrive(self, api: CannedApi) -> None:
        """If no earlier attempt arrived, a 404 means that the export does not exist."""
        api.delete(f"{LIST}/{ID}", exception=connection_refused())
        api.delete(f"{LIST}/{ID}", status=429)
        api.delete(f"{LIST}/{ID}", status=404)
        async with ExportsClient(*KEYS, retry=RetryPolicy(wait=wait_none())) as client:
            with pytest.raises(ExportNotFoundError):
                await client.delete_export(ID)

    async def test_a_404_after_a_timeout(self, connect: Connect, sandbox: Sandbox) -> None:
        """A DELETE that timed out deleted the export, so the 404 to the second one is success."""
        export_id = sandbox.add_export("customer")
        sandbox.fail(method="DELETE", delay=math.inf)

        await connect(request_timeout=0.3).delete_export(export_id)

        assert [request.status for request in sandbox.requests] == [None, 404]

    async def test_a_transient_failure(self, connect: Connect, sandbox: Sandbox) -> None:
        """A 503 is retried."""
        export_id = sandbox.add_export("customer")
        sandbox.fail(method="DELETE", status=503)

        await connect().delete_export(export_id)

        assert [request.status for request in sandbox.requests] == [503, 204]

    async def test_a_lasting_failure(self, connect: Connect, sandbox: Sandbox) -> None:
        """A failure of all attempts is raised, and the export still exists."""
        export_id = sandbox.add_export("customer")
        sandbox.fail(method="DELETE", status=503, times=None)
        client = connect()

        with pytest.raises(ServerError, match=f"DELETE /v1/exports/{export_id}: 503"):
            await client.delete_export(export_id)

        assert len(sandbox.requests) == 5
        assert (await client.get_export(export_id)).id == export_id


PAYLOAD = {"exported_object": "order", "parameters": {"fields": ["id"]}}
ADVICE = r"the export may exist: look for it in list_exports\(\) before you create it again"


async def create(client: ExportsClient) -> Export:
    return await client._api.create("/v1/exports", PAYLOAD)


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


@asynccontextmanager
async def closing_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads each request and closes the connection without a response."""
    arrived: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"}}"))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(read, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", arrived


class TestCreate:
    async def test_over_a_real_socket(self, connect: Connect, sandbox: Sandbox) -> None:
        """The payload is sent in one JSON POST, and the export in the response exists."""
        client = connect()
        export = await create(client)

        (request,) = sandbox.requests
        assert (request.method, request.path, json.loads(request.body)) == ("POST", "/v1/exports", PAYLOAD)
        assert request.headers["Content-Type"] == "application/json"
        assert (export.exported_object, export.parameters and export.parameters.fields) == ("order", ("id",))
        assert [each.id async for each in client.list_exports()] == [export.id]

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"reset": "before"}, "the connection failed: "),
            ({"reset": "headers"}, "the connection failed: "),
            ({"reset": "body"}, "the connection failed: "),
            ({"delay": math.inf}, "no response within 0.3 s"),
        ],
        ids=str,
    )
    async def test_a_lost_response(
        self, fault: dict[str, Any], reason: str, connect: Connect, sandbox: Sandbox
    ) -> None:
        """One POST arrived, the export exists, and the error says how to look for it."""
        sandbox.fail(method="POST", **fault)
        client = connect(request_timeout=0.3 if "delay" in fault else 30)

        with pytest.raises(CreateUncertainError, match=f"POST /v1/exports: {reason}.*; {ADVICE}$") as caught:
            await create(client)

        assert caught.value.attempts == 1
        assert posts(sandbox) == 1
        assert len([export async for export in connect().list_exports()]) == 1

    async def test_a_connection_closed_without_a_response(self, connect: Connect) -> None:
        """A connection that is closed cleanly after the request was read leaves the create uncertain."""
        async with closing_server() as (url, arrived):
            client = connect(base_url=url)
            with pytest.raises(CreateUncertainError, match=ADVICE):
                await create(client)
            await client.close()

        assert len(arrived) == 1
        assert arrived[0].startswith(b"POST /v1/exports ")

    async def test_a_reused_connection(self, connect: Connect, sandbox: Sandbox) -> None:
        """A reused connection that breaks is no reason to send the POST twice."""
        client = connect()
        await client.list_page()
        sandbox.fail(method="POST", reset="before")

        with pytest.raises(CreateUncertainError):
            await create(client)

        assert posts(sandbox) == 1

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    async def test_an_error_of_the_server(self, status: int, connect: Connect, sandbox: Sandbox) -> None:
        """The server may have created the export before it failed, so the POST is not repeated."""
        sandbox.fail(method="POST", status=status, times=None)

        with pytest.raises(ApiError, match=f"POST /v1/exports: {status} .*{ADVICE}") as caught:
            await create(connect())

        assert type(caught.value) is ApiError.for_status(status)
        assert posts(sandbox) == 1

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409])
    async def test_other_errors(self, status: int, connect: Connect, sandbox: Sandbox) -> None:
        """The error is that of the status, and the POST is not repeated."""
        sandbox.fail(method="POST", status=status, times=None)

        with pytest.raises(ApiError, match=f"POST /v1/exports: {status}") as caught:
            await create(connect())

        assert type(caught.value) is ApiError.for_status(status)
        assert posts(sandbox) == 1

    async def test_a_payload_that_the_api_refuses(self, connect: Connect, sandbox: Sandbox) -> None:
        """The error contains what Voucherify returned about the payload."""
        payload = {"exported_object": "order", "parameters": {"fields": ["colour"]}}

        with pytest.raises(BadRequestError, match="invalid_export_fields") as caught:
            await connect()._api.create("/v1/exports", payload)

        assert caught.value.key == "invalid_export_fields"

    async def test_a_value_that_json_does_not_have(self, connect: Connect, sandbox: Sandbox) -> None:
        """A number that JSON does not have is a ValueError, and nothing is sent."""
        with pytest.raises(ValueError, match="not JSON compliant"):
            await connect()._api.create("/v1/exports", {"exported_object": math.nan})

        assert not sandbox.requests

    async def test_a_response_that_is_not_an_export(self, connect: Connect, sandbox: Sandbox) -> None:
        """The export may exist, so the POST is not repeated."""
        sandbox.fail(method="POST", body="<html>Signed in</html>")

        with pytest.raises(
            CreateUncertainError,
            match=r"POST /v1/exports: unexpected response with status 200.*not JSON.*list_exports",
        ) as caught:
            await create(connect())

        assert isinstance(caught.value.__cause__, InvalidResponseError)
        assert posts(sandbox) == 1

    async def test_a_refused_connection(self, connect: Connect, sandbox: Sandbox) -> None:
        """A refused connection is retried, and its error is not an uncertain create."""
        with socket.socket() as unused_port:
            unused_port.bind(("127.0.0.1", 0))
            client = connect(base_url=f"http://127.0.0.1:{unused_port.getsockname()[1]}")
            with pytest.raises(TransportError) as caught:
                await create(client)

        assert type(caught.value) is TransportError
        assert caught.value.attempts == 5

    async def test_a_failure_that_a_retry_cannot_fix(self, connect: Connect, sandbox: Sandbox) -> None:
        """A create that did not arrive is not retried if a retry would fail too."""
        with pytest.raises(TransportError, match="TLS failed") as caught:
            await create(connect(base_url=sandbox.url.replace("http:", "https:")))
        assert (type(caught.value), caught.value.attempts) == (TransportError, 1)

        sandbox.fail(method="POST", status=429, headers={"Retry-After": "300"})
        with pytest.raises(RateLimitedError, match="POST /v1/exports: 429"):
            await create(connect())
        assert posts(sandbox) == 1

    async def test_a_connection_after_refused_ones(self, api: CannedApi) -> None:
        """After refused connections one POST arrives, and a connection lost later leaves it uncertain."""
        events: list[Event] = []
        for end in ({"payload": wire()}, {"exception": ConnectionResetError()}):
            for outcome in ({"exception": connection_refused()}, {"exception": connection_refused()}, end):
                api.post(LIST, **outcome)
        retry = RetryPolicy(wait=wait_none())
        async with ExportsClient(*KEYS, retry=retry, on_event=events.append) as client:
            assert await create(client) == Export.from_dict(wire())
            with pytest.raises(CreateUncertainError, match=r"\(attempt 3\)") as caught:
                await create(client)

        assert caught.value.attempts == 3
        assert [event.attempt for event in events if isinstance(event, RetryScheduled)] == [1, 2, 1, 2]

    async def test_a_429(self, connect: Connect, sandbox: Sandbox) -> None:
        """A 429 has no effect, so the POST is sent again after the time that it names."""
        clock = SleepingClock()
        sandbox.fail(method="POST", status=429, headers={"Retry-After": "30"}, times=2)
        client = connect(clock=clock)

        await create(client)

        assert 60 <= clock.now <= 62
        assert [request.status for request in sandbox.requests] == [429, 429, 200]
        assert len([export async for export in client.list_exports()]) == 1

    async def test_a_429_that_names_no_time(self, connect: Connect, sandbox: Sandbox) -> None:
        """A 429 without a time uses up the attempts of the policy and is raised."""
        sandbox.fail(method="POST", status=429, times=None)

        with pytest.raises(RateLimitedError, match="POST /v1/exports: 429"):
            await create(connect(clock=SleepingClock()))

        assert posts(sandbox) == 5

    async def test_cancelled_while_it_is_sent(self, connect: Connect, sandbox: Sandbox) -> None:
        """Cancelling the call raises CancelledError, and the POST is not repeated."""
        sandbox.fail(method="POST", delay=math.inf)
        task = asyncio.ensure_future(create(connect()))
        while not sandbox.requests:
            await asyncio.sleep(0.001)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert posts(sandbox) == 1

    async def test_closed_while_it_is_sent(self, connect: Connect, sandbox: Sandbox) -> None:
        """Closing the client raises ClientClosedError, and the POST is not repeated."""
        sandbox.fail(method="POST", delay=math.inf)
        client = connect()
        task = asyncio.ensure_future(create(client))
        while not sandbox.requests:
            await asyncio.sleep(0.001)

        await client.close()

        with pytest.raises(ClientClosedError):
            await task
        assert posts(sandbox) == 1


class SleepingClock:
    """A clock that advances only by sleeping."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_767_225_600.0 + self.now

    async def sleep(self, seconds: float, /) -> None:
        self.now += seconds


def connection_refused() -> Exception:
    """The error of aiohttp for a refused connection."""
    key = aiohttp.client_reqrep.ConnectionKey("api.voucherify.io", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))
