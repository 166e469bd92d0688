"""An hour with 2,000 calls at a time over real sockets, while much fails: no call is left hanging."""

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import pytest
from attrs import Factory, define
from test_many_waits import FastClock, inject_faults

from voucherify_exports import (
    Event,
    ExportsClient,
    PollPolicy,
    RetryPolicy,
    Sandbox,
    VoucherifyExportsError,
)

SPEED = 100  # of the clock: 36 seconds are an hour
CLIENTS = 4  # one after the other
SECONDS = 9.0  # of each client
WAITS, DIRECT_CALLS = 1_950, 50
GRACE = 25.0  # seconds of a machine that does other things as well
FAULT_OF_HOOK = 0.0005  # of the events
EXPORTS = 3_000


@define
class Session:
    """The life of one client, and how its calls ended."""

    client: ExportsClient
    sandbox: Sandbox
    ids: list[str]
    rng: random.Random
    ended: Counter[str] = Factory(Counter)
    hung: list[str] = Factory(list)
    is_over: bool = False

    def hook(self, event: Event) -> None:
        if self.rng.random() < FAULT_OF_HOOK:
            raise self.rng.choice([ZeroDivisionError, asyncio.CancelledError])

    async def repeat(self, calls: list[Callable[[float], Awaitable[object]]]) -> None:
        """Call one of the methods after another until the client is closed."""
        while not self.is_over:
            await asyncio.sleep(self.rng.uniform(0, 0.5))
            await self.bound(self.rng.choice(calls))

    async def bound(self, call: Callable[[float], Awaitable[object]]) -> None:
        """Call a method, cancel some of the calls, and remember one that does not end in time."""
        timeout = self.rng.choice([0.0, 1.0, 30.0, 300.0])
        task = asyncio.ensure_future(call(timeout))
        if self.rng.random() < 0.1:
            await asyncio.wait({task}, timeout=self.rng.uniform(0, 0.2))
            task.cancel()
        done, _ = await asyncio.wait({task}, timeout=timeout / SPEED + GRACE)
        if not done:
            self.hung.append(f"{call.__name__} with a timeout of {timeout} s")
            task.cancel()
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self.ended[type(error).__name__] += 1
        if not isinstance(error, None | VoucherifyExportsError | ZeroDivisionError | asyncio.CancelledError):
            raise error

    async def wait(self, timeout: float) -> object:
        return await self.client.wait_until_done(self.rng.choice(self.ids), timeout=timeout)

    async def wait_many(self, timeout: float) -> None:
        async with aclosing(
            self.client.wait_many(self.rng.sample(self.ids, 20), timeout=timeout)
        ) as outcomes:
            async for _ in outcomes:
                await asyncio.sleep(0.01)

    async def get(self, timeout: float) -> object:
        return await self.client.get_export(self.rng.choice(self.ids))

    async def list_page(self, timeout: float) -> object:
        return await self.client.list_page(self.rng.randint(1, 20))

    async def create(self, timeout: float) -> None:
        export = await self.client.create_export("order")
        self.ids[self.rng.randrange(len(self.ids))] = export.id


async def use_client(sandbox: Sandbox, clock: FastClock, ids: list[str], rng: random.Random) -> Session:
    """Open a client, use it for some seconds, and close it while calls wait."""
    client = ExportsClient(
        sandbox.app_id,
        sandbox.app_token,
        base_url=sandbox.url,
        poll=PollPolicy(initial=5, max=60),
        request_timeout=10,
        retry=RetryPolicy(attempts=3, wait=lambda state: 1.0),
        clock=clock,
        on_event=lambda event: session.hook(event),
    )
    session = Session(client, sandbox, ids, rng)
    waits = [session.wait] * 20 + [session.wait_many]
    workers = [asyncio.create_task(session.repeat(waits)) for _ in range(WAITS)]
    direct_calls = [session.get, session.list_page, session.create]
    workers += [asyncio.create_task(session.repeat(direct_calls)) for _ in range(DIRECT_CALLS)]
    await asyncio.sleep(SECONDS)
    session.is_over = True
    with suppress(ZeroDivisionError, asyncio.CancelledError):  # of the hook
        await client.close()
    await asyncio.gather(*workers)
    return session


@pytest.mark.thorough
@pytest.mark.timeout(120)
async def test_no_call_is_left_hanging() -> None:
    """Each call ends by its timeout, also when clients are closed, calls cancelled, or hooks raise."""
    clock = FastClock(speed=SPEED, started=time.time())
    rng = random.Random(1)
    async with Sandbox(
        seed=1, scheduled_for=(0, 300), in_progress_for=(5, 600), clock=clock.wall, sleep=clock.sleep
    ) as sandbox:
        ids = [sandbox.add_export("order", outcome=rng.choice(["DONE", "ERROR"])) for _ in range(EXPORTS)]
        inject_faults(sandbox)
        for _ in range(CLIENTS):
            session = await use_client(sandbox, clock, ids, rng)

            assert not session.hung
            assert session.ended["NoneType"]  # some succeeded
            left = [
                task for task in asyncio.all_tasks() if "/_waiting/" in repr(task) or "/_api/" in repr(task)
            ]
            assert not left
    gc.collect()  # so that resources that were not closed are warned about
