"""Checks of the body of a create; what Voucherify refuses is refused with its documented error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from attrs import frozen

from .._data.objects import FIELDS, OPERATORS, ORDERS, is_field, is_filter
from .._http.answers import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class CreateRequest:
    """A create whose body has been checked."""

    exported_object: str
    parameters: Mapping[str, object]


def checked_create(body: bytes) -> CreateRequest:
    """Return the body of a create, checked; raises RefusedError."""
    payload = _json_object(body)
    exported_object = payload.get("exported_object")
    if not isinstance(exported_object, str) or exported_object not in FIELDS:
        allowed = ", ".join(FIELDS)
        raise _invalid_payload(
            f"Property .exported_object should be equal to one of the allowed values [ {allowed} ]"
        )
    return CreateRequest(exported_object, _parameters(exported_object, payload))


def checked_parameters(body: bytes, exported_object: str) -> Mapping[str, object]:
    """Return the parameters of a create whose path determines the object; raises RefusedError."""
    return _parameters(exported_object, _json_object(body))


def _json_object(body: bytes) -> dict[str, object]:
    try:
        payload: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _invalid_payload("Body should be valid JSON") from None
    return _object(payload, "Body")


def _parameters(exported_object: str, payload: Mapping[str, object]) -> Mapping[str, object]:
    parameters = _object(payload.get("parameters", {}), "Property .parameters")
    checks = {
        "order": _check_order,
        "fields": _check_fields,
        "filters": _check_filters,
        "response_format": _check_text,
    }
    if exported_object == "voucher":
        checks["campaign_id"] = _check_text
    for name, value in parameters.items():
        if name not in checks:
            raise _invalid_params(f"Unsupported parameter {name}. Allowed parameters: {', '.join(checks)}")
        checks[name](exported_object, name, value)
    return parameters


def _check_order(exported_object: str, _name: str, order: object) -> None:
    allowed = ["", *(sign + name for name in ORDERS[exported_object] for sign in ("", "-"))]
    if order not in allowed:
        raise _invalid_params(f"Unsupported order used. Allowed orders: {', '.join(allowed[1:])}")


def _check_fields(exported_object: str, name: str, fields: object) -> None:
    if not isinstance(fields, list):
        raise _invalid_payload(f"Property .parameters.{name} should be array")
    for field in cast("list[object]", fields):
        if not isinstance(field, str) or not is_field(exported_object, field):
            details = f"Unsupported field used. Allowed fields: {', '.join(FIELDS[exported_object])}"
            raise RefusedError(400, "invalid_export_fields", "Invalid Export", details)


def _check_text(_exported_object: str, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _invalid_payload(f"Property .parameters.{name} should be string")


def _check_filters(exported_object: str, name: str, given: object) -> None:
    filters = _object(given, f"Property .parameters.{name}")
    for name, value in filters.items():
        if name == "junction":
            if value not in ("and", "or", "AND", "OR"):
                raise _invalid_payload("Property .parameters.filters.junction should be and, or")
        elif not is_filter(exported_object, name):
            raise _invalid_params(f"Unsupported filter {name}")
        else:
            _check_conditions(value)


def _check_conditions(given: object) -> None:
    conditions = cast("dict[str, object]", given).get("conditions") if isinstance(given, dict) else None
    if not isinstance(conditions, dict) or not set(cast("dict[str, object]", conditions)) <= {*OPERATORS}:
        raise _invalid_payload(
            "Property .parameters.filters should match either"
            " `filters[${field}][conditions][${condition}][${index}]` or"
            " `filters[${field}][conditions][${condition}]` format"
            f" and condition must be one of: {', '.join(OPERATORS)}"
        )


def _object(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _invalid_payload(f"{name} should be object")
    return cast("dict[str, object]", value)


def _invalid_payload(details: str) -> RefusedError:
    return RefusedError(400, "invalid_payload", "Invalid payload", details)


def _invalid_params(details: str) -> RefusedError:
    return RefusedError(400, "invalid_export_params", "Invalid Export", details)
