"""Writers of record batches: Parquet, Arrow and JSON Lines.

Each writes to a `Sink`, one batch after the other, so that memory does not grow with the file.
"""

# pyarrow's stubs do not type much of it.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from io import RawIOBase
from json.encoder import encode_basestring
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from .._files.part import Part

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ROW_GROUP_SIZE = 16 * 1024 * 1024  # bytes before compression


class Sink(RawIOBase):
    """A part as a writable file; closing the sink leaves the part open."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def writable(self) -> bool:
        """Whether it can be written to; pyarrow checks that."""
        return True

    def write(self, data: "ReadableBuffer") -> int:
        """Write all bytes."""
        written = bytes(data)  # no copy if it is bytes already
        self._part.write([written])
        return len(written)


Write: TypeAlias = Callable[[Sink, pa.Schema, Iterator[pa.RecordBatch]], object]


def write_parquet(file: Sink, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Write Apache Parquet, in row groups of many batches."""
    with pyarrow.parquet.ParquetWriter(cast("IO[bytes]", file), schema) as writer:
        group: list[pa.RecordBatch] = []
        for batch in batches:
            group.append(batch)
            if sum(each.nbytes for each in group) >= _ROW_GROUP_SIZE:
                writer.write_table(pa.Table.from_batches(group))
                group.clear()
        if group:
            writer.write_table(pa.Table.from_batches(group))


def write_arrow(file: Sink, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Write the file format of Arrow, also called Feather."""
    with pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_jsonl(file: Sink, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Write JSON Lines: an object for each row, in which decimals are numbers with all their digits."""
    names = [json.dumps(name, ensure_ascii=False).replace("%", "%%") for name in schema.names]
    line = f"{{{', '.join(f'{name}: %s' for name in names)}}}\n"
    for batch in batches:
        columns = [_json_column(column) for column in batch.columns]
        file.write("".join([line % cells for cells in zip(*columns, strict=True)]).encode())


def _json_column(column: "pa.Array[Any]") -> Iterator[str]:
    """The cells as JSON; pyarrow formats values without quotes, a whole column at once."""
    kind = column.type
    if pa.types.is_decimal(kind):
        texts = pc.cast(column, pa.string())
        texts = pc.replace_substring_regex(texts, r"^(-?\d+(\.\d*[1-9])?)\.?0*$", r"\1")
        return _or_null(pc.replace_substring_regex(texts, r"^0E-\d+$", "0").to_pylist())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _or_null(pc.cast(column, pa.string()).to_pylist())
    if pa.types.is_timestamp(kind):
        texts = pc.replace_substring(pc.cast(column, pa.string()), " ", "T")
        return map(_json, pc.replace_substring_regex(texts, "000Z$", "Z").to_pylist())
    if pa.types.is_date(kind):
        return map(_json, pc.cast(column, pa.string()).to_pylist())
    return map(_json, column.to_pylist())


def _or_null(texts: Iterable[str | None]) -> Iterator[str]:
    return ("null" if text is None else text for text in texts)


def _json(value: Any) -> str:
    match value:
        case str():
            return encode_basestring(value)
        case Decimal():
            return f"{value.normalize():f}"
        case list():
            return f"[{', '.join(map(_json, value))}]"
        case dict():
            return f"{{{', '.join(f'{_json(name)}: {_json(inner)}' for name, inner in value.items())}}}"
        case _:
            return json.dumps(value)


WRITERS: Mapping[str, Write] = {".parquet": write_parquet, ".arrow": write_arrow, ".jsonl": write_jsonl}
"""The writer of each suffix."""
