"""What can be exported: fields, default fields, orders and filters of every exported object.

The facts are in `catalog.json` beside this module, each with its source and certainty.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import frozen

from .errors import describe_unknown
from .models import ExportedObject


class ColumnType(StrEnum):
    """What the cells of a column hold; any cell may be empty."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    JSON = "json"


@frozen(kw_only=True)
class CatalogField:
    """One field of an exported object, and the type of its column.

    `title` is the header of the column, `None` where it is not published. `selectable` is false for a
    field that Voucherify lists as a default one, but does not list as one that can be requested.
    """

    name: str
    type: ColumnType
    title: str | None = None
    selectable: bool = True


@frozen(kw_only=True)
class CatalogFilter:
    """One filter of an exported object, and the operators that it takes."""

    name: str
    operators: tuple[str, ...]


@frozen(kw_only=True)
class CatalogEntry:
    """The facts about one exported object.

    `default_fields` are the fields of an export that requests none, empty where they are not documented.
    `field_prefixes` and `filter_prefixes` allow any name that starts with them, such as `metadata.city`.
    """

    exported_object: ExportedObject
    fields: tuple[CatalogField, ...]
    default_fields: tuple[str, ...]
    orders: tuple[str, ...]
    filters: tuple[CatalogFilter, ...]
    field_prefixes: tuple[str, ...]
    filter_prefixes: tuple[str, ...]
    extra_parameters: tuple[str, ...]

    def find_field(self, name: str) -> CatalogField | None:
        """The field of this name, or `None`. A name with an open prefix, such as `metadata.city`, is text."""
        if _has_prefix(name, self.field_prefixes):
            return CatalogField(name=name, type=ColumnType.TEXT)
        return next((field for field in self.fields if field.name == name), None)

    def find_filter(self, name: str) -> CatalogFilter | None:
        """The filter of this name, or `None`. A name with an open prefix takes all operators."""
        if _has_prefix(name, self.filter_prefixes):
            return CatalogFilter(name=name, operators=_operators())
        return next((known for known in self.filters if known.name == name), None)


def _has_prefix(name: str, prefixes: Iterable[str]) -> bool:
    return any(name.startswith(prefix) and name != prefix for prefix in prefixes)


# What `catalog.json` says of one part of an object: names, and for some parts what belongs to each name.
_Groups: TypeAlias = Sequence[Mapping[str, Any]]


def _names(groups: _Groups) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group["names"])


def _pairs(groups: _Groups) -> Iterator[tuple[str, Any]]:
    return (pair for group in groups for pair in group["names"].items())


def _entry(exported_object: str, facts: Mapping[str, _Groups]) -> CatalogEntry:
    titles = dict(_pairs(facts.get("titles", ())))
    return CatalogEntry(
        exported_object=ExportedObject(exported_object),
        fields=tuple(
            CatalogField(
                name=name,
                type=ColumnType(kind),
                title=titles.get(name),
                selectable=group.get("selectable", True),
            )
            for group in facts["fields"]
            for name, kind in group["names"].items()
        ),
        default_fields=_names(facts["default_fields"]),
        orders=tuple(sign + name for name in _names(facts["orders"]) for sign in ("", "-")),
        filters=tuple(
            CatalogFilter(name=name, operators=_operators() if operators == "any" else tuple(operators))
            for name, operators in _pairs(facts["filters"])
        ),
        field_prefixes=_names(facts.get("field_prefixes", ())),
        filter_prefixes=_names(facts.get("filter_prefixes", ())),
        extra_parameters=_names(facts.get("extra_parameters", ())),
    )


@cache
def _facts() -> Mapping[str, Any]:
    """The content of `catalog.json`, read on first use: a program that only waits needs none of it."""
    from importlib.resources import files

    facts: Mapping[str, Any] = json.loads((files("voucherify_exports") / "catalog.json").read_text("utf-8"))
    return facts


@cache
def _operators() -> tuple[str, ...]:
    return _names([group for group in _facts()["operators"] if group.get("offered", True)])


class _Catalog(Mapping[str, CatalogEntry]):
    """All entries, made on first use."""

    @cached_property
    def _entries(self) -> Mapping[str, CatalogEntry]:
        return {ExportedObject(name): _entry(name, facts) for name, facts in _facts()["objects"].items()}

    def __getitem__(self, exported_object: str) -> CatalogEntry:
        return self._entries[exported_object]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return repr(self._entries)


CATALOG: Mapping[str, CatalogEntry] = _Catalog()
"""The entries by exported object, a member of `ExportedObject` or its name.

>>> CATALOG["voucher"].default_fields
('code', 'voucher_type', 'value', 'discount_type')
"""

if TYPE_CHECKING:
    OPERATORS: tuple[str, ...]
    """The operators that conditions can have."""
else:  # with this function, type checkers would accept every name

    def __getattr__(name: str) -> object:
        if name == "OPERATORS":
            return _operators()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "OPERATORS"]


def check_fields(fields: object) -> None:
    """Raise `TypeError` for what is not a list: one string would be read as a list of its letters."""
    if isinstance(fields, str):
        raise TypeError(f"fields must be a list of names: write [{fields!r}]")
    if fields is not None and not isinstance(fields, Iterable):
        raise TypeError(f"fields must be a list of names, not {type(fields).__name__}")


def check_parameters(
    exported_object: str,
    *,
    fields: Collection[str] | None = None,
    order: str | None = None,
    filters: Mapping[str, object] | None = None,
    campaign_id: str | None = None,
) -> None:
    """Check the parameters of an export against the catalog; `filters` have the API's JSON form.

    Raises `ValueError` that names everything unknown, typos with a suggestion, and `TypeError` when
    `fields` is one string.

    >>> check_parameters("publication", fields=["voucher_code", "chanel"])
    Traceback (most recent call last):
    ValueError: publication export: unknown field 'chanel'; did you mean 'channel'? ...
    """
    check_fields(fields)
    entry = CATALOG.get(exported_object)
    if entry is None:
        prefix, problems = "", [describe_unknown("exported object", exported_object, CATALOG)]
    else:
        prefix = f"{entry.exported_object} export: "
        problems = [
            *_field_problems(entry, fields or ()),
            *_order_problems(entry, order),
            *_filter_problems(entry, filters or {}),
            *_campaign_problems(entry, campaign_id),
        ]
    if problems:
        first, *others = problems
        sentences = [
            prefix + first,
            *(problem[0].upper() + problem[1:] for problem in others),
            "Use check_catalog=False to send names that this version does not know.",
        ]
        raise ValueError(" ".join(sentences))


def _field_problems(entry: CatalogEntry, names: Iterable[str]) -> Iterator[str]:
    selectable = [field.name for field in entry.fields if field.selectable]
    for name in map(str, names):
        field = entry.find_field(name)
        if field is None:
            yield describe_unknown("field", name, [*selectable, *_patterns(entry.field_prefixes)])
        elif not field.selectable:
            yield f"field {name!r} is one of the default fields, but cannot be requested."


def _order_problems(entry: CatalogEntry, order: str | None) -> Iterator[str]:
    # Voucherify's own example has an empty order.
    if order and order not in entry.orders:
        yield describe_unknown("order", order, entry.orders)


def _filter_problems(entry: CatalogEntry, filters: Mapping[str, object]) -> Iterator[str]:
    names = [known.name for known in entry.filters]
    for name, value in filters.items():
        known = entry.find_filter(str(name))
        if name == "junction":
            junctions = _names(_facts()["junctions"])
            if value not in junctions:
                yield describe_unknown("junction", value, junctions)
        elif known is None:
            yield describe_unknown("filter", name, [*names, *_patterns(entry.filter_prefixes)])
        else:
            yield from _operator_problems(known, value)


def _operator_problems(known: CatalogFilter, value: Any) -> Iterator[str]:
    match value:
        case {"conditions": {**conditions}}:
            for operator in conditions:
                if operator not in known.operators:
                    yield f"filter {known.name!r}: {describe_unknown('operator', operator, known.operators)}"
        case _:
            yield f"filter {known.name!r} must have the form {{'conditions': {{'$is': […]}}}}."


def _campaign_problems(entry: CatalogEntry, campaign_id: str | None) -> Iterator[str]:
    if campaign_id is not None and "campaign_id" not in entry.extra_parameters:
        objects = [name for name, other in CATALOG.items() if "campaign_id" in other.extra_parameters]
        yield f"only {' and '.join(objects)} exports take a campaign_id."


def _patterns(prefixes: Iterable[str]) -> list[str]:
    return [f"{prefix}*" for prefix in prefixes]
