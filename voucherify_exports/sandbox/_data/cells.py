"""What a cell can hold: a draw of its own, or what another row says."""

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
    """The row of a cell, from which other cells of it, and of rows that it belongs to, can be told."""

    def __getitem__(self, column: str) -> str: ...

    def reference(self, kind: str) -> Cells:
        """Return the row of another object that this one belongs to."""
        ...

    def draw(self, column: str) -> int:
        """Return a number from 0 to 2³² that no other row has in this column."""
        ...


@frozen
class Drawn:
    """A text that rises with the draw: a number from 0 to 2³² that no other row of the column draws."""

    text: Callable[[int], str]


@frozen
class Reference:
    """What stands in the row of another object that the row belongs to."""

    kind: str
    column: str


@frozen
class SameNumber:
    """What stands in the row of another object that has the same number."""

    kind: str
    column: str


@frozen
class Derived:
    """A text that follows from other cells of the row."""

    text: Callable[[Cells], str]


Cell: TypeAlias = Drawn | Reference | SameNumber | Derived


def one_of(*texts: str) -> Drawn:
    """One of these texts, each as often as it is named."""
    rising = sorted(texts)
    return Drawn(lambda draw: rising[draw * len(rising) // _RANGE])


def integer(low: int, high: int) -> Drawn:
    """A whole number in a range that includes both ends."""
    return Drawn(lambda draw: str(low + draw * (high - low + 1) // _RANGE))


def moment(first: datetime, days: int) -> Drawn:
    """A time within so many days, to the millisecond."""
    # Less an odd number of milliseconds, or else few rows would all be of the same time of day.
    milliseconds = days * 86_400_000 - 37_199_213

    def text(draw: int) -> str:
        at = first + timedelta(milliseconds=draw * milliseconds // _RANGE)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return Drawn(text)


def date(first: datetime, days: int) -> Drawn:
    """A day within so many days."""
    return Drawn(lambda draw: (first + timedelta(draw * days // _RANGE)).date().isoformat())


def ident(prefix: str, length: int = 24, suffix: str = "") -> Drawn:
    """A text of letters and digits that no other row has."""
    bits = 8 * (length - 6)

    def text(draw: int) -> str:
        tail = ((draw * _SCATTER >> 32) & ((1 << bits) - 1)).to_bytes(length - 6, "big")
        return prefix + _digits(draw * _TEXTS // _RANGE) + tail.translate(_TO_DIGITS).decode() + suffix

    return Drawn(text)


def draw_of_ident(prefix: str, text: str) -> int | None:
    """Return the draw that makes an ident, if one does."""
    digits = text.removeprefix(prefix)[:6]
    if len(digits) < 6 or not all(digit in _DIGITS for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = number * 62 + _DIGITS.index(digit)
    return -(-number * _RANGE // _TEXTS)


def year(number: int) -> datetime:
    """Return the beginning of a year."""
    return datetime(number, 1, 1, tzinfo=UTC)


def _digits(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
