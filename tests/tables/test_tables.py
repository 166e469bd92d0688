import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_csv import TABLES, TEXTS

from voucherify_exports import ColumnWarning, MissingExtraError, TableError, tables
from voucherify_exports.tables._arrow import CSVTable, _QuoteCheckedFile
from voucherify_exports.tables._columns import Origin
from voucherify_exports.tables._writers import write_jsonl

VOUCHERS = (
    b"ID,Code,Value,Redemption Limit,Active,Creation Date\n"
    b"v_1,007,2000.00,10,true,2022-01-13T09:03:18.293Z\n"
    b"v_2,1e5,,,false,\n"
    b'v_3,"NaN, ""x""",0.1,0,,2022-01-13T10:03:18+01:00\n'
)
FIELDS = ["id", "code", "value", "redemption_quantity", "active", "created_at"]


def read_column(*cells: str, field: str, exported_object: str = "voucher", **options: Any) -> list[Any]:
    """The values of a column with these cells, beside another column."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["ID", field], *(["x", cell] for cell in cells)])
    table = tables.to_arrow(
        io.BytesIO(file.getvalue().encode()), export=exported_object, fields=["id", field], **options
    )
    assert table.schema.names == ["id", field]
    found: list[Any] = table[field].to_pylist()
    return found


def listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestRows:
    def test_strings_by_field(self) -> None:
        """Each row is a dict of the cells as in the file, with the field names of the API."""
        rows = list(tables.rows(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS))
        assert rows[1] == {
            "id": "v_2",
            "code": "1e5",
            "value": "",
            "redemption_quantity": "",
            "active": "false",
            "created_at": "",
        }
        assert rows[2]["code"] == 'NaN, "x"'

    def test_a_path(self, tmp_path: Path) -> None:
        """Without an export the names are the titles of the file."""
        (tmp_path / "v.csv").write_bytes(VOUCHERS)
        assert [row["Redemption Limit"] for row in tables.rows(tmp_path / "v.csv")] == ["10", "", "0"]
        assert len(list(tables.rows(str(tmp_path / "v.csv"), export="voucher", names="header"))) == 3

    @given(TABLES)
    def test_any_table(self, table: list[list[str]]) -> None:
        """Any table that `csv` writes is read back, with any titles."""
        file = io.StringIO(newline="")
        csv.writer(file).writerows(table)
        data = b"\xef\xbb\xbf" + file.getvalue().encode()
        rows = list(tables.rows(io.BytesIO(data)))
        assert [list(row.values()) for row in rows] == table[1:]


class TestTypes:
    def test_each(self) -> None:
        """Each column has the type of the catalog, codes stay text, and an empty cell is null."""
        table = tables.to_arrow(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS)
        assert table.schema == pa.schema(
            [
                ("id", pa.string()),
                ("code", pa.string()),
                ("value", pa.decimal128(38, 18)),
                ("redemption_quantity", pa.int64()),
                ("active", pa.bool_()),
                ("created_at", pa.timestamp("us", "UTC")),
            ]
        )
        assert table.to_pydict() == {
            "id": ["v_1", "v_2", "v_3"],
            "code": ["007", "1e5", 'NaN, "x"'],
            "value": [Decimal(2000), None, Decimal("0.1")],
            "redemption_quantity": [10, None, 0],
            "active": [True, False, None],
            "created_at": [
                datetime(2022, 1, 13, 9, 3, 18, 293000, tzinfo=UTC),
                None,
                datetime(2022, 1, 13, 9, 3, 18, tzinfo=UTC),
            ],
        }

    def test_without_an_export(self) -> None:
        """Without an export all columns are text."""
        assert set(tables.to_arrow(io.BytesIO(VOUCHERS)).schema.types) == {pa.string()}

    @pytest.mark.parametrize(
        "cell", ["007", "1e5", "NaN", "null", "NULL", "true", " ", "-", "#N/A", "0x1F", "None"]
    )
    def test_text_stays(self, cell: str) -> None:
        """A text column has no other values, even if a cell looks like a number, a boolean or null."""
        assert read_column(cell, field="code") == [cell]

    def test_money_is_exact(self) -> None:
        """A decimal keeps all digits, also those that no float can represent."""
        cells = ["0.1", "12345678901234567890.123456789012345678", "0.30000000000000004", "-0.01", "1e2"]
        assert read_column(*cells, field="value") == [Decimal(cell) for cell in cells]

    def test_dates(self) -> None:
        """A date without a time has the type date."""
        assert read_column("2022-06-30", "", field="expires_at", exported_object="points_expiration") == [
            date(2022, 6, 30),
            None,
        ]

    def test_json_is_text(self) -> None:
        """By default JSON cells stay text."""
        assert read_column('{"a": 1}', field="details", exported_object="voucher_transactions") == [
            '{"a": 1}'
        ]


class TestMisfits:
    @pytest.mark.parametrize(
        ("field", "cells", "line", "value", "kind"),
        [
            ("value", ["1", "", "oops", "worse"], 4, "oops", "decimal"),
            ("value", ["NaN"], 2, "NaN", "decimal"),
            ("value", ["0.1234567890123456789"], 2, "0.1234567890123456789", "decimal"),
            ("redemption_quantity", ["1", "2.5"], 3, "2.5", "integer"),
            ("redemption_quantity", ["9223372036854775808"], 2, "9223372036854775808", "integer"),
            ("active", ["true", "1"], 3, "1", "boolean"),
            ("created_at", ["2022-01-13T09:03:18Z", "2022-01-13"], 3, "2022-01-13", "timestamp"),
            ("created_at", ["2022-01-13T09:03:18"], 2, "2022-01-13T09:03:18", "timestamp"),
        ],
    )
    def test_a_warning_or_an_error(
        self, field: str, cells: Sequence[str], line: int, value: str, kind: str
    ) -> None:
        """The column becomes text, or raises if strict; both name the first cell that does not fit."""
        problem = f"Line {line}, column '{field}': cannot read '{value}' as {kind}"
        with pytest.warns(ColumnWarning, match=problem):
            assert read_column(*cells, field=field) == [cell or None for cell in cells]
        with pytest.raises(TableError, match=problem) as raised:
            read_column(*cells, field=field, strict=True)
        assert (raised.value.line, raised.value.column, raised.value.value) == (line, field, value)

    def test_far_from_the_start(self, tmp_path: Path) -> None:
        """A cell in a later block is found as well, in any column, and the file is written again."""
        rows = [b"%d,%d,2022-01-13T09:03:18Z" % (number, number) for number in range(120_000)]
        rows[70_000] = b"70000,70000,soon"
        rows[110_000] = b'"110\n000",x,2022-01-13T09:03:18Z'
        source = tmp_path / "v.csv"
        source.write_bytes(b"\n".join([b"ID,Value,Creation Date", *rows]))
        with pytest.warns(ColumnWarning) as warned:
            tables.to_parquet(
                source, tmp_path / "v.parquet", export="voucher", fields=["id", "value", "created_at"]
            )
        assert [str(warning.message).partition(" as ")[0] for warning in warned] == [
            "Line 70002, column 'Creation Date': cannot read 'soon'",
            "Line 110002, column 'Value': cannot read 'x'",
        ]
        table = pq.read_table(tmp_path / "v.parquet")
        assert set(table.schema.types) == {pa.string()}
        assert table["value"].to_pylist() == [row.rsplit(b",", 2)[1].decode() for row in rows]


class TestDialects:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"a,b\n1,2", [["1", "2"]]),
            (b'\xef\xbb\xbf"a",b\r\n1,2\r\n', [["1", "2"]]),
            (b"a,b\r1,2\r", [["1", "2"]]),
            (b'a,"b\nc"\n1,"2\r\n3"\n', [["1", "2\r\n3"]]),
            (b'a,b\n"x""y",""\n', [['x"y', None]]),
            (b'a,b\nx"y",z\n', [['x"y"', "z"]]),
            (b"a,b\n\n1,2\n\n\n", [["1", "2"]]),
            (b"a,b\n\x00,2\n", [["\x00", "2"]]),
            (b"a\n\n1\n\n", [[None], ["1"], [None]]),
            (b"\n\na\n\n1\n", [[None], ["1"]]),
            (b"a,b\n", []),
            (b"a,b", []),
            (b'"a","b"', []),
            (b"", []),
        ],
    )
    def test_valid(self, data: bytes, expected: list[list[str | None]]) -> None:
        """`rows` and Arrow read each dialect alike."""
        table = tables.to_arrow(io.BytesIO(data))
        assert [list(row.values()) for row in table.to_pylist()] == expected
        rows = [[cell or None for cell in row.values()] for row in tables.rows(io.BytesIO(data))]
        assert rows == expected

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"a,b\n1,2\n3\n", 3),
            (b"a,b\n1,2\n3,4,5\n", 3),
            (b'a,b\n1,"2\n3,4\n', 2),
            (b'a,b\n1,"2\n3,"4,5"\n', 2),
            (b'a,b\n1,2\n"3" ,4\n', 3),
            (b"a,b\n1,\xff\n", 2),
        ],
    )
    def test_invalid(self, data: bytes, line: int) -> None:
        """`rows` and Arrow raise the same error with the line; pyarrow alone would merge rows."""
        with pytest.raises(TableError) as raised:
            tables.to_arrow(io.BytesIO(data))
        assert raised.value.line == line
        with pytest.raises(TableError) as again:
            list(tables.rows(io.BytesIO(data)))
        assert str(again.value) == str(raised.value)

    def test_an_empty_file_has_the_requested_columns(self) -> None:
        """The columns of a file without a header are the requested fields."""
        table = tables.to_arrow(io.BytesIO(b""), export="voucher", fields=["code", "value", "metadata"])
        assert table.schema == pa.schema([("code", pa.string()), ("value", pa.decimal128(38, 18))])
        assert len(table) == 0

    @given(TABLES, st.integers(1, 50))
    def test_arrow_reads_what_rows_reads(self, table: list[list[str]], size: int) -> None:
        """Any table of strings is the same in Arrow, also from a file that returns few bytes at a time."""
        file = io.StringIO(newline="")
        csv.writer(file).writerows(table)
        found = tables.to_arrow(Slow(b"\xef\xbb\xbf" + file.getvalue().encode(), size))
        assert [list(row.values()) for row in found.to_pylist()] == [
            [cell or None for cell in row] for row in table[1:]
        ]

    @given(st.lists(st.sampled_from(['"', ",", "\n", "x", "\r\n"]), max_size=24))
    def test_any_quotes(self, parts: list[str]) -> None:
        """For any quotes both read the same rows, or raise the same error."""
        data = ("a,b\n" + "".join(parts)).encode()
        try:
            expected: Any = [[cell or None for cell in row.values()] for row in tables.rows(io.BytesIO(data))]
        except TableError as error:
            expected = str(error)
        try:
            found: Any = [list(row.values()) for row in tables.to_arrow(io.BytesIO(data)).to_pylist()]
        except TableError as error:
            found = str(error)
        assert found == expected

    def test_rows_longer_than_a_block(self) -> None:
        """A row may have any length, as long as no cell exceeds Python's limit."""
        cell = b"x" * 100_000
        row = b",".join([cell] * 30)
        data = b",".join(b"c%d" % number for number in range(30)) + b"\n" + row + b"\n" + row + b"\n"
        assert tables.to_arrow(io.BytesIO(data)).num_rows == 2

    def test_a_row_longer_than_the_largest_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The block size has a limit, after which it is an error."""
        monkeypatch.setattr("voucherify_exports.tables._arrow._LARGEST_BLOCK", 1)
        row = b",".join([b"x" * 100_000] * 30)
        data = b",".join(b"c%d" % number for number in range(30)) + b"\n" + row + b"\n" + row
        with pytest.raises(
            TableError, match=r"Cannot read the file, perhaps because a row is too long: .*block"
        ):
            tables.to_arrow(io.BytesIO(data))


class Slow(io.BytesIO):
    """A file that returns few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self._size, size or 0) if size and size > 0 else self._size)


class Held(io.BytesIO):
    """A file whose reads block until they may continue."""

    def __init__(self, data: bytes, order: list[str]) -> None:
        super().__init__(data)
        self._order = order
        self.is_read, self.may_continue = Event(), Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_read.set()
        self.may_continue.wait()
        self._order.append("read")
        return super().read(size)


class TestQuoteCheckedFile:
    """The file that pyarrow reads from, in its own threads."""

    @pytest.mark.parametrize("size", [4, 5, 7, 1000])
    @pytest.mark.parametrize("step", [1, 1000])
    @pytest.mark.parametrize(
        ("data", "is_right"),
        [
            (b'a,"b"\n', True),
            (b'\xef\xbb\xbf"a","b""c"""\r\n"",""""', True),
            (b"a,b\r", True),
            (b'a,"b', False),
            (b'a,"b"c\n', False),
            (b'a,b"c"\n', False),
            (b'a,b"', False),
        ],
    )
    def test_quotes(self, data: bytes, is_right: bool, size: int, step: int) -> None:
        """All blocks are unchanged, with a line end after the last one, unless a quote is wrong."""
        checked = _QuoteCheckedFile(Slow(data, step), is_well_formed=False)
        assert checked.readable()
        blocks = iter(lambda: checked.read(size), b"")
        if is_right:
            assert b"".join(blocks) == (data if data.endswith((b"\n", b"\r")) else data + b"\n")
        else:
            with pytest.raises(pa.ArrowInvalid, match="a quote is missing"):
                list(blocks)

    def test_a_well_formed_file_is_not_checked(self) -> None:
        """The slow parser has read the file without an error, and is stricter."""
        checked = _QuoteCheckedFile(io.BytesIO(b'x"y'), is_well_formed=True)
        assert checked.read(100) == b'x"y\n'

    def test_a_closed_file_is_not_read(self) -> None:
        """After closing, pyarrow cannot read ahead in a file that is read again."""
        file = io.BytesIO(b"x\n")
        checked = _QuoteCheckedFile(file, is_well_formed=False)
        checked.close()
        assert (checked.read(100), file.tell()) == (b"", 0)

    def test_closing_waits_for_a_read(self) -> None:
        """Closing waits for a read that is under way."""
        order: list[str] = []
        file = Held(b"x\n", order)
        checked = _QuoteCheckedFile(file, is_well_formed=False)
        reading = Thread(target=lambda: checked.read(100))
        closing = Thread(target=lambda: (checked.close(), order.append("closed")))
        reading.start()
        file.is_read.wait()
        closing.start()
        closing.join(0.05)  # long enough for a close that does not wait
        file.may_continue.set()
        for thread in (reading, closing):
            thread.join()
        assert order[0] == "read"
        assert order[-1] == "closed"


class TestCSVTable:
    def test_batches_end_after_an_error(self, tmp_path: Path) -> None:
        """When `consume` raises before the last batch, the file is closed at once."""
        kept: list[Iterator[pa.RecordBatch]] = []

        def give_up(_: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
            next(batches)
            kept.append(batches)
            raise OSError("disk")

        path = tmp_path / "long.csv"
        path.write_bytes(b"a\n" + b"x\n" * 2_000_000)
        with pytest.raises(OSError, match="disk"):
            CSVTable.from_file(lambda: path.open("rb"), Origin()).read(give_up)
        assert list(kept[0]) == []


class TestParsedJson:
    def parsed(self, *cells: str, **options: Any) -> list[Any]:
        return read_column(
            *cells, field="details", exported_object="voucher_transactions", json="parse", **options
        )

    def test_structs(self) -> None:
        """A struct has the properties of all rows; decimals are exact, and a missing property is null."""
        assert self.parsed(
            '{"a": 1, "b": {"c": ["x"]}}', "", '{"a": 0.1, "d": true, "b": null}', "{}", "null"
        ) == [
            {"a": Decimal(1), "b": {"c": ["x"]}, "d": None},
            None,
            {"a": Decimal("0.1"), "b": None, "d": True},
            {"a": None, "b": None, "d": None},
            None,
        ]

    def test_always_null(self) -> None:
        """A property that is null in every row is kept."""
        assert self.parsed('{"a": null}') == [{"a": None}]

    def test_lists_and_values(self) -> None:
        """A cell may be a list or a single value."""
        assert self.parsed("[1, 2]", "[]", "[null]", "[2.5]") == [[1, 2], [], [None], [Decimal("2.5")]]
        assert self.parsed('"x"', '"2022-01-13T09:03:18Z"') == ["x", "2022-01-13T09:03:18Z"]

    @pytest.mark.parametrize(
        "cell",
        [
            '{"a": "x"}',
            "{",
            "NaN",
            '{"a": 9223372036854775808}',
            "[1]",
            "1e-30",
            '{"a": 1e300}',
            '{"a": true}',
        ],
    )
    def test_another_shape(self, cell: str) -> None:
        """A cell that is not JSON, or has another shape, makes the column text, or raises if strict."""
        problem = "Line 3, column 'details': cannot read .* as JSON like the cells before it"
        with pytest.warns(ColumnWarning, match=problem):
            assert self.parsed('{"a": 1}', cell) == ['{"a": 1}', cell]
        with pytest.raises(TableError, match=problem) as raised:
            self.parsed('{"a": 1}', cell, strict=True)
        assert raised.value.value == cell

    @pytest.mark.parametrize("cells", [[""], ["{}", "{}"], ['{"a": {}}'], ["[{}]"]])
    def test_empty_objects(self, cells: Sequence[str]) -> None:
        """A column with an object that is always empty stays text: Parquet has no type for it."""
        assert self.parsed(*cells) == [cell or None for cell in cells]

    def test_beside_other_columns(self, tmp_path: Path) -> None:
        """A column that does not fit becomes text beside one with structs."""
        data = b'Balance,Details,Amount\n1,"{""a"": 1}",x\n2,,3\n'
        fields = ["balance", "details", "amount"]
        with pytest.warns(ColumnWarning, match="Line 2, column 'Amount': cannot read 'x' as decimal"):
            path = tables.to_jsonl(
                io.BytesIO(data),
                tmp_path / "t.jsonl",
                export="voucher_transactions",
                fields=fields,
                json="parse",
            )
        assert [json.loads(line) for line in path.read_text().splitlines()] == [
            {"balance": 1, "details": {"a": 1}, "amount": "x"},
            {"balance": 2, "details": None, "amount": "3"},
        ]


class TestFrames:
    def test_pandas(self) -> None:
        """The columns keep their types: integers with nulls stay integers, decimals stay exact."""
        frame = tables.to_pandas(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS)
        assert isinstance(frame, pd.DataFrame)
        assert frame["redemption_quantity"].sum() == 10
        assert str(frame["redemption_quantity"].dtype) == "int64[pyarrow]"
        assert frame["value"].sum() == Decimal("2000.1")
        assert list(frame["code"]) == ["007", "1e5", 'NaN, "x"']

    def test_polars(self) -> None:
        """The columns keep their types."""
        frame = tables.to_polars(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS)
        assert frame.schema["created_at"] == pl.Datetime("us", "UTC")
        assert frame.schema["redemption_quantity"] == pl.Int64
        assert frame["value"].to_list() == [Decimal(2000), None, Decimal("0.1")]


class TestFiles:
    def test_parquet(self, tmp_path: Path) -> None:
        """The file has the table, and the path is returned."""
        path = tables.to_parquet(io.BytesIO(VOUCHERS), tmp_path / "v.pq", export="voucher", fields=FIELDS)
        expected = tables.to_arrow(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS)
        assert path == tmp_path / "v.pq"
        assert pq.read_table(path).equals(expected)
        assert listed(tmp_path) == ["v.pq"]

    def test_row_groups_are_large(self, tmp_path: Path) -> None:
        """A row group has many batches, which is faster to read."""
        data = b"a,b\n" + b"12345678,abcdefgh\n" * 300_000
        path = tables.to_parquet(io.BytesIO(data), tmp_path / "v.parquet")
        assert pq.ParquetFile(path).num_row_groups == 1
        assert pq.ParquetFile(path).metadata.num_rows == 300_000

    def test_row_groups_are_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row group is written when it is large enough, so that memory does not grow."""
        monkeypatch.setattr("voucherify_exports.tables._writers._ROW_GROUP_SIZE", 1)
        data = b"a,b\n" + b"12345678,abcdefgh\n" * 300_000
        path = tables.to_parquet(io.BytesIO(data), tmp_path / "v.parquet")
        assert pq.ParquetFile(path).num_row_groups > 4
        assert pq.read_table(path).num_rows == 300_000

    def test_arrow(self, tmp_path: Path) -> None:
        """Arrow's file format keeps all types."""
        path = tables.convert(io.BytesIO(VOUCHERS), tmp_path / "v.ARROW", export="voucher", fields=FIELDS)
        with pa.memory_map(str(path)) as file:
            found = pa.ipc.open_file(file).read_all()
        assert found.equals(tables.to_arrow(io.BytesIO(VOUCHERS), export="voucher", fields=FIELDS))

    def test_json_lines(self, tmp_path: Path) -> None:
        """Each row is an object, with decimals as numbers with all their digits."""
        path = tables.to_jsonl(io.BytesIO(VOUCHERS), tmp_path / "v.jsonl", export="voucher", fields=FIELDS)
        assert path.read_text().splitlines() == [
            '{"id": "v_1", "code": "007", "value": 2000, "redemption_quantity": 10, "active": true,'
            ' "created_at": "2022-01-13T09:03:18.293Z"}',
            '{"id": "v_2", "code": "1e5", "value": null, "redemption_quantity": null, "active": false,'
            ' "created_at": null}',
            r'{"id": "v_3", "code": "NaN, \"x\"", "value": 0.1, "redemption_quantity": 0, "active": null,'
            ' "created_at": "2022-01-13T09:03:18.000Z"}',
        ]

    @given(
        st.lists(st.decimals(-(10**19), 10**19, places=18, allow_nan=False), min_size=1),
        st.lists(TEXTS.filter(bool), min_size=1, max_size=1),
    )
    def test_json_lines_are_exact(self, numbers: list[Decimal], titles: list[str]) -> None:
        """Any decimal and any text are unchanged."""
        file = io.StringIO(newline="")
        csv.writer(file).writerows([["ID", "Value"], *([titles[0], f"{number:f}"] for number in numbers)])
        table = tables.to_arrow(
            io.BytesIO(file.getvalue().encode()), export="voucher", fields=["id", "value"]
        )
        written = io.BytesIO()
        write_jsonl(written, table.schema, iter(table.to_batches()))  # type: ignore[arg-type]  # any file will do
        lines = written.getvalue().decode().split("\n")[:-1]
        assert [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines] == [
            {"id": titles[0], "value": number} for number in numbers
        ]

    def test_nested_json_lines(self, tmp_path: Path) -> None:
        """Structs become objects again, and a percent sign in a title is kept."""
        data = b'100 %,Details\n5,"{""a"": [0.10, null], ""b"": ""\xc3\xa9""}"\n'
        path = tables.to_jsonl(
            io.BytesIO(data), tmp_path / "t.jsonl", export="voucher_transactions", json="parse"
        )
        assert path.read_text() == '{"100 %": "5", "details": {"a": [0.1, null], "b": "é"}}\n'

    def test_dates_in_json_lines(self, tmp_path: Path) -> None:
        """Dates are written as dates, empty cells as null."""
        data = b"ID,Expires At\nx,2022-06-30\ny,\n"
        path = tables.to_jsonl(
            io.BytesIO(data), tmp_path / "t.jsonl", export="points_expiration", fields=["id", "expires_at"]
        )
        assert (
            path.read_text() == '{"id": "x", "expires_at": "2022-06-30"}\n{"id": "y", "expires_at": null}\n'
        )

    def test_an_invalid_file_changes_nothing(self, tmp_path: Path) -> None:
        """The old file stays until a complete one replaces it, and no other file remains."""
        target = tmp_path / "v.parquet"
        target.write_bytes(b"old")
        with pytest.raises(TableError):
            tables.to_parquet(io.BytesIO(b"a,b\n" + b"1,2\n" * 500_000 + b"3"), target)
        assert target.read_bytes() == b"old"
        assert listed(tmp_path) == ["v.parquet"]

    def test_missing_paths(self, tmp_path: Path) -> None:
        """A missing file or folder raises `FileNotFoundError`."""
        with pytest.raises(FileNotFoundError):
            tables.to_parquet(tmp_path / "none.csv", tmp_path / "v.parquet")
        with pytest.raises(FileNotFoundError):
            tables.to_parquet(io.BytesIO(VOUCHERS), tmp_path / "none" / "v.parquet")
        assert listed(tmp_path) == []

    @pytest.mark.parametrize("name", ["v.csv", "v.xlsx", "v", ".parquet"])
    def test_other_suffixes(self, tmp_path: Path, name: str) -> None:
        """An unknown format is refused, and so is `.csv`."""
        with pytest.raises(ValueError, match=r"the path must end in one of|is already a CSV file"):
            tables.convert(io.BytesIO(VOUCHERS), tmp_path / name)

    def test_progress(self, tmp_path: Path) -> None:
        """The number of rows is reported during the work; an exception from the callback ends it."""
        reports: list[int] = []
        data = b"a,b\n" + b"12345678,abcdefgh\n" * 300_000
        tables.to_parquet(io.BytesIO(data), tmp_path / "v.parquet", on_progress=reports.append)
        assert reports == sorted(reports)
        assert reports[-1] == 300_000
        assert len(reports) > 3

        def stop(rows: int) -> None:
            raise KeyError(rows)

        with pytest.raises(KeyError):
            tables.to_parquet(io.BytesIO(data), tmp_path / "w.parquet", on_progress=stop)
        assert listed(tmp_path) == ["v.parquet"]


class TestOptions:
    def test_invalid_values(self) -> None:
        """Unknown values and unknown options are refused."""
        with pytest.raises(ValueError, match="json must be 'text' or 'parse', not 'struct'"):
            tables.to_arrow(io.BytesIO(VOUCHERS), json="struct")  # type: ignore[arg-type]  # that is tested
        with pytest.raises(TypeError, match="export_object"):
            tables.to_arrow(io.BytesIO(VOUCHERS), export_object="voucher")  # type: ignore[call-arg]  # so

    @pytest.mark.parametrize(
        ("call", "hidden", "extra"),
        [
            ("to_arrow(source)", "pyarrow", "arrow"),
            ("to_arrow(source)", "numpy", "arrow"),
            ("to_parquet(source, 'v.parquet')", "pyarrow", "arrow"),
            ("convert(source, 'v.jsonl')", "pyarrow", "arrow"),
            ("to_pandas(source)", "pandas", "pandas"),
            ("to_polars(source)", "polars", "polars"),
        ],
    )
    def test_a_missing_extra(
        self, call: str, hidden: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Without a package the error names the extra; `rows` needs no extra."""
        monkeypatch.setitem(sys.modules, hidden, None)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(MissingExtraError, match=rf"{hidden} .*voucherify-exports\[{extra}\]"):
            eval(f"tables.{call}", {"tables": tables, "source": io.BytesIO(VOUCHERS)})
        assert len(list(tables.rows(io.BytesIO(VOUCHERS)))) == 3
        assert listed(tmp_path) == []

    def test_the_import_is_light(self) -> None:
        """Neither the package nor `rows` imports numpy, pyarrow, pandas or Polars."""
        code = (
            "import io, sys; from voucherify_exports import tables;"
            "list(tables.rows(io.BytesIO(b'a\\n1\\n')));"
            "print([name for name in ('numpy', 'pandas', 'polars', 'pyarrow') if name in sys.modules])"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=25
        )
        assert run.stdout.strip() == "[]"
