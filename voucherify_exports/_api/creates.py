"""The calls that create exports: a part of the client."""

import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast

from ..catalog import check_fields, check_parameters
from ..filters import Filters, filters_to_wire
from ..models import Export
from .endpoints import Endpoints
from .settings import check_options
from .wire import quoted_id

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


class ExportOptions(TypedDict, total=False):
    """The options of every create, for annotations: `**options: Unpack[ExportOptions]`.

    - `fields`: the names of the fields to export. Without them Voucherify chooses.
    - `order`: the field to sort by, with a dash before it for descending order.
    - `filters`: which rows to export, written with `where` and `any_of`, or in the API's JSON form.
    - `check_catalog`: whether to check the other options against `voucherify_exports.catalog` first.
    - `strict`: the deprecated name of `check_catalog`.
    """

    fields: Iterable[str] | None
    order: str | None
    filters: Filters | Mapping[str, object] | None
    check_catalog: bool
    strict: bool  # type checkers accept it without a warning: a key cannot be marked as deprecated


def accepts_strict(
    create: Callable[_Args, Coroutine[Any, Any, _Result]],
) -> Callable[_Args, Coroutine[Any, Any, _Result]]:
    """Let a create accept `strict`, the deprecated name of its option `check_catalog`."""

    @wraps(create)
    async def call(*args: _Args.args, **options: _Args.kwargs) -> _Result:
        if "strict" in options:
            if "check_catalog" in options:
                raise TypeError("check_catalog and strict are the same option: give check_catalog only")
            # This points to the await; in a task of its own, such as those of gather, to asyncio.
            warnings.warn("strict is deprecated: use check_catalog", DeprecationWarning, stacklevel=2)
            options["check_catalog"] = options.pop("strict")
        return await create(*args, **options)

    return call


class Creates:
    """One method for each endpoint that creates an export."""

    _api: Endpoints

    @accepts_strict
    async def create_export(
        self,
        exported_object: str,
        *,
        fields: Iterable[str] | None = None,
        order: str | None = None,
        filters: Filters | Mapping[str, object] | None = None,
        campaign_id: str | None = None,
        check_catalog: bool = True,
        strict: bool = True,
    ) -> Export:
        """Create an export, and return it as Voucherify scheduled it: `wait_until_done` waits for it.

        `exported_object` is an `ExportedObject` or its name. Without `fields` Voucherify chooses them.
        `filters` are written with `where` and `any_of`, or in the API's JSON form. `campaign_id` restricts
        an export of vouchers to one campaign. All are checked against `voucherify_exports.catalog` before
        anything is sent; `check_catalog=False` skips that. `strict` is the deprecated name of this option.

        Raises `ValueError` for what the catalog does not know, and `CreateUncertainError` when the request
        was sent and the response was lost. It is sent again only if it certainly did not arrive.

        >>> export = await client.create_export(
        ...     "voucher", fields=["code", "value"], filters=where(code=contains("SUMMER"))
        ... )
        """
        name = name_of(exported_object, "an exported object")
        body = payload_of(
            name,
            campaign_id=campaign_id,
            fields=fields,
            order=order,
            filters=filters,
            check_catalog=check_catalog,
        )
        return await self._api.create("/v1/exports", {"exported_object": name, **body})

    @accepts_strict
    async def create_order_export(self, **options: Unpack[ExportOptions]) -> Export:
        """Create an export of orders; `options` as for `create_export`."""
        return await self._create("order", "/v1/orders/export", options)

    @accepts_strict
    async def create_voucher_transactions_export(self, code: str, **options: Unpack[ExportOptions]) -> Export:
        """Create an export of the transactions of one voucher; `options` as for `create_export`."""
        path = f"/v1/vouchers/{quoted_id(code, 'a voucher code', 'SUMMER-2026')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    @accepts_strict
    async def create_campaign_transactions_export(
        self, campaign_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of the transactions of a campaign; `options` as for `create_export`."""
        path = f"/v1/campaigns/{quoted_id(campaign_id, 'a campaign id', 'camp_…')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    @accepts_strict
    async def create_member_transactions_export(
        self, member_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of the transactions of a loyalty member; `options` as for `create_export`."""
        path = f"/v1/loyalties/members/{quoted_id(member_id, 'a member id', 'v_…')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    @accepts_strict
    async def create_points_expiration_export(
        self, campaign_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of the expiring points of a campaign; `options` as for `create_export`."""
        path = f"/v1/loyalties/{quoted_id(campaign_id, 'a campaign id', 'camp_…')}/points-expiration/export"
        return await self._create("points_expiration", path, options)

    async def _create(self, exported_object: str, path: str, options: ExportOptions) -> Export:
        check_options(options, ExportOptions)
        # Without `strict`, which `accepts_strict` has replaced.
        return await self._api.create(path, payload_of(exported_object, **cast("dict[str, Any]", options)))


def payload_of(
    exported_object: str,
    *,
    fields: Iterable[str] | None = None,
    order: str | None = None,
    filters: Filters | Mapping[str, object] | None = None,
    campaign_id: str | None = None,
    check_catalog: bool = True,
) -> dict[str, Any]:
    """The body of a create, which contains only what is given."""
    check_fields(fields)
    given: dict[str, Any] = {
        "order": None if order is None else name_of(order, "order"),
        "fields": None if fields is None else [name_of(name, "a field") for name in fields],
        "filters": None if filters is None else filters_to_wire(filters),
        "campaign_id": None if campaign_id is None else name_of(campaign_id, "campaign_id"),
    }
    if check_catalog:
        check_parameters(exported_object, **given)
    parameters = {name: value for name, value in given.items() if value is not None}
    return {"parameters": parameters} if parameters else {}


def name_of(value: object, what: str) -> str:
    """The name as a plain `str`, also of a member of an enum."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    return str.__str__(value)
