"""The OpenAPI description of what the sandbox serves."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from .._data.columns import CAMPAIGN_IDS
from .._emulator.listing import ORDERS
from .._emulator.oauth import SCOPES
from .schemas import COUNT, STRING, array, closed, one_of, opened, parameters_of, ref, schemas

if TYPE_CHECKING:
    from .._emulator.emulator import Emulator
    from .schemas import Schema

    Answers = dict[str, Schema]

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_KEYS: list[Schema] = [{"app_id": [], "app_token": []}]
_KEYS_OR_TOKEN: list[Schema] = [*_KEYS, {"bearer": []}]
_UP_TO_100: Schema = {"type": "integer", "minimum": 1, "maximum": 100}
_LIMITS: Answers = {
    "X-Rate-Limit-Limit": {"schema": COUNT, "description": "How many requests a window has."},
    "X-Rate-Limit-Remaining": {"schema": COUNT, "description": "How many of them are left."},
    "X-Rate-Limit-Retry": {"schema": COUNT, "description": "When the window ends, in epoch seconds."},
    "X-Rate-Limit-Type": {"schema": {"const": "api_calls"}},
}

_REFUSALS = {
    "400": "What was sent is refused.",
    "401": "The keys are not those of this sandbox, or the token is no good any more.",
    "403": "The token lacks the scope of this path, or somebody else than this machine asks.",
    "404": "There is none.",
    "415": "The body is of another type than this path takes.",
    "429": "The quota is spent.",
}


def openapi(sandbox: Emulator) -> Schema:
    """Return the OpenAPI 3.1 document of a sandbox, with examples of what exists in it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sandbox of the Voucherify exports API",
            "version": "1",
            "description": "An emulator of the exports API for tests, and what drives it.",
        },
        "servers": [{"url": sandbox.url}],
        "paths": _exports() | _creates(_loyalty_card(sandbox)) | _oauth() | _control(),
        "components": {
            "schemas": schemas(),
            "headers": _LIMITS,
            "securitySchemes": {
                "app_id": {"type": "apiKey", "in": "header", "name": "X-App-Id"},
                "app_token": {"type": "apiKey", "in": "header", "name": "X-App-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _exports() -> Schema:
    page = [
        _parameter("query", "limit", {**_UP_TO_100, "default": 10}, "How many are on a page."),
        _parameter("query", "page", {**_UP_TO_100, "default": 1}, "Which page, counted from 1."),
        _parameter(
            "query", "order", {**one_of(*ORDERS), "default": "-created_at"}, "By what, and which way."
        ),
    ]
    token = _parameter("query", "token", STRING, "Of a result URL: asks for the file.")
    return {
        "/v1/exports": {
            "get": _call("list_exports", "List exports", _json("ExportList"), "400", parameters=page),
            "post": _create("create_export", "Create an export", ref("Create")),
        },
        "/v1/exports/{export_id}": {
            "parameters": [_name("export_id", "The id of an export.")],
            "get": _call(
                "get_export", "Get an export, or its file", _export_or_file(), "404", parameters=[token]
            ),
            "delete": _call("delete_export", "Delete an export", _nothing(), "404"),
        },
    }


def _creates(card: str) -> Schema:
    code = _name("code", "The code or the id of a voucher.") | {"example": card}
    campaign = _name("campaign", "The name or the id of a campaign.") | {"example": next(iter(CAMPAIGN_IDS))}
    member = _name("member", "The code or the id of a loyalty card.") | {"example": card}
    points = _create_within("points_expiration", "Export points of a campaign that expire", campaign)
    points["deprecated"] = True
    return {
        "/v1/orders/export": {"post": _create_within("order", "Export orders")},
        "/v1/vouchers/{code}/transactions/export": {
            "post": _create_within("voucher_transactions", "Export the transactions of a voucher", code)
        },
        "/v1/campaigns/{campaign}/transactions/export": {
            "post": _create_within("voucher_transactions", "Export the transactions of a campaign", campaign)
        },
        "/v1/loyalties/members/{member}/transactions/export": {
            "post": _create_within(
                "voucher_transactions", "Export the transactions of a loyalty card", member
            )
        },
        "/v1/loyalties/{campaign}/points-expiration/export": {"post": points},
    }


def _loyalty_card(sandbox: Emulator) -> str:
    """Return the code of the first voucher that is one."""
    kinds = (sandbox.cell("voucher", "voucher_type", row=row) for row in count())
    first = next(row for row, kind in enumerate(kinds) if kind == "LOYALTY_CARD")
    return sandbox.cell("voucher", "code", row=first)


def _create_within(exported_object: str, summary: str, *names: Schema) -> Schema:
    operation_id = summary.lower().replace(" ", "_")
    body = opened({}, {"parameters": ref(parameters_of(exported_object))})
    refusals = ["404"] if names else []
    return _create(operation_id, summary, body, *refusals, parameters=[*names])


def _create(operation_id: str, summary: str, body: Schema, *refusals: str, **more: object) -> Schema:
    more["requestBody"] = _body(_JSON, body)
    return _call(operation_id, summary, _json("Export"), "400", "415", *refusals, **more)


def _oauth() -> Schema:
    scope = f"({'|'.join(sorted(SCOPES))})"
    scopes: Schema = {"type": "string", "pattern": f"^{scope}( {scope})*$"}
    generate = opened({"grant_type": {"const": "client_credentials"}, "scope": scopes})
    revoke = opened({"access_token": STRING}, {"token_type_hint": STRING})
    return {
        "/v1/oauth/token": {"post": _ask("generate_token", "Get a token", generate, _json("Token"))},
        "/v1/oauth/token/revoke": {
            "post": _ask(
                "revoke_token", "Revoke a token", revoke, _nothing() | {"404": _empty(_REFUSALS["404"])}
            )
        },
    }


def _ask(operation_id: str, summary: str, form: Schema, answers: Answers) -> Schema:
    body = _body(_FORM, form)
    return _operation("oauth", operation_id, summary, answers, "400", "401", "415", "429") | {
        "security": _KEYS,
        "requestBody": body,
    }


def _control() -> Schema:
    export_id = _name("export_id", "The id of an export.")
    outcome = closed({}, {"outcome": one_of("DONE", "ERROR")})
    page = {"200": _answer("The page.", "text/html", STRING)}
    clear = {
        f"/_sandbox/{what}/clear": {"post": _steer(f"clear_{what}", f"Forget the {what}", _nothing())}
        for what in ("exports", "faults", "requests")
    }
    return {
        "/_sandbox/": {"get": _steer("page", "Show what there is, and steer it", page)},
        "/_sandbox/openapi.json": {
            "get": _steer("openapi", "Describe all this", _json_answer({"type": "object"}))
        },
        "/_sandbox/state": {"get": _steer("state", "Tell what there is", _json("State"))},
        "/_sandbox/exports": {
            "post": _steer(
                "add_export",
                "Add an export",
                _json_answer(closed({"id": STRING}), "201"),
                "400",
                requestBody=_body(_JSON, ref("NewExport")),
            )
        },
        "/_sandbox/exports/{export_id}/finish": {
            "post": _steer(
                "finish_export",
                "End an export now",
                _nothing(),
                "400",
                "404",
                parameters=[export_id],
                requestBody=_body(_JSON, outcome, required=False),
            )
        },
        "/_sandbox/exports/{export_id}/delete": {
            "post": _steer("remove_export", "Delete an export", _nothing(), "404", parameters=[export_id])
        },
        "/_sandbox/faults": {
            "post": _steer(
                "add_fault",
                "Spoil answers to come",
                _json_answer(closed({"faults": array({"type": "object"})}), "201"),
                "400",
                requestBody=_body(_JSON, ref("Fault"), required=False),
            )
        },
        **clear,
    }


def _call(operation_id: str, summary: str, answers: Answers, *refusals: str, **more: object) -> Schema:
    operation = _operation("exports", operation_id, summary, answers, "401", "403", "429", *refusals)
    return operation | {"security": _KEYS_OR_TOKEN} | more


def _steer(operation_id: str, summary: str, answers: Answers, *refusals: str, **more: object) -> Schema:
    return _operation("sandbox", operation_id, summary, answers, "403", *refusals) | more


def _operation(tag: str, operation_id: str, summary: str, answers: Answers, *refusals: str) -> Schema:
    refused = {status: _answer(_REFUSALS[status], _JSON, ref("Error")) for status in refusals}
    limits = {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _LIMITS}}
    return {
        "tags": [tag],
        "operationId": operation_id,
        "summary": summary,
        "responses": {
            status: answer | (limits if "429" in refusals else {})
            for status, answer in sorted((refused | answers).items())
        },
    }


def _parameter(where: str, name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": where, "schema": schema, "description": description}


def _name(name: str, description: str) -> Schema:
    return _parameter("path", name, STRING, description) | {"required": True}


def _body(content_type: str, schema: Schema, *, required: bool = True) -> Schema:
    return {"required": required, "content": {content_type: {"schema": schema}}}


def _json(name: str) -> Answers:
    return _json_answer(ref(name))


def _json_answer(schema: Schema, status: str = "200") -> Answers:
    return {status: _answer("As asked for.", _JSON, schema)}


def _export_or_file() -> Answers:
    whole = _empty("The export; its file where the query has a token.")
    return {
        "200": {**whole, "content": {_JSON: {"schema": ref("Export")}, "text/plain": {"schema": STRING}}},
        "206": _answer("The part of the file that a Range asks for.", "text/plain", STRING),
        "416": _answer("The file has nothing in that Range.", "text/plain", STRING),
    }


def _nothing() -> Answers:
    return {"204": _empty("Done.")}


def _empty(description: str) -> Schema:
    return {"description": description}


def _answer(description: str, content_type: str, schema: Schema) -> Schema:
    return {"description": description, "content": {content_type: {"schema": schema}}}
