"""`objects` and `fields`: what can be exported, without a request."""

import json
import os
from typing import Annotated, Any

import typer

from ..catalog import CATALOG, CatalogEntry, CatalogField
from .boundary import boundary
from .streams import print_results

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def complete_object(incomplete: str) -> list[str]:
    """The exported objects that a shell may offer."""
    return [name for name in CATALOG if name.startswith(incomplete)]


ExportedObject = Annotated[
    str,
    typer.Argument(
        metavar="OBJECT",
        help="What to export, such as voucher: see the command objects.",
        autocompletion=complete_object,
    ),
]


def complete_field(incomplete: str) -> list[str]:
    """The fields that a shell may offer, of the object that is named on the line."""
    # Typer leaves the words unparsed before a value that is incomplete; bash says them in its own variable.
    words = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    entry = next((CATALOG[word] for word in words.split() if word in CATALOG), None)
    return [known.name for known in _selectable(entry) if known.name.startswith(incomplete)] if entry else []


def objects(as_json: AsJson = False) -> None:
    """List what can be exported, with the number of its fields."""
    counts = {str(name): len(_selectable(entry)) for name, entry in CATALOG.items()}
    with boundary():
        print_results([json.dumps(counts)] if as_json else _columns([*map(_counted, counts.items())]))


def fields(exported_object: ExportedObject, as_json: AsJson = False) -> None:
    """List the fields of an exported object, with type and title; a star marks the default ones."""
    entry = CATALOG.get(exported_object)
    if entry is None:
        known = ", ".join(CATALOG)
        raise typer.BadParameter(f"{exported_object!r} is none of {known}", param_hint="OBJECT")
    with boundary():
        print_results([json.dumps(_document(entry))] if as_json else _lines(entry))


def _counted(item: tuple[str, int]) -> list[str]:
    name, count = item
    return [name, f"{count} fields"]


def _lines(entry: CatalogEntry) -> list[str]:
    rows = [
        [known.name, "*" if known.name in entry.default_fields else "", known.type, known.title or ""]
        for known in _selectable(entry)
    ]
    rows += [[f"{prefix}…", "", "text", ""] for prefix in entry.field_prefixes]
    others = {"orders": entry.orders, "filters": [known.name for known in entry.filters]}
    more = [f"{name}: {', '.join(values)}" for name, values in others.items() if values]
    return [*_columns(rows), "", *more]


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _document(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "exported_object": entry.exported_object,
        "fields": [
            {"name": known.name, "type": known.type, "title": known.title} for known in _selectable(entry)
        ],
        "default_fields": entry.default_fields,
        "orders": entry.orders,
        "filters": [known.name for known in entry.filters],
    }


def _selectable(entry: CatalogEntry) -> list[CatalogField]:
    return [known for known in entry.fields if known.selectable]
