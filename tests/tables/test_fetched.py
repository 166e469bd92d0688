import asyncio
import csv
import errno
import gc
import json
import tempfile
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from voucherify_exports import (
    ColumnWarning,
    DownloadError,
    ExportFailedError,
    ExportNotFoundError,
    ExportsClient,
    MissingExtraError,
    Sandbox,
    TableError,
    tables,
)
from voucherify_exports.catalog import CATALOG, ColumnType
from voucherify_exports.tables import _arrow, _fetched


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with Sandbox(scheduled_for=0, in_progress_for=0) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncGenerator[ExportsClient]:
    async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
        yield client


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, where no file may remain."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
async def served(
    request: pytest.FixtureRequest, temporary: Path
) -> AsyncGenerator[tuple[ExportsClient, str]]:
    """A client whose export has this file; by default one row of it is too short."""
    export_id = "exp_served"
    file: str = getattr(request, "param", "Code,Value\na,1\nb,oops\nc\n")

    async def export(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": export_id,
                "object": "export",
                "created_at": "2022-01-13T09:03:18.293Z",
                "status": "DONE",
                "exported_object": "voucher",
                "parameters": {"fields": ["code", "value"]},
                "result": {"url": str(request.url.with_path("/file").with_query(token="SECRET"))},
                "user_id": None,
            }
        )

    async def get_file(request: web.Request) -> web.Response:
        return web.Response(text=file)

    app = web.Application()
    app.add_routes([web.get("/v1/exports/{id}", export), web.get("/file", get_file)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ExportsClient("app", "token", base_url=f"http://127.0.0.1:{port}") as client:
        yield client, export_id
    await runner.cleanup()


class TestRows:
    async def test_each_row(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """Rows have the field names of the API, and the same cells as the file."""
        export_id = sandbox.add_export("redemption", rows=1000, fields=["id", "metadata", "result"])
        rows = [row async for row in client.rows(export_id)]
        assert list(rows[0]) == ["id", "metadata.season", "metadata.store", "result"]
        content = b"".join([chunk async for chunk in client.stream(export_id)]).decode()
        assert [list(row.values()) for row in rows] == list(csv.reader(content.splitlines(keepends=True)))[1:]

    async def test_header(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """With `header` the names are the titles of the file."""
        export = await client.get_export(sandbox.add_export("voucher", rows=1, fields=["id", "bar_code"]))
        assert [list(row) async for row in client.rows(export, names="header")] == [["ID", "Barcode"]]

    async def test_leaving_early(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """Nothing stays open, which would be a warning."""
        rows = client.rows(sandbox.add_export("voucher", rows=100_000))
        async for row in rows:
            assert row["code"]
            break
        await rows.aclose()
        gc.collect()

    async def test_an_invalid_file(self, served: tuple[ExportsClient, str]) -> None:
        """The error names the export and the line."""
        client, export_id = served
        with pytest.raises(TableError, match=f"Export {export_id}: .* line 4") as raised:
            await anext(client.rows(export_id))
        assert raised.value.line == 4

    @pytest.mark.parametrize("served", ["Code,Value\na,1\nb,2"], indirect=True)
    async def test_no_line_end_at_the_end(self, served: tuple[ExportsClient, str]) -> None:
        """The last row is yielded as well."""
        client, export_id = served
        assert [row["value"] async for row in client.rows(export_id)] == ["1", "2"]

    async def test_no_file(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """The errors are those of a download."""
        with pytest.raises(ExportNotFoundError):
            await anext(client.rows("exp_none"))
        with pytest.raises(ExportFailedError):
            await anext(client.rows(sandbox.add_export("voucher", outcome="ERROR")))


class TestTables:
    async def test_each_library(self, sandbox: Sandbox, client: ExportsClient, temporary: Path) -> None:
        """Arrow, pandas and Polars have the same rows, with types; no file remains."""
        export_id = sandbox.add_export("order", rows=300, fields=["id", "amount", "created_at"])
        table = await client.to_arrow(export_id)
        assert table.schema.types == [pa.string(), pa.int64(), pa.timestamp("us", "UTC")]
        assert len(table) == 300
        frame = await client.to_pandas(export_id)
        assert isinstance(frame, pd.DataFrame)
        assert frame["amount"].sum() == sum(table["amount"].to_pylist())
        polars = await client.to_polars(await client.get_export(export_id), names="header")
        assert isinstance(polars, pl.DataFrame)
        assert polars.columns == ["ID", "Amount", "Creation Date"]
        assert listed(temporary) == []

    async def test_every_object(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """The files of all objects fit the types of the catalog, without a warning."""
        for name, entry in CATALOG.items():
            table = await client.to_arrow(sandbox.add_export(name, rows=50), strict=True)
            assert len(table) == 50
            assert set(table.schema.names) >= set(entry.default_fields)

    async def test_parsed_json(self, sandbox: Sandbox, client: ExportsClient) -> None:
        """JSON cells are converted to structs."""
        export_id = sandbox.add_export("voucher_transactions", rows=5, fields=["details"])
        table = await client.to_arrow(export_id, json="parse")
        assert table["details"].to_pylist()[0].keys() == {"id", "note"}

    async def test_many_at_once(self, sandbox: Sandbox, client: ExportsClient, temporary: Path) -> None:
        """Many tables can be gathered at once."""
        ids = [sandbox.add_export("voucher", rows=20) for _ in range(30)]
        found = await asyncio.gather(*map(client.to_arrow, ids))
        assert {len(table) for table in found} == {20}
        assert listed(temporary) == []

    async def test_an_invalid_file(self, served: tuple[ExportsClient, str], temporary: Path) -> None:
        """The error of a file that is not a valid CSV file names the export."""
        client, export_id = served
        with pytest.raises(TableError, match=f"Export {export_id}: The row on line 4 has 1 cells") as raised:
            await client.to_arrow(export_id)
        assert raised.value.line == 4
        assert listed(temporary) == []

    async def test_a_missing_extra(
        self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the needed packages nothing is sent or created."""
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        for call in (client.to_arrow, client.to_pandas, client.to_polars):
            with pytest.raises(MissingExtraError, match="pip install"):
                await call("exp_1")
        with pytest.raises(MissingExtraError, match=r"voucherify-exports\[arrow\]"):
            await client.export_to(tmp_path / "v.parquet", "voucher")
        assert sandbox.requests == []

    async def test_no_temporary_folder(
        self, sandbox: Sandbox, client: ExportsClient, temporary: Path
    ) -> None:
        """A missing folder for temporary files is reported in words."""
        temporary.rmdir()
        with pytest.raises(
            DownloadError,
            match=r"^Cannot write export exp_\w+ to a temporary file: its folder does not exist",
        ):
            await client.to_arrow(sandbox.add_export("voucher"))
        temporary.mkdir()


class TestExportTo:
    @pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl"])
    async def test_by_suffix(
        self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path, suffix: str
    ) -> None:
        """The suffix chooses the format; the downloaded CSV file is removed."""
        reports: list[tuple[int, int | None]] = []
        path = await client.export_to(
            tmp_path / f"v{suffix}",
            "voucher",
            fields=["code", "value"],
            cells={"names": "header"},
            on_progress=lambda *progress: reports.append(progress),
        )
        frame = {".parquet": pl.read_parquet, ".arrow": pl.read_ipc, ".jsonl": pl.read_ndjson}[suffix](path)
        assert frame.columns == ["Code", "Value"]
        assert frame.height > 10
        assert reports[-1][0] == reports[-1][1]
        assert listed(tmp_path) == ["temporary", f"v{suffix}"]

    async def test_a_cell_that_does_not_fit(
        self, client: ExportsClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `strict` the old file stays."""
        target = tmp_path / "v.parquet"
        target.write_bytes(b"old")
        monkeypatch.setattr(_arrow, "_TYPES", {**_arrow._TYPES, ColumnType.DECIMAL: pa.bool_()})
        with pytest.raises(
            TableError, match=r"Export exp_.*: Line 2, column 'Value': cannot read .* as decimal"
        ):
            await client.export_to(target, "voucher", cells={"strict": True})
        assert target.read_bytes() == b"old"
        assert listed(tmp_path) == ["temporary", "v.parquet"]

    async def test_a_full_disk(
        self, client: ExportsClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that becomes full during the conversion is reported in words."""

        def full(*_: Any, **__: Any) -> Path:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(_fetched, "convert", full)
        with pytest.raises(
            DownloadError, match=r"^Cannot write export exp_.*v\.parquet: the disk is full"
        ) as raised:
            await client.export_to(tmp_path / "v.parquet", "voucher")
        assert raised.value.path == tmp_path / "v.parquet"
        assert listed(tmp_path) == ["temporary"]

    async def test_cancelled(
        self, client: ExportsClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Cancelling stops the work in its thread, and no file remains."""
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        convert = tables.convert

        def slow(*args: Any, on_progress: Any, **options: Any) -> Path:
            def check(rows: int) -> None:
                loop.call_soon_threadsafe(started.set)
                while True:
                    on_progress(rows)

            return convert(*args, on_progress=check, **options)

        monkeypatch.setattr(_fetched, "convert", slow)
        task = asyncio.create_task(client.export_to(tmp_path / "v.parquet", "voucher"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert listed(tmp_path) == ["temporary"]

    async def test_exact(self, client: ExportsClient, tmp_path: Path) -> None:
        """Amounts of money are exact."""
        path = await client.export_to(tmp_path / "v.parquet", "voucher", fields=["gift_balance"])
        found = [cell for cell in pq.read_table(path)["gift_balance"].to_pylist() if cell is not None]
        assert found
        assert all(isinstance(cell, Decimal) and cell * 100 == int(cell * 100) for cell in found)

    async def test_json_lines(self, client: ExportsClient, tmp_path: Path) -> None:
        """Each line is an object."""
        path = await client.export_to(tmp_path / "c.jsonl", "customer")
        assert {tuple(json.loads(line)) for line in path.read_text().splitlines()} == {("name", "source_id")}


class TestSave:
    """`save` writes an existing export in the format of the path."""

    @pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".jsonl"])
    async def test_each_format(
        self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path, suffix: str
    ) -> None:
        """Each format has all rows."""
        export_id = sandbox.add_export("customer", rows=7)
        path = await client.save(export_id, tmp_path / f"c{suffix}")
        read = {
            ".csv": lambda: len(path.read_text().splitlines()) - 1,
            ".parquet": lambda: pq.read_table(path).num_rows,
            ".arrow": lambda: pa.ipc.open_file(path).read_all().num_rows,
            ".jsonl": lambda: len(path.read_text().splitlines()),
        }
        assert read[suffix]() == 7

    async def test_an_unknown_suffix(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """No request is sent."""
        with pytest.raises(ValueError, match=r"must end in one of \.csv"):
            await client.save("exp_1", tmp_path / "c.xlsx")
        assert not sandbox.requests

    async def test_an_unknown_export(self, client: ExportsClient, tmp_path: Path) -> None:
        """The errors are those of a download."""
        with pytest.raises(ExportNotFoundError):
            await client.save("exp_nope", tmp_path / "c.parquet")
        assert listed(tmp_path) == ["temporary"]


async def test_a_warning_reaches_the_caller(
    sandbox: Sandbox, client: ExportsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that became text is a warning, also from a thread."""
    monkeypatch.setattr(_arrow, "_TYPES", {**_arrow._TYPES, ColumnType.DECIMAL: pa.bool_()})
    with pytest.warns(ColumnWarning, match="the whole column is kept as text"):
        table = await client.to_arrow(sandbox.add_export("voucher", fields=["value"]))
    assert table.schema.types == [pa.string()]
