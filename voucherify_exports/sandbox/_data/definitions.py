"""Definitions: what the cells of each column of each object hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .cells import Cell, Derived, Drawn, Reference, SameNumber, date, ident, integer, moment, one_of, year
from .draws import Draws

if TYPE_CHECKING:
    from .cells import Cells

_FIRST_NAMES = ("Zoë", "José", "Łukasz", "Ana", "Søren", "Mary-Jane", "Đorđe", "Noor", "李", "William")
_LAST_NAMES = ("Müller", "O'Brien", "Nowak", "Díaz", "Smith, Jr.", "Ångström", "王", 'van "Dutch" Dijk')
_NAMES = [f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES]
_STREETS = ("ul. Główna", "Rue de l'Église", "High Street")
_ADDRESSES = [f"{street} {house}, {flat}" for street in _STREETS for house in (1, 12, 170) for flat in (2, 9)]

CAMPAIGN_IDS = {
    name: f"camp_{Draws(name).text(24)}"
    for name in ("Back to School, 2025", "Summer Sale", 'The "Big" One', "Święta")
}
"""The campaigns of every project: their ids by name."""

# Vouchers and customers are created first; what happens with them comes later, and updates last.
_CREATED, _HAPPENED, _UPDATED = moment(year(2022), 700), moment(year(2024), 360), moment(year(2025), 360)

_REMARK = one_of(
    *("walk-in", 'said "call me later"', "prefers e-mail, not phone", "façade order", "", "VIP"),
    "two\nlines",
)


def _json(row: Cells) -> str:
    return json.dumps({"id": row["id"], "note": row["note"]}, ensure_ascii=False)


def _image(row: Cells) -> str:
    return f"https://img.example.com/{row['id']}.png"


def _only(column: str, value: str, drawn: Drawn) -> Derived:
    """A cell that is empty unless another column has this value."""
    return Derived(lambda row: drawn.text(row.draw(f"{column} {value}")) if row[column] == value else "")


def _reference_only(column: str, value: str, kind: str, referred: str) -> Derived:
    return Derived(lambda row: row.reference(kind)[referred] if row[column] == value else "")


def _part(column: str, percent: int) -> Derived:
    """An amount of up to `percent` percent of another."""
    return Derived(lambda row: str(int(row[column]) * (row.draw(column) % (percent + 1)) // 100))


def _sum(*columns: str) -> Derived:
    return Derived(lambda row: str(sum(int(row[column]) for column in columns)))


_ANYWHERE: dict[str, Cell] = {
    "created_at": _HAPPENED,
    "date": _HAPPENED,
    "image_url": Derived(_image),
    "attributes": Derived(_json),
    "metadata.season": one_of("summer", "winter", "été"),
    "source_id": ident("source_", 12),
    "updated_at": _UPDATED,
}

_COLUMNS: dict[str, dict[str, Cell]] = {
    "voucher": {
        "id": ident("v_", 32),
        "code": ident("", 8),
        "voucher_type": one_of("DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"),
        "value": Derived(lambda row: row["gift_balance"] or "0"),
        "formula": _only("discount_type", "UNIT", one_of("PRICE * 0.5", "ROUND(PRICE / 3, 2)")),
        "discount_type": _only("voucher_type", "DISCOUNT_VOUCHER", one_of("AMOUNT", "PERCENT", "UNIT")),
        "campaign": one_of(*CAMPAIGN_IDS),
        "campaign_id": Derived(lambda row: CAMPAIGN_IDS[row["campaign"]]),
        "category": one_of("", "Loyal", "New customers"),
        "start_date": _CREATED,
        "expiration_date": moment(year(2026), 700),
        "gift_balance": _only(
            "voucher_type", "GIFT_VOUCHER", Drawn(lambda draw: f"{100 + draw % 4900}.{draw % 2 * 50:02}")
        ),
        "loyalty_balance": _only("voucher_type", "LOYALTY_CARD", integer(0, 9000)),
        "redemption_quantity": one_of("", "1", "10"),
        "redemption_count": integer(0, 40),
        "active": one_of("true", "true", "false"),
        "qr_code": Derived(lambda row: f"https://dl.example.com/qr/{row['code']}.png"),
        "bar_code": Derived(lambda row: f"https://dl.example.com/bar/{row['code']}.png"),
        "is_referral_code": one_of("false", "false", "true"),
        "created_at": _CREATED,
        "validity_timeframe_interval": one_of("", "P1W", "P2D"),
        "validity_timeframe_duration": one_of("", "P1D", "PT1H"),
        "validity_day_of_week": one_of("", "0,6", "1,2,3,4,5"),
        "discount_amount_limit": _only("discount_type", "PERCENT", integer(100, 9000)),
        "customer_id": Reference("customer", "id"),
        "customer_source_id": Reference("customer", "source_id"),
        "discount_effect": _only(
            "voucher_type", "DISCOUNT_VOUCHER", one_of("APPLY_TO_ITEMS", "APPLY_TO_ORDER")
        ),
        "discount_unit_type": _reference_only("discount_type", "UNIT", "product", "id"),
        "discount_unit_effect": _only("discount_type", "UNIT", one_of("ADD_MISSING_ITEMS", "ADD_NEW_ITEMS")),
        "validation_rules_id": ident("val_", 12),
    },
    "redemption": {
        "id": ident("r_"),
        "object": one_of("redemption", "redemption", "redemption", "redemption_rollback"),
        "voucher_code": Reference("voucher", "code"),
        "campaign": Reference("voucher", "campaign"),
        "promotion_tier_id": one_of("", "", "promo_63fYCt81Aw0h7lzyRkrGZh9p"),
        "customer_id": Reference("voucher", "customer_id"),
        "customer_source_id": Reference("voucher", "customer_source_id"),
        "customer_name": Derived(lambda row: row.reference("voucher").reference("customer")["name"]),
        "tracking_id": ident("track_"),
        "order_id": SameNumber("order", "id"),
        "order_amount": SameNumber("order", "amount"),
        "gift_amount": Derived(lambda row: row.reference("voucher")["gift_balance"] and "100"),
        "loyalty_points": integer(0, 500),
        "result": one_of("SUCCESS", "SUCCESS", "SUCCESS", "FAILURE"),
        "failure_code": _only("result", "FAILURE", one_of("customer_rules_violated", "voucher_expired")),
        "failure_message": _only(
            "result", "FAILURE", one_of("Customer is not allowed, or unknown", 'Voucher "expired"')
        ),
    },
    "publication": {
        "id": ident("pub_"),
        "code": Reference("voucher", "code"),
        "voucher_code": Reference("voucher", "code"),
        "customer_id": Reference("voucher", "customer_id"),
        "customer_source_id": Reference("voucher", "customer_source_id"),
        "tracking_id": ident("track_"),
        "channel": one_of("API", "EMAIL", "WEBSITE"),
        "campaign": Reference("voucher", "campaign"),
        "is_winner": one_of("", "false", "true"),
    },
    "customer": {
        "name": one_of(*_NAMES),
        "id": ident("cust_"),
        "email": ident("", 10, "@example.com"),
        "created_at": _CREATED,
        "address_city": one_of("Kraków", "München", "New York", "São Paulo", "Washington, D.C."),
        "address_state": one_of("", "Bayern", "NY", "małopolskie"),
        "address_line_1": one_of(*_ADDRESSES),
        "address_line_2": one_of("", "", "3rd floor, left", "c/o Müller"),
        "address_country": one_of("Côte d'Ivoire", "Germany", "Korea, Republic of", "Poland"),
        "address_postal_code": integer(10_000, 99_999),
        "redemptions_total_redeemed": _sum("redemptions_total_succeeded", "redemptions_total_failed"),
        "redemptions_total_failed": integer(0, 4),
        "redemptions_total_succeeded": integer(0, 40),
        "redemptions_total_rolled_back": integer(0, 3),
        "redemptions_total_rollback_failed": integer(0, 1),
        "redemptions_total_rollback_succeeded": integer(0, 2),
        "orders_total_amount": Derived(
            lambda row: str(int(row["orders_total_count"]) * int(row["orders_average_amount"]))
        ),
        "orders_total_count": integer(1, 40),
        "orders_average_amount": integer(1000, 50_000),
        "orders_last_order_amount": integer(1000, 50_000),
        "orders_last_order_date": _HAPPENED,
        "loyalty_points": integer(0, 5000),
        "loyalty_referred_customers": integer(0, 5),
        "phone": Drawn(lambda draw: f"+48{500_000_000 + draw % 400_000_000}"),
        "birthday": date(year(1950), 18_000),
        "birthdate": Derived(lambda row: row["birthday"]),
    },
    "order": {
        "id": ident("ord_"),
        "status": one_of("CANCELED", "CREATED", "FULFILLED", "PAID"),
        "amount": integer(1000, 50_000),
        "discount_amount": _part("amount", 20),
        "items_discount_amount": _part("amount", 10),
        "total_discount_amount": _sum("discount_amount", "items_discount_amount"),
        "total_amount": Derived(lambda row: str(int(row["amount"]) - int(row["total_discount_amount"]))),
        "customer_id": SameNumber("redemption", "customer_id"),
        "referrer_id": _reference_only("status", "PAID", "customer", "id"),
    },
    "points_expiration": {
        "id": ident("lopb_"),
        "campaign_id": Reference("voucher", "campaign_id"),
        "voucher_id": Reference("voucher", "id"),
        "points": integer(1, 500),
        "status": one_of("ACTIVE", "EXPIRED"),
        "expires_at": date(year(2024), 1000),
    },
    "voucher_transactions": {
        "id": ident("vtx_", 18),
        "campaign_id": Reference("voucher", "campaign_id"),
        "voucher_id": Reference("voucher", "id"),
        "type": one_of("CREDITS_ADDITION", "CREDITS_REDEMPTION", "POINTS_ACCRUAL", "POINTS_REDEMPTION"),
        "status": one_of("", "SUCCEEDED"),
        "source": one_of("API", "AUTOMATION", "voucherify-web-ui"),
        "balance": integer(0, 50_000),
        "amount": integer(-5000, 5000),
        "related_transaction_id": _reference_only("type", "CREDITS_REDEMPTION", "voucher_transactions", "id"),
        "details": Derived(_json),
    },
    "product": {
        "id": ident("prod_"),
        "name": one_of("Crème brûlée, 6 pcs", 'Screen 24"', "T-shirt"),
        "price": integer(100, 50_000),
        "created_at": _CREATED,
    },
    "sku": {
        "id": ident("sku_"),
        "sku": ident("T-shirt, size ", 8),
        "product_id": Reference("product", "id"),
        "currency": one_of("EUR", "PLN", "USD"),
        "price": Reference("product", "price"),
        "created_at": _CREATED,
    },
    "api_log": {
        "id": ident("apilog_"),
        "status": one_of("200", "200", "404", "429"),
        "request_id": Drawn(lambda draw: f"v-{draw:08x}{draw * 0x9E3779B1 & 0xFFFFFFFFFF:010x}"),
        "channel": one_of("API", "WEBSITE"),
        "method": one_of("DELETE", "GET", "POST", "PUT"),
        "endpoint": one_of("/v1/customers", "/v1/redemptions", "/v1/vouchers"),
        "url": Derived(lambda row: f"https://api.voucherify.io{row['endpoint']}?limit=10"),
        "user_email": one_of("", "zoë@example.com"),
        "app_id": one_of("app_1", "app_2"),
        "client_app_id": one_of("", "client_app_1"),
        "request_duration": integer(3, 900),
        "request_body": Derived(_json),
        "response_body": Derived(_json),
    },
}


def cell(kind: str, column: str) -> Cell:
    """Return the definition of a column of an object; each unknown property of the metadata is a remark."""
    return _COLUMNS[kind].get(column) or _ANYWHERE.get(column) or _REMARK
