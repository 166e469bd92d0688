"""The calls that create exports: a part of the client."""

from collections.abc import Iterable, Mapping
from typing import Unpack

from ..filters import Filters
from ..models import Export
from .endpoints import Endpoints
from .parameters import ExportOptions, name_of, payload_of
from .wire import quoted_id


class Creates:
    """One method for each endpoint that creates an export."""

    _api: Endpoints

    async def create_export(
        self,
        exported_object: str,
        *,
        fields: Iterable[str] | None = None,
        order: str | None = None,
        filters: Filters | Mapping[str, object] | None = None,
        campaign_id: str | None = None,
        strict: bool = True,
    ) -> Export:
        """Create an export, which Voucherify then works on: wait for it with `wait_until_done`.

        `exported_object` is an `ExportedObject` or its name. Without `fields` Voucherify chooses them;
        `filters` are written with `where` and `any_of`, or as the API has them; `campaign_id` goes with
        vouchers. All are checked against `voucherify_exports.catalog` first, which `strict=False` skips.

        Raises `ValueError` for what the catalog does not know, `CreateUncertainError` when the request
        was sent and its answer lost: it is never sent twice.

        >>> export = await client.create_export(
        ...     "voucher", fields=["code", "value"], filters=where(code=contains("SUMMER"))
        ... )
        """
        name = name_of(exported_object, "an exported object")
        body = payload_of(
            name,
            fields=fields,
            order=order,
            filters=filters,
            campaign_id=campaign_id,
            strict=strict,
        )
        return await self._api.create("/v1/exports", {"exported_object": name, **body})

    async def create_order_export(self, **options: Unpack[ExportOptions]) -> Export:
        """Create an export of orders; `options` as for `create_export`."""
        return await self._create("order", "/v1/orders/export", options)

    async def create_voucher_transactions_export(self, code: str, **options: Unpack[ExportOptions]) -> Export:
        """Create an export of the transactions of one voucher; `options` as for `create_export`."""
        path = f"/v1/vouchers/{quoted_id(code, 'a voucher code', 'SUMMER-2026')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    async def create_campaign_transactions_export(
        self, campaign_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of the transactions of a campaign; `options` as for `create_export`."""
        path = f"/v1/campaigns/{quoted_id(campaign_id, 'a campaign id', 'camp_…')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    async def create_member_transactions_export(
        self, member_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of a loyalty member's transactions; `options` as for `create_export`."""
        path = f"/v1/loyalties/members/{quoted_id(member_id, 'a member id', 'v_…')}/transactions/export"
        return await self._create("voucher_transactions", path, options)

    async def create_points_expiration_export(
        self, campaign_id: str, **options: Unpack[ExportOptions]
    ) -> Export:
        """Create an export of when a campaign's points expire; `options` as for `create_export`."""
        path = f"/v1/loyalties/{quoted_id(campaign_id, 'a campaign id', 'camp_…')}/points-expiration/export"
        return await self._create("points_expiration", path, options)

    async def _create(self, exported_object: str, path: str, options: ExportOptions) -> Export:
        return await self._api.create(path, payload_of(exported_object, **options))
