"""An incremental CSV parser: bytes in, records out, or an error that names the line."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, TypeAlias

from attrs import define, field

from ..errors import TableError

Record: TypeAlias = tuple[int, list[str]]
"""The line on which a record starts, counted from 1, and its cells."""

_CHUNK_SIZE = 64 * 1024  # bytes; larger chunks are slower
_MAX_QUOTED = 60  # characters of a cell in a message


@define
class CSVParser:
    """Parses a file from chunks of any size; the first record is its header.

    Every record has as many cells as the header. Blank lines are skipped, except in a file with one column,
    where each is a record with an empty cell. `TableError` names the line on which the number of cells, a
    quote or the encoding is wrong.
    """

    _decoder: codecs.IncrementalDecoder = field(init=False, factory=codecs.getincrementaldecoder("utf-8-sig"))
    _rest: str = field(init=False, default="")  # text whose last record may be incomplete
    _line: int = field(init=False, default=1)  # on which the rest starts
    _width: int = field(init=False, default=0)

    def feed(self, chunk: bytes) -> list[Record]:
        """Parse the next chunk, and return the records that it completes."""
        text = self._rest + self._decode(chunk)
        # A \r at the very end may be the first half of \r\n.
        end = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        lines = _split_lines(text[:end])
        parsed, records = self._parse(lines, is_end=False)
        self._rest = "".join(lines[parsed:]) + text[end:]
        return records

    def finish(self) -> list[Record]:
        """Return the records that are left at the end of the file."""
        return self._parse(_split_lines(self._rest + self._decode(b"", is_end=True)), is_end=True)[1]

    def _decode(self, chunk: bytes, *, is_end: bool = False) -> str:
        try:
            return self._decoder.decode(chunk, is_end)
        except UnicodeDecodeError as error:
            before = self._rest + error.object[: error.start].decode()
            line = self._line + len(_split_lines(before + ".")) - 1
            raise TableError(
                f"Line {line} is not UTF-8: byte 0x{error.object[error.start]:02x}, {error.reason}", line=line
            ) from None

    def _parse(self, lines: Sequence[str], *, is_end: bool) -> tuple[int, list[Record]]:
        """Parse the complete records of these lines, and return how many lines they are."""
        reader = csv.reader(lines, strict=True)
        records: list[Record] = []
        parsed, start_line = 0, self._line
        try:
            for cells in reader:
                if len(cells) != self._width:
                    cells = self._check_width(start_line + parsed, cells)
                if cells:
                    records.append((start_line + parsed, cells))
                parsed = reader.line_num
        except csv.Error as error:
            if is_end or reader.line_num < len(lines):
                raise _malformed_error(start_line + parsed, error) from None
        self._line += parsed
        return parsed, records

    def _check_width(self, line: int, cells: list[str]) -> list[str]:
        """Handle the header and blank lines, and raise `TableError` for a row of another length."""
        if not cells:
            return [""] if self._width == 1 else []
        if self._width:
            raise TableError(
                f"The row on line {line} has {len(cells)} cells, but the header has {self._width}", line=line
            )
        self._width = len(cells)
        return cells


def parse_records(chunks: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a file, starting with the header."""
    parser = CSVParser()
    for chunk in chunks:
        yield from parser.feed(chunk)
    yield from parser.finish()


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in chunks."""
    return iter(partial(file.read, _CHUNK_SIZE), b"")


def _split_lines(text: str) -> list[str]:
    # str.splitlines also splits at other characters, such as form feeds and U+2028.
    return list(io.StringIO(text, newline=""))


def _malformed_error(line: int, error: csv.Error) -> TableError:
    hint = ""
    if "limit" in str(error):
        hint = "; a quote is not closed, or the cell needs a higher csv.field_size_limit()"
    elif "end of data" in str(error):
        hint = "; a quote is not closed"
    return TableError(f"Cannot read the row that starts on line {line}: {error}{hint}", line=line)


def quote_cell(cell: str) -> str:
    """A cell in quotes for a message, shortened if it is long."""
    return repr(cell if len(cell) <= _MAX_QUOTED else f"{cell[:_MAX_QUOTED]}…")
