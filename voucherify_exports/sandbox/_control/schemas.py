"""JSON Schema of all that the sandbox takes and gives, from the tables that its checks use."""

from __future__ import annotations

import re
from typing import TypeAlias

from .._data.objects import FIELDS, FILTER_PREFIXES, FILTERS, ORDERS, WITHOUT_METADATA
from .._emulator.exports import MOST_ROWS
from .._emulator.parameters import OPERATORS

Schema: TypeAlias = dict[str, object]

STRING: Schema = {"type": "string"}
NULL: Schema = {"type": "null"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
EPOCH: Schema = {"type": "number", "description": "Epoch seconds."}
_TEXT: Schema = {"type": "string", "pattern": "^([^\\p{C}\\p{Z}]| )*$", "description": "Printable."}
_ID: Schema = {
    "type": "string",
    "pattern": "^(?![.]{1,2}$)([^\\p{C}\\p{Z}]| )+$",
    "description": "Printable.",
}
_SECONDS: Schema = {"type": "number", "minimum": 0}


def ref(name: str) -> Schema:
    """Refer to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(*values: object) -> Schema:
    """Describe a value that is one of a few."""
    return {"enum": list(values)}


def array(items: Schema) -> Schema:
    """Describe an array."""
    return {"type": "array", "items": items}


def opened(required: Schema, optional: Schema | None = None) -> Schema:
    """Describe an object that has these properties, whatever else it has."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }


def closed(required: Schema, optional: Schema | None = None) -> Schema:
    """Describe an object that has these properties and no others."""
    return opened(required, optional) | {"additionalProperties": False}


def schemas() -> Schema:
    """Return all schemas by name."""
    return {
        "Export": _EXPORT,
        "ExportList": _EXPORT_LIST,
        "Error": _ERROR,
        "Token": _TOKEN,
        "State": _STATE,
        "NewExport": {"oneOf": [_new_export(name) for name in FIELDS]},
        "Fault": _FAULT,
        "Conditions": opened({"conditions": {"type": "object", "propertyNames": one_of(*OPERATORS)}}),
        "Create": {"oneOf": [_create(name) for name in FIELDS]},
        **{parameters_of(name): _parameters(name) for name in FIELDS},
    }


def parameters_of(exported_object: str) -> str:
    """Return the name of the schema of the parameters of an object."""
    return f"{exported_object.title().replace('_', '')}Parameters"


def _create(name: str) -> Schema:
    return opened({"exported_object": {"const": name}}, {"parameters": ref(parameters_of(name))})


def _new_export(name: str) -> Schema:
    return closed(
        {"exported_object": {"const": name}},
        {
            "rows": {"type": "integer", "minimum": 0, "maximum": MOST_ROWS},
            "fields": _fields(name),
            "outcome": one_of("DONE", "ERROR"),
            "created_at": EPOCH,
            "id": _ID,
        },
    )


def _parameters(name: str) -> Schema:
    campaign = {"campaign_id": STRING} if name == "voucher" else {}
    return closed(
        {},
        {
            "order": one_of("", *(sign + order for order in ORDERS[name] for sign in ("", "-"))),
            "fields": _fields(name),
            "filters": _filters(name),
            "response_format": STRING,
            **campaign,
        },
    )


def _fields(name: str) -> Schema:
    fields = one_of(*FIELDS[name])
    metadata: Schema = {"type": "string", "pattern": "^metadata[.]."}
    return array(fields if name in WITHOUT_METADATA else {"anyOf": [fields, metadata]})


def _filters(name: str) -> Schema:
    names = [f"{re.escape(filter_name)}$" for filter_name in sorted(FILTERS[name])]
    prefixes = [re.escape(prefix) for prefix in FILTER_PREFIXES.get(name, ())]
    conditions: Schema = {f"^({'|'.join(names + prefixes)})": ref("Conditions")}
    return closed({}, {"junction": one_of("and", "or", "AND", "OR")}) | {"patternProperties": conditions}


_EXPORT = closed(
    {
        "id": STRING,
        "object": {"const": "export"},
        "created_at": {"type": "string", "format": "date-time"},
        "status": one_of("SCHEDULED", "IN_PROGRESS", "DONE", "ERROR"),
        "channel": {"const": "API"},
        "exported_object": one_of(*FIELDS),
        "parameters": {"type": "object"},
        "result": {"oneOf": [NULL, closed({"url": {"type": "string", "format": "uri"}})]},
        "user_id": NULL,
    }
)

_EXPORT_LIST = closed(
    {
        "object": {"const": "list"},
        "data_ref": {"const": "exports"},
        "exports": {**array(ref("Export")), "maxItems": 100},
        "total": COUNT,
    }
)

_ERROR = closed(
    {"code": {"type": "integer"}, "message": STRING},
    dict.fromkeys(("key", "details", "request_id", "resource_id", "resource_type"), STRING),
)

_TOKEN = closed(
    {
        "access_token": STRING,
        "token_type": {"const": "Bearer"},
        "expires_in": COUNT,
        "expires_at": COUNT,
        "client_id": STRING,
        "scope": STRING,
    }
)

_FAULT = closed(
    {},
    {
        "method": _TEXT,
        "path": _TEXT,
        "export_id": _TEXT,
        "download": BOOLEAN,
        "times": {"type": ["integer", "null"], "minimum": 1},
        "probability": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "status": {"type": "integer", "minimum": 200, "maximum": 599},
        "body": {},
        "headers": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "content_type": _TEXT,
        "delay": _SECONDS,
        "reset": one_of("before", "headers", "body"),
        "after": COUNT,
        "truncate": BOOLEAN,
        "garble": BOOLEAN,
        "pause": _SECONDS,
        "extra": _TEXT,
        "redirect": _TEXT,
        "ranges": BOOLEAN,
        "gzip": BOOLEAN,
        "repeat_entry": COUNT,
        "drop_entry": COUNT,
        "lag": _SECONDS,
    },
)

_NULLABLE_COUNT: Schema = {"type": ["integer", "null"]}
_NULLABLE_EPOCH: Schema = {"type": ["number", "null"]}

_STATE = closed(
    {
        "now": EPOCH,
        "url": STRING,
        "download_url": STRING,
        "app_id": STRING,
        "app_token": STRING,
        "exports": array(
            closed(
                {
                    "id": STRING,
                    "exported_object": one_of(*FIELDS),
                    "status": one_of("SCHEDULED", "IN_PROGRESS", "DONE", "ERROR"),
                    "rows": COUNT,
                    "created_at": EPOCH,
                    "changes_at": _NULLABLE_EPOCH,
                }
            )
        ),
        "faults": array({"type": "object"}),
        "quota": {"oneOf": [NULL, closed({"limit": COUNT, "left": COUNT, "ends_at": _NULLABLE_EPOCH})]},
        "requests_total": COUNT,
        "requests": array(
            closed(
                {
                    "at": EPOCH,
                    "method": STRING,
                    "path": STRING,
                    "is_download": BOOLEAN,
                    "status": _NULLABLE_COUNT,
                    "quota_left": _NULLABLE_COUNT,
                }
            )
        ),
    }
)
