"""Print what 10,000 waits on one client cost: memory for each, and CPU time to poll all of them once."""

import asyncio
import gc
import json
import time
from pathlib import Path

from samples import running

from voucherify_exports import Event, ExportsClient, RoundCompleted
from voucherify_exports._api.wire import Response


def memory_in_use() -> int:
    """The memory that this process uses, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def main(waiters: int = 10_000) -> None:
    bodies = [
        json.dumps(
            {"exports": [running(id=f"exp_{page * 100 + n:024}") for n in range(100)], "total": waiters}
        ).encode()
        for page in range(waiters // 100)
    ]
    polled = 0
    rounds: asyncio.Queue[None] = asyncio.Queue()

    def count(event: Event) -> None:
        nonlocal polled
        if isinstance(event, RoundCompleted):
            polled += event.seen
            while polled >= waiters:
                polled -= waiters
                rounds.put_nowait(None)

    async def poll(path: str, query: str = "") -> Response:
        page = int(query.partition("page=")[2].partition("&")[0])
        return Response(f"GET {path}", 200, {}, bodies[page - 1], time.time())

    async with ExportsClient("app-id", "app-token", on_event=count) as client:
        client._transport.poll = poll  # type: ignore[method-assign]  # the network is not measured
        gc.collect()
        before = memory_in_use()
        waits = [asyncio.create_task(client.wait_until_done(f"exp_{n:024}")) for n in range(waiters)]
        started = time.process_time()
        await rounds.get()
        first_time = time.process_time() - started
        started = time.process_time()
        await rounds.get()
        later_time = time.process_time() - started
        gc.collect()
        kib_per_wait = (memory_in_use() - before) / waiters / 1024
        print(f"{waiters:,} waits: {kib_per_wait:.2f} KiB each;", end=" ")
        print(f"CPU time to poll all: {first_time:.2f} s the first time, {later_time:.2f} s later")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
