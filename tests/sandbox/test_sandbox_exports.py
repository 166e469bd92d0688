"""Exports over time: created, listed, finished, deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox


async def get(http, export_id):
    async with http.get(f"/v1/exports/{export_id}") as answer:
        return answer.status, await answer.json()


async def status_of(http, export_id):
    return (await get(http, export_id))[1]["status"]


async def create(http, body):
    data = body if isinstance(body, bytes) else json.dumps(body)
    async with http.post("/v1/exports", data=data, headers={"Content-Type": "application/json"}) as answer:
        return answer.status, await answer.json()


async def page(http, **query):
    async with http.get("/v1/exports", params=query) as answer:
        return answer.status, await answer.json()


async def ids(http, **query):
    return [export["id"] for export in (await page(http, **query))[1]["exports"]]


class TestTime:
    async def test_advances(self, sandbox, http, clock):
        """An export goes from SCHEDULED to IN_PROGRESS to DONE, and then has a result."""
        export_id = sandbox.add_export("customer")
        history = []
        for seconds in (0, 9, 1, 19, 1):
            clock.now += seconds
            _, export = await get(http, export_id)
            history.append((export["status"], export["result"] is None))
        assert history == [
            ("SCHEDULED", True),
            ("SCHEDULED", True),
            ("IN_PROGRESS", True),
            ("IN_PROGRESS", True),
            ("DONE", False),
        ]

    async def test_error(self, sandbox, http, clock):
        """An export with the outcome ERROR ends in ERROR, without a result."""
        export_id = sandbox.add_export("customer", outcome="ERROR")
        clock.now += 30
        _, export = await get(http, export_id)
        assert (export["status"], export["result"]) == ("ERROR", None)

    @pytest.mark.parametrize("outcome", ["DONE", "ERROR"])
    async def test_finish(self, sandbox, http, outcome):
        """An export can be finished at once."""
        export_id = sandbox.add_export("customer")
        sandbox.finish(export_id, outcome)
        assert await status_of(http, export_id) == outcome

    async def test_created_before(self, sandbox, http, clock):
        """An export that was created long ago is DONE."""
        export_id = sandbox.add_export("customer", created_at=clock.now - 3600)
        assert await status_of(http, export_id) == "DONE"

    async def test_created_at_a_datetime(self, sandbox, http):
        """`created_at` can be an aware datetime; a naive one is a ValueError."""
        moment = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        _, export = await get(http, sandbox.add_export("customer", created_at=moment))
        assert export["created_at"] == "2023-11-14T22:13:20.000Z"
        with pytest.raises(ValueError, match="with a time zone"):
            sandbox.add_export("customer", created_at=moment.replace(tzinfo=None))

    async def test_ranges(self, clock):
        """A range of seconds is drawn for each export, and equally for equal seeds."""

        async def history():
            clock.now = 0
            async with Sandbox(clock=clock, scheduled_for=(1, 100), in_progress_for=(1, 100)) as sandbox:
                keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
                made = [sandbox.add_export("order") for _ in range(10)]
                async with ClientSession(sandbox.url, headers=keys) as http:
                    statuses = []
                    for clock.now in (0, 50, 201):
                        statuses.append([await status_of(http, export_id) for export_id in made])
                    return statuses

        start, middle, end = await history()
        assert start == ["SCHEDULED"] * 10
        assert len(set(middle)) > 1
        assert end == ["DONE"] * 10
        assert await history() == [start, middle, end]


class TestGet:
    async def test_shape(self, sandbox, http):
        """An export has the documented properties."""
        export_id = sandbox.add_export("customer", fields=["name"], created_at=1_700_000_000.125)
        _, export = await get(http, export_id)
        assert export == {
            "id": export_id,
            "object": "export",
            "created_at": "2023-11-14T22:13:20.125Z",
            "status": "SCHEDULED",
            "channel": "API",
            "exported_object": "customer",
            "parameters": {"fields": ["name"]},
            "result": None,
            "user_id": None,
        }

    async def test_unknown(self, http):
        """An unknown id is refused with the documented body."""
        status, body = await get(http, "exp_x")
        request_id = body.pop("request_id")
        assert (status, request_id[:2], len(request_id)) == (404, "v-", 20)
        assert body == {
            "code": 404,
            "key": "not_found",
            "message": "Resource not found",
            "details": "Cannot find export with id exp_x",
            "resource_id": "exp_x",
            "resource_type": "export",
        }


class TestAddExport:
    def test_id(self):
        """An id looks like one of Voucherify, and is equal for equal seeds."""
        one, same = Sandbox(seed=7).add_export("order"), Sandbox(seed=7).add_export("order")
        assert one == same
        assert len(one) == 28
        assert one.removeprefix("exp_").isalnum()

    @pytest.mark.parametrize(
        ("exported_object", "options", "match"),
        [
            ("coupon", {}, "coupon"),
            ("order", {"fields": ["id", "nonsense"]}, "nonsense"),
            ("order", {"rows": -1}, "^rows must be an integer from 0 to 4,294,967,296, not -1"),
            ("order", {"outcome": "MAYBE"}, "^outcome must be 'DONE' or 'ERROR', not 'MAYBE'"),
            ("order", {"id": "taken"}, "taken"),
            ("order", {"id": ""}, "'' cannot be the id"),
            ("order", {"id": ".."}, "'[.]{2}' cannot be the id"),
        ],
    )
    def test_mistakes(self, exported_object, options, match):
        """An invalid value is a ValueError that names it."""
        sandbox = Sandbox()
        sandbox.add_export("order", id="taken")
        with pytest.raises(ValueError, match=match):
            sandbox.add_export(exported_object, **options)

    def test_unknown_ids(self):
        """An export that does not exist cannot be finished or deleted."""
        with pytest.raises(KeyError, match="nothing"):
            Sandbox().finish("nothing")
        with pytest.raises(KeyError, match="nothing"):
            Sandbox().delete_export("nothing")


class TestCreate:
    async def test_created(self, http, clock):
        """A new export is SCHEDULED, echoes its parameters, and finishes."""
        parameters = {
            "order": "-created_at",
            "fields": ["id", "metadata.shop"],
            "filters": {"junction": "and"},
            "response_format": "CSV",
        }
        status, export = await create(http, {"exported_object": "order", "parameters": parameters})
        assert (status, export["status"], export["result"]) == (200, "SCHEDULED", None)
        assert export["parameters"] == parameters
        clock.now += 30
        assert await status_of(http, export["id"]) == "DONE"

    async def test_without_parameters(self, http):
        """Without parameters the echo is an empty object."""
        _, export = await create(http, {"exported_object": "voucher"})
        assert export["parameters"] == {}

    @pytest.mark.parametrize(
        ("body", "details"),
        [
            (b"", "valid JSON"),
            (b"{", "valid JSON"),
            (b"\xff", "valid JSON"),
            (b"[" * 100_000, "valid JSON"),
            ([], "Body should be object"),
            ({}, "Property .exported_object"),
            ({"exported_object": ["order"]}, "Property .exported_object"),
            ({"exported_object": "coupon"}, "voucher, redemption, publication"),
            ({"exported_object": "order", "parameters": []}, "Property .parameters"),
            ({"exported_object": "order", "parameters": {"fields": "id"}}, "Property .parameters.fields"),
        ],
    )
    async def test_invalid_payload(self, http, body, details):
        """An invalid body is refused."""
        status, answer = await create(http, body)
        assert (status, answer["code"], answer["key"]) == (400, 400, "invalid_payload")
        assert details in answer["details"]

    @pytest.mark.parametrize("given", ["", "application/JSON; charset=utf-8"])
    async def test_content_type(self, http, given):
        """A content type with a charset is accepted, and none as well."""
        body = b'{"exported_object": "order"}'
        headers = {"Content-Type": given} if given else {}
        skipped = [] if given else ["Content-Type"]
        async with http.post("/v1/exports", data=body, headers=headers, skip_auto_headers=skipped) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
    async def test_wrong_content_type(self, http, given):
        """A body with another content type is refused."""
        async with http.post("/v1/exports", data=b"{}", headers={"Content-Type": given}) as answer:
            body = await answer.json()
        assert (answer.status, body["code"], body["key"]) == (415, 415, "unsupported_media_type")
        assert "application/json" in body["details"]
        assert body["request_id"].startswith("v-")

    @pytest.mark.parametrize(
        ("parameters", "key", "details"),
        [
            (
                {"order": "name"},
                "invalid_export_params",
                "Allowed orders: created_at, -created_at, ",
            ),
            ({"order": 1}, "invalid_export_params", "Allowed orders"),
            ({"order": []}, "invalid_export_params", "Allowed orders"),
            ({"campaign_id": "camp_1"}, "invalid_export_params", "Unsupported parameter campaign_id"),
            (
                {"filter": {}},
                "invalid_export_params",
                "Allowed parameters: order, fields",
            ),
            ({"response_format": 1}, "invalid_payload", "response_format should be string"),
            ({"filters": []}, "invalid_payload", ".parameters.filters should be object"),
            ({"filters": {"junction": "xor"}}, "invalid_payload", "junction"),
            ({"filters": {"junction": 1}}, "invalid_payload", "junction"),
            ({"filters": {"code": {"conditions": {}}}}, "invalid_export_params", "Unsupported filter code"),
            ({"filters": {"status": "PAID"}}, "invalid_payload", "condition must be one of: $in, "),
            ({"filters": {"status": {"$is": "PAID"}}}, "invalid_payload", "condition must be one of"),
            ({"filters": {"status": {"conditions": []}}}, "invalid_payload", "condition must be one of"),
            ({"filters": {"status": {"conditions": {"$like": 1}}}}, "invalid_payload", "condition must be"),
        ],
    )
    async def test_invalid_parameters(self, http, parameters, key, details):
        """Invalid parameters are refused with an error that lists the valid ones."""
        status, answer = await create(http, {"exported_object": "order", "parameters": parameters})
        assert (status, answer["code"], answer["key"]) == (400, 400, key)
        assert details in answer["details"]
        assert answer["request_id"].startswith("v-")

    @pytest.mark.parametrize(
        ("exported_object", "parameters"),
        [
            ("voucher", {"campaign_id": "camp_1", "order": "-code"}),
            ("voucher", {"filters": {"redemption.x": {"conditions": {"$count_more": [1]}}}}),
            ("order", {"order": ""}),
            ("order", {"filters": {"junction": "OR", "metadata.a b": {"conditions": {"$today": ""}}}}),
            ("order", {"filters": {"amount": {"conditions": {"$more_than": 1, "$less_than": [5]}}}}),
            ("customer", {"filters": {"address.city": {"conditions": {"$is": "Kraków"}}}}),
            ("api_log", {"filters": {"status": {"conditions": {"$is_not": 200}}}}),
        ],
    )
    async def test_valid_parameters(self, http, exported_object, parameters):
        """Valid parameters are echoed unchanged."""
        status, answer = await create(http, {"exported_object": exported_object, "parameters": parameters})
        assert (status, answer["parameters"]) == (200, parameters)

    @pytest.mark.parametrize(
        ("exported_object", "field"),
        [
            ("order", "nonsense"),
            ("order", 1),
            ("order", "metadata."),
            ("api_log", "metadata"),
            ("api_log", "metadata.x"),
        ],
    )
    async def test_invalid_fields(self, http, exported_object, field):
        """Unknown fields are refused with an error that lists the valid ones."""
        body = {"exported_object": exported_object, "parameters": {"fields": ["id", field]}}
        status, answer = await create(http, body)
        assert (status, answer["key"], answer["message"]) == (400, "invalid_export_fields", "Invalid Export")
        assert answer["details"].startswith("Unsupported field used. Allowed fields: id, ")


class TestList:
    async def test_shape(self, sandbox, http, clock):
        """The list contains whole exports with their results."""
        export_id = sandbox.add_export("customer", created_at=clock.now - 60)
        status, answer = await page(http)
        assert status == 200
        assert answer == {
            "object": "list",
            "data_ref": "exports",
            "exports": [(await get(http, export_id))[1]],
            "total": 1,
        }

    async def test_pages(self, sandbox, http, clock):
        """Pages are counted from 1 and have ten exports by default; a page past the end is empty."""
        made = [sandbox.add_export("order", created_at=clock.now + number) for number in range(25)]
        newest_first = made[::-1]
        assert await ids(http) == newest_first[:10]
        assert await ids(http, page="3") == newest_first[20:]
        assert await ids(http, page="2", limit="20") == newest_first[20:]
        assert await ids(http, page="100", limit="100") == []
        assert (await page(http, page="100"))[1]["total"] == 25

    async def test_orders(self, sandbox, http, clock):
        """The list is ordered by creation or by status, ascending or descending."""
        middle = sandbox.add_export("order", created_at=clock.now - 15)
        old = sandbox.add_export("order", created_at=clock.now - 60)
        new = sandbox.add_export("order")
        assert await ids(http, order="created_at") == [old, middle, new]
        assert await ids(http, order="-created_at") == [new, middle, old]
        assert await ids(http, order="status") == [old, middle, new]
        assert await ids(http, order="-status") == [new, middle, old]

    async def test_equals(self, sandbox, http):
        """Of exports created at the same time, the one added last is the newest."""
        first, second = sandbox.add_export("order"), sandbox.add_export("order")
        assert await ids(http) == [second, first]

    @pytest.mark.parametrize(
        "query",
        [
            {name: text}
            for name in ("page", "limit")
            for text in ("0", "101", "-1", "x", "", "1.0", "9" * 5000)
        ]
        + [{"order": "id"}],
    )
    async def test_invalid_query(self, http, query):
        """An invalid query is refused."""
        status, answer = await page(http, **query)
        assert (status, answer["code"], answer["key"]) == (400, 400, "invalid_query_params")
        assert answer["details"].startswith(next(iter(query)))


class TestDelete:
    async def test_deleted(self, sandbox, http):
        """A deleted export is gone: 204, then 404, and no longer listed."""
        export_id = sandbox.add_export("order")
        statuses = []
        for _ in range(2):
            async with http.delete(f"/v1/exports/{export_id}") as answer:
                statuses.append(answer.status)
        assert statuses == [204, 404]
        assert await ids(http) == []

    async def test_deleted_by_somebody_else(self, sandbox, http):
        """An export can be deleted without a request."""
        export_id = sandbox.add_export("order")
        sandbox.delete_export(export_id)
        assert (await get(http, export_id))[0] == 404
