"""The data: consistent across files, ordered and filtered, for any number of rows."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucherify_exports.sandbox import Sandbox
from voucherify_exports.sandbox._data.content import FileContent
from voucherify_exports.sandbox._data.objects import FIELDS, ORDERS, column_of
from voucherify_exports.sandbox._data.world import World, reference_of, references_to, slot_bits

WORLD = World(0)
COUNTS = st.integers(1, 5000)


def table(kind, fields, rows=300, **options):
    return FileContent(WORLD, kind, tuple(fields), rows, **options)


def rows_of(table):
    text = b"".join(map(table.block, range(table.blocks))).decode()
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


def column(kind, name, rows=300, **options):
    return [cell for [cell] in rows_of(table(kind, [name], rows, **options))]


def filtered(kind, names, filters, rows=300):
    return rows_of(table(kind, names, rows, filters=[filters]))


class TestSpread:
    @given(COUNTS, st.integers(0, 100))
    def test_places(self, count, seed):
        """The slots contain each number once, in the order of their places."""
        spread, bits = World(seed).spread("order", "id"), slot_bits(count)
        numbers = [spread.number(slot, bits) for slot in range(2**bits)]
        assert [n for n in numbers if n < count] == sorted(range(count), key=spread.place)

    @given(COUNTS)
    def test_referring(self, count):
        """Each row refers to an earlier row, and is found from there."""
        assert all(reference_of(number) < max(number, 1) for number in range(count))
        found = [(owner, number) for owner in range(count) for number in references_to(owner, count)]
        assert sorted(number for _, number in found) == list(range(count))
        assert all(reference_of(number) == owner for owner, number in found)


class TestConsistency:
    def test_redemptions(self):
        """The voucher, the customer and the order of a redemption are in their files, with equal values."""
        fields = [
            "voucher_code",
            "customer_id",
            "order_id",
            "order_amount",
            "campaign",
            "customer_name",
            "date",
        ]
        codes = ["code", "customer_id", "campaign", "created_at"]
        vouchers = {code: rest for code, *rest in rows_of(table("voucher", codes))}
        customers = dict(rows_of(table("customer", ["id", "name"])))
        orders = {order: rest for order, *rest in rows_of(table("order", ["id", "amount", "customer_id"]))}
        redemptions = rows_of(table("redemption", fields))
        for code, customer, order, amount, campaign, name, date in redemptions:
            holder, of_campaign, created_at = vouchers[code]
            assert (holder, of_campaign) == (customer, campaign)
            assert created_at < date
            assert customers[customer] == name
            assert orders[order] == [amount, customer]
        assert 1 < len({code for code, *_ in redemptions}) < 300

    @pytest.mark.parametrize(
        ("kind", "name", "other", "key"),
        [
            ("publication", "voucher_code", "voucher", "code"),
            ("publication", "customer_source_id", "customer", "source_id"),
            ("voucher", "customer_id", "customer", "id"),
            ("voucher_transactions", "voucher_id", "voucher", "id"),
            ("voucher_transactions", "campaign_id", "voucher", "campaign_id"),
            ("points_expiration", "voucher_id", "voucher", "id"),
            ("sku", "product_id", "product", "id"),
        ],
    )
    def test_references(self, kind, name, other, key):
        """A row that another refers to is in its file, if that has as many rows."""
        for rows in (1, 2, 77):
            assert set(column(kind, name, rows)) <= set(column(other, key, rows))

    @pytest.mark.parametrize(("kind", "key"), [("voucher", "code"), ("customer", "email"), ("order", "id")])
    def test_keys(self, kind, key):
        """A key occurs once."""
        assert len(set(column(kind, key, 5000))) == 5000

    def test_amounts(self):
        """The total of an order is its amount less its discounts."""
        fields = [
            "amount",
            "discount_amount",
            "items_discount_amount",
            "total_discount_amount",
            "total_amount",
        ]
        for amount, discount, items, off, total in rows_of(table("order", fields)):
            assert int(off) == int(discount) + int(items)
            assert int(total) == int(amount) - int(off) > 0

    def test_seed(self):
        """Another seed gives other data."""
        other = FileContent(World(1), "voucher", ("code",), 300)
        assert not {code for [code] in rows_of(other)} & set(column("voucher", "code"))

    def test_cell(self):
        """A cell can be read without a file."""
        sandbox = Sandbox()
        assert [sandbox.cell("voucher", "code", row=row) for row in range(3)] == column("voucher", "code", 3)
        assert sandbox.cell("voucher", "code") == column("voucher", "code", 1)[0]


class TestOrder:
    @pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ORDERS for name in ORDERS[kind]])
    def test_each(self, kind, name):
        """Each order of each object is applied, ascending and descending, and loses no row."""
        ordered_by = column_of(kind, name)
        for rows in (1, 2, 300):
            cells = column(kind, ordered_by, rows)
            assert column(kind, ordered_by, rows, order=name) == sorted(cells)
            assert column(kind, ordered_by, rows, order=f"-{name}") == sorted(cells, reverse=True)

    def test_of_very_many(self):
        """The start of ten million ordered rows is available at once."""
        some = table("redemption", ["voucher_code", "date"], 10**7, order="-created_at")
        dates = [line.partition(",")[2] for line in some.block(0).decode().splitlines()[1:]]
        assert len(dates) > 50
        assert dates == sorted(dates, reverse=True)
        assert dates[0] > "2024-12"


class TestFilters:
    @pytest.mark.parametrize("kind", [kind for kind in FIELDS if column_of(kind, "created_at")])
    def test_times(self, kind):
        """Every object that has a time can be filtered by it."""
        name = column_of(kind, "created_at")
        times = sorted(column(kind, name))
        after, before = times[100], times[200]
        conditions = {"$after": [after], "$before": [before]}
        kept = [time for [time] in filtered(kind, [name], {"created_at": {"conditions": conditions}})]
        assert sorted(kept) == times[101:200]

    def test_any_way_of_writing_a_time(self):
        """A time can be a date, or be in another time zone."""

        def kept(moment):
            return filtered("order", ["id"], {"created_at": {"conditions": {"$after": moment}}})

        assert 0 < len(kept("2024-07-01")) < 300
        assert kept("2024-07-01") == kept("2024-07-01T00:00:00.000Z") == kept(["2024-07-01T02:00:00+02:00"])
        assert kept("soon") == []

    @pytest.mark.parametrize(
        ("operator", "value", "keeps"),
        [
            ("$is", "PAID", lambda cell: cell == "PAID"),
            ("$in", ["PAID", "CREATED"], lambda cell: cell in ("PAID", "CREATED")),
            ("$is_not", "PAID", lambda cell: cell != "PAID"),
            ("$not_in", ["PAID", "CREATED"], lambda cell: cell not in ("PAID", "CREATED")),
            ("$contains", "A", lambda cell: "A" in cell),
            ("$not_contain", ["A", "U"], lambda cell: "A" not in cell and "U" not in cell),
            ("$starts_with", "C", lambda cell: cell.startswith("C")),
            ("$ends_with", ["D"], lambda cell: cell.endswith("D")),
            ("$has_value", True, bool),
            ("$is_unknown", True, lambda cell: not cell),
            ("$count_more", 3, lambda _: True),
        ],
    )
    def test_texts(self, operator, value, keeps):
        """Operators compare texts; an operator that needs more than the cell keeps every row."""
        kept = filtered("order", ["status"], {"status": {"conditions": {operator: value}}})
        assert kept == [[cell] for cell in column("order", "status") if keeps(cell)]

    @pytest.mark.parametrize(
        ("operator", "keeps"),
        [
            ("$more_than", lambda number: number > 20_000),
            ("$more_than_equal", lambda number: number >= 20_000),
            ("$less_than", lambda number: number < 20_000),
            ("$less_than_equal", lambda number: number <= 20_000),
        ],
    )
    def test_numbers(self, operator, keeps):
        """Operators compare numbers as numbers; an empty cell never matches."""
        kept = filtered("order", ["amount"], {"amount": {"conditions": {operator: 20_000}}})
        assert kept == [[cell] for cell in column("order", "amount") if keeps(int(cell))]
        of_text = {"referrer_id": {"conditions": {operator: 0}}}
        assert filtered("order", ["id"], of_text) == []

    def test_junction(self):
        """All filters must match, or any of them, in each spelling of the junction."""
        filters = {
            "status": {"conditions": {"$is": "PAID"}},
            "amount": {"conditions": {"$more_than": 20_000}},
        }
        rows = rows_of(table("order", ["status", "amount"]))
        both = [row for row in rows if row[0] == "PAID" and int(row[1]) > 20_000]
        either = [row for row in rows if row[0] == "PAID" or int(row[1]) > 20_000]
        fields = ["status", "amount"]
        assert 0 < len(both) < len(either) < len(rows)
        assert filtered("order", fields, filters) == both
        assert filtered("order", fields, {"junction": "AND", **filters}) == both
        assert filtered("order", fields, {"junction": "OR", **filters}) == either

    def test_other_names(self):
        """A filter can have another name than its column; one without a column keeps every row."""
        city = {"city": {"conditions": {"$is": "Kraków"}}}
        assert {name for [name] in filtered("customer", ["address_city"], city)} == {"Kraków"}
        unknown = {"publications.created_at": {"conditions": {"$after": "2030-01-01"}}}
        assert len(filtered("customer", ["id"], unknown)) == 300
        season = {"metadata.season": {"conditions": {"$in": ["été"]}}}
        assert {name for [name] in filtered("order", ["metadata.season"], season)} == {"été"}

    def test_booleans(self):
        """A boolean matches its text in the file."""
        active = filtered("voucher", ["active"], {"active": {"conditions": {"$is": True}}})
        assert {name for [name] in active} == {"true"}

    def test_order_and_filter(self):
        """An order and a filter can be combined."""
        filters = [{"status": {"conditions": {"$is": "PAID"}}}]
        kept = rows_of(table("order", ["created_at", "status"], order="-created_at", filters=filters))
        assert [status for _, status in kept] == ["PAID"] * len(kept)
        assert [time for time, _ in kept] == sorted((time for time, _ in kept), reverse=True)
        assert 0 < len(kept) < 300


class TestTimes:
    def test_one_after_the_other(self):
        """No update is earlier than the creation."""
        for created, updated in rows_of(table("customer", ["created_at", "updated_at"])):
            assert datetime.fromisoformat(created) < datetime.fromisoformat(updated)
