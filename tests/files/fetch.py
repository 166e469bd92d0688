"""Download one file in a process of its own, and print by how much its memory grew."""

import asyncio
import re
import sys
from pathlib import Path

from samples import ID

from voucherify_exports import ExportsClient


def peak() -> int:
    """The most memory that this process ever had, in KiB."""
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match
    return int(match[1])


async def fetch(url: str, target: str) -> None:
    async with ExportsClient("app-id", "app-token", base_url=url) as client:
        await client.get_export(ID)
        idle = peak()
        await client.download(ID, target)
        print(peak() - idle)


if __name__ == "__main__":
    asyncio.run(fetch(*sys.argv[1:]))
