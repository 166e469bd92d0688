"""Typical uses, never run: mypy and pyright check that they need no cast and no ignore."""

import asyncio
from datetime import datetime
from typing import assert_type

import aiohttp
from tenacity import wait_fixed, wait_random
from yarl import URL

from voucherify_exports import (
    BearerToken,
    Event,
    Export,
    ExportFailedError,
    ExportsClient,
    ExportStatus,
    PollPolicy,
    RateLimitedError,
    RetryPolicy,
    Sandbox,
    StatusChanged,
    VoucherifyExportsError,
    WaitTimeoutError,
)


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


async def offline() -> None:
    async with Sandbox(rate_limit=(100, 60)) as sandbox:
        export_id = sandbox.add_export("voucher", rows=10, outcome="ERROR")
        async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
            assert_type(await client.get_export(export_id), Export)
