"""Download one file in its own process, and print by how many KiB its memory grew."""

import asyncio
import re
import sys
from pathlib import Path

from samples import ID

from voucherify_exports import ExportsClient


def peak() -> int:
    """The peak memory of this process, in KiB."""
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
