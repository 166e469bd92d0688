"""Validators of values that users give, with errors that say what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from attrs import Attribute

    Validator = Callable[[Any, Attribute[Any], Any], None]

MOST_ROWS = 2**32
"""The largest number of rows: beyond it, ids would repeat."""


def must_be(words: str, fits: Callable[[Any], bool]) -> Validator:
    """Return a validator that raises ValueError unless a value fits or is None."""

    def check(_instance: object, option: Attribute[Any], value: object) -> None:
        if value is not None and not fits(value):
            msg = f"{option.name} must be {words}, not {value!r}"
            raise ValueError(msg)

    return check


def is_number(value: object, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether a value is a number; a boolean is not."""
    return isinstance(value, kinds) and not isinstance(value, bool)


ROW_COUNT = must_be(
    f"an integer from 0 to {MOST_ROWS:,}", lambda value: is_number(value, int) and 0 <= value <= MOST_ROWS
)
