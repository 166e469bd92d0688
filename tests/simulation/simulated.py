"""The exports API in virtual time: durations, quota windows, failures and other users of the project."""

import asyncio
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import Factory, define, evolve, field
from virtual import EPOCH, VirtualClock

from voucherify_exports import (
    Export,
    ExportedObject,
    ExportPage,
    ExportResult,
    ExportStatus,
    RateLimit,
    RateLimitedError,
    ServerError,
)
from voucherify_exports._api.quota import Quota

PAGE_SIZE = 100


@define
class Plan:
    """`limit` requests in each `period` of seconds; with `names_end` each response names the reset."""

    limit: int
    period: float
    names_end: bool = True


@define
class Simulated:
    """A poller for the watcher, also for pollers that request one export at a time."""

    finish_at: list[float]
    plan: Plan | None
    clock: VirtualClock = Factory(VirtualClock)
    quota: Quota = Factory(lambda: Quota(0.5))
    latency: float = 0.1
    seed: int = 0
    failing: float = 0.0
    slow: float = 0.0
    created_every: float = math.inf  # seconds between exports that others create
    lag: float = 0.0  # seconds by which the list is behind a GET, also with new exports
    reach: int = 10_000  # exports on the list
    requests: int = 0
    pages: int = 0
    refused: int = 0
    refused_others: int = 0
    _window: float = -math.inf
    _spent: int = 0
    _random: random.Random = field(init=False)
    _exports: list[Export] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._exports = [
            Export(
                id=f"exp_{number}",
                status=ExportStatus.SCHEDULED,
                exported_object=ExportedObject.VOUCHER,
                created_at=datetime.fromtimestamp(EPOCH, UTC) - timedelta(milliseconds=number),
            )
            for number in range(len(self.finish_at))
        ]

    async def get(self, export_id: str) -> Export:
        await self._request()
        return self._export(int(export_id.removeprefix("exp_")), self.clock.monotonic())

    async def list_page(self, page: int) -> ExportPage:
        await self._request()
        self.pages += 1
        now = self.clock.monotonic() - self.lag
        if now < 0:  # none of these exports had been created
            return ExportPage(exports=(), total=0)
        foreign = 0 if self.created_every == math.inf else int(now / self.created_every)
        total = foreign + len(self.finish_at)
        start = (page - 1) * PAGE_SIZE
        places = range(start, min(start + PAGE_SIZE, total, self.reach))
        exports = [
            self._export(place - foreign, now) if place >= foreign else self._foreign(foreign - place)
            for place in places
        ]
        return ExportPage(exports=tuple(exports), total=total)

    def created(self, export_id: str) -> Export:
        """An export as the response to its creation contains it."""
        return self._exports[int(export_id.removeprefix("exp_"))]

    def spend(self) -> bool:
        """Use one request of the window; False if it is refused."""
        if self.plan is None:
            return True
        now = self.clock.monotonic()
        if now >= self._window + self.plan.period:
            self._window, self._spent = now - now % self.plan.period, 0
        self._spent += 1
        return self._spent <= self.plan.limit

    def until_reset(self) -> float:
        """Seconds to the next window, as a 429 names them."""
        return 0.0 if self.plan is None else self._window + self.plan.period - self.clock.monotonic()

    async def _request(self) -> None:
        self.requests += 1
        accepted = self.spend()
        rate_limit, reset_in = self._headers()
        draw = self._random.random()
        await asyncio.sleep(20 if draw < self.slow else self.latency)
        now = self.clock.monotonic()
        if not accepted:
            self.refused += 1
            self.quota.refused(now, self.until_reset())
            raise RateLimitedError("refused", status=429)
        if self.slow <= draw < self.slow + self.failing:
            raise ServerError("failing", status=503)
        self.quota.answered(now, rate_limit.limit, rate_limit.remaining, reset_in)

    def _headers(self) -> tuple[RateLimit, float | None]:
        if self.plan is None:
            return RateLimit(), None
        remaining = max(0, self.plan.limit - self._spent)
        end = self._window + self.plan.period - self.clock.monotonic()
        reset_in = end if self.plan.names_end or not remaining else 0.0
        return RateLimit(limit=self.plan.limit, remaining=remaining), reset_in

    def _export(self, number: int, now: float) -> Export:
        ends = self.finish_at[number]
        export = self._exports[number]
        if now >= ends and not export.is_done:
            export = evolve(export, status=ExportStatus.DONE, result=ExportResult(f"https://x/{number}"))
        elif now >= ends / 10 and export.status is ExportStatus.SCHEDULED:
            export = evolve(export, status=ExportStatus.IN_PROGRESS)
        self._exports[number] = export
        return export

    def _foreign(self, age: int) -> Export:
        return Export(
            id=f"exp_foreign_{age}",
            status=ExportStatus.SCHEDULED,
            exported_object=ExportedObject.ORDER,
            created_at=datetime.fromtimestamp(EPOCH + age, UTC),
        )


def durations(count: int, seed: int = 1) -> list[float]:
    """Seconds that exports take: log-normal, median 60, sigma 1, at most 3,600."""
    draw = random.Random(seed)
    return [min(3600.0, draw.lognormvariate(math.log(60), 1)) for _ in range(count)]


async def others(api: Simulated, count: int, period: float, during: Callable[[], bool]) -> None:
    """Another process that sends `count` requests a period, at equal intervals."""
    while during():
        if not api.spend():
            api.refused_others += 1
        await asyncio.sleep(period / count)
