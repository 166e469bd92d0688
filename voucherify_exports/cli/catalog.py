"""`objects` and `fields`: what can be exported, from the catalog and without a request."""

import json
from typing import Any

import typer

from ..catalog import CATALOG, CatalogEntry, CatalogField
from .boundary import boundary
from .options import AsJson, ExportedObject
from .streams import print_results


def objects(as_json: AsJson = False) -> None:
    """List the objects that can be exported, with the number of fields."""
    counts = {str(name): len(_selectable(entry)) for name, entry in CATALOG.items()}
    rows = [[name, f"{count} fields"] for name, count in counts.items()]
    with boundary():
        print_results([json.dumps(counts)] if as_json else _columns(rows))


def fields(exported_object: ExportedObject, as_json: AsJson = False) -> None:
    """List the fields of an object, with type and title.

    A star marks the default fields.
    """
    entry = CATALOG.get(exported_object)
    if entry is None:
        known = ", ".join(CATALOG)
        raise typer.BadParameter(
            f"unknown object {exported_object!r}; known are {known}", param_hint="OBJECT"
        )
    with boundary():
        print_results([json.dumps(_document(entry))] if as_json else _lines(entry))


def _lines(entry: CatalogEntry) -> list[str]:
    rows = [
        [field.name, "*" if field.name in entry.default_fields else "", field.type, field.title or ""]
        for field in _selectable(entry)
    ]
    rows += [[f"{prefix}…", "", "text", ""] for prefix in entry.field_prefixes]
    others = {"orders": entry.orders, "filters": [field.name for field in entry.filters]}
    more = [f"{name}: {', '.join(values)}" for name, values in others.items() if values]
    return [*_columns(rows), "", *more]


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _document(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "exported_object": entry.exported_object,
        "fields": [
            {"name": field.name, "type": field.type, "title": field.title} for field in _selectable(entry)
        ],
        "default_fields": entry.default_fields,
        "orders": entry.orders,
        "filters": [field.name for field in entry.filters],
    }


def _selectable(entry: CatalogEntry) -> list[CatalogField]:
    return [field for field in entry.fields if field.selectable]
