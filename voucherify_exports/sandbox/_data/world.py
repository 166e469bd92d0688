"""The project whose data is exported: rows that refer to each other, in any number, without being kept.

A row is a number, and all that is in it follows from the seed, so that every export tells of the same things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import define, field, frozen

from .draws import Draws

if TYPE_CHECKING:
    from collections.abc import Iterator

_BITS = 32
_MASK = (1 << _BITS) - 1


@frozen
class Spread:
    """Spreads the numbers from 0 on evenly over the places from 0 to 2³².

    A van der Corput sequence, scrambled by an odd factor: where a number stands does not depend on how many
    there are, and still the first so many can be had in the order of their places, since the first 2ᵇ differ
    in the first b bits of theirs.
    """

    factor: int
    shift: int
    inverse: int

    @classmethod
    def from_draws(cls, draws: Draws) -> Self:
        """Return one that chance decides."""
        factor = draws.getrandbits(_BITS) | 1
        return cls(factor, draws.getrandbits(_BITS), pow(factor, -1, 1 << _BITS))

    def place(self, number: int) -> int:
        """Return the place of a number."""
        return (_reversed(number, _BITS) * self.factor + self.shift) & _MASK

    def number(self, slot: int, bits: int) -> int:
        """Return which of the first 2ᵇ numbers has these first b bits."""
        mask = (1 << bits) - 1
        place = (slot - (self.shift >> (_BITS - bits))) & mask
        return _reversed(place * self.inverse & mask, bits)


@define
class World:
    """All rows of all objects of one project."""

    seed: int
    _spreads: dict[tuple[str, str], Spread] = field(factory=dict[tuple[str, str], Spread], init=False)

    def spread(self, kind: str, column: str) -> Spread:
        """Return how the values of a column are spread."""
        spread = self._spreads.get((kind, column))
        if spread is None:
            spread = self._spreads[kind, column] = Spread.from_draws(Draws(f"{self.seed}/{kind}/{column}"))
        return spread


def slot_bits(count: int) -> int:
    """Return how many bits tell so many numbers apart."""
    return max(1, (count - 1).bit_length())


def reference_of(number: int) -> int:
    """Return the row of another object that a row belongs to: an earlier one, unless it is the first."""
    return number - (1 << number.bit_length() - 1) if number else 0


def references_to(number: int, count: int) -> Iterator[int]:
    """Yield those of the first rows that belong to a row."""
    if number == 0 < count:
        yield 0
    step = 1 << number.bit_length()
    while number + step < count:
        yield number + step
        step *= 2


def _reversed(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)
