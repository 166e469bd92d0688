"""Kinds of cells: drawn, taken from another row, or derived from other cells."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from attrs import frozen

from .draws import Draws

if TYPE_CHECKING:
    from collections.abc import Callable

_RANGE = 2**32  # of a draw
_DIGITS = "".join(sorted(string.ascii_letters + string.digits))
_TEXTS = 62**6
_SCATTER = Draws("texts").getrandbits(512) | 1
_TO_DIGITS = bytes(_DIGITS.encode()[code % 62] for code in range(256))


class Cells(Protocol):
    """A row, as a derived cell needs it: its other cells, and the rows that it refers to."""

    def __getitem__(self, column: str) -> str: ...

    def reference(self, kind: str) -> Cells:
        """Return the row of another object that this row refers to."""
        ...

    def draw(self, column: str) -> int:
        """Return a number below 2³² that no other row has in this column."""
        ...


@frozen
class Drawn:
    """A text made from a number below 2³², which no other row of the column has.

    Where rows can be ordered by the column, the text must increase with the number.
    """

    text: Callable[[int], str]


@frozen
class Reference:
    """The text of a column in the row of another object that the row refers to."""

    kind: str
    column: str


@frozen
class SameNumber:
    """The text of a column in the row of another object that has the same number."""

    kind: str
    column: str


@frozen
class Derived:
    """A text computed from other cells of the row."""

    text: Callable[[Cells], str]


Cell: TypeAlias = Drawn | Reference | SameNumber | Derived


def one_of(*texts: str) -> Drawn:
    """One of these texts; a text that is repeated is more frequent."""
    rising = sorted(texts)
    return Drawn(lambda draw: rising[draw * len(rising) // _RANGE])


def integer(low: int, high: int) -> Drawn:
    """An integer from `low` to `high`, both included."""
    return Drawn(lambda draw: str(low + draw * (high - low + 1) // _RANGE))


def moment(first: datetime, days: int) -> Drawn:
    """A time within `days` days, in milliseconds."""
    # Not a multiple of a day: otherwise few rows would all have the same time of day.
    milliseconds = days * 86_400_000 - 37_199_213

    def text(draw: int) -> str:
        at = first + timedelta(milliseconds=draw * milliseconds // _RANGE)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return Drawn(text)


def date(first: datetime, days: int) -> Drawn:
    """A date within `days` days."""
    return Drawn(lambda draw: (first + timedelta(draw * days // _RANGE)).date().isoformat())


def ident(prefix: str, length: int = 24, suffix: str = "") -> Drawn:
    """A text of letters and digits that no other row of the column has."""
    bits = 8 * (length - 6)

    def text(draw: int) -> str:
        tail = ((draw * _SCATTER >> 32) & ((1 << bits) - 1)).to_bytes(length - 6, "big")
        return prefix + _digits(draw * _TEXTS // _RANGE) + tail.translate(_TO_DIGITS).decode() + suffix

    return Drawn(text)


def draw_of_ident(prefix: str, text: str) -> int | None:
    """Return the number that an ident was made from, or None when the text is not an ident."""
    digits = text.removeprefix(prefix)[:6]
    if len(digits) < 6 or not all(digit in _DIGITS for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = number * 62 + _DIGITS.index(digit)
    return -(-number * _RANGE // _TEXTS)


def year(number: int) -> datetime:
    """Return the start of a year."""
    return datetime(number, 1, 1, tzinfo=UTC)


def _digits(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
