"""Compare downloads with bare aiohttp, in pairs; measure their memory, and resume after ten kills."""

import asyncio
import hashlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import aiohttp
from files.server import Served, serve
from samples import ID

from voucherify_exports import ExportsClient

CHUNK = 64 * 1024
MIB = 1024 * 1024


async def bare_to_disk(session: aiohttp.ClientSession, served: Served) -> None:
    async with session.get(served.file_url) as response:
        with (served.folder / "bare").open("wb") as file:
            async for chunk in response.content.iter_chunked(CHUNK):
                file.write(chunk)
            os.fsync(file.fileno())


async def bare_stream(session: aiohttp.ClientSession, served: Served) -> None:
    async with session.get(served.file_url) as response:
        assert sum([len(chunk) async for chunk in response.content.iter_chunked(CHUNK)]) == served.size


async def download(client: ExportsClient, served: Served) -> None:
    await client.download(ID, served.folder / "ours")


async def stream(client: ExportsClient, served: Served) -> None:
    assert sum([len(chunk) async for chunk in client.stream(ID)]) == served.size


async def seconds(work: Awaitable[None], served: Served) -> float:
    start = time.perf_counter()
    await work
    elapsed = time.perf_counter() - start
    for name in ("bare", "ours"):  # otherwise the next round would pay for freeing the replaced file
        (served.folder / name).unlink(missing_ok=True)
    return elapsed


async def compare(served: Served, rounds: int) -> None:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        ExportsClient("app-id", "app-token", base_url=served.url) as client,
    ):
        for name, bare, ours in (
            ("to disk", bare_to_disk, download),
            ("stream", bare_stream, stream),
        ):
            pairs = []
            for number in range(rounds):
                if number % 2:
                    mine, theirs = (
                        await seconds(ours(client, served), served),
                        await seconds(bare(session, served), served),
                    )
                else:
                    theirs, mine = (
                        await seconds(bare(session, served), served),
                        await seconds(ours(client, served), served),
                    )
                pairs.append((theirs, mine))
            ratio = statistics.median(theirs / mine for theirs, mine in pairs)
            theirs, mine = (
                served.size / MIB / statistics.median(times) for times in zip(*pairs, strict=True)
            )
            print(f"{name:8} {mine:6.0f} MiB/s, bare aiohttp {theirs:6.0f} MiB/s: {ratio:.2f} x")


def fetching(served: Served, target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "files.fetch", served.url, str(target)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def weigh(served: Served) -> None:
    grown = [int(fetching(served, served.folder / "ours").communicate()[0]) / 1024 for _ in range(3)]
    print(f"memory   {max(grown):.1f} MiB above the idle client, at most, in {len(grown)} processes")


def kill(served: Served, kills: int) -> None:
    """Kill a download at random offsets, and let the next one resume."""
    target = served.folder / "killed"
    part = target.with_name("killed.part")
    served.ranges()
    left = []
    for moment in sorted(random.Random(kills).sample(range(1, served.size - 64 * MIB), kills)):
        process = fetching(served, target)
        while not (part.exists() and part.stat().st_size >= moment):
            time.sleep(0.001)
        process.kill()
        process.communicate()
        left.append(part.stat().st_size)
    fetching(served, target).communicate()
    with target.open("rb") as file:
        is_same = hashlib.file_digest(file, "sha256").hexdigest() == served.sha256
    resumed = served.ranges() == [0, *left]
    print(
        f"kill -9  {kills} times: {'the same' if is_same else 'ANOTHER'} SHA-256,"
        f" {'each time resumed' if resumed else 'NOT resumed'} at the first byte that was not on disk"
    )


if __name__ == "__main__":
    with serve(1024 * MIB) as served:
        asyncio.run(compare(served, 15))
        weigh(served)
        kill(served, 10)
