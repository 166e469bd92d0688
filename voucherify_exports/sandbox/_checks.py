"""What the API accepts: the body of a create and the query of a list, or the documented refusal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from attrs import frozen

from ._answers import RefusedError
from ._objects import FIELDS, is_field

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIST_ORDERS = ("created_at", "-created_at", "status", "-status")


@frozen
class Wanted:
    """An export that somebody asks for."""

    exported_object: str
    parameters: Mapping[str, object]
    fields: tuple[str, ...]


@frozen
class ListQuery:
    """The page of the list that somebody asks for."""

    order: str
    page: int
    limit: int


def wanted_export(body: bytes) -> Wanted:
    """Check the body of a create."""
    payload = _json_object(body)
    exported_object = payload.get("exported_object")
    if not isinstance(exported_object, str) or exported_object not in FIELDS:
        allowed = ", ".join(FIELDS)
        raise _invalid_payload(
            f"Property .exported_object should be equal to one of the allowed values [ {allowed} ]"
        )
    parameters = payload.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _invalid_payload("Property .parameters should be object")
    parameters = cast("dict[str, object]", parameters)
    return Wanted(exported_object, parameters, _fields(exported_object, parameters))


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Check the query of a list."""
    order = query.get("order", "-created_at")
    if order not in _LIST_ORDERS:
        raise _invalid_query(f"order should be one of [ {', '.join(_LIST_ORDERS)} ]")
    return ListQuery(order, _up_to_100(query, "page", "1"), _up_to_100(query, "limit", "10"))


def _json_object(body: bytes) -> dict[str, object]:
    try:
        payload: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _invalid_payload("Body should be valid JSON") from None
    if not isinstance(payload, dict):
        raise _invalid_payload("Body should be object")
    return cast("dict[str, object]", payload)


def _fields(exported_object: str, parameters: Mapping[str, object]) -> tuple[str, ...]:
    given = parameters.get("fields", [])
    if not isinstance(given, list):
        raise _invalid_payload("Property .parameters.fields should be array")
    names = cast("list[object]", given)
    fields = tuple(name for name in names if isinstance(name, str) and is_field(exported_object, name))
    if len(fields) < len(names):
        allowed = ", ".join(FIELDS[exported_object])
        details = f"Unsupported field used. Allowed fields: {allowed}"
        raise RefusedError(400, "invalid_export_fields", "Invalid Export", details)
    return fields


def _up_to_100(query: Mapping[str, str], name: str, default: str) -> int:
    text = query.get(name, default)
    if not re.fullmatch("0*([1-9][0-9]?|100)", text):
        raise _invalid_query(f"{name} should be an integer from 1 to 100")
    return int(text)


def _invalid_payload(details: str) -> RefusedError:
    return RefusedError(400, "invalid_payload", "Invalid payload", details)


def _invalid_query(details: str) -> RefusedError:
    return RefusedError(400, "invalid_query_params", "Invalid query params", details)
