"""What can be exported: fields, default fields, orders and filters of every exported object.

Sources: Voucherify's OpenAPI document for exports (names) and "Create Export" (default fields, examples);
for API logs the release note "Export API logs". Whatever else is uncertain says so beside it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from attrs import frozen

from .models import ExportedObject


class ColumnType(StrEnum):
    """What the cells of a column hold; any cell may be empty."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    JSON = "json"


@frozen(kw_only=True)
class CatalogField:
    """One field of an exported object, and the column that it becomes.

    `title` is what stands over the column, `None` where nobody has published it. `selectable` is false
    for a field that Voucherify lists among the default ones, but not among those that can be asked for.
    """

    name: str
    type: ColumnType
    title: str | None = None
    selectable: bool = True


@frozen(kw_only=True)
class CatalogFilter:
    """One filter of an exported object, and the operators that it takes."""

    name: str
    operators: tuple[str, ...]


@frozen(kw_only=True)
class CatalogEntry:
    """What Voucherify tells of one exported object.

    `default_fields` are the fields of an export that names none, empty where they are not documented.
    Names that begin with one of the prefixes, such as `metadata.`, can be fields or filters as well.
    """

    exported_object: ExportedObject
    fields: tuple[CatalogField, ...]
    default_fields: tuple[str, ...]
    orders: tuple[str, ...]
    filters: tuple[CatalogFilter, ...]
    field_prefixes: tuple[str, ...]
    filter_prefixes: tuple[str, ...]
    extra_parameters: tuple[str, ...]

    def find_field(self, name: str) -> CatalogField | None:
        """The field of this name, also one like `metadata.city`, which is text; `None` for no field."""
        if _is_open(name, self.field_prefixes):
            return CatalogField(name=name, type=ColumnType.TEXT)
        return next((field for field in self.fields if field.name == name), None)

    def find_filter(self, name: str) -> CatalogFilter | None:
        """The filter of this name, also one like `metadata.city`; `None` for no filter."""
        if _is_open(name, self.filter_prefixes):
            return CatalogFilter(name=name, operators=OPERATORS)
        return next((known for known in self.filters if known.name == name), None)


def _is_open(name: str, prefixes: Iterable[str]) -> bool:
    return any(name.startswith(prefix) and name != prefix for prefix in prefixes)


# The schema's operators. The message of a 400 lists 45 more, such as $today, of which nothing else is known.
_ANY = """
    $in $not_in $is $is_days_ago $is_days_in_future $is_not $has_value $is_unknown $contains $not_contain
    $starts_with $ends_with $more_than $less_than $more_than_ago $less_than_ago $more_than_future
    $less_than_future $more_than_equal $less_than_equal $after $before $count $count_less $count_more"""
OPERATORS = tuple(_ANY.split())
"""The operators that conditions can have."""

# The schema has the small ones; Voucherify's own answers and its JavaScript SDK have the others too.
_JUNCTIONS = ("and", "or", "AND", "OR")

_TYPES = {
    name: kind
    for kind, names in {
        ColumnType.BOOLEAN: "active is_referral_code is_winner",  # is_winner by its name only
        # The reference calls expires_at a timestamp, and its example is the date 2022-06-30.
        ColumnType.DATE: "birthdate birthday expires_at",
        # Voucher values look like 2000.00 or 0. The form of the others is open: amounts of gift cards and
        # transactions, prices, durations; an average may have a fraction.
        ColumnType.DECIMAL: """
            value gift_balance discount_amount_limit gift_amount balance orders_average_amount price
            request_duration""",
        # Amounts of orders are in hundredths.
        ColumnType.INTEGER: """
            amount discount_amount items_discount_amount total_discount_amount total_amount order_amount
            orders_total_amount orders_last_order_amount orders_total_count
            redemption_quantity redemption_count redemptions_total_redeemed redemptions_total_failed
            redemptions_total_succeeded redemptions_total_rolled_back redemptions_total_rollback_failed
            redemptions_total_rollback_succeeded
            loyalty_balance loyalty_points loyalty_referred_customers points""",
        # Documented for details. The others are JSON in the API, and their form in a file is open;
        # metadata becomes a column for each of its properties.
        ColumnType.JSON: "details attributes metadata request_body response_body",
        ColumnType.TIMESTAMP: """
            created_at updated_at date start_date expiration_date orders_last_order_date""",
    }.items()
    for name in names.split()
}

# The first four stand in the reference's example of a file, the others in a table that somebody's pipeline
# makes of such files.
_VOUCHER_TITLES = {
    "id": "ID",
    "code": "Code",
    "voucher_type": "Voucher Type",
    "value": "Value",
    "loyalty_balance": "Loyalty Card Balance",
    "redemption_quantity": "Redemption Limit",
    "bar_code": "Barcode",
    "created_at": "Creation Date",
    "updated_at": "Last Update Date",
}


def _entry(
    exported_object: ExportedObject,
    *,
    fields: str,
    default_fields: str = "",
    sortable: str,
    filters: Mapping[str, str],
    field_prefixes: str = "",
    filter_prefixes: str = "",
    extra_parameters: str = "",
    types: Mapping[str, ColumnType] = _TYPES,
    titles: Mapping[str, str] = MappingProxyType({}),
) -> CatalogEntry:
    """An entry from names with spaces between them; `filters` has the names by their operators."""
    selectable, default = fields.split(), default_fields.split()
    return CatalogEntry(
        exported_object=exported_object,
        fields=tuple(
            CatalogField(
                name=name,
                type=types.get(name, ColumnType.TEXT),
                title=titles.get(name),
                selectable=name in selectable,
            )
            for name in dict.fromkeys(selectable + default)
        ),
        default_fields=tuple(default),
        orders=tuple(sign + name for name in sortable.split() for sign in ("", "-")),
        filters=tuple(
            CatalogFilter(name=name, operators=tuple(operators.split()))
            for operators, names in filters.items()
            for name in names.split()
        ),
        field_prefixes=tuple(field_prefixes.split()),
        filter_prefixes=tuple(filter_prefixes.split()),
        extra_parameters=tuple(extra_parameters.split()),
    )


_ENTRIES = (
    _entry(
        ExportedObject.VOUCHER,
        # formula, discount_effect and validation_rules_id are in the schema, not in the table of fields.
        fields="""
            id code voucher_type value formula discount_type campaign category start_date expiration_date
            gift_balance loyalty_balance redemption_quantity redemption_count active qr_code bar_code metadata
            is_referral_code created_at updated_at validity_timeframe_interval validity_timeframe_duration
            validity_day_of_week discount_amount_limit campaign_id additional_info customer_id discount_effect
            discount_unit_type discount_unit_effect validation_rules_id customer_source_id""",
        default_fields="code voucher_type value discount_type",
        sortable="created_at updated_at code",
        filters={
            _ANY: """
                created_at updated_at created_date active redemption_status start_date expiration_date
                validity_day_of_week code categories category_ids vouchers holder_id is_referral_code
                published_for_customer_id validity_timeframe"""
        },
        field_prefixes="metadata.",
        filter_prefixes="metadata. redemption.",
        extra_parameters="campaign_id",
        titles=_VOUCHER_TITLES,
    ),
    _entry(
        ExportedObject.REDEMPTION,
        # order_id is in the schema, not in the table of fields, and not in the message of a 400.
        fields="""
            id object date voucher_code campaign promotion_tier_id customer_id customer_source_id
            customer_name tracking_id order_id order_amount gift_amount loyalty_points result failure_code
            failure_message metadata""",
        default_fields="id object voucher_code customer_id date result",
        sortable="id voucher_code tracking_id customer_id created_at",
        filters={
            "$after $before": "created_at",
            "$is": "campaign customer voucher",
            "$in": "related_object",
            _ANY: """
                voucher_code related_object_id related_object_parent_id parent_redemption_id failure_code
                result object customer_id campaign_name user_login status""",
        },
        field_prefixes="metadata.",
        filter_prefixes="metadata.",
    ),
    _entry(
        ExportedObject.PUBLICATION,
        fields="voucher_code customer_id customer_source_id date channel campaign is_winner metadata",
        # code is no field of the schema; voucher_code may be meant.
        default_fields="code customer_id date channel",
        sortable="id voucher_code tracking_id customer_id created_at channel",
        filters={
            "$after $before": "created_at",
            "$is": "campaign customer voucher",
            _ANY: """
                failure_code result customer_id campaign_name voucher_type is_referral_code parent_object_id
                related_object_id source_id""",
        },
        field_prefixes="metadata.",
        filter_prefixes="metadata.",
    ),
    _entry(
        ExportedObject.CUSTOMER,
        fields="""
            name id description email source_id created_at address_city address_state address_line_1
            address_line_2 address_country address_postal_code redemptions_total_redeemed
            redemptions_total_failed redemptions_total_succeeded redemptions_total_rolled_back
            redemptions_total_rollback_failed redemptions_total_rollback_succeeded orders_total_amount
            orders_total_count orders_average_amount orders_last_order_amount orders_last_order_date
            loyalty_points loyalty_referred_customers updated_at phone birthday metadata birthdate""",
        default_fields="name source_id",
        sortable="name id email source_id created_at updated_at",
        filters={
            "$after $before": "created_at",
            "$after $before $is": "updated_at",
            "$is": "city",
            _ANY: """
                email name phone birthday source_id publications.created_at
                publications.related_object_id""",
        },
        field_prefixes="metadata.",
        filter_prefixes="metadata. address. summary. loyalty. loyalty_tier. loyalty_points. system_metadata.",
    ),
    _entry(
        ExportedObject.ORDER,
        fields="""
            id source_id created_at updated_at status amount discount_amount items_discount_amount
            total_discount_amount total_amount customer_id referrer_id metadata""",
        default_fields="id source_id status",
        sortable="created_at updated_at status",
        filters={
            "$after $before": "created_at updated_at",
            _ANY: """
                status source_id amount total_amount discount_amount total_discount_amount
                items_discount_amount""",
        },
        field_prefixes="metadata.",
        filter_prefixes="metadata.",
    ),
    _entry(
        ExportedObject.POINTS_EXPIRATION,
        fields="id campaign_id voucher_id points status expires_at",
        default_fields="id campaign_id voucher_id status expires_at points",
        sortable="expires_at",
        filters={_ANY: "campaign_id voucher_id"},
    ),
    _entry(
        ExportedObject.VOUCHER_TRANSACTIONS,
        fields="""
            id campaign_id voucher_id type source_id reason source balance amount related_transaction_id
            created_at details""",
        # status is no field of the schema.
        default_fields="id type source_id status reason source balance amount created_at",
        sortable="created_at",
        filters={_ANY: "created_at voucher_id campaign_id"},
        types={**_TYPES, "amount": ColumnType.DECIMAL},  # like balance: of a gift card, or in points
    ),
    # No schema exists of products and SKUs, only their default fields and, in the Python SDK, the orders
    # by sku and product_id. All else of these two is inferred from what the API lets one do with them.
    _entry(
        ExportedObject.PRODUCT,
        fields="id name price image_url source_id attributes metadata created_at updated_at",
        default_fields="id name price image_url source_id attributes created_at",
        sortable="created_at updated_at id source_id name",
        filters={},
        field_prefixes="metadata.",
        filter_prefixes="metadata. attributes.",
    ),
    _entry(
        ExportedObject.SKU,
        fields="""
            id sku product_id currency price image_url source_id attributes metadata created_at
            updated_at""",
        default_fields="id sku product_id currency price image_url source_id attributes created_at",
        sortable="created_at updated_at id source_id sku product_id",
        filters={},
        field_prefixes="metadata.",
        filter_prefixes="metadata. attributes.",
    ),
    _entry(
        ExportedObject.API_LOG,
        fields="""
            id created_at status request_id channel method endpoint url user_email app_id client_app_id
            request_duration request_body response_body""",
        sortable="created_at",
        filters={
            "$after $before": "created_at",
            "$is $is_not": "status",
            "$in $not_in": "channel",
            "$in $not_in $is $is_not": "app_id client_app_id",
        },
    ),
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.exported_object: entry for entry in _ENTRIES})
"""The entries by exported object, a member of `ExportedObject` or its name.

>>> CATALOG["voucher"].default_fields
('code', 'voucher_type', 'value', 'discount_type')
"""


def check_parameters(
    exported_object: str,
    *,
    fields: Collection[str] | None = None,
    order: str | None = None,
    filters: Mapping[str, object] | None = None,
    campaign_id: str | None = None,
) -> None:
    """Check the parameters of an export, `filters` in the API's JSON form, against the catalog.

    Raises `ValueError` that names everything unknown with what is nearest to it, and `TypeError` when
    `fields` is one string.

    >>> check_parameters("publication", fields=["voucher_code", "chanel"])
    Traceback (most recent call last):
    ValueError: publication export: 'chanel' is no field (nearest: channel). ...
    """
    if isinstance(fields, str):
        raise TypeError(f"fields are a list of names: write [{fields!r}]")
    entry = CATALOG.get(exported_object)
    if entry is None:
        what, problems = "export", [_unknown("exported object", exported_object, CATALOG)]
    else:
        what = f"{entry.exported_object} export"
        problems = [
            *_field_problems(entry, fields or ()),
            *_order_problems(entry, order),
            *_filter_problems(entry, filters or {}),
            *_campaign_problems(entry, campaign_id),
        ]
    if problems:
        raise ValueError(
            f"{what}: {'; '.join(problems)}."
            " Voucherify may take more than this version knows of: strict=False sends anything"
        )


def _field_problems(entry: CatalogEntry, names: Iterable[str]) -> Iterator[str]:
    selectable = [field.name for field in entry.fields if field.selectable]
    for name in map(str, names):
        field = entry.find_field(name)
        if field is None:
            yield _unknown("field", name, [*selectable, *_shown(entry.field_prefixes)])
        elif not field.selectable:
            yield f"{name!r} is among the default fields, but not among those that can be asked for"


def _order_problems(entry: CatalogEntry, order: str | None) -> Iterator[str]:
    # Voucherify's own example has an empty order.
    if order and order not in entry.orders:
        yield _unknown("order", order, entry.orders)


def _filter_problems(entry: CatalogEntry, filters: Mapping[str, object]) -> Iterator[str]:
    names = [known.name for known in entry.filters]
    for name, value in filters.items():
        known = entry.find_filter(str(name))
        if name == "junction":
            if value not in _JUNCTIONS:
                yield _unknown("junction", value, _JUNCTIONS)
        elif known is None:
            yield _unknown("filter", name, [*names, *_shown(entry.filter_prefixes)])
        else:
            yield from _operator_problems(known, value)


def _operator_problems(known: CatalogFilter, value: Any) -> Iterator[str]:
    match value:
        case {"conditions": {**conditions}}:
            for operator in conditions:
                if operator not in known.operators:
                    yield _unknown(f"operator of filter {known.name!r}", operator, known.operators)
        case _:
            yield f"the filter {known.name!r} is not of the form {{'conditions': {{'$is': […]}}}}"


def _campaign_problems(entry: CatalogEntry, campaign_id: str | None) -> Iterator[str]:
    if campaign_id is not None and "campaign_id" not in entry.extra_parameters:
        takers = [name for name, other in CATALOG.items() if "campaign_id" in other.extra_parameters]
        yield f"a campaign_id goes with {' and '.join(takers)} exports only"


def _shown(prefixes: Iterable[str]) -> list[str]:
    return [f"{prefix}*" for prefix in prefixes]


def _unknown(kind: str, name: object, known: Collection[str]) -> str:
    nearest = get_close_matches(str(name), known)
    hint = f"nearest: {', '.join(nearest)}" if nearest else f"known: {', '.join(known) or 'none'}"
    return f"{str(name)!r} is no {kind} ({hint})"
