"""Conditions of `--where`, such as `code contains SUMMER` or `created_at after 2026-01-01`."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import typer

from ..catalog import CATALOG, OPERATORS, ColumnType
from ..filters import Condition, Filters, any_of, where

_WITHOUT_VALUE = ("has_value", "is_unknown")
_LISTS = ("in", "not_in")
_NUMBERS = ("more", "less", "count", "is_days")  # the prefixes of the operators that take only numbers
_OPERATORS = {"not_contains": "$not_contain"} | {
    operator.removeprefix("$"): operator for operator in OPERATORS
}


def parse_filters(texts: Iterable[str], exported_object: str, *, is_any: bool) -> Filters | None:
    """The filters for conditions; raises `typer.BadParameter` for an invalid one."""
    conditions: dict[str, Condition] = {}
    for text in texts:
        name, condition = _condition(text, exported_object)
        try:
            conditions[name] = conditions[name] & condition if name in conditions else condition
        except ValueError as error:
            raise typer.BadParameter(f"{text!r}: {error}", param_hint="--where") from None
    if not conditions:
        return None
    return any_of(conditions) if is_any else where(conditions)


def _condition(text: str, exported_object: str) -> tuple[str, Condition]:
    name, word, value = (*text.split(maxsplit=2), "", "", "")[:3]
    word = word.removeprefix("$")
    operator = _OPERATORS.get(word)
    if operator is None:
        raise _invalid(text, f"the second word must be one of {', '.join(_OPERATORS)}")
    if (word in _WITHOUT_VALUE) is bool(value):
        raise _invalid(text, f"{word} takes {'no value' if value else 'a value'}")
    if not value:
        return name, Condition(((operator, True),))
    values = value.split(",") if word in _LISTS else [value]
    kind = ColumnType.DECIMAL if word.startswith(_NUMBERS) else _type(exported_object, name)
    return name, Condition(((operator, tuple(_value(text, each.strip(), kind) for each in values)),))


def _type(exported_object: str, name: str) -> ColumnType:
    """The type of a field's values; text if the field is unknown."""
    entry = CATALOG.get(exported_object)
    found = entry.find_field(name) if entry else None
    return found.type if found else ColumnType.TEXT


def _value(text: str, value: str, kind: ColumnType) -> Any:
    match kind:
        case ColumnType.INTEGER | ColumnType.DECIMAL:
            for number in (int, float):
                with suppress(ValueError):
                    return number(value)
            raise _invalid(text, f"{value!r} is not a number")
        case ColumnType.BOOLEAN:
            if value not in ("true", "false"):
                raise _invalid(text, f"{value!r} is neither true nor false")
            return value == "true"
        case _:
            return value


def _invalid(text: str, problem: str) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r}: {problem}", param_hint="--where")
