"""Filters of an export, written as Python.

>>> from datetime import UTC, datetime
>>> recent = after(datetime(2026, 1, 1, tzinfo=UTC)) & before(datetime(2026, 2, 1, tzinfo=UTC))
>>> where({"metadata.city": is_("Kraków")}, created_at=recent, code=contains("SUMMER"))

Sources: Voucherify API reference, "Create Export" (25 operators, each with a list of values), and the
published JavaScript SDK's tests against the API (`$is_unknown` with a bare `true`).
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

from attrs import frozen

__all__ = [
    "Condition",
    "FilterValue",
    "Filters",
    "after",
    "any_of",
    "before",
    "contains",
    "count",
    "count_less",
    "count_more",
    "ends_with",
    "has_value",
    "in_",
    "is_",
    "is_days_ago",
    "is_days_in_future",
    "is_not",
    "is_unknown",
    "less_than",
    "less_than_ago",
    "less_than_equal",
    "less_than_future",
    "more_than",
    "more_than_ago",
    "more_than_equal",
    "more_than_future",
    "not_contains",
    "not_in",
    "starts_with",
    "where",
]

FilterValue: TypeAlias = str | bool | int | float | date | datetime
"""A value in a condition."""
_WireValue: TypeAlias = str | bool | int | float


@frozen
class Condition:
    """A condition on one field, as functions such as `after` and `contains` make it.

    `&` requires both of two conditions, and raises `ValueError` when they have the same operator.
    """

    # Pairs of an operator and its values: a tuple, or True where the API takes that instead of a list.
    _operators: tuple[tuple[str, tuple[_WireValue, ...] | Literal[True]], ...]

    def __and__(self, other: "Condition") -> "Condition":
        if not isinstance(other, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]  # & takes anything
            return NotImplemented
        repeated = dict(self._operators).keys() & dict(other._operators).keys()
        if repeated:
            raise ValueError(f"{min(repeated)} is given twice, and the API takes it once for a field")
        return Condition(self._operators + other._operators)

    def __bool__(self) -> bool:
        raise TypeError("combine conditions with &, since `and` would drop the first")

    def to_dict(self) -> dict[str, Any]:
        """The API's JSON form: `{"conditions": {"$contains": ["SUMMER"]}}`."""
        return {
            "conditions": {name: values if values is True else [*values] for name, values in self._operators}
        }


@frozen
class Filters:
    """Conditions on fields, as `where` and `any_of` make them."""

    junction: Literal["and", "or"]
    _conditions: tuple[tuple[str, Condition], ...]

    def to_dict(self) -> dict[str, Any]:
        """The API's JSON form: `{"junction": "and", "code": {"conditions": {"$contains": ["SUMMER"]}}}`."""
        return {
            "junction": self.junction,
            **{name: condition.to_dict() for name, condition in self._conditions},
        }


def where(mapping: Mapping[str, Condition] | None = None, /, **conditions: Condition) -> Filters:
    """Filters that keep the records which meet all conditions.

    The name of an argument is that of a field. Names that are not Python identifiers, such as
    `metadata.city`, go into the mapping. Raises `TypeError` for a value that is not a condition, and
    `ValueError` for a field that is given twice.
    """
    return _filters("and", mapping, conditions)


def any_of(mapping: Mapping[str, Condition] | None = None, /, **conditions: Condition) -> Filters:
    """Filters that keep the records which meet one condition or more; arguments as for `where`."""
    return _filters("or", mapping, conditions)


def _filters(
    junction: Literal["and", "or"], mapping: Mapping[str, object] | None, keywords: Mapping[str, object]
) -> Filters:
    named = {} if mapping is None else {**mapping}
    if repeated := named.keys() & keywords.keys():
        raise ValueError(f"{min(repeated)!r} is given twice: combine its conditions with &")
    named |= keywords
    return Filters(junction, tuple((name, _condition(name, given)) for name, given in named.items()))


def _condition(name: str, given: object) -> Condition:
    if name == "junction":
        raise ValueError("'junction' is not a field: where() requires all conditions, any_of() one of them")
    if not isinstance(given, Condition):
        raise TypeError(
            f"{name!r} needs a condition such as is_(…) or contains(…), not {type(given).__name__}"
        )
    return given


def filters_to_wire(filters: Filters | Mapping[str, object]) -> dict[str, Any]:
    """The API's JSON form of filters; a mapping that has this form already is copied.

    Times and dates in the mapping are converted to the API's form. Raises `TypeError` and `ValueError`
    for values that no operator accepts.
    """
    if isinstance(filters, Filters):
        return filters.to_dict()
    if not isinstance(filters, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # not every caller checks types
        raise TypeError(f"filters must be those of where(…), or a dict, not {type(filters).__name__}")
    return {name: _json_copy(value) for name, value in {**filters}.items()}


def _json_copy(value: Any) -> Any:
    match value:
        case None:
            return None
        case {**mapping}:
            return {name: _json_copy(inner) for name, inner in mapping.items()}
        case [*values]:
            return [_json_copy(inner) for inner in values]
        case _:
            return _to_wire(value)


def _to_wire(value: object) -> _WireValue:
    match value:
        case datetime():
            return _utc_text(value)
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            raise ValueError(f"a filter takes finite numbers, not {value}")
        case str() | bool() | int() | float():
            return value
        case _:
            raise TypeError(
                f"a filter takes str, bool, int, float, date and datetime, not {type(value).__name__}"
            )


def _utc_text(moment: datetime) -> str:
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone: add one, such as tzinfo=UTC")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_value(operator: str, value: FilterValue) -> Condition:
    return Condition(((operator, (_to_wire(value),)),))


def _with_values(operator: str, values: Iterable[FilterValue]) -> Condition:
    if isinstance(values, str | bytes):
        raise TypeError(f"{operator} takes a list of values: write [{values!r}]")
    wire = tuple(map(_to_wire, values))
    if not wire:
        raise ValueError(f"{operator} needs at least one value")
    return Condition(((operator, wire),))


def after(moment: datetime | date | str) -> Condition:
    """Later than a date or a time: `$after`.

    A datetime must be aware. It is sent in UTC, cut to milliseconds.
    """
    return _with_value("$after", moment)


def before(moment: datetime | date | str) -> Condition:
    """Earlier than a date or a time: `$before`.

    A datetime must be aware. It is sent in UTC, cut to milliseconds.
    """
    return _with_value("$before", moment)


def is_(value: FilterValue) -> Condition:
    """Exactly this value: `$is`."""
    return _with_value("$is", value)


def is_not(value: FilterValue) -> Condition:
    """Any other value: `$is_not`."""
    return _with_value("$is_not", value)


def in_(values: Iterable[FilterValue]) -> Condition:
    """One of these values: `$in`; `ValueError` for no value."""
    return _with_values("$in", values)


def not_in(values: Iterable[FilterValue]) -> Condition:
    """None of these values: `$not_in`; `ValueError` for no value."""
    return _with_values("$not_in", values)


def has_value() -> Condition:
    """Any value: `$has_value`."""
    return Condition((("$has_value", True),))


def is_unknown() -> Condition:
    """No value: `$is_unknown`."""
    return Condition((("$is_unknown", True),))


def contains(text: str) -> Condition:
    """Contains this text: `$contains`."""
    return _with_value("$contains", text)


def not_contains(text: str) -> Condition:
    """Does not contain this text: `$not_contain`."""
    return _with_value("$not_contain", text)


def starts_with(text: str) -> Condition:
    """Starts with this text: `$starts_with`."""
    return _with_value("$starts_with", text)


def ends_with(text: str) -> Condition:
    """Ends with this text: `$ends_with`."""
    return _with_value("$ends_with", text)


def more_than(value: float) -> Condition:
    """Greater than a number: `$more_than`."""
    return _with_value("$more_than", value)


def less_than(value: float) -> Condition:
    """Less than a number: `$less_than`."""
    return _with_value("$less_than", value)


def more_than_equal(value: float) -> Condition:
    """Greater than a number or equal to it: `$more_than_equal`."""
    return _with_value("$more_than_equal", value)


def less_than_equal(value: float) -> Condition:
    """Less than a number or equal to it: `$less_than_equal`."""
    return _with_value("$less_than_equal", value)


def is_days_ago(days: int) -> Condition:
    """Exactly this number of days ago: `$is_days_ago`."""
    return _with_value("$is_days_ago", days)


def is_days_in_future(days: int) -> Condition:
    """Exactly this number of days from now: `$is_days_in_future`."""
    return _with_value("$is_days_in_future", days)


# The reference gives no unit for the next four: days are assumed, as for the two above.


def more_than_ago(days: int) -> Condition:
    """More than this number of days ago: `$more_than_ago`."""
    return _with_value("$more_than_ago", days)


def less_than_ago(days: int) -> Condition:
    """Less than this number of days ago: `$less_than_ago`."""
    return _with_value("$less_than_ago", days)


def more_than_future(days: int) -> Condition:
    """More than this number of days from now: `$more_than_future`."""
    return _with_value("$more_than_future", days)


def less_than_future(days: int) -> Condition:
    """Less than this number of days from now: `$less_than_future`."""
    return _with_value("$less_than_future", days)


# The reference only names the next three: their meaning is read off their names.


def count(number: int) -> Condition:
    """Exactly this number of entries: `$count`."""
    return _with_value("$count", number)


def count_less(number: int) -> Condition:
    """Fewer entries than this: `$count_less`."""
    return _with_value("$count_less", number)


def count_more(number: int) -> Condition:
    """More entries than this: `$count_more`."""
    return _with_value("$count_more", number)
