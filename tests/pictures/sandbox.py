"""Take the picture of the sandbox's page, docs/sandbox.png: needs Chromium."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import aiohttp

from voucherify_exports import Sandbox

PICTURE = Path(__file__).parents[2] / "docs/sandbox.png"
SIZE = "1100,1020"


def fill(sandbox: Sandbox, now: float) -> str:
    """Add exports in every status, and faults; return the id of the finished one."""
    done = sandbox.add_export("customer", rows=12_000, created_at=now - 300)
    sandbox.add_export("voucher", outcome="ERROR", created_at=now - 60)
    sandbox.add_export("order", rows=2_500_000, created_at=now - 25)
    for kind, rows, age in (("redemption", 100, 12), ("publication", 40, 6), ("points_expiration", 0, 1)):
        sandbox.add_export(kind, rows=rows, created_at=now - age)
    sandbox.fail(method="GET", path="/v1/exports/*", status=503, times=2, probability=0.2)
    sandbox.fail(download=True, reset="body", after=65_536, times=None)
    return done


async def request(sandbox: Sandbox, done: str) -> None:
    keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    async with aiohttp.ClientSession(sandbox.url, headers=keys) as session:
        calls = [
            ("GET", f"/v1/exports/{done}"),
            ("GET", "/v1/exports"),
            ("DELETE", "/v1/exports/exp_none"),
        ]
        for method, path in calls:
            async with session.request(method, path):
                pass
        async with session.post("/v1/exports", json={"exported_object": "sku"}):
            pass


async def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed")
    async with Sandbox(
        download_host="127.0.0.2", scheduled_for=15, in_progress_for=20, rate_limit=(100, 60), seed=7
    ) as sandbox:
        done = fill(sandbox, time.time())
        await request(sandbox, done)
        with tempfile.TemporaryDirectory() as profile:
            arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            browser = await asyncio.create_subprocess_exec(
                chromium,
                *arguments,
                f"--user-data-dir={profile}",
                f"--window-size={SIZE}",
                f"--screenshot={PICTURE}",
                f"{sandbox.url}/_sandbox/",
                stderr=asyncio.subprocess.DEVNULL,
            )
            await browser.wait()


asyncio.run(main())
