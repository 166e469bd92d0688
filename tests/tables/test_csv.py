import codecs
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucherify_exports import TableError
from voucherify_exports.tables._csv import CSVParser, parse_records, quote_cell, read_chunks


def read(data: bytes, size: int | None = None) -> list[tuple[int, list[str]]]:
    size = size or max(1, len(data))
    return list(parse_records(data[start : start + size] for start in range(0, len(data), size)))


def cells(data: bytes) -> list[list[str]]:
    return [row for _, row in read(data)]


class TestRecords:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, None])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_chunks_of_any_size(self, end: str, size: int | None) -> None:
        """A chunk may end within a line end, a quote or a character."""
        data = f'﻿ID,"Na""me"{end}1,"Zoë{end}王"{end},{end}'.encode()

        assert read(data, size) == [(1, ["ID", 'Na"me']), (2, ["1", f"Zoë{end}王"]), (4, ["", ""])]

    def test_other_line_separators_are_text(self) -> None:
        """Only carriage returns and line feeds end a line, not other Unicode separators."""
        assert cells("a,b\nx\u2028\x85\x0b\x1c,y\n".encode()) == [["a", "b"], ["x\u2028\x85\x0b\x1c", "y"]]

    def test_nul_is_text(self) -> None:
        """A NUL byte is one character of a cell."""
        assert cells(b"a,b\n\x00,1\n") == [["a", "b"], ["\x00", "1"]]

    def test_no_line_end_at_the_end(self) -> None:
        """The last line needs no line end."""
        assert cells(b"a,b\n1,2") == [["a", "b"], ["1", "2"]]

    @pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_empty(self, data: bytes) -> None:
        """A file without a header has no records."""
        assert read(data) == []

    def test_blank_lines(self) -> None:
        """They are skipped, except in a file with one column, where each is an empty cell."""
        assert read(b"\na,b\n\n1,2\n\n") == [(2, ["a", "b"]), (4, ["1", "2"])]
        assert read(b"\na\n\n1\n") == [(2, ["a"]), (3, [""]), (4, ["1"])]

    def test_quotes_in_an_unquoted_cell(self) -> None:
        """They are text."""
        assert cells(b'a,b\nx"y",z\n') == [["a", "b"], ['x"y"', "z"]]

    def test_a_binary_file(self) -> None:
        """A binary file is read to its end."""
        assert list(parse_records(read_chunks(io.BytesIO(b"a\n1\n")))) == [(1, ["a"]), (2, ["1"])]


class TestMalformed:
    @pytest.mark.parametrize("size", [1, 5, None])
    @pytest.mark.parametrize(
        ("data", "line", "problem"),
        [
            (b"a,b\n1,2\n3\n", 3, "The row on line 3 has 1 cells, but the header has 2"),
            (b'a,b\n"1\n1",2\n3,4,5\n', 4, "The row on line 4 has 3 cells"),
            (b'a,b\n1,"2\n3,4\n', 2, "a quote is not closed"),
            (b'a,b\n1,"2\n3,"4,5"\n', 2, "Cannot read the row that starts on line 2"),
            (b'a,b\n1,"2"3\n4,5\n', 2, "Cannot read the row that starts on line 2"),
            (b"a,b\n1,2\n3,\xff\n", 3, "Line 3 is not UTF-8: byte 0xff"),
            (b"a,b\n1,2\n3,\xc3", 3, "Line 3 is not UTF-8: byte 0xc3"),
            (b"\xffa\n", 1, "Line 1 is not UTF-8"),
        ],
    )
    def test_the_error_names_the_line(self, data: bytes, line: int, problem: str, size: int | None) -> None:
        """No row is dropped or merged: the first invalid row raises."""
        with pytest.raises(TableError, match=problem) as raised:
            read(data, size)
        assert raised.value.line == line

    def test_a_cell_that_is_too_long(self) -> None:
        """The error names Python's limit for a cell, which also ends the search for a closing quote."""
        data = b'a,b\n1,"' + b"x" * (csv.field_size_limit() + 1) + b'"\n'
        with pytest.raises(TableError, match=r"csv\.field_size_limit"):
            read(data, 64 * 1024)

    def test_earlier_rows_are_returned(self) -> None:
        """Rows before the invalid one are returned."""
        parser = CSVParser()
        assert parser.feed(b"a,b\n1,2\n3") == [(1, ["a", "b"]), (2, ["1", "2"])]
        with pytest.raises(TableError):
            parser.finish()


class TestQuoteCell:
    def test_long_cells_are_shortened(self) -> None:
        """Long cells are shortened, so that a message stays readable."""
        assert quote_cell("x") == "'x'"
        assert quote_cell("x" * 100) == repr("x" * 60 + "…")


# UTF-8 cannot encode a lone surrogate.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(TABLES, st.integers(1, 40))
def test_reads_what_csv_writes(table: list[list[str]], size: int) -> None:
    """Any table of strings is read back unchanged, from chunks of any size."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows(table)
    data = codecs.BOM_UTF8 + file.getvalue().encode()

    assert [row for _, row in read(data, size)] == table
