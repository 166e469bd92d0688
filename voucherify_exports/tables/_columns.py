"""What the columns of a file are called, and what they hold."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from ..catalog import CATALOG, CatalogEntry, ColumnType
from ..models import Export
from ._csv import Record

Names: TypeAlias = Literal["field", "header"]
"""The names of the columns: the field names of the API, or the titles in the header of the file."""


class ColumnWarning(UserWarning):
    """A column that has not the name or the type that it should have; nothing in it is lost."""


@frozen
class Column:
    """One column of a file: its title there, its name in a table, and the type of its cells."""

    title: str
    name: str
    type: ColumnType = ColumnType.TEXT


@frozen
class Origin:
    """What a file was exported as, as far as it is known."""

    exported_object: str | None = None
    fields: tuple[str, ...] | None = None

    @classmethod
    def from_export(cls, export: Export | str | None, fields: Sequence[str] | None = None) -> "Origin":
        """The origin that an export, or the name of an exported object, tells."""
        if isinstance(fields, str):
            raise TypeError(f"fields are a list of names: write [{fields!r}]")
        asked = None if fields is None else tuple(fields)
        if isinstance(export, Export):
            parameters = export.parameters
            return cls(export.exported_object, asked or (parameters.fields if parameters else None) or None)
        if export is not None and export not in CATALOG:
            raise ValueError(f"{str(export)!r} is no exported object (known: {', '.join(CATALOG)})")
        if export is None and asked is not None:
            raise ValueError("fields go with the export, or the exported object, that they are of")
        return cls(export, asked or None)

    def make_header(self) -> tuple[str, ...]:
        """What stands over a file that is empty."""
        entry = CATALOG.get(self.exported_object or "")
        fields = self.fields or (entry.default_fields if entry else ())
        return tuple(name for name in fields if name != "metadata")


def warn(problem: str) -> None:
    """Say that a column has not the name or the type that it should have."""
    warnings.warn(problem, ColumnWarning, stacklevel=3)


def build_columns(header: Sequence[str], origin: Origin, names: Names) -> list[Column]:
    """The columns under a header.

    The fields that were asked for stand over the columns in their order, `metadata` over one for each
    property. That is believed when no title contradicts it; otherwise every column keeps its title and
    is text, with a `ColumnWarning`. Where nobody asked for fields, the default ones are tried, then each
    title for itself.
    """
    if names not in ("field", "header"):
        raise ValueError(f"names must be 'field' or 'header', not {names!r}")
    entry = CATALOG.get(origin.exported_object or "")
    fields: Sequence[str | None] = [None] * len(header)
    if entry is not None:
        matcher = _FieldMatcher(entry)
        requested = origin.fields or entry.default_fields
        matched = matcher.match_in_order(requested, header)
        if not isinstance(matched, str):
            fields = matched
        elif origin.fields is None:
            fields = matcher.match_each(header)
        else:
            warn(f"{matched}: all columns keep their titles, and are text")
    types = [_type(entry, field) for field in fields]
    wanted = [
        field if names == "field" and field else title for field, title in zip(fields, header, strict=True)
    ]
    return list(map(Column, header, _make_distinct(wanted), types))


def _type(entry: CatalogEntry | None, field: str | None) -> ColumnType:
    found = entry.find_field(field) if entry and field else None
    return found.type if found else ColumnType.TEXT


def _make_distinct(names: Sequence[str]) -> list[str]:
    """The names, of which a repeated one gets a number: a row may not lose a cell."""
    taken = set(names)
    counts = Counter[str]()
    distinct: list[str] = []
    for name in names:
        counts[name] += 1
        while counts[name] > 1 and f"{name} ({counts[name]})" in taken:
            counts[name] += 1
        distinct.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return distinct


@define
class RowBuilder:
    """Makes dicts of the records of one file, the first of which is its header."""

    _origin: Origin
    _names: Names
    _keys: list[str] | None = field(init=False, default=None)

    def build(self, records: Iterable[Record]) -> Iterator[dict[str, str]]:
        """A dict of each further record."""
        rest = iter(records)
        if self._keys is None:
            for _, header in islice(rest, 1):
                self._keys = [column.name for column in build_columns(header, self._origin, self._names)]
        keys = self._keys or ()
        for _, cells in rest:
            yield dict(zip(keys, cells, strict=False))  # a record is as long as the header


class _FieldMatcher:
    """Which field of an object a title names, where that can be told."""

    def __init__(self, entry: CatalogEntry) -> None:
        self._fields = {field.name for field in entry.fields}
        self._by_title: Mapping[str, str] = {
            _plain(title): field.name
            for other in (*CATALOG.values(), entry)
            for field in other.fields
            if (title := field.title) and field.name in self._fields
        }

    def find(self, title: str) -> str | None:
        plain = _plain(title)
        return self._by_title.get(plain, plain if plain in self._fields else None)

    def match_each(self, header: Sequence[str]) -> list[str | None]:
        """The field that each title names, for itself; of two that name the same, neither."""
        named = [self.find(title) for title in header]
        often = Counter(named)
        return [name if often[name] == 1 else None for name in named]

    def match_in_order(self, fields: Sequence[str], header: Sequence[str]) -> list[str | None] | str:
        """The fields over the columns, or why they cannot stand there."""
        extra = len(header) - len(fields)
        spread, after = list(fields), len(header)
        if fields.count("metadata") == 1 and extra >= -1:
            at = fields.index("metadata")
            after = at + extra + 1
            spread[at : at + 1] = map(_property, header[at:after])
        if len(spread) != len(header):
            return f"{len(fields)} fields were asked for, and the file has {len(header)} columns"
        named = [self._find_all(title, fields) for title in header]
        sure = {field for field, names in zip(spread, named, strict=True) if field in names}
        for title, names, place, expected in zip(header, named, range(len(header)), spread, strict=True):
            # A property may be called like a field, unless that field is then missing. What follows the
            # properties could stand elsewhere, unless its title says that it does not.
            others = (names & {*fields}) - sure if "." in expected else names or place >= after
            if expected not in names and others:
                asked = expected if expected in fields else "metadata"
                return f"The column {title!r} stands where {asked!r} was asked for"
        return [*spread]

    def _find_all(self, title: str, fields: Sequence[str]) -> set[str]:
        """The field that a title names, and the properties that were asked for by this name."""
        plain, field = _plain(title), self.find(title)
        properties = {
            name for name in fields if "." in name and plain in (_plain(name), _plain(name.partition(".")[2]))
        }
        return properties | ({field} if field else set())


def _property(title: str) -> str:
    return title if title.startswith("metadata.") else f"metadata.{title}"


def _plain(title: str) -> str:
    """A title as a field would be called."""
    return "_".join(title.lower().replace("-", " ").replace("_", " ").split())
