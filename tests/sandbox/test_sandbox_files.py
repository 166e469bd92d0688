"""The files: download tokens, and the content."""

from __future__ import annotations

import csv
import io
from urllib.parse import quote

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox
from voucherify_exports.sandbox._data.objects import FIELDS, default_fields


async def url_of(http, export_id):
    async with http.get(f"/v1/exports/{quote(export_id)}") as answer:
        return (await answer.json())["result"]["url"]


async def fetch(url):
    """Request a URL without keys: the token is enough."""
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text(encoding="utf-8")


async def rows_of(http, export_id):
    _, text = await fetch(await url_of(http, export_id))
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def add_done(sandbox):
    """Add an export that is done."""
    return lambda exported_object="voucher", **options: sandbox.add_export(
        exported_object, created_at=0, **options
    )


class TestToken:
    async def test_download(self, http, add_done):
        """The result URL returns the file as text."""
        async with ClientSession() as session, session.get(await url_of(http, add_done())) as answer:
            assert (answer.status, answer.content_type) == (200, "text/plain")
            assert len((await answer.text()).splitlines()) == 101

    async def test_wrong(self, http, add_done):
        """A token of another export, an invented and an empty one are refused with the documented body."""
        mine, other = await url_of(http, add_done()), await url_of(http, add_done())
        for token in (other.partition("=")[2], "1.x", "é", ""):
            status, text = await fetch(f"{mine.partition('=')[0]}={token}")
            assert (status, text) == (401, '{"code": 401, "message": "Unauthorized", "key": "unauthorized"}')

    async def test_expires(self, http, clock, add_done):
        """A token is valid for its time; the export returns a new one."""
        export_id = add_done()
        url = await url_of(http, export_id)
        clock.now += 59.9
        assert (await fetch(url))[0] == 200
        clock.now += 0.1
        assert (await fetch(url))[0] == 401
        fresh = await url_of(http, export_id)
        assert fresh != url
        assert (await fetch(fresh))[0] == 200

    async def test_lives_for_ever(self, clock):
        """Without `token_ttl`, a token stays valid."""
        async with Sandbox(clock=clock) as sandbox:
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            async with ClientSession(sandbox.url, headers=keys) as http:
                url = await url_of(http, sandbox.add_export("order", created_at=0))
            clock.now += 10**9
            assert (await fetch(url))[0] == 200

    async def test_deleted(self, sandbox, http, add_done):
        """The file of a deleted export is gone."""
        export_id = add_done()
        url = await url_of(http, export_id)
        sandbox.delete_export(export_id)
        assert (await fetch(url))[0] == 404

    async def test_no_longer_done(self, sandbox, http, add_done):
        """An export that is not DONE has no file."""
        export_id = add_done()
        url = await url_of(http, export_id)
        sandbox.finish(export_id, "ERROR")
        assert (await fetch(url))[0] == 404

    async def test_odd_id(self, http, add_done):
        """The URL of an export with unusual characters in its id works."""
        url = await url_of(http, add_done(id="ex port é&#"))
        assert (await fetch(url))[0] == 200


class TestRows:
    async def test_header(self, http, add_done):
        """The header row has the titles, in the order of the fields."""
        fields = ["id", "code", "voucher_type", "value", "loyalty_balance", "redemption_quantity", "bar_code"]
        header, *_ = await rows_of(http, add_done(fields=[*fields, "created_at", "updated_at"]))
        assert header == [
            "ID",
            "Code",
            "Voucher Type",
            "Value",
            "Loyalty Card Balance",
            "Redemption Limit",
            "Barcode",
            "Creation Date",
            "Last Update Date",
        ]

    async def test_metadata(self, http, add_done):
        """The metadata has a column per property, and a single property has one column."""
        header, *rows = await rows_of(http, add_done("order", fields=["metadata", "metadata.shop", "id"]))
        assert header == ["season", "store", "shop", "ID"]
        assert {len(row) for row in rows} == {4}

    @pytest.mark.parametrize("rows", [0, 1, 200, 201])
    async def test_number(self, http, add_done, rows):
        """The file has the requested number of rows below the header."""
        assert len(await rows_of(http, add_done(rows=rows))) == 1 + rows

    @pytest.mark.parametrize("exported_object", FIELDS)
    async def test_objects(self, http, add_done, exported_object):
        """Every object has a file with its default fields, and one with all its fields."""
        header, *rows = await rows_of(http, add_done(exported_object, rows=20))
        assert len(header) == len(default_fields(exported_object))
        header, *rows = await rows_of(
            http, add_done(exported_object, rows=20, fields=FIELDS[exported_object])
        )
        assert len(set(header)) == len(header)
        assert {len(row) for row in rows} == {len(header)}
        assert all(any(column) for column in zip(*rows, strict=True))

    async def test_same_again(self, http, clock, add_done):
        """Two downloads of an export are equal byte by byte, and so is the file of an equal export."""
        export_id = add_done()
        first = await fetch(await url_of(http, export_id))
        clock.now += 100
        assert await fetch(await url_of(http, export_id)) == first
        assert await fetch(await url_of(http, add_done())) == first

    async def test_awkward_cells(self, http, add_done):
        """Some cells contain commas, quotes, line breaks and letters beyond ASCII."""
        rows = await rows_of(http, add_done("customer", fields=["name", "description"], rows=200))
        text = "".join(name + description for name, description in rows)
        assert all(awkward in text for awkward in (",", '"', "\n", "ø", "李"))

    @pytest.mark.parametrize("fault", [{}, {"extra": b"more"}])
    async def test_not_read_to_its_end(self, caplog, fault):
        """A client that stops reading before the end causes no error."""
        async with Sandbox(scheduled_for=0, in_progress_for=0) as sandbox:
            keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
            async with ClientSession(sandbox.url, headers=keys) as http:
                url = await url_of(http, sandbox.add_export("customer", rows=100_001))
                sandbox.fail(download=True, **fault)
                async with http.get(url) as answer:
                    assert await answer.content.readany()
                    answer.close()
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []
