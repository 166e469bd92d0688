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

Value: TypeAlias = str | bool | int | float | date | datetime
_WireValue: TypeAlias = str | bool | int | float


@frozen
class Condition:
    """What one field must fulfil, made by functions such as `after` and `contains`; `&` demands both.

    Raises `ValueError` when both sides have the same operator.
    """

    # By operator; values are a tuple, or True where the API takes that instead of a list.
    _operators: tuple[tuple[str, tuple[_WireValue, ...] | Literal[True]], ...]

    def __and__(self, other: "Condition") -> "Condition":
        if not isinstance(other, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]  # & takes anything
            return NotImplemented
        twice = dict(self._operators).keys() & dict(other._operators).keys()
        if twice:
            raise ValueError(f"{min(twice)} is there twice, and the API takes it once for a field")
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
    """Conditions on fields, made by `where` and `any_of`."""

    junction: Literal["and", "or"]
    _conditions: tuple[tuple[str, Condition], ...]

    def to_dict(self) -> dict[str, Any]:
        """The API's JSON form: `{"junction": "and", "code": {"conditions": {"$contains": ["SUMMER"]}}}`."""
        return {
            "junction": self.junction,
            **{name: condition.to_dict() for name, condition in self._conditions},
        }


def where(mapping: Mapping[str, Condition] | None = None, /, **conditions: Condition) -> Filters:
    """Records that fulfil every condition, given by field.

    The mapping is for names that are no identifiers, such as `metadata.city`. Raises `TypeError` for
    what is no condition, `ValueError` for a field that is given twice.
    """
    return _filters("and", mapping, conditions)


def any_of(mapping: Mapping[str, Condition] | None = None, /, **conditions: Condition) -> Filters:
    """Records that fulfil at least one of the conditions; given as for `where`."""
    return _filters("or", mapping, conditions)


def _filters(
    junction: Literal["and", "or"], mapping: Mapping[str, object] | None, keywords: Mapping[str, object]
) -> Filters:
    named = {} if mapping is None else {**mapping}
    if twice := named.keys() & keywords.keys():
        raise ValueError(f"{min(twice)!r} is given twice: combine its conditions with &")
    named |= keywords
    return Filters(junction, tuple((name, _condition(name, given)) for name, given in named.items()))


def _condition(name: str, given: object) -> Condition:
    if name == "junction":
        raise ValueError("'junction' is no field: where() demands all conditions, any_of() one of them")
    if not isinstance(given, Condition):
        raise TypeError(
            f"{name!r} needs a condition such as is_(…) or contains(…), not {type(given).__name__}"
        )
    return given


def filters_to_wire(filters: Filters | Mapping[str, object]) -> dict[str, Any]:
    """The API's JSON form of filters, or a copy of a mapping that has that form already.

    Times and dates in the mapping are written as the API takes them. Raises `TypeError` and
    `ValueError` as the operators do.
    """
    if isinstance(filters, Filters):
        return filters.to_dict()
    return {name: _copy(value) for name, value in {**filters}.items()}


def _copy(value: Any) -> Any:
    match value:
        case None:
            return None
        case {**mapping}:
            return {name: _copy(inner) for name, inner in mapping.items()}
        case [*values]:
            return [_copy(inner) for inner in values]
        case _:
            return _wire(value)


def _wire(value: object) -> _WireValue:
    match value:
        case datetime():
            return _time(value)
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


def _time(moment: datetime) -> str:
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone: add one, such as tzinfo=UTC")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one(operator: str, value: Value) -> Condition:
    return Condition(((operator, (_wire(value),)),))


def _many(operator: str, values: Iterable[Value]) -> Condition:
    if isinstance(values, str | bytes):
        raise TypeError(f"{operator} takes a list of values: write [{values!r}]")
    wire = tuple(map(_wire, values))
    if not wire:
        raise ValueError(f"{operator} needs at least one value")
    return Condition(((operator, wire),))


def after(moment: datetime | date | str) -> Condition:
    """Later than a time (aware; sent in UTC, cut to milliseconds) or a date: `$after`."""
    return _one("$after", moment)


def before(moment: datetime | date | str) -> Condition:
    """Earlier than a time (aware; sent in UTC, cut to milliseconds) or a date: `$before`."""
    return _one("$before", moment)


def is_(value: Value) -> Condition:
    """Exactly this value: `$is`."""
    return _one("$is", value)


def is_not(value: Value) -> Condition:
    """Any other value: `$is_not`."""
    return _one("$is_not", value)


def in_(values: Iterable[Value]) -> Condition:
    """One of these values, at least one: `$in`."""
    return _many("$in", values)


def not_in(values: Iterable[Value]) -> Condition:
    """None of these values, at least one: `$not_in`."""
    return _many("$not_in", values)


def has_value() -> Condition:
    """Some value, whichever: `$has_value`."""
    return Condition((("$has_value", True),))


def is_unknown() -> Condition:
    """No value: `$is_unknown`."""
    return Condition((("$is_unknown", True),))


def contains(text: str) -> Condition:
    """With this text somewhere: `$contains`."""
    return _one("$contains", text)


def not_contains(text: str) -> Condition:
    """With this text nowhere: `$not_contain`."""
    return _one("$not_contain", text)


def starts_with(text: str) -> Condition:
    """With this text at the beginning: `$starts_with`."""
    return _one("$starts_with", text)


def ends_with(text: str) -> Condition:
    """With this text at the end: `$ends_with`."""
    return _one("$ends_with", text)


def more_than(value: float) -> Condition:
    """Greater than a number: `$more_than`."""
    return _one("$more_than", value)


def less_than(value: float) -> Condition:
    """Less than a number: `$less_than`."""
    return _one("$less_than", value)


def more_than_equal(value: float) -> Condition:
    """A number or greater: `$more_than_equal`."""
    return _one("$more_than_equal", value)


def less_than_equal(value: float) -> Condition:
    """A number or less: `$less_than_equal`."""
    return _one("$less_than_equal", value)


def is_days_ago(days: int) -> Condition:
    """Exactly so many days ago: `$is_days_ago`."""
    return _one("$is_days_ago", days)


def is_days_in_future(days: int) -> Condition:
    """Exactly so many days from now: `$is_days_in_future`."""
    return _one("$is_days_in_future", days)


# The reference gives no unit for the next four; days are that of the two above.


def more_than_ago(days: int) -> Condition:
    """More than so many days ago: `$more_than_ago`."""
    return _one("$more_than_ago", days)


def less_than_ago(days: int) -> Condition:
    """Less than so many days ago: `$less_than_ago`."""
    return _one("$less_than_ago", days)


def more_than_future(days: int) -> Condition:
    """More than so many days from now: `$more_than_future`."""
    return _one("$more_than_future", days)


def less_than_future(days: int) -> Condition:
    """Less than so many days from now: `$less_than_future`."""
    return _one("$less_than_future", days)


# The reference names the next three and says nothing of them; they are read as Voucherify names them.


def count(number: int) -> Condition:
    """Exactly so many entries: `$count`."""
    return _one("$count", number)


def count_less(number: int) -> Condition:
    """Fewer entries than this: `$count_less`."""
    return _one("$count_less", number)


def count_more(number: int) -> Condition:
    """More entries than this: `$count_more`."""
    return _one("$count_more", number)
