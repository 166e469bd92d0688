"""What can be exported: the fields of each object and the title of each column.

The facts are those of `catalog.json`, which the client's catalog reads as well.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FACTS: dict[str, Any] = json.loads((files("voucherify_exports") / "catalog.json").read_text("utf-8"))
_OBJECTS: dict[str, dict[str, Any]] = _FACTS["objects"]


def _names(groups: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group["names"])


def _of_each_object(part: str) -> dict[str, tuple[str, ...]]:
    return {kind: _names(facts[part]) for kind, facts in _OBJECTS.items() if part in facts}


OPERATORS = _names(_FACTS["operators"])
"""The operators of conditions, including those of which only the name is known."""

FIELDS: dict[str, tuple[str, ...]] = {
    kind: _names([group for group in facts["fields"] if group.get("selectable", True)])
    for kind, facts in _OBJECTS.items()
}
"""The fields that can be requested."""

# Not documented for API logs: these are an assumption of the sandbox.
_DEFAULT_FIELDS = _of_each_object("default_fields") | {
    "api_log": ("id", "created_at", "status", "method", "endpoint")
}

ORDERS = _of_each_object("orders")
"""What rows can be sorted by; a dash before it is for descending order."""

FILTERS = _of_each_object("filters")

FILTER_PREFIXES = _of_each_object("filter_prefixes")

WITHOUT_METADATA = _OBJECTS.keys() - _of_each_object("field_prefixes").keys()

_COLUMNS = {
    ("redemption", "created_at"): "date",
    ("redemption", "campaign_name"): "campaign",
    ("publication", "created_at"): "date",
    ("publication", "campaign_name"): "campaign",
    ("customer", "city"): "address_city",
    ("voucher", "holder_id"): "customer_id",
}

_METADATA_COLUMNS = ("metadata.season", "metadata.store")

_TITLES: dict[str, str] = {
    name: title
    for facts in _OBJECTS.values()
    for group in facts.get("titles", ())
    for name, title in group["names"].items()
}


def default_fields(exported_object: str) -> tuple[str, ...]:
    """Return the fields of an export that requests none."""
    return _DEFAULT_FIELDS[exported_object]


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # valid in JSON, but not in a UTF-8 file


def is_field(exported_object: str, name: str) -> bool:
    """Return whether a field can be requested; `metadata.<name>` is one property of the metadata."""
    if name.partition(".")[0] == "metadata" and name != "metadata.":
        return exported_object not in WITHOUT_METADATA and not _LONE_SURROGATE.search(name)
    return name in FIELDS[exported_object]


def is_filter(exported_object: str, name: str) -> bool:
    """Return whether rows can be filtered by a name."""
    if any(name.startswith(prefix) and name != prefix for prefix in FILTER_PREFIXES.get(exported_object, ())):
        return not _LONE_SURROGATE.search(name)
    return name in FILTERS[exported_object]


def column_of(exported_object: str, name: str) -> str | None:
    """Return the column that a filter or an order uses, or None."""
    if (exported_object, name) in _COLUMNS:
        return _COLUMNS[exported_object, name]
    is_column = name in FIELDS[exported_object] or name in ORDERS[exported_object]
    return name if is_column or name.startswith("metadata.") else None


def columns(fields: Iterable[str]) -> Iterator[str]:
    """Yield the columns of the fields; `metadata` has one for each property."""
    for name in fields:
        if name == "metadata":
            yield from _METADATA_COLUMNS
        else:
            yield name


def title(column: str) -> str:
    """Return the header of a column."""
    kind, dot, property_name = column.partition(".")
    if dot:
        return property_name
    return _TITLES.get(kind, kind.replace("_", " ").title())
