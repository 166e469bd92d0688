"""CSV files as Arrow record batches: the types of the columns, and what happens to cells that do not fit.

pyarrow reads the file. It does not notice missing quotes, and does not name the line of an error. When it
fails, or the quotes look wrong, the file is read again with the slower parser, which finds the reason.
"""

# pyarrow's stubs do not type much of it.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import codecs
import csv
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from io import BytesIO, RawIOBase, StringIO
from itertools import islice
from threading import Lock
from typing import IO, Any, BinaryIO, TypeAlias, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
from attrs import define, evolve, field

from .._ground.callbacks import check_returned
from ..catalog import ColumnType
from ..errors import TableError
from ._columns import Column, Names, Origin, build_columns, warn
from ._csv import parse_records, quote_cell, read_chunks

_Result = TypeVar("_Result")
Consume: TypeAlias = Callable[[pa.Schema, Iterator[pa.RecordBatch]], _Result]

DECIMAL = pa.decimal128(38, 18)
"""Exact also for the many digits of values that were computed as doubles."""

_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.DECIMAL: DECIMAL,
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.JSON: pa.string(),
}
_BLOCK = 1024 * 1024  # bytes
_LARGEST_BLOCK = 512 * _BLOCK
_ROWS_AT_ONCE = 10_000


class _ArrowReadError(Exception):
    """pyarrow could not read the file, or its quotes look wrong."""


@define(eq=False)
class CSVTable:
    """A CSV file as a table. It keeps what earlier reads found out: types, quotes and the block size."""

    _open: Callable[[], AbstractContextManager[BinaryIO]]
    columns: list[Column]
    _strict: bool
    _on_progress: Callable[[int], object]
    _header_line: int | None
    _is_well_formed: bool = field(init=False, default=False)
    _block_size: int = field(init=False, default=_BLOCK)

    @classmethod
    def from_file(
        cls,
        open_file: Callable[[], AbstractContextManager[BinaryIO]],
        origin: Origin,
        *,
        names: Names = "field",
        strict: bool = False,
        on_progress: Callable[[int], object] = lambda rows: None,
    ) -> "CSVTable":
        """The table of a file, which `open_file` opens at its start, any number of times."""
        with open_file() as file:
            line, header = next(parse_records(read_chunks(file)), (None, origin.make_header()))
        return cls(open_file, build_columns(header, origin, names), strict, on_progress, line)

    @property
    def schema(self) -> pa.Schema:
        """The names and types of the columns."""
        return pa.schema([(column.name, _TYPES[column.type]) for column in self.columns])

    def read(self, consume: Consume[_Result]) -> _Result:
        """Return what `consume` returns for the batches; it is called again if a column becomes text."""
        while True:
            try:
                with closing(self._read_batches()) as batches:
                    return consume(self.schema, batches)
            except _ArrowReadError as error:
                self._diagnose(str(error))

    def _read_batches(self) -> Generator[pa.RecordBatch]:
        if self._header_line is None:
            return
        with self._open() as file:
            try:
                with (
                    _QuoteCheckedFile(file, is_well_formed=self._is_well_formed) as checked,
                    self._open_reader(checked) as batches,
                ):
                    rows = 0
                    for batch in batches:
                        rows += len(batch)
                        check_returned("on_progress", self._on_progress(rows))
                        yield batch
            except pa.ArrowInvalid as error:
                raise _ArrowReadError(str(error)) from None

    def _open_reader(self, file: "_QuoteCheckedFile") -> pyarrow.csv.CSVStreamingReader:
        is_single = len(self.columns) == 1  # a blank line is an empty cell then
        return pyarrow.csv.open_csv(
            cast("IO[Any]", pa.PythonFile(file, "r")),  # accepted, but not in the stubs
            read_options=pyarrow.csv.ReadOptions(
                block_size=self._block_size,
                column_names=self.schema.names,
                skip_rows_after_names=(self._header_line or 1) if is_single else 1,
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not is_single),
            convert_options=_convert_options(self.schema),
        )

    def _diagnose(self, problem: str) -> None:
        """Find the reason of a failed read with the slow parser, and change the next read."""
        was_well_formed, self._is_well_formed = self._is_well_formed, True
        misfits = self._find_misfits()
        for number in sorted(misfits, key=lambda number: misfits[number][0]):
            self.fall_back_to_text(number, *misfits[number])
        if was_well_formed and not misfits:
            if self._block_size >= _LARGEST_BLOCK:
                raise TableError(f"Cannot read the file, perhaps because a row is too long: {problem}")
            self._block_size *= 8  # a row may be longer than a block

    def _find_misfits(self) -> dict[int, tuple[int, str]]:
        """Find the columns with cells that do not fit, with the line and text of the first such cell."""
        types = {number: kind for number, kind in enumerate(self.schema.types) if kind != pa.string()}
        misfits: dict[int, tuple[int, str]] = {}
        with self._open() as file:
            rest = islice(parse_records(read_chunks(file)), 1, None)
            rows = 0
            while block := list(islice(rest, _ROWS_AT_ONCE)):
                rows += len(block)
                check_returned("on_progress", self._on_progress(rows))
                for number in types.keys() - misfits.keys():
                    place = _find_misfit([cells[number] for _, cells in block], types[number])
                    if place is not None:
                        line, cells = block[place]
                        misfits[number] = (line, cells[number])
        return misfits

    def find_line(self, row: int) -> int:
        """The line on which a row starts; rows are counted from 0, lines from 1."""
        with self._open() as file:
            return next(islice(parse_records(read_chunks(file)), row + 1, None))[0]

    def fall_back_to_text(self, number: int, line: int, cell: str) -> None:
        """Make a column text because this cell does not fit, or raise `TableError` if strict."""
        column = self.columns[number]
        kind = "JSON like the cells before it" if column.type is ColumnType.JSON else column.type
        problem = f"Line {line}, column {column.title!r}: cannot read {quote_cell(cell)} as {kind}"
        if self._strict:
            raise TableError(problem, line=line, column=column.title, value=cell)
        warn(f"{problem}; the whole column is kept as text")
        self.columns[number] = evolve(column, type=ColumnType.TEXT)


def _convert_options(schema: pa.Schema) -> pyarrow.csv.ConvertOptions:
    return pyarrow.csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        true_values=["true"],
        false_values=["false"],
    )


def _find_misfit(cells: Sequence[str], kind: pa.DataType) -> int | None:
    """The index of the first cell that is not of a type; `None` if all are."""
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([cell] for cell in cells)
    try:
        pyarrow.csv.read_csv(
            BytesIO(text.getvalue().encode()),
            read_options=pyarrow.csv.ReadOptions(column_names=["cell"]),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=_convert_options(pa.schema([("cell", kind)])),
        )
    except pa.ArrowInvalid:
        half = len(cells) // 2
        if not half:
            return 0
        misfit = _find_misfit(cells[:half], kind)
        return misfit if misfit is not None else half + (_find_misfit(cells[half:], kind) or 0)
    return None


_QUOTE = ord('"')
_BESIDE_QUOTES = np.isin(np.arange(256), list(b',\r\n"'))


class _QuoteCheckedFile(RawIOBase):
    """A file for pyarrow that checks quotes: pyarrow would accept a missing one, and merge rows."""

    def __init__(self, file: BinaryIO, *, is_well_formed: bool) -> None:
        self._file = file
        self._is_well_formed = is_well_formed
        self._ahead: bytes | None = None
        self._quotes = 0
        self._before = b"\n"
        self._lock = Lock()

    def readable(self) -> bool:
        """Whether it can be read; pyarrow checks that."""
        return True

    def close(self) -> None:
        """Close, after a read that is under way: threads of pyarrow read ahead."""
        with self._lock:
            super().close()

    def read(self, size: int = -1) -> bytes:
        """The next block; a line end is added to the last one, since pyarrow needs it."""
        with self._lock:
            return b"" if self.closed else self._next(size)

    def _next(self, size: int) -> bytes:
        if self._ahead is None:
            self._ahead = self._fill(size - 1)
        block, self._ahead = self._ahead, self._fill(size - 1)
        if not self._ahead and block and not block.endswith((b"\n", b"\r")):
            block += b"\n"
        if not self._is_well_formed and not self._are_quotes_right(block, is_end=not self._ahead):
            raise pa.ArrowInvalid("a quote is missing, or there is one too many")
        return block

    def _fill(self, size: int) -> bytes:
        """A full block, also from a file that returns fewer bytes at a time."""
        block = self._file.read(size)
        while 0 < len(block) < size and (more := self._file.read(size - len(block))):
            block += more
        return block

    def _are_quotes_right(self, block: bytes, *, is_end: bool) -> bool:
        """Whether each quote opens or closes a cell, or is doubled.

        Every second quote opens: a separator or quote is before it. The others close: a separator or quote is
        after them. The last byte is checked with the next block, since its right neighbour is unknown.
        """
        text = np.frombuffer(self._before + block.removeprefix(codecs.BOM_UTF8), np.uint8)
        quotes = np.flatnonzero(text[1:-1] == _QUOTE) + 1
        opening, closing = quotes[self._quotes % 2 :: 2], quotes[1 - self._quotes % 2 :: 2]
        self._quotes += len(quotes)
        self._before = text[-2:].tobytes()
        if is_end and self._quotes % 2:
            return False
        return bool(_BESIDE_QUOTES[text[opening - 1]].all() and _BESIDE_QUOTES[text[closing + 1]].all())
