"""What can be exported: the fields of each object and the title of each column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIELDS: dict[str, tuple[str, ...]] = {
    name: tuple(fields.split())
    for name, fields in {
        "voucher": """
            code voucher_type value formula discount_type campaign category start_date expiration_date
            gift_balance loyalty_balance redemption_quantity redemption_count active qr_code bar_code metadata
            id is_referral_code created_at updated_at validity_timeframe_interval validity_timeframe_duration
            validity_day_of_week discount_amount_limit campaign_id additional_info customer_id discount_effect
            discount_unit_type discount_unit_effect validation_rules_id customer_source_id""",
        "redemption": """
            id object date voucher_code campaign promotion_tier_id customer_id customer_source_id
            customer_name tracking_id order_id order_amount gift_amount loyalty_points result failure_code
            failure_message metadata""",
        "publication": """
            voucher_code customer_id customer_source_id date channel campaign is_winner metadata""",
        "customer": """
            name id description email source_id created_at address_city address_state address_line_1
            address_line_2 address_country address_postal_code redemptions_total_redeemed
            redemptions_total_failed redemptions_total_succeeded redemptions_total_rolled_back
            redemptions_total_rollback_failed redemptions_total_rollback_succeeded orders_total_amount
            orders_total_count orders_average_amount orders_last_order_amount orders_last_order_date
            loyalty_points loyalty_referred_customers updated_at phone birthday metadata birthdate""",
        "order": """
            id source_id created_at updated_at status amount discount_amount items_discount_amount
            total_discount_amount total_amount customer_id referrer_id metadata""",
        "points_expiration": """
            id campaign_id voucher_id points status expires_at""",
        "voucher_transactions": """
            id campaign_id voucher_id type source_id reason source balance amount related_transaction_id
            created_at details""",
        "product": """
            id name price image_url source_id attributes created_at""",
        "sku": """
            id sku product_id currency price image_url source_id attributes created_at""",
        "api_log": """
            id created_at status request_id channel method endpoint url user_email app_id client_app_id
            request_duration request_body response_body""",
    }.items()
}

_DEFAULT_FIELDS: dict[str, tuple[str, ...]] = {
    "voucher": ("code", "voucher_type", "value", "discount_type"),
    "redemption": ("id", "object", "voucher_code", "customer_id", "date", "result"),
    "publication": ("code", "customer_id", "date", "channel"),
    "customer": ("name", "source_id"),
    "order": ("id", "source_id", "status"),
    "points_expiration": ("id", "campaign_id", "voucher_id", "status", "expires_at", "points"),
    "voucher_transactions": (
        *("id", "type", "source_id", "status", "reason"),
        *("source", "balance", "amount", "created_at"),
    ),
    "api_log": ("id", "created_at", "status", "method", "endpoint"),
}

ORDERS: dict[str, tuple[str, ...]] = {
    name: tuple(orders.split())
    for name, orders in {
        "voucher": "created_at updated_at code",
        "redemption": "id voucher_code tracking_id customer_id created_at",
        "publication": "id voucher_code tracking_id customer_id created_at channel",
        "customer": "name id email source_id created_at updated_at",
        "order": "created_at updated_at status",
        "points_expiration": "expires_at",
        "voucher_transactions": "created_at",
        "product": "created_at updated_at id source_id name",
        "sku": "created_at updated_at id source_id product_id sku",
        "api_log": "created_at",
    }.items()
}
"""What the rows can be ordered by, each also with a dash before it."""

FILTERS: dict[str, frozenset[str]] = {
    name: frozenset(filters.split())
    for name, filters in {
        "voucher": """
            created_at updated_at created_date active redemption_status start_date expiration_date
            validity_day_of_week code categories vouchers holder_id is_referral_code
            published_for_customer_id validity_timeframe category_ids""",
        "redemption": """
            created_at campaign customer voucher related_object voucher_code related_object_id
            related_object_parent_id parent_redemption_id failure_code result object customer_id
            campaign_name user_login status""",
        "publication": """
            created_at campaign customer voucher failure_code result customer_id campaign_name
            voucher_type is_referral_code parent_object_id related_object_id source_id""",
        "customer": """
            created_at updated_at email name city phone birthday source_id publications.created_at
            publications.related_object_id""",
        "order": """
            created_at updated_at status source_id amount total_amount discount_amount
            total_discount_amount items_discount_amount""",
        "points_expiration": "campaign_id voucher_id",
        "voucher_transactions": "created_at voucher_id campaign_id",
        "product": "created_at updated_at id name price source_id",
        "sku": "created_at updated_at id sku product_id price currency source_id",
        "api_log": "created_at status channel app_id client_app_id",
    }.items()
}

FILTER_PREFIXES: dict[str, tuple[str, ...]] = {
    "voucher": ("metadata.", "redemption."),
    "redemption": ("metadata.",),
    "publication": ("metadata.",),
    "customer": (
        *("metadata.", "address.", "summary.", "loyalty.", "loyalty_tier.", "loyalty_points."),
        "system_metadata.",
    ),
    "order": ("metadata.",),
    "product": ("metadata.", "attributes."),
    "sku": ("metadata.", "attributes."),
}

_COLUMNS = {
    ("redemption", "created_at"): "date",
    ("redemption", "campaign_name"): "campaign",
    ("publication", "created_at"): "date",
    ("publication", "campaign_name"): "campaign",
    ("customer", "city"): "address_city",
    ("voucher", "holder_id"): "customer_id",
}

WITHOUT_METADATA = {"points_expiration", "voucher_transactions", "api_log"}

_METADATA_COLUMNS = ("metadata.season", "metadata.store")

_TITLES = {
    "id": "ID",
    "loyalty_balance": "Loyalty Card Balance",
    "redemption_quantity": "Redemption Limit",
    "bar_code": "Barcode",
    "created_at": "Creation Date",
    "updated_at": "Last Update Date",
}


def default_fields(exported_object: str) -> tuple[str, ...]:
    """Return the fields of an export that names none."""
    return _DEFAULT_FIELDS.get(exported_object, FIELDS[exported_object])


_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # which JSON can hold, and a file cannot


def is_field(exported_object: str, name: str) -> bool:
    """Tell whether a field can be asked for; `metadata.<name>` is one property of the metadata."""
    if name.partition(".")[0] == "metadata" and name != "metadata.":
        return exported_object not in WITHOUT_METADATA and not _HALF_CHARACTER.search(name)
    return name in FIELDS[exported_object]


def is_filter(exported_object: str, name: str) -> bool:
    """Tell whether rows can be filtered by a name."""
    if name.startswith(FILTER_PREFIXES.get(exported_object, ())):
        return not _HALF_CHARACTER.search(name)
    return name in FILTERS[exported_object]


def column_of(exported_object: str, name: str) -> str | None:
    """Return the column that a filter or an order means, if it means one."""
    if (exported_object, name) in _COLUMNS:
        return _COLUMNS[exported_object, name]
    is_column = name in FIELDS[exported_object] or name in ORDERS[exported_object]
    return name if is_column or name.startswith("metadata.") else None


def columns(fields: Iterable[str]) -> Iterator[str]:
    """Yield the fields with `metadata` spread over one column per property."""
    for name in fields:
        if name == "metadata":
            yield from _METADATA_COLUMNS
        else:
            yield name


def title(column: str) -> str:
    """Return the title that stands over a column."""
    kind, dot, property_name = column.partition(".")
    if dot:
        return property_name
    return _TITLES.get(kind, kind.replace("_", " ").title())
