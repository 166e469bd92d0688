import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucherify_exports import BadRequestError, ColumnType, ExportedObject, ExportsClient, Sandbox, catalog
from voucherify_exports.catalog import CATALOG, OPERATORS, CatalogEntry, CatalogField, check_parameters
from voucherify_exports.sandbox._data import objects

FACTS: dict[str, Any] = json.loads((files("voucherify_exports") / "catalog.json").read_text("utf-8"))
ENTRIES = list(CATALOG.values())
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.exported_object))


def condition(operator: str = "$is", value: object = "x") -> dict[str, Any]:
    return {"conditions": {operator: [value]}}


def problem(exported_object: str, **parameters: Any) -> str:
    """The message of the error that a check of these parameters raises."""
    with pytest.raises(ValueError, match="Use check_catalog=False to send names") as caught:
        check_parameters(exported_object, **parameters)
    return str(caught.value)


class TestCatalog:
    def test_has_every_known_object(self) -> None:
        """All ten objects have an entry under their own name."""
        assert set(CATALOG) == set(ExportedObject)
        assert len(CATALOG) == 10
        assert all(entry.exported_object is name for name, entry in CATALOG.items())

    def test_takes_members_and_strings(self) -> None:
        """An entry is found by the member of the enum and by its value."""
        assert CATALOG[ExportedObject.VOUCHER] is CATALOG["voucher"]

    def test_cannot_be_changed(self) -> None:
        """The catalog and its entries are immutable and hashable."""
        with pytest.raises(TypeError):
            CATALOG["voucher"] = CATALOG["order"]  # type: ignore[index]  # that is what is tested
        with pytest.raises(AttributeError):
            CATALOG["voucher"].fields = ()  # type: ignore[misc]  # that is what is tested
        assert len({hash(entry) for entry in ENTRIES}) == 10

    def test_is_read_on_first_use(self) -> None:
        """Importing the catalog reads no file; `dir` and `repr` show all of it nevertheless."""
        code = (
            "import sys; from voucherify_exports import catalog\n"
            "assert 'importlib.resources' not in sys.modules and not vars(catalog.CATALOG)\n"
            "assert 'OPERATORS' in dir(catalog)\n"
            "assert repr(catalog.CATALOG).startswith('{<ExportedObject.VOUCHER')\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=20)

        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = catalog.Nothing  # type: ignore[attr-defined]  # that is what is tested

    def test_knows_25_operators(self) -> None:
        """Each operator has the API's name, and none is listed twice."""
        assert len(set(OPERATORS)) == len(OPERATORS) == 25
        assert all(operator.startswith("$") for operator in OPERATORS)

    def test_a_campaign_restricts_vouchers(self) -> None:
        """The only extra parameter of the API is the campaign of vouchers."""
        assert {
            name: entry.extra_parameters for name, entry in CATALOG.items() if entry.extra_parameters
        } == {"voucher": ("campaign_id",)}


@each_entry
class TestEveryEntry:
    def test_names_are_there_once(self, entry: CatalogEntry) -> None:
        """No field, default field, order or filter is listed twice."""
        for names in (
            [field.name for field in entry.fields],
            entry.default_fields,
            entry.orders,
            [known.name for known in entry.filters],
        ):
            assert len(set(names)) == len(names)

    def test_default_fields_are_fields(self, entry: CatalogEntry) -> None:
        """Each default field has a type, whether it can be requested or not."""
        for name in entry.default_fields:
            field = entry.find_field(name)
            assert field is not None
            assert field in entry.fields

    def test_default_fields_are_documented_except_for_logs(self, entry: CatalogEntry) -> None:
        """Default fields are documented for all objects except API logs."""
        assert bool(entry.default_fields) == (entry.exported_object != "api_log")

    def test_every_order_goes_both_ways(self, entry: CatalogEntry) -> None:
        """Each order exists with and without the dash for descending."""
        ascending = {order for order in entry.orders if not order.startswith("-")}

        assert set(entry.orders) == ascending | {f"-{name}" for name in ascending}
        assert ascending

    def test_filters_have_known_operators(self, entry: CatalogEntry) -> None:
        """Each operator of a filter is in the API's schema."""
        for known in entry.filters:
            assert known.operators
            assert set(known.operators) <= set(OPERATORS)

    def test_prefixes_end_with_a_dot(self, entry: CatalogEntry) -> None:
        """Prefixes end with a dot, and the objects with metadata take single properties of it."""
        assert all(prefix.endswith(".") for prefix in entry.field_prefixes + entry.filter_prefixes)
        assert ("metadata." in entry.field_prefixes) == (entry.find_field("metadata") is not None)
        assert ("metadata." in entry.filter_prefixes) == ("metadata." in entry.field_prefixes)

    def test_types_go_with_names(self, entry: CatalogEntry) -> None:
        """A field whose name says time, boolean, identifier or number has this type."""
        for field in entry.fields:
            if field.name.endswith("ed_at"):
                assert field.type is ColumnType.TIMESTAMP
            elif field.name.startswith("is_"):
                assert field.type is ColumnType.BOOLEAN
            elif field.name == "id" or field.name.endswith(("_id", "code")):
                assert field.type is ColumnType.TEXT
            elif field.name.endswith("_count") or field.name.startswith("redemptions_total"):
                assert field.type is ColumnType.INTEGER

    def test_passes_its_own_check(self, entry: CatalogEntry) -> None:
        """All names of an entry can be requested together."""
        filters = {known.name: condition(operator) for known in entry.filters for operator in known.operators}
        fields = [field.name for field in entry.fields if field.selectable]

        for order in entry.orders:
            check_parameters(entry.exported_object, fields=fields, order=order, filters=filters)

    def test_survives_pickle_and_copy(self, entry: CatalogEntry) -> None:
        """An entry can be sent to another process."""
        assert pickle.loads(pickle.dumps(entry)) == entry
        assert copy.deepcopy(entry) == entry


class TestFacts:
    def test_every_group_has_a_source(self) -> None:
        """Each group of names says where it comes from and how sure it is."""
        found = list(groups(FACTS["objects"])) + FACTS["operators"] + FACTS["junctions"]

        for group in [*found, *FACTS["types"].values()]:
            sources = group["source"] if isinstance(group["source"], list) else [group["source"]]
            assert set(sources) <= set(FACTS["sources"])
            assert group["sure"] in FACTS["sure"]
        assert len(found) > 60

    def test_types_are_those_of_the_columns(self) -> None:
        """The types that the file explains are the column types."""
        assert set(FACTS["types"]) == set(ColumnType)

    def test_titles_belong_to_fields(self) -> None:
        """Each title belongs to a field of its object."""
        for name, facts in FACTS["objects"].items():
            titled = {title for group in facts.get("titles", ()) for title in group["names"]}
            assert titled <= {field.name for field in CATALOG[name].fields}


def groups(facts: Any) -> Iterator[dict[str, Any]]:
    """The groups of names below an object, however deep."""
    if "names" in facts:
        yield facts
    else:
        for below in facts.values() if isinstance(facts, dict) else facts:
            yield from groups(below)


def known_parameters(entry: CatalogEntry) -> Iterator[dict[str, Any]]:
    """Parameters with each field, order, filter and operator of an entry, one at a time, and with none."""
    yield {}
    yield from ({"fields": [field.name]} for field in entry.fields if field.selectable)
    yield from ({"fields": [f"{prefix}x"]} for prefix in entry.field_prefixes)
    yield from ({"order": order} for order in entry.orders)
    for known in entry.filters:
        yield from ({"filters": {known.name: condition(operator)}} for operator in known.operators)
    yield from ({"filters": {f"{prefix}x": condition()}} for prefix in entry.filter_prefixes)
    yield from ({name: "x"} for name in entry.extra_parameters)


def unknown_parameters(entry: CatalogEntry) -> list[dict[str, Any]]:
    """Parameters with each name of the catalog that this entry does not take, one at a time."""
    prefixed = {f"{prefix}x" for each in ENTRIES for prefix in each.field_prefixes + each.filter_prefixes}
    fields = {field.name for each in ENTRIES for field in each.fields} | prefixed
    filters = {known.name for each in ENTRIES for known in each.filters} | prefixed | fields
    orders = {order for each in ENTRIES for order in each.orders}
    return [
        *({"fields": [name]} for name in sorted(fields) if not passes(entry, fields=[name])),
        *({"order": name} for name in sorted(orders | fields) if not passes(entry, order=name)),
        *({"filters": {name: condition()}} for name in sorted(filters) if entry.find_filter(name) is None),
        *({"filters": {known.name: condition("$nothing")}} for known in entry.filters),
        *({"campaign_id": "x"} for _ in [entry] if not entry.extra_parameters),
    ]


@each_entry
class TestSandboxAgrees:
    async def test_it_accepts_what_the_catalog_knows(
        self, connect: Callable[..., ExportsClient], sandbox: Sandbox, entry: CatalogEntry
    ) -> None:
        """An export can be created with each field, order, filter and operator of an entry."""
        client = connect()
        known = list(known_parameters(entry))
        for options in known:
            await client.create_export(entry.exported_object, **options)

        assert [request.status for request in sandbox.requests] == [200] * len(known)

    async def test_it_refuses_what_the_catalog_refuses(
        self, connect: Callable[..., ExportsClient], entry: CatalogEntry
    ) -> None:
        """Names of other objects are a 400 for this one."""
        client = connect()
        unknown = unknown_parameters(entry)
        for options in unknown:
            assert not passes(entry, **options)
            with pytest.raises(BadRequestError):
                await client.create_export(entry.exported_object, **options, check_catalog=False)

        assert len(unknown) > 300


def test_the_sandbox_knows_all_operators() -> None:
    """It accepts the 25 that the client offers and 43 more, of which only the names are known."""
    assert set(objects.OPERATORS) > set(OPERATORS)
    assert len(set(objects.OPERATORS)) == len(objects.OPERATORS) == 68


class TestFields:
    @pytest.mark.parametrize(
        ("exported_object", "name", "kind"),
        [
            ("voucher", "value", "decimal"),
            ("voucher", "active", "boolean"),
            ("voucher", "validity_day_of_week", "text"),
            ("voucher", "expiration_date", "timestamp"),
            ("redemption", "date", "timestamp"),
            ("customer", "birthdate", "date"),
            ("customer", "orders_last_order_date", "timestamp"),
            ("order", "amount", "integer"),
            ("points_expiration", "expires_at", "date"),
            ("points_expiration", "points", "integer"),
            ("voucher_transactions", "amount", "decimal"),
            ("voucher_transactions", "details", "json"),
        ],
    )
    def test_have_the_types_of_the_reference(self, exported_object: str, name: str, kind: str) -> None:
        """Fields have the types that the examples of the reference show."""
        field = CATALOG[exported_object].find_field(name)

        assert field is not None
        assert field.type == kind

    def test_title_of_the_published_file(self) -> None:
        """The titles are those of the reference's example of a file."""
        published = map(CATALOG["voucher"].find_field, ["id", "code", "voucher_type", "value"])

        assert [field and field.title for field in published] == ["ID", "Code", "Voucher Type", "Value"]

    def test_titles_are_no_guesses(self) -> None:
        """A field has no title unless one is published."""
        voucher = CATALOG["voucher"]

        assert voucher.find_field("loyalty_balance") == CatalogField(
            name="loyalty_balance", type=ColumnType.INTEGER, title="Loyalty Card Balance"
        )
        assert all(field.title is None for field in CATALOG["api_log"].fields)
        titles = [field.title for field in voucher.fields if field.title]
        assert len(set(titles)) == len(titles)

    def test_one_property_of_the_metadata_is_text(self) -> None:
        """One property of the metadata is a field of type text."""
        assert CATALOG["order"].find_field("metadata.store.city") == CatalogField(
            name="metadata.store.city", type=ColumnType.TEXT
        )

    def test_default_fields_that_cannot_be_requested(self) -> None:
        """Two default fields are in no list of fields: they have a type and cannot be requested."""
        assert [
            (entry.exported_object, field.name)
            for entry in ENTRIES
            for field in entry.fields
            if not field.selectable
        ] == [("publication", "code"), ("voucher_transactions", "status")]


class TestCheckParameters:
    @pytest.mark.parametrize(
        ("exported_object", "parameters"),
        [
            ("voucher", {}),
            ("customer", {"order": "", "fields": ["name", "id", "email", "source_id", "created_at"]}),
            ("customer", {"filters": {"junction": "and"}}),
            ("order", {"order": "-created_at", "fields": ["id", "source_id", "status"]}),
            ("voucher", {"order": "-created_at", "fields": ["id", "code", "voucher_type", "value"]}),
            ("voucher", {"campaign_id": "camp_0dJG7cCAjquzcxWmZ634bA0C"}),
            ("voucher", {"filters": {"code": {"conditions": {"$is_unknown": True}}}}),
            ("points_expiration", {"filters": {"voucher_id": condition("$in"), "junction": "and"}}),
            ("voucher_transactions", {"filters": {"junction": "AND", "campaign_id": condition("$in")}}),
            ("redemption", {"filters": {"created_at": condition("$after", "2024-10-01T00:00:00.000Z")}}),
            ("voucher", {"fields": ["metadata", "metadata.season", "metadata.with space"]}),
            ("voucher", {"filters": {"redemption.quantity": condition(), "metadata.a.b": condition()}}),
            ("customer", {"filters": {"summary.orders.total_amount": condition("$more_than", 4)}}),
            ("sku", {"filters": {"attributes.color": condition()}, "order": "-sku"}),
            ("api_log", {"fields": ["request_id", "url"], "filters": {"status": condition("$is_not")}}),
            ("voucher", {"fields": None, "order": None, "filters": None, "campaign_id": None}),
        ],
    )
    def test_passes_what_the_reference_shows(self, exported_object: str, parameters: dict[str, Any]) -> None:
        """The check passes the parameters that Voucherify publishes."""
        check_parameters(exported_object, **parameters)
        check_parameters(ExportedObject(exported_object), **parameters)

    @pytest.mark.parametrize(
        ("exported_object", "parameters", "message"),
        [
            (
                "voucher",
                {"fields": ["vaule"]},
                "voucher export: unknown field 'vaule'; did you mean 'value'? Use check",
            ),
            (
                "voucher",
                {"fields": ["metadata."]},
                "unknown field 'metadata.'; did you mean 'metadata.*' or 'metadata'?",
            ),
            (
                "voucher",
                {"order": "creatd_at"},
                "unknown order 'creatd_at'; did you mean 'created_at' or '-created_at'",
            ),
            ("voucher", {"filters": {"coed": condition()}}, "unknown filter 'coed'; did you mean 'code'?"),
            (
                "customer",
                {"filters": {"metdata.city": condition()}},
                "unknown filter 'metdata.city'; did you mean 'metadata.*'?",
            ),
            (
                "customer",
                {"filters": {"name": condition("contains")}},
                "filter 'name': unknown operator 'contains'; did you mean '$contains'",
            ),
            (
                "redemption",
                {"filters": {"created_at": condition("$is")}},
                "filter 'created_at': unknown operator '$is'; known operators: $after, $before.",
            ),
            ("voucher", {"filters": {"junction": "xor"}}, "unknown junction 'xor'; did you mean 'or'?"),
            (
                "voucher",
                {"filters": {"junction": ["or"]}},
                "unknown junction \"['or']\"; known junctions: and, or, AND, OR.",
            ),
            ("vuocher", {}, "unknown exported object 'vuocher'; did you mean 'voucher'?"),
        ],
    )
    def test_suggests_what_was_meant(
        self, exported_object: str, parameters: dict[str, Any], message: str
    ) -> None:
        """Typos are reported with a suggestion."""
        assert message in problem(exported_object, **parameters)

    @pytest.mark.parametrize(
        ("exported_object", "parameters", "message"),
        [
            (
                "points_expiration",
                {"fields": ["xyz"]},
                "unknown field 'xyz'; known fields: id, campaign_id, voucher_id, points, status, expires_at.",
            ),
            (
                "points_expiration",
                {"fields": ["metadata.city"]},
                "unknown field 'metadata.city'; known fields: id",
            ),
            (
                "points_expiration",
                {"order": "xyz"},
                "unknown order 'xyz'; known orders: expires_at, -expires_at.",
            ),
            (
                "api_log",
                {"filters": {"xyz": condition()}},
                "known filters: created_at, status, channel, app_id, c",
            ),
            (
                "product",
                {"filters": {"xyz": condition()}},
                "unknown filter 'xyz'; known filters: metadata.*, attributes.*.",
            ),
            (
                "wallet",
                {},
                "known exported objects: voucher, redemption, publication, customer, order, points_e",
            ),
        ],
    )
    def test_names_all_when_none_is_near(
        self, exported_object: str, parameters: dict[str, Any], message: str
    ) -> None:
        """Without a suggestion the message lists the known names, and open prefixes as patterns."""
        assert message in problem(exported_object, **parameters)

    def test_reports_everything_at_once(self) -> None:
        """One message names all problems."""
        text = problem(
            "order",
            fields=["id", "satus", "amuont"],
            order="-ammount",
            filters={"junction": "nor", "stats": condition(), "source_id": condition("$iss")},
            campaign_id="camp_1",
        )

        for name in ("satus", "amuont", "-ammount", "nor", "stats", "$iss", "campaign_id"):
            assert name in text
        assert "'id'" not in text
        assert text.startswith("order export: ")

    def test_a_default_field_that_cannot_be_asked_for(self) -> None:
        """The message says that a default field cannot be requested."""
        assert "field 'code' is one of the default fields, but cannot be requested." in problem(
            "publication", fields=["code"]
        )

    @pytest.mark.parametrize("exported_object", sorted(set(CATALOG) - {"voucher"}))
    def test_a_campaign_for_other_objects(self, exported_object: str) -> None:
        """Only exports of vouchers take a campaign."""
        assert "only voucher exports take a campaign_id." in problem(exported_object, campaign_id="camp_1")

    def test_an_object_without_an_entry(self) -> None:
        """An object that came in a response, and has no entry, is unknown to the check."""
        assert "unknown exported object 'gift'; known exported objects: " in problem(ExportedObject("gift"))

    @pytest.mark.parametrize("value", ["SUMMER", None, ["SUMMER"], {}, {"$is": ["x"]}, {"conditions": ["x"]}])
    def test_a_filter_of_another_form(self, value: object) -> None:
        """The message shows the form that a filter must have."""
        message = problem("voucher", filters={"code": value})

        assert "filter 'code' must have the form {'conditions': {'$is': […]}}." in message

    def test_values_stay_out_of_the_message(self) -> None:
        """Values of filters may be personal data and are not in the message."""
        filters = {"emial": condition("$is", "ann@example.com"), "email": condition("is", "ann@example.com")}

        assert "ann@example.com" not in problem("customer", filters=filters)

    def test_fields_as_one_string(self) -> None:
        """A string would be read as a list of its letters."""
        with pytest.raises(TypeError, match=r"write \['code'\]"):
            check_parameters("voucher", fields="code")

    @pytest.mark.parametrize(
        "parameters", [{"fields": [1]}, {"fields": [None]}, {"order": 1}, {"filters": {1: condition()}}]
    )
    def test_names_that_are_no_strings(self, parameters: dict[str, Any]) -> None:
        """A name of another type is reported as unknown."""
        assert re.search(
            r"unknown (field|order|filter) '(1|None)'; known \1s: ", problem("voucher", **parameters)
        )


class TestMadeUpNames:
    @given(entry=st.sampled_from(ENTRIES), name=st.text(max_size=40))
    def test_only_known_names_pass(self, entry: CatalogEntry, name: str) -> None:
        """A field passes if the entry lists it or a prefix allows it, and never otherwise."""
        known = {field.name for field in entry.fields if field.selectable}
        begins = name.startswith("metadata.") and name != "metadata." and "metadata" in known

        assert passes(entry, fields=[name]) == (name in known or begins)
        assert passes(entry, order=name) == (name == "" or name in entry.orders)

    @given(entry=st.sampled_from(ENTRIES), rest=st.text(max_size=40))
    def test_open_prefixes(self, entry: CatalogEntry, rest: str) -> None:
        """Any name after an open prefix passes with every operator, but not the bare prefix."""
        for prefix in entry.filter_prefixes:
            filters = {prefix + rest: {"conditions": {operator: [1] for operator in OPERATORS}}}
            assert passes(entry, filters=filters) == bool(rest)
        for prefix in entry.field_prefixes:
            assert passes(entry, fields=[prefix + rest]) == bool(rest)

    @given(data=st.data(), entry=st.sampled_from(ENTRIES))
    def test_a_missing_letter(self, data: st.DataObject, entry: CatalogEntry) -> None:
        """A name without one of its letters is reported with the right name as a suggestion."""
        meant = data.draw(st.sampled_from([field.name for field in entry.fields if field.selectable]))
        index = data.draw(st.integers(0, len(meant) - 1))
        typo = meant[:index] + meant[index + 1 :]
        if len(meant) > 3 and entry.find_field(typo) is None:
            text = problem(entry.exported_object, fields=[typo])
            assert meant in text.partition("did you mean ")[2]


def passes(entry: CatalogEntry, **parameters: Any) -> bool:
    try:
        check_parameters(entry.exported_object, **parameters)
    except ValueError:
        return False
    return True


def test_mappings_of_any_kind_are_read() -> None:
    """Filters can be any mapping."""

    class Frozen(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            return {"created_at": condition("$after"), "xyz": condition()}[name]

        def __iter__(self) -> Any:
            return iter(["created_at", "xyz"])

        def __len__(self) -> int:
            return 2

    assert "unknown filter 'xyz'" in problem("voucher", filters=Frozen())
