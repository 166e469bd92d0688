"""The OpenAPI document: `openapi.json`, completed from the tables that the API checks requests with."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from .._data.objects import FIELDS, FILTER_PREFIXES, FILTERS, OPERATORS, ORDERS, WITHOUT_METADATA
from .._data.validators import MOST_ROWS
from .._emulator.oauth import SCOPES

if TYPE_CHECKING:
    from .._emulator.emulator import Emulator

Schema: TypeAlias = dict[str, Any]

_DOCUMENT = files("voucherify_exports.sandbox._control").joinpath("openapi.json")


def openapi(emulator: Emulator) -> Schema:
    """Return the OpenAPI 3.1 document of a sandbox, with examples of what exists in it."""
    document: Schema = json.loads(_DOCUMENT.read_text(encoding="utf-8"))
    document["servers"] = [{"url": emulator.url}]
    for name in ("code", "member"):
        document["components"]["parameters"][name]["example"] = _loyalty_card(emulator)
    schemas: Schema = document["components"]["schemas"]
    scope = f"({'|'.join(sorted(SCOPES))})"
    new_export = schemas["NewExport"]
    new_export["properties"]["rows"]["maximum"] = MOST_ROWS
    schemas |= {
        "ExportedObject": {"enum": [*FIELDS]},
        "Scopes": {"type": "string", "pattern": f"^{scope}( {scope})*$"},
        "Conditions": {
            "type": "object",
            "properties": {"conditions": {"type": "object", "propertyNames": {"enum": [*OPERATORS]}}},
            "required": ["conditions"],
        },
        "NewExport": {
            "oneOf": [_with(new_export, _object_and(name, fields=_fields(name))) for name in FIELDS]
        },
        "Create": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": _object_and(name, parameters=_ref(_parameters_of(name))),
                    "required": ["exported_object"],
                }
                for name in FIELDS
            ]
        },
        **{_parameters_of(name): _parameters(name) for name in FIELDS},
    }
    return document


def _loyalty_card(emulator: Emulator) -> str:
    """Return the code of the first voucher that is one."""
    rows = (row for row in count() if emulator.cell("voucher", "voucher_type", row=row) == "LOYALTY_CARD")
    return emulator.cell("voucher", "code", row=next(rows))


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameters_of(exported_object: str) -> str:
    return f"{exported_object.title().replace('_', '')}Parameters"


def _object_and(exported_object: str, **properties: Schema) -> Schema:
    return {"exported_object": {"const": exported_object}, **properties}


def _with(schema: Schema, properties: Schema) -> Schema:
    return {**schema, "properties": {**properties, **schema["properties"]}}


def _parameters(name: str) -> Schema:
    properties: Schema = {
        "order": {"enum": ["", *(sign + order for order in ORDERS[name] for sign in ("", "-"))]},
        "fields": _fields(name),
        "filters": _filters(name),
        "response_format": {"type": "string"},
    }
    if name == "voucher":
        properties["campaign_id"] = {"type": "string"}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _fields(name: str) -> Schema:
    fields: Schema = {"enum": [*FIELDS[name]]}
    if name not in WITHOUT_METADATA:
        fields = {"anyOf": [fields, {"type": "string", "pattern": "^metadata[.]."}]}
    return {"type": "array", "items": fields}


def _filters(name: str) -> Schema:
    names = [f"{re.escape(filter_name)}$" for filter_name in sorted(FILTERS[name])]
    prefixes = [f"{re.escape(prefix)}." for prefix in FILTER_PREFIXES.get(name, ())]
    return {
        "type": "object",
        "properties": {"junction": {"enum": ["and", "or", "AND", "OR"]}},
        "patternProperties": {f"^({'|'.join(names + prefixes)})": _ref("Conditions")},
        "additionalProperties": False,
    }
