"""Rows for the files: plausible, and the same ones whenever an export is downloaded."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import frozen

from ._draws import Draws
from ._objects import columns, title

if TYPE_CHECKING:
    from collections.abc import Callable

    Cell = Callable[[Draws], str]

_ROWS_PER_BLOCK = 200
_FIRST_DAY, _LAST_DAY = 1640995200, 1767225600  # 2022-01-01, 2026-01-01
_FIRST_NAMES = ("Zoë", "José", "Łukasz", "Ana", "Søren", "Mary-Jane", "Đorđe", "Noor", "李", "William")
_LAST_NAMES = (
    "Müller",
    "O'Brien",
    "Nowak",
    "Díaz",
    "Smith, Jr.",
    "Ångström",
    "王",
    'van "Dutch" Dijk',
    "Silva",
)
_STREETS = ("ul. Główna", "Rue de l'Église", "High Street")
_REMARKS = ("walk-in", 'said "call me later"', "prefers e-mail, not phone", "façade order", "", "VIP")


@frozen
class Table:
    """The rows of a file: `block` gives a few hundred of them at a time, as CSV, in any order of asking.

    A row depends on the seed and its number alone.
    """

    seed: str
    exported_object: str
    fields: tuple[str, ...]
    rows: int

    @property
    def blocks(self) -> int:
        """How many blocks there are, the one with the header included."""
        return max(1, -(-self.rows // _ROWS_PER_BLOCK))

    def block(self, number: int) -> bytes:
        """Return a block, counted from 0; the first begins with the header."""
        names = list(columns(self.fields))
        cells = [_cell(self.exported_object, name) for name in names]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if number == 0:
            writer.writerow(map(title, names))
        first = number * _ROWS_PER_BLOCK
        for row in range(first, min(first + _ROWS_PER_BLOCK, self.rows)):
            random = Draws(f"{self.seed}/{row}")
            writer.writerow([cell(random) for cell in cells])
        return text.getvalue().encode()


def _cell(exported_object: str, column: str) -> Cell:
    special = _SPECIAL_CELLS.get((exported_object, column))
    return special or _CELLS.get(column, _remark)


def _one_of(*values: str) -> Cell:
    return lambda random: random.choice(values)


def _ident(prefix: str, length: int = 24) -> Cell:
    return lambda random: prefix + random.text(length)


def _integer(low: int, high: int) -> Cell:
    return lambda random: str(random.randint(low, high))


def _integer_or_none(low: int, high: int) -> Cell:
    return lambda random: str(random.randint(low, high)) if random.random() < 0.5 else ""


def _decimal(high: int) -> Cell:
    return lambda random: random.choice(
        ("0", f"{random.randrange(high)}.{random.choice(('00', '50', '99'))}")
    )


def _moment(random: Draws) -> datetime:
    return datetime.fromtimestamp(random.randrange(_FIRST_DAY * 1000, _LAST_DAY * 1000) / 1000, UTC)


def _time(random: Draws) -> str:
    return _moment(random).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _date(random: Draws) -> str:
    return _moment(random).date().isoformat()


def _name(random: Draws) -> str:
    return f"{random.choice(_FIRST_NAMES)} {random.choice(_LAST_NAMES)}"


def _email(random: Draws) -> str:
    return f"{random.text(8).lower()}@example.com"


def _phone(random: Draws) -> str:
    return f"+48{random.randrange(10**8, 10**9)}"


def _street(random: Draws) -> str:
    return f"{random.choice(_STREETS)} {random.randint(1, 200)}, {random.randint(1, 9)}"


def _image_url(random: Draws) -> str:
    return f"https://img.example.com/{random.text(12)}.png"


def _json(random: Draws) -> str:
    return json.dumps({"id": random.text(8), "amount": random.randint(1, 9999)})


_remark = _one_of(*_REMARKS)
_CELLS_OF_COLUMNS: dict[str, Cell] = {
    "created_at date expiration_date orders_last_order_date start_date updated_at": _time,
    """
    amount balance discount_amount items_discount_amount order_amount orders_average_amount
    orders_last_order_amount orders_total_amount price total_amount total_discount_amount
    """: _integer(100, 50_000),
    """
    loyalty_referred_customers orders_total_count redemption_count redemptions_total_failed
    redemptions_total_redeemed redemptions_total_rollback_failed redemptions_total_rollback_succeeded
    redemptions_total_rolled_back redemptions_total_succeeded
    """: _integer(0, 40),
    "active is_referral_code is_winner": _one_of("true", "false"),
    "app_id client_app_id": _ident("", 32),
    "attributes details request_body response_body": _json,
    "bar_code image_url qr_code": _image_url,
    "birthdate birthday expires_at": _date,
    "code voucher_code": _ident("", 8),
    "customer_name name": _name,
    "customer_source_id email user_email": _email,
    "discount_amount_limit gift_amount loyalty_balance": _integer_or_none(100, 9_000),
    "discount_unit_type product_id": _ident("prod_"),
    "gift_balance value": _decimal(5_000),
    "loyalty_points points": _integer(0, 500),
    "address_city": _one_of("Kraków", "München", "New York", "São Paulo", "Washington, D.C."),
    "address_country": _one_of("Poland", "Germany", "Côte d'Ivoire", "Korea, Republic of"),
    "address_line_1": _street,
    "address_line_2": _one_of("", "", "c/o Müller", "3rd floor, left"),
    "address_postal_code": _integer(10_000, 99_999),
    "address_state": _one_of("", "NY", "Bayern", "małopolskie"),
    "campaign": _one_of("Summer Sale", "Back to School, 2025", 'The "Big" One', "Święta"),
    "campaign_id": _ident("camp_"),
    "category": _one_of("", "Loyal", "New customers"),
    "channel": _one_of("API", "WEBSITE", "EMAIL"),
    "currency": _one_of("EUR", "PLN", "USD"),
    "customer_id": _ident("cust_"),
    "discount_effect": _one_of("", "APPLY_TO_ORDER", "APPLY_TO_ITEMS"),
    "discount_type": _one_of("", "PERCENT", "AMOUNT", "UNIT"),
    "discount_unit_effect": _one_of("", "ADD_MISSING_ITEMS", "ADD_NEW_ITEMS"),
    "endpoint": _one_of("/v1/vouchers", "/v1/redemptions", "/v1/customers"),
    "failure_code": _one_of("", "", "customer_rules_violated", "voucher_expired"),
    "failure_message": _one_of("", "", "Customer is not allowed, or unknown", 'Voucher "expired"'),
    "formula": _one_of("", "PRICE * 0.5"),
    "metadata.season": _one_of("summer", "winter", "été"),
    "method": _one_of("GET", "POST", "PUT", "DELETE"),
    "object": _one_of("redemption", "redemption", "redemption_rollback"),
    "order_id": _ident("ord_"),
    "phone": _phone,
    "promotion_tier_id": _one_of("", "promo_63fYCt81Aw0h7lzyRkrGZh9p"),
    "redemption_quantity": _integer_or_none(1, 10),
    "referrer_id": _one_of("", "cust_eWgXlBBiY6THFRJwX45Iakv4"),
    "related_transaction_id": _one_of("", "vtx_0cb7811f1c07765800"),
    "request_duration": _integer(3, 900),
    "request_id": Draws.request_id,
    "result": _one_of("SUCCESS", "SUCCESS", "SUCCESS", "FAILURE"),
    "sku": _one_of("T-shirt, small", "T-shirt, large", 'Screen 24"'),
    "source": _one_of("API", "voucherify-web-ui", "AUTOMATION"),
    "source_id": _ident("source_", 12),
    "status": _one_of("CREATED", "PAID", "CANCELED", "FULFILLED"),
    "tracking_id": _ident("track_"),
    "type": _one_of("CREDITS_REDEMPTION", "CREDITS_ADDITION", "POINTS_ACCRUAL", "POINTS_REDEMPTION"),
    "url": _one_of("https://api.voucherify.io/v1/vouchers?limit=10", "https://api.voucherify.io/v1/orders"),
    "validation_rules_id": _ident("val_", 12),
    "validity_day_of_week": _one_of("", "1,2,3,4,5", "0,6"),
    "validity_timeframe_duration": _one_of("", "PT1H", "P1D"),
    "validity_timeframe_interval": _one_of("", "P2D", "P1W"),
    "voucher_id": _ident("v_", 32),
    "voucher_type": _one_of("GIFT_VOUCHER", "DISCOUNT_VOUCHER", "LOYALTY_CARD"),
}

_CELLS = {column: cell for together, cell in _CELLS_OF_COLUMNS.items() for column in together.split()}

_SPECIAL_CELLS: dict[tuple[str, str], Cell] = {
    ("voucher", "id"): _ident("v_", 32),
    ("redemption", "id"): _ident("r_"),
    ("customer", "id"): _ident("cust_"),
    ("order", "id"): _ident("ord_"),
    ("points_expiration", "id"): _ident("lopb_"),
    ("points_expiration", "status"): _one_of("ACTIVE", "EXPIRED"),
    ("voucher_transactions", "id"): _ident("vtx_", 18),
    ("voucher_transactions", "status"): _one_of("", "SUCCEEDED"),
    ("product", "id"): _ident("prod_"),
    ("product", "name"): _one_of("T-shirt", 'Screen 24"', "Crème brûlée, 6 pcs"),
    ("sku", "id"): _ident("sku_"),
    ("api_log", "id"): _ident("apilog_"),
    ("api_log", "status"): _one_of("200", "200", "404", "429"),
}
