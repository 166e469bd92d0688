"""JSON cells as structs, lists and numbers of Arrow."""

# pyarrow's stubs do not type much of it.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa
from attrs import frozen

from ..catalog import ColumnType
from ._arrow import DECIMAL, Consume, CSVTable

_Result = TypeVar("_Result")

_Shape: TypeAlias = "pa.DataType | list[_Shape] | dict[str, _Shape] | None"
# The shape of JSON values: a type, a list of one shape, the shape of each property, or None if all are null.


@frozen
class _Misfit:
    """The first row, counted from 0, whose cell is not JSON or has another shape than the cells before."""

    row: int
    cell: str


def read_parsed(table: CSVTable, consume: Consume[_Result]) -> _Result:
    """Return what `consume` returns for the batches with parsed JSON, after a first read for the shapes."""
    types: dict[int, pa.DataType] = {}
    for number in [number for number, column in enumerate(table.columns) if column.type is ColumnType.JSON]:
        found = table.read(partial(_shape_of_column, number))
        if isinstance(found, _Misfit):
            table.fall_back_to_text(number, table.find_line(found.row), found.cell)
        elif found is not None and not _has_no_properties(found):
            types[number] = _type_of(found)
    return table.read(lambda schema, batches: consume(*_parsed(schema, batches, types)))


def _parsed(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], types: Mapping[int, pa.DataType]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    for number, kind in types.items():
        schema = schema.set(number, schema.field(number).with_type(kind))

    def converted() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = list(batch.columns)
            for number, kind in types.items():
                columns[number] = pa.array(map(_value, columns[number].to_pylist()), kind, size=len(batch))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, converted()


def _shape_of_column(number: int, _: pa.Schema, batches: Iterator[pa.RecordBatch]) -> "_Shape | _Misfit":
    shape: _Shape = None
    row = 0
    for batch in batches:
        for cell in batch.column(number).to_pylist():
            try:
                shape = _merge(shape, _shape_of(_value(cell)))
            except ValueError:
                return _Misfit(row, cell or "")
            row += 1
    return shape


def _value(cell: str | None) -> Any:
    return None if cell is None else json.loads(cell, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _shape_of(value: Any) -> _Shape:
    """The shape of a value; `ValueError` if Arrow has no type for it."""
    match value:
        case None:
            return None
        case bool():
            return pa.bool_()
        case str():
            return pa.string()
        case int() if -(2**63) <= value < 2**63:
            return pa.int64()
        case Decimal() if _fits(value):
            return DECIMAL
        case list():
            shape: _Shape = None
            for item in value:
                shape = _merge(shape, _shape_of(item))
            return [shape]
        case dict():
            return {name: _shape_of(item) for name, item in value.items()}
        case _:
            raise ValueError("a number with too many digits")


def _fits(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -DECIMAL.scale
        and number.adjusted() < DECIMAL.precision - DECIMAL.scale
    )


def _merge(one: _Shape, other: _Shape) -> _Shape:
    """The shape that fits both; `ValueError` if there is none."""
    if one is None or one == other:
        return other
    match one, other:
        case _, None:
            return one
        case dict(), dict():
            return one | {name: _merge(one.get(name), shape) for name, shape in other.items()}
        case [first], [second]:
            return [_merge(first, second)]
        case pa.DataType(), pa.DataType() if {one, other} == {pa.int64(), DECIMAL}:
            return DECIMAL
        case _:
            raise ValueError("values of different kinds")


def _has_no_properties(shape: _Shape) -> bool:
    """Whether it has an object that is always empty, for which Parquet has no type."""
    match shape:
        case dict():
            return not shape or any(map(_has_no_properties, shape.values()))
        case [inner]:
            return _has_no_properties(inner)
        case _:
            return False


def _type_of(shape: _Shape) -> pa.DataType:
    match shape:
        case None:
            return pa.null()
        case list():
            return pa.list_(_type_of(shape[0]))
        case dict():
            return pa.struct([(name, _type_of(inner)) for name, inner in shape.items()])
        case _:
            return shape
