"""The content of a file: the rows of an export as CSV, generated in blocks."""

from __future__ import annotations

import csv
import io
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from attrs import define

from .objects import column_of, columns, default_fields, title
from .row_filters import NO_FILTERS, kept_by
from .rows import Row, ordered
from .world import slot_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .world import World

_ROWS_PER_BLOCK = 200


@define(slots=False)
class FileContent:
    """The content of a file: the first `rows` rows of an object, less those that a filter excludes.

    A block has up to a few hundred rows. Blocks can be read in any order, and are the same each time.
    """

    world: World
    kind: str
    fields: tuple[str, ...]
    rows: int
    order: str = ""
    filters: Sequence[Mapping[str, object]] = ()

    @classmethod
    def from_parameters(
        cls,
        world: World,
        rows: int,
        kind: str,
        parameters: Mapping[str, Any],
        within: Mapping[str, object] = NO_FILTERS,
    ) -> Self:
        """Return the content of the file of an export with these parameters."""
        campaign = parameters.get("campaign_id")
        of_campaign = {"campaign_id": {"conditions": {"$is": campaign}}} if campaign is not None else {}
        return cls(
            world=world,
            kind=kind,
            fields=tuple(parameters.get("fields") or default_fields(kind)),
            rows=rows,
            order=parameters.get("order", ""),
            filters=[parameters.get("filters", {}), within, of_campaign],
        )

    @property
    def identity(self) -> str:
        """A text that is equal for equal content."""
        filters = [dict(each) for each in self.filters]
        return json.dumps([self.world.seed, self.kind, self.fields, self.rows, self.order, filters])

    @property
    def blocks(self) -> int:
        """The number of blocks; some of them may be empty."""
        places = 2 ** slot_bits(self.rows) if self.order else self.rows
        return max(1, -(-places // _ROWS_PER_BLOCK))

    def block(self, number: int) -> bytes:
        """Return a block by its number, counted from 0; the first one starts with the header."""
        names = list(columns(self.fields))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if number == 0:
            writer.writerow(map(title, names))
        first = number * _ROWS_PER_BLOCK
        for each in self._numbers(range(first, first + _ROWS_PER_BLOCK)):
            row = Row(self.world, self.kind, each)
            if all(keep(row) for keep in self._filters):
                writer.writerow([row[name] for name in names])
        # The name of a property can contain half of a surrogate pair, which is not UTF-8.
        return text.getvalue().encode(errors="replace")

    @cached_property
    def _filters(self) -> Sequence[Callable[[Row], bool]]:
        kept = [kept_by(self.kind, each) for each in self.filters]
        return [keep for keep in kept if keep is not None]

    def _numbers(self, places: range) -> Iterable[int]:
        if not self.order:
            return range(places.start, min(places.stop, self.rows))
        return self._ordered(places)

    def _ordered(self, places: range) -> Iterator[int]:
        name = self.order.removeprefix("-")
        column = column_of(self.kind, name) or name
        slots = 2 ** slot_bits(self.rows)
        for place in range(places.start, min(places.stop, slots)):
            slot = slots - 1 - place if self.order.startswith("-") else place
            yield from ordered(self.world, self.kind, column, slot, self.rows)
