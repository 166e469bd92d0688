"""The names and types of the columns of a file."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from ..catalog import CATALOG, CatalogEntry, ColumnType, check_fields
from ..models import Export
from ._csv import Record

Names: TypeAlias = Literal["field", "header"]
"""The names of the columns: the field names of the API, or the titles in the header of the file."""


class ColumnWarning(UserWarning):
    """A column kept its title, or stayed text, because the file did not match; no value is lost."""


@frozen
class Column:
    """One column: its title in the file, its name in the table, and the type of its cells."""

    title: str
    name: str
    type: ColumnType = ColumnType.TEXT


@frozen
class Origin:
    """The exported object and the requested fields of a file; `None` if unknown."""

    exported_object: str | None = None
    fields: tuple[str, ...] | None = None

    @classmethod
    def from_export(cls, export: Export | str | None, fields: Sequence[str] | None = None) -> "Origin":
        """The origin of the file of an export, or of any export of an exported object."""
        check_fields(fields)
        requested = None if fields is None else tuple(fields)
        if isinstance(export, Export):
            parameters = export.parameters
            exported = parameters.fields if parameters else None
            return cls(export.exported_object, requested or exported or None)
        if export is not None and export not in CATALOG:
            raise ValueError(f"unknown exported object {str(export)!r}; known are {', '.join(CATALOG)}")
        if export is None and requested is not None:
            raise ValueError("fields need export: the Export of the file, or the name of its exported object")
        return cls(export, requested or None)

    def make_header(self) -> tuple[str, ...]:
        """The header of a file that is empty."""
        entry = CATALOG.get(self.exported_object or "")
        fields = self.fields or (entry.default_fields if entry else ())
        return tuple(name for name in fields if name != "metadata")


def warn(problem: str) -> None:
    """Warn about a column."""
    warnings.warn(problem, ColumnWarning, stacklevel=3)


def check_names(names: object) -> None:
    """Raise `ValueError` for another choice of names than there is."""
    if names not in ("field", "header"):
        raise ValueError(f"names must be 'field' or 'header', not {names!r}")


def build_columns(header: Sequence[str], origin: Origin, names: Names) -> list[Column]:
    """Find the name and type of each column.

    The columns have the order of the requested fields, with one column for each property in place of
    `metadata`. If a title contradicts that, every column keeps its title and is text, with a `ColumnWarning`.
    If no fields were requested, the default fields are tried, and then each title alone.
    """
    check_names(names)
    entry = CATALOG.get(origin.exported_object or "")
    fields: Sequence[str | None] = [None] * len(header)
    if entry is not None:
        matcher = _FieldMatcher(entry)
        requested = origin.fields or entry.default_fields
        try:
            fields = matcher.match_in_order(requested, header)
        except ValueError as error:
            if origin.fields is None:
                fields = matcher.match_each(header)
            else:
                warn(f"{error}; all columns keep their titles and are text")
    types = [_type_of(entry, field) for field in fields]
    chosen = [
        field if names == "field" and field else title for field, title in zip(fields, header, strict=True)
    ]
    return list(map(Column, header, _make_distinct(chosen), types))


def _type_of(entry: CatalogEntry | None, field: str | None) -> ColumnType:
    found = entry.find_field(field) if entry and field else None
    return found.type if found else ColumnType.TEXT


def _make_distinct(names: Sequence[str]) -> list[str]:
    """Number repeated names, since a dict or table would lose a cell to another of the same name."""
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
    """Converts the records of one file to dicts; the first record is the header."""

    _origin: Origin
    _names: Names
    _keys: list[str] | None = field(init=False, default=None)

    def build(self, records: Iterable[Record]) -> Iterator[dict[str, str]]:
        """Yield a dict for each of the next records, except the header."""
        rest = iter(records)
        if self._keys is None:
            for _, header in islice(rest, 1):
                self._keys = [column.name for column in build_columns(header, self._origin, self._names)]
        keys = self._keys or ()
        for _, cells in rest:
            yield dict(zip(keys, cells, strict=False))  # a record is as long as the header


class _FieldMatcher:
    """Finds the fields of one exported object that the titles of a header name."""

    def __init__(self, entry: CatalogEntry) -> None:
        self._fields = {field.name for field in entry.fields}
        self._by_title: Mapping[str, str] = {
            _normalize(title): field.name
            for other in (*CATALOG.values(), entry)
            for field in other.fields
            if (title := field.title) and field.name in self._fields
        }

    def find(self, title: str) -> str | None:
        """The field that a title names; `None` if there is none."""
        normalized = _normalize(title)
        return self._by_title.get(normalized, normalized if normalized in self._fields else None)

    def match_each(self, header: Sequence[str]) -> list[str | None]:
        """The field that each title names; `None` for titles that name the same field."""
        found = [self.find(title) for title in header]
        counts = Counter(found)
        return [name if counts[name] == 1 else None for name in found]

    def match_in_order(self, fields: Sequence[str], header: Sequence[str]) -> list[str]:
        """The field of each column, in the given order; `ValueError` if a title contradicts that."""
        extra = len(header) - len(fields)
        matched, end_of_properties = list(fields), len(header)
        if fields.count("metadata") == 1 and extra >= -1:
            start = fields.index("metadata")
            end_of_properties = start + extra + 1
            matched[start : start + 1] = map(_property, header[start:end_of_properties])
        if len(matched) != len(header):
            raise ValueError(f"{len(fields)} fields were requested, but the file has {len(header)} columns")
        found = [self._find_all(title, fields) for title in header]
        certain = {field for field, names in zip(matched, found, strict=True) if field in names}
        for index, (title, names, expected) in enumerate(zip(header, found, matched, strict=True)):
            if "." in expected:
                # A property may have the name of a requested field, unless that field is then missing.
                is_contradicted = bool((names & {*fields}) - certain)
            else:
                # After the properties, whose number is unknown, the title must be that of the field.
                is_contradicted = bool(names) or index >= end_of_properties
            if expected not in names and is_contradicted:
                requested = expected if expected in fields else "metadata"
                raise ValueError(f"Column {title!r} is in the place of the requested field {requested!r}")
        return matched

    def _find_all(self, title: str, fields: Sequence[str]) -> set[str]:
        """The field that a title names, and the requested properties of that name."""
        normalized, field = _normalize(title), self.find(title)
        properties = {
            name
            for name in fields
            if "." in name and normalized in (_normalize(name), _normalize(name.partition(".")[2]))
        }
        return properties | ({field} if field else set())


def _property(title: str) -> str:
    return title if title.startswith("metadata.") else f"metadata.{title}"


def _normalize(title: str) -> str:
    """A title in the spelling of a field."""
    return "_".join(title.lower().replace("-", " ").replace("_", " ").split())
