"""Time as a value: everything that reads a clock or sleeps is given one of these."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the client needs of time; pass your own to control it in a test.

    All numbers are seconds. `monotonic` measures durations, `wall` is the Unix time.
    """

    def monotonic(self) -> float: ...

    def wall(self) -> float: ...

    async def sleep(self, seconds: float, /) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


async def sleep_unless(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Sleep for `seconds`, or until the event is set if that is sooner."""
    if event.is_set() or seconds <= 0:
        await asyncio.sleep(0)
        return
    sleeper = asyncio.ensure_future(clock.sleep(seconds))
    racers = {sleeper, asyncio.ensure_future(event.wait())}
    try:
        await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        if sleeper.done():
            sleeper.result()  # raises what the clock raised
    finally:
        for racer in racers:
            racer.cancel()
        await asyncio.wait(racers)
