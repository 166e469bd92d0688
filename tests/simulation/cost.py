"""Print what 10,000 waits on one client cost: memory each, and CPU time for one look at all of them."""

import asyncio
import gc
import json
import time
from pathlib import Path

from samples import running

from voucherify_exports import Event, ExportsClient, RoundCompleted
from voucherify_exports._api.wire import Answer


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def main(waiters: int = 10_000) -> None:
    bodies = [
        json.dumps(
            {"exports": [running(id=f"exp_{page * 100 + n:024}") for n in range(100)], "total": waiters}
        ).encode()
        for page in range(waiters // 100)
    ]
    shown = 0
    rounds: asyncio.Queue[None] = asyncio.Queue()

    def count(event: Event) -> None:
        nonlocal shown
        if isinstance(event, RoundCompleted):
            shown += event.seen
            while shown >= waiters:
                shown -= waiters
                rounds.put_nowait(None)

    async def poll(path: str, query: str = "") -> Answer:
        page = int(query.partition("page=")[2].partition("&")[0])
        return Answer(f"GET {path}", 200, {}, bodies[page - 1], time.time())

    async with ExportsClient("app-id", "app-token", on_event=count) as client:
        client._transport.poll = poll  # type: ignore[method-assign]  # the network is not what is measured
        gc.collect()
        before = resident()
        waits = [asyncio.create_task(client.wait_until_done(f"exp_{n:024}")) for n in range(waiters)]
        started = time.process_time()
        await rounds.get()
        first = time.process_time() - started
        started = time.process_time()
        await rounds.get()
        later = time.process_time() - started
        gc.collect()
        each = (resident() - before) / waiters / 1024
        print(f"{waiters:,} waits: {each:.2f} KiB each;", end=" ")
        print(f"CPU time of a look at all: {first:.2f} s at first, {later:.2f} s later")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
