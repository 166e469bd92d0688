import itertools
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest
from canned import Api as Canned
from hypothesis import given
from hypothesis import strategies as st
from samples import ID, wire
from tenacity import wait_none

from voucherify_exports import (
    Export,
    ExportNotFoundError,
    ExportPage,
    ExportsClient,
    RetryPolicy,
    Sandbox,
)
from voucherify_exports._api import each_export

Connect = Callable[..., ExportsClient]
KEYS = ("c70a6f00-cf91", "3266b9f8-e246")
LIST = "https://api.voucherify.io/v1/exports"


def page_of(numbers: list[int], total: int) -> ExportPage:
    return ExportPage(
        exports=tuple(Export.from_dict(wire(id=f"exp_{number}")) for number in numbers), total=total
    )


class Project:
    """A list of exports, the newest first, that changes between its pages."""

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

    async def shown(self) -> list[int]:
        return [int(export.id[4:]) async for export in each_export(self.list_page, self.page_size)]


class TestEachExport:
    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
    async def test_shows_all_in_order(self, count: int) -> None:
        """Pages are read until one shows that it is the last."""
        project = Project(count, 10)

        assert await project.shown() == list(range(count, 0, -1))
        assert project.pages == list(range(1, count // 10 + 2))

    async def test_new_ones_shift_the_pages(self) -> None:
        """An export that moved to the next page is not shown again."""
        project = Project(35, 10)
        project.changes = dict.fromkeys((1, 2, 3), project.create)

        assert await project.shown() == list(range(35, 0, -1))

    async def test_deleted_ones_shift_them_back(self) -> None:
        """What moved to a page that was read already is found there."""
        project = Project(45, 10)
        project.changes = {2: lambda: project.numbers.__delitem__(slice(0, 17))}

        assert await project.shown() == list(range(45, 0, -1))

    @given(
        count=st.integers(0, 60),
        changes=st.dictionaries(st.integers(1, 8), st.tuples(st.integers(0, 15), st.integers(0, 15))),
    )
    async def test_whatever_changes(self, count: int, changes: dict[int, tuple[int, int]]) -> None:
        """Whoever exists from the beginning to the end is shown, and nobody twice."""
        project = Project(count, 10)

        def change(created: int, deleted: int) -> Callable[[], None]:
            def apply() -> None:
                del project.numbers[:deleted]
                for _ in range(created):
                    project.create()

            return apply

        project.changes = {read: change(*numbers) for read, numbers in changes.items()}
        shown = await project.shown()

        assert len(shown) == len(set(shown))
        assert set(project.numbers) & set(range(count + 1)) <= set(shown)

    async def test_a_page_with_spoilt_entries_is_not_the_last(self) -> None:
        """Fewer exports than a page has are no end while the total says that there are more."""

        async def list_page(page: int) -> ExportPage:
            return page_of([20] if page == 1 else [10, 9], 20)

        assert len([export async for export in each_export(list_page, 10)]) == 3

    async def test_the_list_ends_after_100_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """That others exist is told, once."""
        project = Project(205, 2)

        assert len(await project.shown()) == 200
        assert caplog.messages == ["The list shows 200 of 205 exports"]

    async def test_exactly_100_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is missing, and so nothing is told."""
        assert len(await Project(200, 2).shown()) == 200
        assert not caplog.messages


class TestList:
    async def test_a_page_is_one_get(self, api: Canned) -> None:
        """The request is the documented one."""
        api.get(f"{LIST}?limit=50&order=status&page=2", payload={"exports": [wire()], "total": 51})
        async with ExportsClient(*KEYS) as client:
            page = await client.list_page(2, order="status", page_size=50)

        assert page == ExportPage(exports=(Export.from_dict(wire()),), total=51)

    async def test_over_real_sockets(self, connect: Connect, sandbox: Sandbox) -> None:
        """The exports come the newest first, or the other way round."""
        ids = [sandbox.add_export("customer", created_at=number) for number in range(1, 26)]
        client = connect()

        newest = [export.id async for export in client.list_exports(page_size=10)]
        oldest = [export.id async for export in client.list_exports(order="created_at")]

        assert newest == ids[::-1]
        assert oldest == ids
        assert [request.query["page"] for request in sandbox.requests] == ["1", "2", "3", "1"]

    async def test_leaving_early(self, connect: Connect, sandbox: Sandbox) -> None:
        """No further page is asked for."""
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
            ({"page_size": 0}, "page_size must be from 1 to 100, not 0"),
            ({"page_size": 101}, "page_size must be from 1 to 100, not 101"),
            ({"order": "id"}, "order must be one of -created_at, created_at, -status, status, not 'id'"),
        ],
        ids=str,
    )
    async def test_refuses_what_the_api_does_not_have(self, wrong: dict[str, Any], message: str) -> None:
        """Nothing is sent."""
        client = ExportsClient(*KEYS)
        with pytest.raises(ValueError, match=message):
            await client.list_page(**{"page": 1} | wrong)
        if "page" not in wrong:
            with pytest.raises(ValueError, match=message):
                await anext(client.list_exports(**wrong))


class TestDelete:
    async def test_over_a_real_socket(self, connect: Connect, sandbox: Sandbox) -> None:
        """The export is gone afterwards."""
        export_id = sandbox.add_export("customer")
        client = connect()

        await client.delete_export(export_id)

        with pytest.raises(ExportNotFoundError, match=export_id):
            await client.delete_export(export_id)
        assert [request.method for request in sandbox.requests] == ["DELETE", "DELETE"]

    @pytest.mark.parametrize("fault", [{"status": 503}, {"exception": ConnectionResetError()}], ids=str)
    async def test_what_an_earlier_attempt_deleted(self, fault: dict[str, Any], api: Canned) -> None:
        """The answer may be lost after the deed: then 404 to the next attempt is what was wanted."""
        api.delete(f"{LIST}/{ID}", **fault)
        api.delete(f"{LIST}/{ID}", exception=refused())
        api.delete(f"{LIST}/{ID}", status=404)
        async with ExportsClient(*KEYS, retry=RetryPolicy(wait=wait_none())) as client:
            await client.delete_export(ID)

    async def test_what_no_attempt_can_have_deleted(self, api: Canned) -> None:
        """After attempts that did not arrive, 404 means that there never was one."""
        api.delete(f"{LIST}/{ID}", exception=refused())
        api.delete(f"{LIST}/{ID}", status=429)
        api.delete(f"{LIST}/{ID}", status=404)
        async with ExportsClient(*KEYS, retry=RetryPolicy(wait=wait_none())) as client:
            with pytest.raises(ExportNotFoundError):
                await client.delete_export(ID)


def refused() -> Exception:
    key = aiohttp.client_reqrep.ConnectionKey("api.voucherify.io", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))
