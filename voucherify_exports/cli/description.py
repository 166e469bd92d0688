"""Exports as text."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..models import Export, ExportParameters
from .streams import one_line


def describe(export: Export) -> Iterator[str]:
    """One line for each known property of an export, including the whole result URL."""
    facts = [(name, value) for name, value in _facts(export) if value]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        yield one_line(name).ljust(width + 2) + one_line(value)


def summarize(export: Export) -> str:
    """The id, object, status and creation time of an export; most fit into 80 columns."""
    columns = f"{one_line(export.id):28} {one_line(export.exported_object):20} {one_line(export.status):11}"
    return f"{columns} {export.created_at:%Y-%m-%d %H:%M}"


def _facts(export: Export) -> Iterator[tuple[str, str | None]]:
    yield "id", export.id
    yield "object", export.exported_object
    yield "status", export.status
    yield "created", f"{export.created_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "channel", export.channel
    yield "user", export.user_id
    if export.parameters is not None:
        yield from _parameters(export.parameters)
    yield from _unknown(export.extra)
    yield "result", export.result_url or ("none" if export.is_failed else "not yet")


def _parameters(parameters: ExportParameters) -> Iterator[tuple[str, str | None]]:
    yield "campaign", parameters.campaign_id
    yield "fields", ", ".join(parameters.fields or ())
    yield "order", parameters.order
    yield "filters", json.dumps(parameters.filters) if parameters.filters else None
    yield from _unknown(parameters.extra)


def _unknown(extra: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Properties that this version does not know, as the API sent them."""
    return ((name, json.dumps(value)) for name, value in extra.items())
