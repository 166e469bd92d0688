"""The public functions on files: rows, Arrow tables, DataFrames, Parquet and JSON Lines."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from .._files.part import Part, check_place, check_writable
from .._files.resume import Identity
from ..extras import check_extra as check_extra  # the client takes it from here
from ..models import Export
from ._columns import Names, Origin, RowMaker
from ._csv import pieces, records

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ._arrow import Consume


_Result = TypeVar("_Result")
Source: TypeAlias = str | os.PathLike[str] | BinaryIO


class CellOptions(TypedDict, total=False):
    """How names and cells are read, see the top of this module."""

    names: Names
    strict: bool
    json: Literal["text", "parse"]


class TableOptions(CellOptions, total=False):
    """What the functions of this module take, see its top."""

    export: Export | str | None
    fields: Sequence[str] | None
    on_progress: Callable[[int], object]


def rows(
    source: Source,
    *,
    export: Export | str | None = None,
    fields: Sequence[str] | None = None,
    names: Names = "field",
) -> Iterator[dict[str, str]]:
    """Each row as a dict of texts as they are in the file, `""` for an empty cell.

    >>> for row in rows("vouchers.csv", export="voucher"):
    ...     print(row["code"], row["loyalty_balance"])
    """
    make = RowMaker(Origin.of(export, fields), names)
    with _opening(source)() as file:
        yield from make.of(records(pieces(file)))


def to_arrow(source: Source, **options: Unpack[TableOptions]) -> "pa.Table":
    """The file as a `pyarrow.Table`."""
    check_extra("arrow")
    from pyarrow import Table

    return _read(source, lambda schema, batches: Table.from_batches(batches, schema), **options)


def to_pandas(source: Source, **options: Unpack[TableOptions]) -> "pd.DataFrame":
    """The file as a `pandas.DataFrame` whose columns have Arrow's types (needs the extra `pandas`)."""
    check_extra("pandas")
    from pandas import ArrowDtype

    table = to_arrow(source, **options)
    # The stubs leave a parameter of it unknown.
    return table.to_pandas(types_mapper=ArrowDtype)  # pyright: ignore[reportUnknownMemberType]


def to_polars(source: Source, **options: Unpack[TableOptions]) -> "pl.DataFrame":
    """The file as a `polars.DataFrame` (needs the extra `polars`)."""
    check_extra("polars")
    from polars import DataFrame

    return DataFrame(to_arrow(source, **options))


def to_parquet(source: Source, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Write the file as Apache Parquet, and return its path, where nothing changes before it is whole."""
    return _write(source, path, ".parquet", options)


def to_jsonl(source: Source, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Write the file as JSON Lines, and return its path; decimals are numbers with all their digits."""
    return _write(source, path, ".jsonl", options)


def convert(source: Source, path: str | os.PathLike[str], **options: Unpack[TableOptions]) -> Path:
    """Write the file in the format of the suffix: `.parquet`, `.arrow` (Arrow's file format) or `.jsonl`."""
    target = Path(path)
    suffix = format_of(target)
    if suffix == CSV:
        raise ValueError("the source is a CSV file already: copy it")
    return _write(source, target, suffix, options)


def check_target(path: str | os.PathLike[str]) -> None:
    """Check that the file of an export could be written at a path, before an export is created for it.

    Raises `ValueError` for a suffix other than `.csv`, `.parquet`, `.arrow` and `.jsonl`, `MissingExtraError`
    where the suffix needs pyarrow and it is not installed, and `DownloadError` where the folder does not
    exist or cannot be written to. It blocks: in an event loop, call it with `asyncio.to_thread`.

    >>> check_target("vouchers.parquet")
    """
    target = Path(path)
    if format_of(target) != CSV:
        check_extra("arrow")
    check_place(target)


def format_of(path: Path) -> str:
    """The suffix of a path in lower case; `ValueError` for one that is no format of a file."""
    suffix = path.suffix.lower()
    if suffix not in (CSV, *_FORMATS):
        known = ", ".join((CSV, *_FORMATS))
        raise ValueError(f"the path must end in one of {known}, not {suffix or path.name!r}")
    return suffix


CSV = ".csv"
_FORMATS = (".parquet", ".arrow", ".jsonl")


def _write(source: Source, path: str | os.PathLike[str], suffix: str, options: TableOptions) -> Path:
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
        part.leave()
    return target


def _read(
    source: Source,
    consume: "Consume[_Result]",
    *,
    export: Export | str | None = None,
    fields: Sequence[str] | None = None,
    names: Names = "field",
    strict: bool = False,
    json: Literal["text", "parse"] = "text",
    on_progress: Callable[[int], object] = lambda rows: None,
) -> "_Result":
    from ._arrow import Table
    from ._structs import read_parsed

    if json not in ("text", "parse"):
        raise ValueError(f"json must be 'text' or 'parse', not {json!r}")
    origin = Origin.of(export, fields)
    table = Table.of(_opening(source), origin, names=names, strict=strict, on_progress=on_progress)
    return read_parsed(table, consume) if json == "parse" else table.read(consume)


def _opening(source: Source) -> Callable[[], AbstractContextManager[BinaryIO]]:
    """What gives the file from its start, as often as it takes."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return lambda: path.open("rb")
    start = source.tell()

    @contextmanager
    def again() -> Generator[BinaryIO]:
        source.seek(start)
        yield source

    return again
