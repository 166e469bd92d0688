import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from samples import wire

from voucherify_exports import (
    BadRequestError,
    ConfigurationError,
    CreateUncertainError,
    ExportedObject,
    ExportNotFoundError,
    ExportsClient,
    PollPolicy,
    Sandbox,
)
from voucherify_exports._api.creates import payload_of
from voucherify_exports.filters import after, any_of, before, contains, is_, where

Connect = Callable[..., ExportsClient]

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SINCE = {"conditions": {"$after": ["2026-01-01T00:00:00.000Z"]}}
OPTIONS: dict[str, Any] = {
    "fields": ["id", "created_at"],
    "order": "-created_at",
    "filters": where(created_at=after(NEW_YEAR)),
}
SENT = {**OPTIONS, "filters": {"junction": "and", "created_at": SINCE}}


class Field(StrEnum):
    CODE = "code"
    CITY = "metadata.city"


def parameters_of(exported_object: str, **options: Any) -> Any:
    return payload_of(exported_object, **options)["parameters"]


class TestPayloadOf:
    def test_is_empty_for_nothing(self) -> None:
        """Nothing is sent for an option that is not given."""
        assert payload_of("voucher") == {}
        assert payload_of("voucher", fields=None, order=None, filters=None, campaign_id=None) == {}

    @pytest.mark.parametrize(
        "given",
        [
            {"fields": ["code"]},
            {"order": "-created_at"},
            {"filters": {"code": {"conditions": {"$is": ["A"]}}}},
            {"campaign_id": "camp_1"},
            {"fields": ["code"], "order": "code", "campaign_id": "camp_1"},
            {"fields": []},
            {"order": ""},
            {"filters": {}},
        ],
    )
    def test_holds_what_is_given_alone(self, given: dict[str, Any]) -> None:
        """An empty value is sent."""
        assert payload_of("voucher", **given) == {"parameters": given}

    @pytest.mark.parametrize(
        "fields",
        [
            ["code", "metadata.city"],
            ("code", "metadata.city"),
            dict.fromkeys(["code", "metadata.city"]),
            (name for name in ["code", "metadata.city"]),
            iter(Field),
            [Field.CODE, "metadata.city"],
        ],
        ids=lambda fields: type(fields).__name__,
    )
    def test_fields_are_any_names_in_their_order(self, fields: Any) -> None:
        """Iterators and members of an enum are accepted."""
        assert parameters_of("voucher", fields=fields) == {"fields": ["code", "metadata.city"]}

    @pytest.mark.parametrize("check_catalog", [True, False])
    def test_one_str_is_no_list_of_fields(self, *, check_catalog: bool) -> None:
        """A string would be read as a list of its letters."""
        with pytest.raises(TypeError, match=r"write \['code'\]"):
            payload_of("voucher", fields="code", check_catalog=check_catalog)

    @pytest.mark.parametrize("exported_object", [ExportedObject.VOUCHER, "voucher"])
    def test_an_object_is_a_member_or_its_name(self, exported_object: str) -> None:
        """Both are checked against the entry of the object."""
        assert parameters_of(exported_object, fields=["code"]) == {"fields": ["code"]}
        with pytest.raises(ValueError, match="voucher export: unknown field 'cod'"):
            payload_of(exported_object, fields=["cod"])

    def test_filters_written_as_python(self) -> None:
        """They are sent in the API's JSON form."""
        recent = after(NEW_YEAR) & before(datetime(2026, 2, 1, tzinfo=UTC))
        filters = any_of({"metadata.city": is_("Kraków")}, created_at=recent, code=contains("SUMMER"))

        assert parameters_of("voucher", filters=filters)["filters"] == {
            "junction": "or",
            "metadata.city": {"conditions": {"$is": ["Kraków"]}},
            "created_at": {
                "conditions": {
                    "$after": ["2026-01-01T00:00:00.000Z"],
                    "$before": ["2026-02-01T00:00:00.000Z"],
                }
            },
            "code": {"conditions": {"$contains": ["SUMMER"]}},
        }

    def test_filters_as_the_api_has_them(self) -> None:
        """They are copied, and times in them are converted to the API's form."""
        filters = {"junction": "and", "created_at": {"conditions": {"$after": [NEW_YEAR]}}}
        sent = parameters_of("voucher", filters=filters)["filters"]

        assert sent == {"junction": "and", "created_at": SINCE}
        assert filters["created_at"] == {"conditions": {"$after": [NEW_YEAR]}}

    @pytest.mark.parametrize("check_catalog", [True, False])
    def test_a_time_needs_a_zone(self, *, check_catalog: bool) -> None:
        """A time without a zone is ambiguous, with and without the check of the catalog."""
        naive = {"created_at": {"conditions": {"$after": [NEW_YEAR.replace(tzinfo=None)]}}}
        with pytest.raises(ValueError, match="has no time zone"):
            payload_of("voucher", filters=naive, check_catalog=check_catalog)

    @pytest.mark.parametrize(
        ("exported_object", "typo", "problem"),
        [
            ("voucher", {"fields": ["code", "vlaue"]}, r"unknown field 'vlaue'; did you mean 'value'\?"),
            ("voucher", {"order": "-vlaue"}, "unknown order '-vlaue'"),
            ("voucher", {"filters": where(coed=is_("A"))}, r"unknown filter 'coed'; did you mean 'code'\?"),
            (
                "voucher",
                {"filters": {"code": {"conditions": {"$si": ["A"]}}}},
                r"filter 'code': unknown operator '\$si'",
            ),
            ("order", {"campaign_id": "camp_1"}, "only voucher exports take a campaign_id"),
            ("vouchers", {}, r"unknown exported object 'vouchers'; did you mean 'voucher"),
        ],
    )
    def test_a_typo(self, exported_object: str, typo: dict[str, Any], problem: str) -> None:
        """It is reported with a suggestion, unless `check_catalog=False`."""
        with pytest.raises(ValueError, match=problem):
            payload_of(exported_object, **typo)
        sent = payload_of(exported_object, **typo, check_catalog=False)
        assert sent.get("parameters", {}).keys() == typo.keys()

    def test_is_json(self) -> None:
        """Members of enums are sent as their values."""
        payload = payload_of(ExportedObject.VOUCHER, fields=Field, order=Field.CODE)

        assert json.loads(json.dumps(payload)) == {
            "parameters": {"fields": ["code", "metadata.city"], "order": "code"}
        }


class Within(NamedTuple):
    """A create that is restricted to one resource, which its path names and its filters echo."""

    name: str
    exported_object: str
    path: str
    column: str
    resource_type: str


TRANSACTIONS = [
    Within(
        "create_voucher_transactions_export",
        "voucher_transactions",
        "/v1/vouchers/{}/transactions/export",
        "voucher_id",
        "voucher",
    ),
    Within(
        "create_campaign_transactions_export",
        "voucher_transactions",
        "/v1/campaigns/{}/transactions/export",
        "campaign_id",
        "campaign",
    ),
    Within(
        "create_member_transactions_export",
        "voucher_transactions",
        "/v1/loyalties/members/{}/transactions/export",
        "voucher_id",
        "member",
    ),
    Within(
        "create_points_expiration_export",
        "points_expiration",
        "/v1/loyalties/{}/points-expiration/export",
        "campaign_id",
        "campaign",
    ),
]
within = pytest.mark.parametrize("create", TRANSACTIONS, ids=lambda create: create.name)


def owner(sandbox: Sandbox, create: Within) -> str:
    """The id of a loyalty card or of its campaign, which every create of this kind finds."""
    row = next(
        row for row in range(100) if sandbox.cell("voucher", "voucher_type", row=row) == "LOYALTY_CARD"
    )
    return sandbox.cell("voucher", "id" if create.column == "voucher_id" else "campaign_id", row=row)


class Plain(str, Enum):  # noqa: UP042 - as older code has them, whose str() is not their value
    VOUCHER = "voucher"
    CODE = "code"
    NEWEST = "-created_at"


class TestNames:
    def test_of_any_enum(self) -> None:
        """A member of an enum is sent as its value."""
        payload = payload_of(Plain.VOUCHER, fields=[Plain.CODE], order=Plain.NEWEST)
        assert json.loads(json.dumps(payload)) == {"parameters": {"fields": ["code"], "order": "-created_at"}}

    async def test_of_the_object(self, sandbox: Sandbox, connect: Connect) -> None:
        """The exported object can be a member of such an enum."""
        assert (await connect().create_export(Plain.VOUCHER)).exported_object == "voucher"

    @pytest.mark.parametrize("name", [None, 1, b"code"])
    def test_what_is_no_name(self, name: Any) -> None:
        """A field that is not a string is a TypeError, also with `check_catalog=False`."""
        with pytest.raises(TypeError, match=r"a field must be a str, not (NoneType|int|bytes)"):
            payload_of("voucher", fields=[name], check_catalog=False)


class TestCreateExport:
    @pytest.mark.parametrize("exported_object", [ExportedObject.VOUCHER, "voucher"])
    async def test_makes_one(self, connect: Connect, sandbox: Sandbox, exported_object: str) -> None:
        """The request is the documented one, and the response echoes it."""
        options = {**OPTIONS, "campaign_id": sandbox.cell("voucher", "campaign_id")}
        export = await connect().create_export(exported_object, **options)

        (request,) = sandbox.requests
        sent = {**SENT, "campaign_id": options["campaign_id"]}
        assert (request.method, request.path) == ("POST", "/v1/exports")
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.body) == {"exported_object": "voucher", "parameters": sent}
        assert export.exported_object is ExportedObject.VOUCHER
        assert export.to_dict()["parameters"] == sent

    async def test_without_parameters(self, connect: Connect, sandbox: Sandbox) -> None:
        """None are sent, and the echo is an empty object."""
        export = await connect().create_export("redemption")

        assert json.loads(sandbox.requests[0].body) == {"exported_object": "redemption"}
        assert export.to_dict()["parameters"] == {}

    @pytest.mark.parametrize("exported_object", [each.value for each in ExportedObject])
    async def test_of_every_object(self, connect: Connect, sandbox: Sandbox, exported_object: str) -> None:
        """All ten objects can be exported, also those that the reference does not list."""
        export = await connect().create_export(exported_object)

        assert sandbox.requests[0].status == 200
        assert export.exported_object == exported_object

    async def test_what_is_not_known_yet(self, connect: Connect, sandbox: Sandbox) -> None:
        """With `check_catalog=False` an object that the catalog does not know can be exported."""
        sandbox.fail(method="POST", body=wire(exported_object="reward", status="SCHEDULED", result=None))
        export = await connect().create_export("reward", fields=["name"], check_catalog=False)

        assert json.loads(sandbox.requests[0].body) == {
            "exported_object": "reward",
            "parameters": {"fields": ["name"]},
        }
        assert export.exported_object == "reward"

    async def test_create_wait_and_list(self) -> None:
        """The export is scheduled, in the list at once, and done after the wait."""
        now = [1_700_000_000.0]
        async with (
            Sandbox(clock=lambda: now[0], scheduled_for=10, in_progress_for=10) as sandbox,
            ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client,
        ):
            created = await client.create_export("order", **OPTIONS)
            assert (created.status, created.result) == ("SCHEDULED", None)
            assert [export async for export in client.list_exports()] == [created]

            def advance(_: object) -> None:
                now[0] += 10

            poll = PollPolicy(initial=0.01, max=0.01)
            done = await client.wait_until_done(created.id, poll=poll, on_update=advance)
            assert done.is_done
            assert done.parameters == created.parameters
            assert [(each.id, each.status) async for each in client.list_exports()] == [(created.id, "DONE")]


class TestCreateOrderExport:
    async def test_makes_one(self, connect: Connect, sandbox: Sandbox) -> None:
        """The path names the object, and the body has the parameters."""
        export = await connect().create_order_export(**OPTIONS)

        (request,) = sandbox.requests
        assert (request.method, request.path) == ("POST", "/v1/orders/export")
        assert json.loads(request.body) == {"parameters": SENT}
        assert export.exported_object is ExportedObject.ORDER
        assert export.to_dict()["parameters"] == SENT

    async def test_without_parameters(self, connect: Connect, sandbox: Sandbox) -> None:
        """The body is an empty object."""
        await connect().create_order_export()

        assert sandbox.requests[0].body == b"{}"


@within
class TestCreateWithin:
    async def test_makes_one(self, connect: Connect, sandbox: Sandbox, create: Within) -> None:
        """The API adds its own filter to those that were sent."""
        id = owner(sandbox, create)
        own = {create.column: {"conditions": {"$in": [id]}}}
        options = OPTIONS
        if create.exported_object == "points_expiration":
            options = {"fields": ["id", "voucher_id"], "filters": where(voucher_id=is_("v_1"))}

        export = await getattr(connect(), create.name)(id, **options)

        (request,) = sandbox.requests
        sent = payload_of(create.exported_object, **options)
        assert (request.method, request.path) == ("POST", create.path.format(id))
        assert json.loads(request.body) == sent
        assert export.exported_object == create.exported_object
        echo = {**sent["parameters"], "filters": {**sent["parameters"]["filters"], **own}}
        assert export.to_dict()["parameters"] == echo

    async def test_without_parameters(self, connect: Connect, sandbox: Sandbox, create: Within) -> None:
        """The response has the API's own filter with its junction `AND`."""
        id = owner(sandbox, create)
        client = connect()
        export = await getattr(client, create.name)(id)

        assert sandbox.requests[0].body == b"{}"
        own = {"junction": "AND", create.column: {"conditions": {"$in": [id]}}}
        assert export.to_dict()["parameters"] == {"filters": own}
        assert (await client.wait_until_done(export.id)).is_done

    @pytest.mark.parametrize("name", ["zniżka 50%", "50%25", "A+B & C;=@:,'\"", "..a", "%2F", "🎁"])
    async def test_an_odd_name_arrives_as_it_is(
        self, connect: Connect, sandbox: Sandbox, create: Within, name: str
    ) -> None:
        """Such names are sent unchanged, and the error names them unchanged."""
        with pytest.raises(ExportNotFoundError) as caught:
            await getattr(connect(), create.name)(name)

        assert (caught.value.resource_id, caught.value.resource_type) == (name, create.resource_type)
        assert sandbox.requests[0].path == create.path.format(name)

    @pytest.mark.parametrize("name", ["50% OFF/summer", "a?b", "a#b", "", ".", "..", "a\n", "x" * 257])
    async def test_a_name_of_another_path(
        self, connect: Connect, sandbox: Sandbox, create: Within, name: str
    ) -> None:
        """A name that would change the path is refused before anything is sent."""
        with pytest.raises(ConfigurationError):
            await getattr(connect(), create.name)(name)
        assert sandbox.requests == []

    async def test_a_name_is_a_str(self, connect: Connect, sandbox: Sandbox, create: Within) -> None:
        """A name that is not a string is a TypeError."""
        with pytest.raises(TypeError, match=r"an? .* must be a str, not int"):
            await getattr(connect(), create.name)(7)
        assert sandbox.requests == []


async def test_a_campaign_by_its_name(connect: Connect, sandbox: Sandbox) -> None:
    """A campaign can be named in any alphabet."""
    name = "Święta"
    assert name in {sandbox.cell("voucher", "campaign", row=row) for row in range(100)}
    export = await connect().create_campaign_transactions_export(name)

    assert sandbox.requests[0].path == f"/v1/campaigns/{name}/transactions/export"
    assert export.exported_object == "voucher_transactions"


async def made(client: ExportsClient, sandbox: Sandbox, name: str, **options: Any) -> Any:
    """Call the create of this name for a resource that exists."""
    arguments = {create.name: owner(sandbox, create) for create in TRANSACTIONS} | {"create_export": "order"}
    return await getattr(client, name)(*([arguments[name]] if name in arguments else []), **options)


@pytest.mark.parametrize(
    "name", ["create_export", "create_order_export", *(create.name for create in TRANSACTIONS)]
)
class TestEveryCreate:
    @pytest.mark.parametrize(
        "typo",
        [
            {"fields": ["idd"]},
            {"order": "idd"},
            {"filters": where(idd=is_(1))},
        ],
        ids=lambda typo: next(iter(typo)),
    )
    async def test_a_typo_is_not_sent(
        self, connect: Connect, sandbox: Sandbox, name: str, typo: dict[str, Any]
    ) -> None:
        """A typo is reported without a request."""
        with pytest.raises(ValueError, match="Use check_catalog=False to send names"):
            await made(connect(), sandbox, name, **typo)
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("typo", "key", "details"),
        [
            ({"fields": ["idd"]}, "invalid_export_fields", "Unsupported field used. Allowed fields: "),
            ({"order": "idd"}, "invalid_export_params", "Unsupported order used. Allowed orders: "),
            ({"filters": where(idd=is_(1))}, "invalid_export_params", "Unsupported filter idd"),
        ],
        ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
    )
    async def test_unchecked_options_are_sent(
        self,
        connect: Connect,
        sandbox: Sandbox,
        name: str,
        typo: dict[str, Any],
        key: str,
        details: str,
    ) -> None:
        """With `check_catalog=False` it is sent once, and the API's error is raised."""
        with pytest.raises(BadRequestError, match=key) as caught:
            await made(connect(), sandbox, name, **typo, check_catalog=False)

        (request,) = sandbox.requests
        assert json.loads(request.body)["parameters"].keys() == typo.keys()
        assert (caught.value.status, caught.value.key) == (400, key)
        assert (caught.value.details or "").startswith(details)

    async def test_an_answer_that_was_lost(self, connect: Connect, sandbox: Sandbox, name: str) -> None:
        """The export may exist: the request is not repeated, and `list_exports` finds it."""
        sandbox.fail(method="POST", reset="before")
        client = connect()

        with pytest.raises(CreateUncertainError, match=r"may exist: .* list_exports\(\)"):
            await made(client, sandbox, name)
        assert len(sandbox.requests) == 1
        assert len([export async for export in client.list_exports()]) == 1


@pytest.mark.parametrize(
    "name", ["create_export", "create_order_export", *(create.name for create in TRANSACTIONS), "export_to"]
)
class TestStrict:
    async def create(
        self, client: ExportsClient, sandbox: Sandbox, name: str, path: Path, **options: Any
    ) -> Any:
        if name == "export_to":
            return await client.export_to(path, "order", **options)
        return await made(client, sandbox, name, **options)

    async def test_it_is_deprecated(
        self, connect: Connect, sandbox: Sandbox, name: str, tmp_path: Path
    ) -> None:
        """The old name works, and the warning points at the call and names the new one."""
        with (
            pytest.warns(DeprecationWarning, match="strict is deprecated: use check_catalog") as caught,
            pytest.raises(BadRequestError),
        ):
            await self.create(connect(), sandbox, name, tmp_path / "f.csv", fields=["idd"], strict=False)

        assert [warning.filename for warning in caught] == [__file__]
        assert len(sandbox.requests) == 1

    async def test_it_checks_when_true(
        self, connect: Connect, sandbox: Sandbox, name: str, tmp_path: Path
    ) -> None:
        """`strict=True` means `check_catalog=True`."""
        with (
            pytest.warns(DeprecationWarning, match="strict"),
            pytest.raises(ValueError, match="did you mean 'id'"),
        ):
            await self.create(connect(), sandbox, name, tmp_path / "f.csv", fields=["idd"], strict=True)
        assert sandbox.requests == []

    @pytest.mark.parametrize("check_catalog", [True, False])
    async def test_both_names(
        self, connect: Connect, sandbox: Sandbox, name: str, tmp_path: Path, *, check_catalog: bool
    ) -> None:
        """One option under both names is an error, also where they do not contradict each other."""
        options = {"strict": check_catalog, "check_catalog": check_catalog}
        with pytest.raises(TypeError, match="give check_catalog only"):
            await self.create(connect(), sandbox, name, tmp_path / "f.csv", **options)
        assert sandbox.requests == []


async def test_strict_in_a_task(connect: Connect, sandbox: Sandbox) -> None:
    """A task has no caller to point at, and warns nevertheless."""
    with pytest.warns(DeprecationWarning, match="use check_catalog"):
        await asyncio.gather(connect().create_order_export(strict=False))


@pytest.mark.parametrize("name", ["create_export", "create_order_export", "export_to"])
def test_creates_are_coroutine_functions(name: str) -> None:
    """Mocks with a spec see that creates are awaited."""
    assert inspect.iscoroutinefunction(getattr(ExportsClient, name))


@pytest.mark.parametrize(
    ("create", "arguments"),
    [
        ("create_export", ["order"]),
        ("create_order_export", []),
        ("create_voucher_transactions_export", ["code"]),
        ("create_campaign_transactions_export", ["camp_1"]),
        ("create_member_transactions_export", ["v_1"]),
        ("create_points_expiration_export", ["camp_1"]),
        ("export_to", ["x.csv", "order"]),
    ],
)
async def test_a_misspelt_option(
    create: str, arguments: list[str], connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    """An unknown option is a TypeError before anything is sent, in every create."""
    arguments = [str(tmp_path / each) if each.endswith(".csv") else each for each in arguments]
    with pytest.raises(TypeError, match="field"):
        await getattr(connect(), create)(*arguments, field=["id"])
    assert sandbox.requests == []
