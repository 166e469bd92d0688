"""Any request gets a response: an export with a file, or a documented error."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from raw import exchange

from voucherify_exports.sandbox._data.content import FileContent
from voucherify_exports.sandbox._data.objects import FIELDS, OPERATORS, ORDERS
from voucherify_exports.sandbox._data.world import World
from voucherify_exports.sandbox._emulator.create_checks import checked_create
from voucherify_exports.sandbox._http.answers import RefusedError

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CONDITIONS = st.dictionaries(st.sampled_from(OPERATORS) | st.text(max_size=3), ANYTHING, max_size=3)
FILTER = st.fixed_dictionaries({"conditions": CONDITIONS}) | ANYTHING
NAMES = ["created_at", "status", "metadata.x", "metadata.\ud800", "voucher_id", "name"]


@st.composite
def payloads(draw):
    kind = draw(st.sampled_from(sorted(FIELDS)))
    filters = st.dictionaries(st.sampled_from([*NAMES, "junction"]), FILTER, max_size=3)
    parameters = st.fixed_dictionaries(
        {},
        optional={
            "fields": st.lists(st.sampled_from([*FIELDS[kind], *NAMES]), max_size=4) | ANYTHING,
            "order": st.sampled_from([f"-{name}" for name in ORDERS[kind]]) | ANYTHING,
            "filters": filters | ANYTHING,
            "campaign_id": ANYTHING,
            "response_format": ANYTHING,
            "else": ANYTHING,
        },
    )
    return {"exported_object": kind, "parameters": draw(parameters | ANYTHING)}


def refused(payload):
    """Return the status and key of the refusal of a create, or None when its file can be read."""
    try:
        wanted = checked_create(json.dumps(payload).encode())
    except RefusedError as refusal:
        return refusal.status, refusal.body["key"]
    table = FileContent.from_parameters(World(0), 20, wanted.exported_object, wanted.parameters)
    assert b"".join(map(table.block, range(table.blocks))).endswith(b"\n")
    assert isinstance(table.identity, str)
    return None


class TestAnything:
    @given(payloads() | ANYTHING)
    def test_creates(self, payload):
        """A create is refused with 400 and a documented key, or its file can be read."""
        keys = ("invalid_payload", "invalid_export_fields", "invalid_export_params")
        assert refused(payload) in (None, *((400, key) for key in keys))

    @pytest.mark.parametrize("name", ["metadata.\ud800", "metadata.\udfff.x"])
    def test_half_characters(self, name):
        """A name that only JSON can hold is refused."""
        filters = {name: {"conditions": {"$is": [name]}}}
        parameters = {"fields": [name], "filters": filters}
        payload = {"exported_object": "order", "parameters": parameters}
        assert refused(payload) == (400, "invalid_export_fields")
        payload["parameters"] = {"filters": filters}
        assert refused(payload) == (400, "invalid_export_params")

    @given(st.binary())
    def test_bytes(self, body):
        """Random bytes are refused."""
        with pytest.raises(RefusedError, match=r"JSON|object"):
            checked_create(body)


class TestOperators:
    @pytest.mark.parametrize("operator", ["$in", "$redeemable", "$is_more_days_in_future_md"])
    def test_known(self, operator):
        """Every operator in the documented error is accepted."""
        filters = {"created_at": {"conditions": {operator: []}}}
        assert refused({"exported_object": "order", "parameters": {"filters": filters}}) is None

    @pytest.mark.parametrize("operator", ["$", "a", "in", ""])
    def test_unknown(self, operator):
        """Any other operator is refused."""
        filters = {"created_at": {"conditions": {operator: []}}}
        payload = {"exported_object": "order", "parameters": {"filters": filters}}
        assert refused(payload) == (400, "invalid_payload")


class TestPaths:
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"])
    @pytest.mark.parametrize(
        "target",
        [
            *("/", "/v1", "/v1/exports/", "/v1/exports/%00", "/v1/exports/%ED%A0%80", "/v1/exports/a%2Fb"),
            *("/v1/exports/x?token=%ED%A0%80", "/v1/exports/x?token=.&token=", "/v1/exports?page=%FF"),
            *("/v1/vouchers/%ED%A0%80/transactions/export", "/v1/vouchers//transactions/export"),
            *(f"/v1/campaigns/{quote('Święta')}/transactions/export", "/v1/exports/" + "x" * 8000),
            *("/_sandbox", "/_sandbox/", "/_sandbox/exports/%FF/finish", "/_sandbox//"),
        ],
    )
    async def test_odd(self, sandbox, target, method):
        """Any path gets a status below 500."""
        keys = {"X_App_Id": sandbox.app_id, "X_App_Token": sandbox.app_token}
        for body in ("", "{}", "\x00"):
            received, _ = await exchange(sandbox.url + target, method, body, **keys)
            assert received.startswith(b"HTTP/1.1 ")
            assert int(received.split()[1]) < 500

    async def test_token_of_odd_text(self, sandbox):
        """A bearer token can be any text."""
        headers = {"Authorization": "Bearer \u00e9 x", "Content-Type": ""}
        async with ClientSession(headers=headers) as http, http.get(f"{sandbox.url}/v1/exports") as answer:
            assert answer.status == 401
