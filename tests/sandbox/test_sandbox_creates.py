"""The creates with a path of their own, and the content of their files."""

from __future__ import annotations

import csv
import io
from urllib.parse import quote

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox

LOYALTY_CARD = "LOYALTY_CARD"


@pytest.fixture
async def sandbox():
    async with Sandbox(scheduled_for=0, in_progress_for=0, rows=500) as running:
        yield running


async def create(http, path, body=None):
    async with http.post(path, json=body or {}) as answer:
        return answer.status, await answer.json()


async def rows_of(http, export_id):
    async with http.get(f"/v1/exports/{export_id}") as answer:
        url = (await answer.json())["result"]["url"]
    async with ClientSession() as session, session.get(url) as answer:
        return list(csv.reader(io.StringIO(await answer.text("utf-8"), newline="")))[1:]


def loyalty_card(sandbox):
    """Return the code and the id of the first loyalty card."""
    row = next(row for row in range(500) if sandbox.cell("voucher", "voucher_type", row=row) == LOYALTY_CARD)
    return sandbox.cell("voucher", "code", row=row), sandbox.cell("voucher", "id", row=row)


class TestOrders:
    async def test_created(self, http):
        """An export of orders echoes its parameters and contains orders."""
        parameters = {"fields": ["id", "status"], "filters": {"status": {"conditions": {"$is": "PAID"}}}}
        status, export = await create(http, "/v1/orders/export", {"parameters": parameters})
        assert (status, export["exported_object"], export["parameters"]) == (200, "order", parameters)
        rows = await rows_of(http, export["id"])
        assert len(rows) == 125
        assert {status for _, status in rows} == {"PAID"}

    async def test_empty(self, http):
        """An empty object requests the default fields of every order."""
        _, export = await create(http, "/v1/orders/export")
        assert export["parameters"] == {}
        assert {len(row) for row in await rows_of(http, export["id"])} == {3}

    async def test_refused(self, http):
        """Parameters are checked as in any other create."""
        status, body = await create(http, "/v1/orders/export", {"parameters": {"fields": ["code"]}})
        assert (status, body["key"]) == (400, "invalid_export_fields")


class TestVoucherTransactions:
    async def test_voucher(self, sandbox, http):
        """A voucher is found by its code or id; the filter that follows from the path is echoed."""
        voucher_id = sandbox.cell("voucher", "id")
        for code in (sandbox.cell("voucher", "code"), voucher_id):
            status, export = await create(
                http,
                f"/v1/vouchers/{code}/transactions/export",
                {"parameters": {"fields": ["voucher_id"], "order": "-created_at"}},
            )
            assert (status, export["exported_object"]) == (200, "voucher_transactions")
            assert export["parameters"] == {
                "fields": ["voucher_id"],
                "order": "-created_at",
                "filters": {"junction": "AND", "voucher_id": {"conditions": {"$in": [voucher_id]}}},
            }
            rows = await rows_of(http, export["id"])
            assert len(rows) > 1
            assert rows == [[voucher_id]] * len(rows)

    async def test_campaign(self, sandbox, http):
        """A campaign is found by its id or name."""
        campaign_id = sandbox.cell("voucher", "campaign_id")
        for campaign in (campaign_id, quote(sandbox.cell("voucher", "campaign"))):
            body = {"parameters": {"fields": ["campaign_id"]}}
            _, export = await create(http, f"/v1/campaigns/{campaign}/transactions/export", body)
            within = {"campaign_id": {"conditions": {"$in": [campaign_id]}}}
            assert export["parameters"]["filters"] == {"junction": "AND", **within}
            rows = await rows_of(http, export["id"])
            assert 50 < len(rows) < 450
            assert rows == [[campaign_id]] * len(rows)

    async def test_member(self, sandbox, http):
        """A loyalty card is found by its code; other vouchers are not members."""
        code, card_id = loyalty_card(sandbox)
        status, export = await create(http, f"/v1/loyalties/members/{code}/transactions/export")
        assert (status, export["exported_object"]) == (200, "voucher_transactions")
        assert export["parameters"]["filters"]["voucher_id"] == {"conditions": {"$in": [card_id]}}
        other = next(
            row for row in range(500) if sandbox.cell("voucher", "voucher_type", row=row) != LOYALTY_CARD
        )
        path = f"/v1/loyalties/members/{sandbox.cell('voucher', 'code', row=other)}/transactions/export"
        status, body = await create(http, path)
        assert (status, body["resource_type"]) == (404, "member")

    async def test_points_expiration(self, sandbox, http):
        """The expiring points of a campaign can be exported."""
        campaign_id = sandbox.cell("voucher", "campaign_id")
        _, export = await create(http, f"/v1/loyalties/{campaign_id}/points-expiration/export")
        assert export["exported_object"] == "points_expiration"
        assert {row[1] for row in await rows_of(http, export["id"])} == {campaign_id}

    async def test_other_filters(self, sandbox, http):
        """Additional filters cannot select more than the path."""
        voucher_id = sandbox.cell("voucher", "id")
        filters = {"junction": "or", "created_at": {"conditions": {"$after": ["2024-06-01T00:00:00.000Z"]}}}
        body = {"parameters": {"fields": ["voucher_id", "created_at"], "filters": filters}}
        _, export = await create(http, f"/v1/vouchers/{voucher_id}/transactions/export", body)
        assert export["parameters"]["filters"]["junction"] == "or"
        assert {voucher for voucher, _ in await rows_of(http, export["id"])} == {voucher_id}

    @pytest.mark.parametrize(
        ("path", "resource"),
        [
            ("/v1/vouchers/{}/transactions/export", "voucher"),
            ("/v1/campaigns/{}/transactions/export", "campaign"),
            ("/v1/loyalties/members/{}/transactions/export", "member"),
            ("/v1/loyalties/{}/points-expiration/export", "campaign"),
        ],
    )
    @pytest.mark.parametrize("name", ["x", "nothing", "C6tgrF-3", "v_Sv1bCQiBJgaGZDZ7Ih0K1uIHbXZMQZdX"])
    async def test_unknown(self, http, path, resource, name):
        """A resource that does not exist is a 404 that names it."""
        status, body = await create(http, path.format(name))
        assert (status, body["key"]) == (404, "not_found")
        assert (body["resource_id"], body["resource_type"]) == (name, resource)

    async def test_only_so_many_rows(self, sandbox, http):
        """A voucher beyond the rows of the project does not exist."""
        code = sandbox.cell("voucher", "code", row=500)
        assert (await create(http, f"/v1/vouchers/{code}/transactions/export"))[0] == 404

    async def test_wrong_method(self, http):
        """These paths allow POST only."""
        async with http.get("/v1/orders/export") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")


class TestCampaign:
    async def test_vouchers(self, sandbox, http):
        """An export of the vouchers of a campaign contains exactly these."""
        campaign_id = sandbox.cell("voucher", "campaign_id")
        parameters = {"campaign_id": campaign_id, "fields": ["code", "campaign_id"]}
        _, export = await create(
            http, "/v1/exports", {"exported_object": "voucher", "parameters": parameters}
        )
        rows = await rows_of(http, export["id"])
        assert len(rows) == 125
        assert {found for _, found in rows} == {campaign_id}
