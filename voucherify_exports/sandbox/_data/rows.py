"""Rows: the text of each cell, the order of rows by a column, and the row that has an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from .cells import Drawn, Reference, SameNumber, draw_of_ident
from .definitions import cell
from .world import reference_of, references_to, slot_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .world import World


@frozen
class Row:
    """One row of an object, given by its number."""

    world: World
    kind: str
    number: int

    def __getitem__(self, column: str) -> str:
        found = cell(self.kind, column)
        if isinstance(found, Drawn):
            return found.text(self.draw(column))
        if isinstance(found, Reference):
            return self.reference(found.kind)[found.column]
        if isinstance(found, SameNumber):
            return Row(self.world, found.kind, self.number)[found.column]
        return found.text(self)

    def reference(self, kind: str) -> Row:
        """Return the row of another object that this row refers to."""
        return Row(self.world, kind, reference_of(self.number))

    def draw(self, column: str) -> int:
        """Return a number from 0 to 2³² that no other row has in this column."""
        return self.world.spread(self.kind, column).place(self.number)


def ordered(world: World, kind: str, column: str, slot: int, count: int) -> Iterator[int]:
    """Yield those of the first `count` rows that are in a slot when they are ordered by a column.

    There are `2 ** slot_bits(count)` slots; most have one row or none. The slots of a reference are those of
    the column that it refers to, so that many rows can share one.
    """
    found = cell(kind, column)
    if isinstance(found, Reference):
        for number in ordered(world, found.kind, found.column, slot, count):
            yield from references_to(number, count)
    else:
        number = world.spread(kind, column).number(slot, slot_bits(count))
        if number < count:
            yield number


def number_of(world: World, kind: str, column: str, prefix: str, text: str) -> int | None:
    """Return the number of the row that has an ident in a column, or None."""
    draw = draw_of_ident(prefix, text)
    if draw is None:
        return None
    number = world.spread(kind, column).number(draw, 32)
    return number if Row(world, kind, number)[column] == text else None
