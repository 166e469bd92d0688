"""The public functions that convert CSV files: rows, Arrow tables, DataFrames, Parquet and JSON Lines."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, TypedDict, TypeVar, Unpack, cast

from .._files.part import Part, check_place, check_writable
from .._files.resume import Identity
from .._ground.callbacks import check_callback
from ..errors import describe_unknown
from ..extras import check_extra
from ..models import Export
from ._columns import Names, Origin, RowBuilder, check_names
from ._csv import parse_records, read_chunks

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ._arrow import Consume


_Result = TypeVar("_Result")
CSVSource: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A CSV file: its path, or a binary file object that is open for reading and can seek."""


class CellOptions(TypedDict, total=False):
    """Options for the names and cells of a table; see `voucherify_exports.tables`."""

    names: Names
    strict: bool
    json: Literal["text", "parse"]


class TableOptions(CellOptions, total=False):
    """All options of the functions in `voucherify_exports.tables`."""

    export: Export | str | None
    fields: Sequence[str] | None
    on_progress: Callable[[int], object]


def rows(
    source: CSVSource,
    *,
    export: Export | str | None = None,
    fields: Sequence[str] | None = None,
    names: Names = "field",
) -> Iterator[dict[str, str]]:
    """Yield each row as a dict of strings, exactly as in the file; `""` is an empty cell.

    Raises `TableError` at the first line that is not valid; the rows before it were yielded.

    >>> for row in rows("vouchers.csv", export="voucher"):
    ...     print(row["code"], row["loyalty_balance"])
    """
    builder = RowBuilder(Origin.from_export(export, fields), names)
    with _make_opener(source)() as file:
        yield from builder.build(parse_records(read_chunks(file)))


def to_arrow(source: CSVSource, **options: Unpack[TableOptions]) -> "pa.Table":
    """Convert a CSV file to a `pyarrow.Table`.

    Raises `TableError` for a file that is not a valid CSV file, and `MissingExtraError` without pyarrow.

    >>> table = to_arrow("vouchers.csv", export="voucher")
    """
    check_extra("arrow")
    from pyarrow import Table

    return _read(source, lambda schema, batches: Table.from_batches(batches, schema), **options)


def to_pandas(source: CSVSource, **options: Unpack[TableOptions]) -> "pd.DataFrame":
    """Convert a CSV file to a `pandas.DataFrame` with Arrow types; needs the extra `pandas`.

    Raises the errors of `to_arrow`.
    """
    check_extra("pandas")
    from pandas import ArrowDtype

    table = to_arrow(source, **options)
    # The stubs do not type all parameters of this method.
    return table.to_pandas(types_mapper=ArrowDtype)  # pyright: ignore[reportUnknownMemberType]


def to_polars(source: CSVSource, **options: Unpack[TableOptions]) -> "pl.DataFrame":
    """Convert a CSV file to a `polars.DataFrame`; needs the extra `polars`.

    Raises the errors of `to_arrow`.
    """
    check_extra("polars")
    from polars import DataFrame

    return DataFrame(to_arrow(source, **options))


def to_parquet(source: CSVSource, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Convert a CSV file to Apache Parquet at a path, and return the path.

    An old file at the path is replaced only by a complete one. Raises the errors of `to_arrow`, and `OSError`
    if the file cannot be written.

    >>> to_parquet("vouchers.csv", "vouchers.parquet", export="voucher")
    """
    return _write(source, path, ".parquet", options)


def to_jsonl(source: CSVSource, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Convert a CSV file to JSON Lines at a path, and return the path; as `to_parquet`.

    Each line is one row as a JSON object, in which decimals are numbers with all their digits.
    """
    return _write(source, path, ".jsonl", options)


def convert(source: CSVSource, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Convert a CSV file to the format of a path, and return the path; as `to_parquet`.

    The suffix of the path is `.parquet`, `.arrow` (Arrow's file format) or `.jsonl`; `ValueError` for others.
    """
    target = Path(path)
    suffix = format_of(target)
    if suffix == CSV:
        raise ValueError("the source is already a CSV file; copy it instead")
    return _write(source, target, suffix, options)


def check_target(path: str | os.PathLike[str]) -> None:
    """Check that the file of an export can be written to a path, before you create an export for it.

    Raises `ValueError` for a suffix other than `.csv`, `.parquet`, `.arrow` and `.jsonl`, `MissingExtraError`
    if the format needs pyarrow and it is not installed, and `DownloadError` if the folder does not exist or
    cannot be written to. This function blocks: in an event loop, call it with `asyncio.to_thread`.

    >>> check_target("vouchers.parquet")
    """
    target = Path(path)
    if format_of(target) != CSV:
        check_extra("arrow")
    check_place(target)


def check_cells(cells: object) -> None:
    """Raise `TypeError` or `ValueError` for options of cells that a conversion would refuse later."""
    if not isinstance(cells, Mapping):
        raise TypeError(f"cells must be a dict, not {type(cells).__name__}")
    options = cast("Mapping[object, object]", cells)
    for name in options:
        if name not in CellOptions.__annotations__:
            raise TypeError(describe_unknown("option", name, [*CellOptions.__annotations__]))
    check_names(options.get("names", "field"))
    _check_json(options.get("json", "text"))


def _check_json(json: object) -> None:
    if json not in ("text", "parse"):
        raise ValueError(f"json must be 'text' or 'parse', not {json!r}")


def format_of(path: Path) -> str:
    """The suffix of a path in lower case; `ValueError` if it is not the suffix of a known format."""
    suffix = path.suffix.lower()
    if suffix not in (CSV, *_FORMATS):
        known = ", ".join((CSV, *_FORMATS))
        raise ValueError(f"the path must end in one of {known}, not {suffix or path.name!r}")
    return suffix


CSV = ".csv"
_FORMATS = (".parquet", ".arrow", ".jsonl")


def _write(source: CSVSource, path: str | os.PathLike[str], suffix: str, options: TableOptions) -> Path:
    check_extra("arrow")
    from ._writers import WRITERS, Sink

    target = Path(path)
    check_writable(target)

    def consume(schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]") -> None:
        part.restart("", Identity())
        with Sink(part) as sink:
            WRITERS[suffix](sink, schema, batches)

    part = Part.open(target)
    try:
        _read(source, consume, **options)
        part.finish()
    finally:
        part.close()
    return target


def _read(
    source: CSVSource,
    consume: "Consume[_Result]",
    *,
    export: Export | str | None = None,
    fields: Sequence[str] | None = None,
    names: Names = "field",
    strict: bool = False,
    json: Literal["text", "parse"] = "text",
    on_progress: Callable[[int], object] = lambda rows: None,
) -> "_Result":
    from ._arrow import CSVTable
    from ._structs import read_parsed

    check_callback("on_progress", on_progress)
    _check_json(json)
    origin = Origin.from_export(export, fields)
    table = CSVTable.from_file(
        _make_opener(source), origin, names=names, strict=strict, on_progress=on_progress
    )
    return read_parsed(table, consume) if json == "parse" else table.read(consume)


def _make_opener(source: CSVSource) -> Callable[[], AbstractContextManager[BinaryIO]]:
    """A function that opens the file at its start, any number of times."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return lambda: path.open("rb")
    start = source.tell()

    @contextmanager
    def reopen() -> Generator[BinaryIO]:
        source.seek(start)
        yield source

    return reopen
