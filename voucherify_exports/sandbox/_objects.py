"""What can be exported: the fields of each object and the title of each column."""

from __future__ import annotations

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

_WITHOUT_METADATA = {"points_expiration", "voucher_transactions", "api_log"}

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


def is_field(exported_object: str, name: str) -> bool:
    """Tell whether a field can be asked for; `metadata.<name>` is one property of the metadata."""
    if name.partition(".")[0] == "metadata" and name != "metadata.":
        return exported_object not in _WITHOUT_METADATA
    return name in FIELDS[exported_object]


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
