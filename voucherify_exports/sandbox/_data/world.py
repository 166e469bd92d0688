"""The data of one project: any number of rows that refer to each other, generated when they are read.

A row is a number. All its cells follow from the number and the seed, so that the files of all exports are
consistent, and neither a row nor an order of rows is ever stored.
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
    """A permutation of the numbers below 2³² that spreads the first n of them evenly, for every n.

    It is a van der Corput sequence, scrambled by an odd factor and a shift: `place` reverses the bits of a
    number, so that the first 2ᵇ numbers differ in the first b bits of their places. The place of a number
    depends on no other number, and `number` still lists the first 2ᵇ numbers in the order of their places.
    """

    factor: int
    shift: int
    inverse: int

    @classmethod
    def from_draws(cls, draws: Draws) -> Self:
        """Return a random one."""
        factor = draws.getrandbits(_BITS) | 1
        return cls(factor, draws.getrandbits(_BITS), pow(factor, -1, 1 << _BITS))

    def place(self, number: int) -> int:
        """Return the place of a number."""
        return (_reversed(number, _BITS) * self.factor + self.shift) & _MASK

    def number(self, slot: int, bits: int) -> int:
        """Return which of the first 2ᵇ numbers has a place that starts with these b bits."""
        mask = (1 << bits) - 1
        place = (slot - (self.shift >> (_BITS - bits))) & mask
        return _reversed(place * self.inverse & mask, bits)


@define
class World:
    """All rows of all objects of one project."""

    seed: int
    _spreads: dict[tuple[str, str], Spread] = field(factory=dict[tuple[str, str], Spread], init=False)

    def spread(self, kind: str, column: str) -> Spread:
        """Return the permutation of a column."""
        spread = self._spreads.get((kind, column))
        if spread is None:
            spread = self._spreads[kind, column] = Spread.from_draws(Draws(f"{self.seed}/{kind}/{column}"))
        return spread


def slot_bits(count: int) -> int:
    """Return how many bits the numbers below `count` need, at least one."""
    return max(1, (count - 1).bit_length())


def reference_of(number: int) -> int:
    """Return the number of the row that a row refers to: an earlier one, except that row 0 refers to 0."""
    return number - (1 << number.bit_length() - 1) if number else 0


def references_to(number: int, count: int) -> Iterator[int]:
    """Yield those of the first `count` rows that refer to a row: the inverse of `reference_of`."""
    if number == 0 < count:
        yield 0
    step = 1 << number.bit_length()
    while number + step < count:
        yield number + step
        step *= 2


def _reversed(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)
