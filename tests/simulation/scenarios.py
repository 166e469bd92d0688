"""Runs of the simulation: the watcher, and two pollers that request one export at a time."""

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from attrs import evolve, frozen
from simulation.simulated import Plan, Simulated, durations, others
from virtual import VirtualLoop
from waits import wait

from voucherify_exports import Export, PollPolicy, RateLimitedError, ServerError
from voucherify_exports._waiting.watcher import Watcher

MINUTE_100 = Plan(100, 60)
MINUTE_2000 = Plan(2000, 60)
HOUR_100 = Plan(100, 3600)

# Waiters, plan, and the upper limits: requests, mean delay and 95 % delay in seconds.
ROWS: list[tuple[int, Plan, int, float, float]] = [
    (1, MINUTE_100, 20, 12.0, 12.0),
    (100, MINUTE_100, 120, 2.5, 8.0),
    (1_000, MINUTE_100, 450, 7.0, 13.0),
    (1_000, MINUTE_2000, 1_200, 2.2, 6.0),
    (10_000, MINUTE_2000, 7_000, 4.0, 7.0),
    (200, HOUR_100, 25, 85.0, 160.0),
]


@frozen
class Result:
    """The requests of a run, and its delays: seconds from the end of each export until its waiter noticed."""

    waiters: int
    requests: int
    refused: int
    refused_others: int
    delays: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.delays)

    @property
    def p95(self) -> float:
        return sorted(self.delays)[int(len(self.delays) * 0.95)]


def combine(results: Iterable[Result]) -> Result:
    """Several runs as one: the sums of their requests, and the delays of all waiters."""
    runs = list(results)
    return Result(
        runs[0].waiters,
        sum(result.requests for result in runs),
        sum(result.refused for result in runs),
        sum(result.refused_others for result in runs),
        [delay for result in runs for delay in result.delays],
    )


def mean(results: Iterable[Result]) -> Result:
    """Several runs as one: the mean number of their requests, and the delays of all waiters."""
    runs = list(results)
    total = combine(runs)
    return evolve(total, requests=round(total.requests / len(runs)), refused=round(total.refused / len(runs)))


Poller = Callable[[Simulated, str], Awaitable[Export]]


def run_watcher(
    waiters: int,
    plan: Plan | None,
    *,
    spent_by_others: int = 0,
    seed: int = 1,
    are_known: bool = False,
    **options: Any,
) -> Result:
    """All waits by one watcher, as a client's `wait_until_done` would: for ids, or for new exports."""

    def prepare(api: Simulated) -> Poller:
        watcher = Watcher(api, api.quota, api.clock, lambda event: None)
        policy = PollPolicy()

        async def wait_for(api: Simulated, export_id: str) -> Export:
            known = api.created(export_id) if are_known else None
            return await wait(watcher, export_id, known, None, policy)

        return wait_for

    return _run(waiters, plan, prepare, spent_by_others, seed, options)


def run_poller(poller: Poller, waiters: int, plan: Plan, *, seed: int = 1) -> Result:
    """All waits by one poller each."""
    return _run(waiters, plan, lambda api: poller, 0, seed, {})


async def every_5_seconds(api: Simulated, export_id: str) -> Export:
    """Request one export every 5 seconds."""
    return await _poll(api, export_id, lambda attempt: 5.0)


async def with_backoff(api: Simulated, export_id: str) -> Export:
    """Request one export after 2, 4, 8 … and at most 60 seconds."""
    return await _poll(api, export_id, lambda attempt: min(60.0, 2.0**attempt))


async def _poll(api: Simulated, export_id: str, pause: Callable[[int], float]) -> Export:
    attempt = 0
    while True:
        try:
            export = await api.get(export_id)
        except RateLimitedError:
            await asyncio.sleep(api.until_reset())
            continue
        except ServerError:
            export = None
        if export is not None and export.is_finished:
            return export
        attempt += 1
        await asyncio.sleep(pause(attempt))


def _run(
    waiters: int,
    plan: Plan | None,
    prepare: Callable[[Simulated], Poller],
    spent_by_others: int,
    seed: int,
    options: dict[str, Any],
) -> Result:
    async def main() -> Result:
        random.seed(seed)
        api = Simulated(durations(waiters, seed), plan, seed=seed, **options)
        poller = prepare(api)
        delays: list[float] = []

        async def wait(number: int) -> None:
            export = await poller(api, f"exp_{number}")
            assert export.is_done
            delays.append(api.clock.monotonic() - api.finish_at[number])

        background: set[asyncio.Task[None]] = set()
        if spent_by_others and plan:
            running = others(api, spent_by_others, plan.period, lambda: len(delays) < waiters)
            background.add(asyncio.create_task(running))
        await asyncio.gather(*(wait(number) for number in range(waiters)), *background)
        return Result(waiters, api.requests, api.refused, api.refused_others, delays)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
