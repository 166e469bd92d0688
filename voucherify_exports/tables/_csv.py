"""CSV in pieces: bytes in, records out, or an error that names the line."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, TypeAlias

from attrs import define, field

from ..errors import TableError

Record: TypeAlias = tuple[int, list[str]]
"""The line on which a record begins, counted from 1, and its cells."""

_CHUNK_SIZE = 64 * 1024  # bytes; more of them at once take longer
_MAX_QUOTED = 60  # characters of a cell in a message


@define
class CSVParser:
    """Reads a file that comes in pieces of any size; the first record is its header.

    Every record has as many cells as the header. A blank line is none, but where there is one column:
    there it is an empty cell. `TableError` says on which line that, a quote, or UTF-8 is wrong.
    """

    _decoder: codecs.IncrementalDecoder = field(init=False, factory=codecs.getincrementaldecoder("utf-8-sig"))
    _rest: str = field(init=False, default="")  # of which the last record is not known to be whole
    _line: int = field(init=False, default=1)  # on which the rest begins
    _width: int = field(init=False, default=0)

    def feed(self, piece: bytes) -> list[Record]:
        """The records that the next piece completes."""
        text = self._rest + self._decode(piece)
        # A \r at the very end may be the half of a line end.
        end = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        lines = _split_lines(text[:end])
        whole, records = self._parse(lines, is_end=False)
        self._rest = "".join(lines[whole:]) + text[end:]
        return records

    def finish(self) -> list[Record]:
        """The records that are left at the end of the file."""
        return self._parse(_split_lines(self._rest + self._decode(b"", is_end=True)), is_end=True)[1]

    def _decode(self, piece: bytes, *, is_end: bool = False) -> str:
        try:
            return self._decoder.decode(piece, is_end)
        except UnicodeDecodeError as error:
            before = self._rest + error.object[: error.start].decode()
            line = self._line + len(_split_lines(before + ".")) - 1
            raise TableError(
                f"Line {line} is not UTF-8: byte 0x{error.object[error.start]:02x}, {error.reason}", line=line
            ) from None

    def _parse(self, lines: Sequence[str], *, is_end: bool) -> tuple[int, list[Record]]:
        """The whole records of these lines, and how many lines they are."""
        reader = csv.reader(lines, strict=True)
        records: list[Record] = []
        whole, first = 0, self._line
        try:
            for cells in reader:
                if len(cells) != self._width:
                    cells = self._check_width(first + whole, cells)
                if cells:
                    records.append((first + whole, cells))
                whole = reader.line_num
        except csv.Error as error:
            if is_end or reader.line_num < len(lines):
                raise _malformed_error(first + whole, error) from None
        self._line += whole
        return whole, records

    def _check_width(self, line: int, cells: list[str]) -> list[str]:
        """What the header, a blank line, or a row of another length stands for."""
        if not cells:
            return [""] if self._width == 1 else []
        if self._width:
            raise TableError(
                f"The header has {self._width} cells, and the row on line {line} {len(cells)}", line=line
            )
        self._width = len(cells)
        return cells


def parse_records(pieces: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file, the header's first."""
    reader = CSVParser()
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.finish()


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """What is left of a file."""
    return iter(partial(file.read, _CHUNK_SIZE), b"")


def _split_lines(text: str) -> list[str]:
    # Not splitlines, which splits at more than the ends of lines.
    return list(io.StringIO(text, newline=""))


def _malformed_error(line: int, error: csv.Error) -> TableError:
    hint = ""
    if "limit" in str(error):
        hint = ": a quote that is never closed, or a cell for which csv.field_size_limit() must be raised"
    elif "end of data" in str(error):
        hint = ": a quote is never closed"
    return TableError(f"The row that begins on line {line} cannot be read: {error}{hint}", line=line)


def quote_cell(cell: str) -> str:
    """A cell as a message shows it."""
    return repr(cell if len(cell) <= _MAX_QUOTED else f"{cell[:_MAX_QUOTED]}…")
