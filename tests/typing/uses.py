"""Typical uses, never run: mypy and pyright check that they need no cast and no ignore."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type

import aiohttp
import pandas as pd
import polars as pl
import pyarrow as pa
from tenacity import wait_fixed, wait_random
from yarl import URL

from voucherify_exports import (
    AppKeys,
    Auth,
    BearerToken,
    ClientOptions,
    ColumnType,
    Condition,
    CreateUncertainError,
    DownloadError,
    Event,
    Export,
    ExportedObject,
    ExportFailedError,
    ExportNotFoundError,
    ExportPage,
    ExportsClient,
    ExportStatus,
    Filters,
    OAuth,
    PollPolicy,
    RateLimitedError,
    RenewableAuth,
    RetryPolicy,
    Sandbox,
    StatusChanged,
    VoucherifyExportsError,
    WaitTimeoutError,
    after,
    any_of,
    before,
    contains,
    count_more,
    has_value,
    in_,
    is_,
    more_than,
    where,
)
from voucherify_exports.catalog import CATALOG, CatalogEntry, CatalogField, check_parameters
from voucherify_exports.sandbox import Fault


def show(event: Event) -> None:
    match event:
        case StatusChanged(export_id=export_id, status=ExportStatus.DONE):
            print(export_id)
        case _:
            print(event)


async def one(export_id: str) -> str | None:
    async with ExportsClient("app id", "app token", cluster="us1.api", on_event=show) as client:
        export = await client.wait_until_done(export_id, timeout=None, on_update=print)
        assert_type(export, Export)
        assert_type(export.created_at, datetime)
        return export.result_url


async def many(client: ExportsClient, export_ids: list[str]) -> list[Export]:
    outcomes = await asyncio.gather(
        *(client.wait_until_done(export_id) for export_id in export_ids), return_exceptions=True
    )
    assert_type(outcomes, list[Export | BaseException])
    return await asyncio.gather(*map(client.get_export, export_ids))


async def errors(client: ExportsClient, export: Export) -> Export | None:
    try:
        return await client.wait_until_done(export, poll=PollPolicy(wait=wait_fixed(3) + wait_random(0, 2)))
    except ExportFailedError as error:
        assert_type(error.export, Export)
    except WaitTimeoutError as error:
        assert_type(error.last_export, Export | None)
        assert_type(error.last_error, VoucherifyExportsError | None)
    except RateLimitedError as error:
        assert_type(error.retry_at, datetime | None)
    return None


async def options(session: aiohttp.ClientSession) -> None:
    client = ExportsClient(
        auth=BearerToken("token"),
        base_url=URL("https://api.voucherify.io"),
        session=session,
        retry=RetryPolicy(attempts=3, wait=wait_fixed(1)),
        poll=PollPolicy(initial=1, max=30),
        poll_share=0.3,
    )
    await client.close()
    ExportsClient.from_env(cluster="as1.api")
    # A typo in the name of an option is an error for mypy and pyright: without these comments they fail.
    ExportsClient.from_env(pol_share=0.3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ExportsClient("id", "token", pol_share=0.3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    given: ClientOptions = {"poll_share": 0.3, "cluster": "us1.api"}
    ExportsClient.from_env("id", "token", **given)


class Vault:
    """Credentials of one's own, from public names alone."""

    def headers(self) -> Mapping[str, str]:
        return {"X-App-Id": "c70a6f00", "X-App-Token": "from-a-vault"}

    def secrets(self) -> Iterable[str]:
        return ["from-a-vault"]


class SealedVault(Vault):
    async def renew(self) -> None: ...


async def vaults() -> None:
    auth: Auth = Vault()
    renewable: RenewableAuth = SealedVault()
    async with ExportsClient(auth=auth), ExportsClient(auth=renewable):
        pass


async def offline() -> None:
    async with Sandbox(rate_limit=(100, 60)) as sandbox:
        export_id = sandbox.add_export("voucher", rows=10, outcome="ERROR")
        sandbox.fail(status=503, times=2)
        sandbox.fail(stauts=503)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a typo is an error
        sandbox.add_fault(Fault.from_json('{"status": 503}'))
        async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
            assert_type(await client.get_export(export_id), Export)


async def listing(client: ExportsClient) -> list[str]:
    page = await client.list_page(2, order="created_at", page_size=50)
    assert_type(page, ExportPage)
    assert_type(page.exports, tuple[Export, ...])
    assert_type(page.total, int)
    exports = client.list_exports(page_size=20)
    assert_type(exports, AsyncGenerator[Export])
    async with aclosing(exports):
        async for export in exports:
            if export.exported_object == ExportedObject.ORDER or export.status == "DONE":
                break
    return [export.id async for export in client.list_exports() if export.is_failed]


async def creating(client: ExportsClient, since: datetime, names: set[str]) -> Export:
    export = await client.create_export(
        ExportedObject.VOUCHER, fields=names, order="-created_at", filters=where(created_at=after(since))
    )
    assert_type(export, Export)
    await client.create_order_export(fields=("id", "status"), filters={"junction": "and"})
    await client.create_voucher_transactions_export("SUMMER-2026", check_catalog=False)
    await client.create_export("voucher", strict=False)  # deprecated
    await client.create_order_export(strict=False)  # deprecated
    return await client.create_points_expiration_export("camp_1")


async def files(client: ExportsClient, export: Export, folder: Path) -> int:
    def show(received: int, total: int | None) -> None:
        print(received, total)

    assert_type(await client.download(export, folder / "a.csv", on_progress=show, resume=False), Path)
    assert_type(await client.export_to("b.csv", "order", fields=["id"], timeout=60, on_update=print), Path)
    size = 0
    try:
        async for piece in client.stream(export.id):
            assert_type(piece, bytes)
            size += len(piece)
    except DownloadError as error:
        assert_type(error.path, Path | None)
        return error.bytes_received
    return size


async def deleting(client: ExportsClient, export: Export) -> bool:
    try:
        await client.delete_export(export.id)
    except ExportNotFoundError as error:
        assert_type(error.resource_id, str | None)
        return False
    return True


def uncertain(error: VoucherifyExportsError) -> str | None:
    match error:
        case CreateUncertainError(attempts=attempts):
            return f"look for it: {attempts}"
        case _:
            return None


def credentials(app_id: str, app_token: str, token: str | None) -> ExportsClient:
    ways: list[Auth] = [
        AppKeys(app_id, app_token),
        OAuth(app_id, app_token),
        OAuth(app_id, app_token, "exports vouchers", revoke_on_close=True),
    ]
    auth = ways[-1] if token is None else BearerToken(token)
    return ExportsClient.from_env(auth=auth)


def filtering(codes: set[str], since: datetime) -> list[Filters]:
    january = after(date(2026, 1, 1)) & before(datetime(2026, 2, 1, tzinfo=UTC))
    assert_type(january, Condition)
    summer = where({"metadata.city": is_("Kraków")}, created_at=january, code=contains("SUMMER"))
    assert_type(summer, Filters)
    either = any_of(code=in_(codes), holder_id=has_value(), value=more_than(9.99), categories=count_more(2))
    later = where(created_at=after(since))
    return [summer, either, later]


def columns(name: str) -> dict[str, type]:
    types = {ColumnType.INTEGER: int, ColumnType.DECIMAL: Decimal, ColumnType.TIMESTAMP: datetime}
    entry = CATALOG[name]
    assert_type(entry, CatalogEntry)
    assert_type(CATALOG[ExportedObject.VOUCHER].find_field("code"), CatalogField | None)
    check_parameters(name, fields=["code", "metadata.city"], order="-created_at")
    return {field.name: types.get(field.type, str) for field in entry.fields}


async def tables(client: ExportsClient, export: Export) -> None:
    assert_type(await client.save(export, "orders.parquet", cells={"names": "header"}), Path)
    assert_type(await client.to_arrow(export, json="parse"), pa.Table)
    assert_type(await client.to_pandas(export, strict=True), pd.DataFrame)
    assert_type(await client.to_polars(export), pl.DataFrame)
    async for row in client.rows(export, names="header"):
        assert_type(row, dict[str, str])
