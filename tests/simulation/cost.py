"""Print what 10,000 waits on one client cost: memory for each, and CPU time to poll all of them once."""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from samples import running
from waits import wait

from voucherify_exports import Event, Export, ExportPage, ExportsClient, PollPolicy, RoundCompleted
from voucherify_exports._api.quota import Quota
from voucherify_exports._api.wire import Response
from voucherify_exports._ground.clock import SystemClock
from voucherify_exports._waiting.watcher import Watcher


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


class Silent:
    """A poller whose requests have no response."""

    async def get(self, export_id: str) -> Export:
        return await asyncio.Event().wait()  # type: ignore[return-value]  # it never returns

    async def list_page(self, page: int) -> ExportPage:
        return await asyncio.Event().wait()  # type: ignore[return-value]  # it never returns


async def join_and_leave(waiters: int, start: Callable[[int], Coroutine[None, None, object]]) -> float:
    """The CPU seconds to start this many waits and to cancel them one by one, for each of them."""
    gc.collect()
    gc.freeze()  # else the garbage collector takes longer with each wait
    started = time.process_time()
    waits = [asyncio.create_task(start(number)) for number in range(waiters)]
    await asyncio.sleep(0)
    for task in waits:
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait(waits)
    gc.unfreeze()
    return (time.process_time() - started) / waiters


def growth(few: int = 10_000, many: int = 100_000) -> None:
    """Print by how much the time for a wait grows with their number, also for tasks that only wait."""

    async def bare(_number: int) -> None:
        await asyncio.Event().wait()

    def waiting_for(ids: int) -> Callable[[int], Coroutine[None, None, object]]:
        watcher = Watcher(Silent(), Quota(0.5), SystemClock(), lambda _: None)
        return lambda number: wait(watcher, f"exp_{number % ids}", None, 1800, PollPolicy())

    for what, ids in (("waits for one export each", many), ("waits for one export", 1), ("bare tasks", 0)):
        of_few, of_many = (
            asyncio.run(join_and_leave(waiters, waiting_for(ids) if ids else bare)) for waiters in (few, many)
        )
        print(
            f"to start and cancel {many:,} {what}: {1e6 * of_many:.1f} µs each,"
            f" {of_many / of_few:.2f} x as long as with {few:,}"
        )


if __name__ == "__main__":
    asyncio.run(main())
    growth()
