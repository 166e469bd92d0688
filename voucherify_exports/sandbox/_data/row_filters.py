"""Filters of an export: which rows they keep."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import nan
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from .objects import column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .rows import Row

    Test = Callable[[Row], bool]
    Comparison = Callable[[str, list[str]], bool]

NO_FILTERS: Mapping[str, object] = MappingProxyType({})


def kept_by(kind: str, filters: Mapping[str, object]) -> Test | None:
    """Return a test that is true for the rows that the filters keep, or None when they keep all.

    A filter applies when it means a column, and an operator applies when it compares with given values. All
    other filters and operators that the API accepts keep every row.
    """
    tests = [
        _test(column, compare, _texts(values))
        for name, given in filters.items()
        if name != "junction" and (column := column_of(kind, name)) is not None
        for operator, values in _conditions(given).items()
        if (compare := _COMPARISONS.get(operator)) is not None
    ]
    if not tests:
        return None
    hold = any if str(filters.get("junction", "and")).lower() == "or" else all
    return lambda row: hold(test(row) for test in tests)


def _test(column: str, compare: Comparison, values: list[str]) -> Test:
    return lambda row: compare(row[column], values)


def _conditions(given: object) -> Mapping[str, object]:
    return cast("Mapping[str, Mapping[str, object]]", given)["conditions"]


def _texts(values: object) -> list[str]:
    listed = cast("list[object]", values) if isinstance(values, list) else [values]
    return [value if isinstance(value, str) else json.dumps(value) for value in listed]


def _time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return nan
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan  # compares False with every number


def _every(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Comparison:
    return lambda cell, values: all(compare(read(cell), read(value)) for value in values)


_COMPARISONS: dict[str, Comparison] = {
    "$in": lambda cell, values: cell in values,
    "$is": lambda cell, values: cell in values,
    "$not_in": lambda cell, values: cell not in values,
    "$is_not": lambda cell, values: cell not in values,
    "$contains": lambda cell, values: any(value in cell for value in values),
    "$not_contain": lambda cell, values: not any(value in cell for value in values),
    "$starts_with": lambda cell, values: cell.startswith(tuple(values)),
    "$ends_with": lambda cell, values: cell.endswith(tuple(values)),
    "$has_value": lambda cell, _values: cell != "",
    "$is_unknown": lambda cell, _values: cell == "",
    "$more_than": _every(_number, float.__gt__),
    "$more_than_equal": _every(_number, float.__ge__),
    "$less_than": _every(_number, float.__lt__),
    "$less_than_equal": _every(_number, float.__le__),
    "$after": _every(_time, float.__gt__),
    "$before": _every(_time, float.__lt__),
}
