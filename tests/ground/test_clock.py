import asyncio
import time

import pytest
from virtual import VirtualClock, virtually

from voucherify_exports import SystemClock
from voucherify_exports._ground.clock import sleep_unless


class TestSystemClock:
    async def test_uses_the_standard_library(self) -> None:
        """Monotonic time, Unix time and sleep are those of the standard library."""
        clock = SystemClock()
        before = time.monotonic()
        await clock.sleep(0.01)

        assert clock.monotonic() - before >= 0.009
        assert abs(clock.wall() - time.time()) < 5


class TestSleepUnless:
    @virtually
    async def test_sleeps_for_the_whole_time(self) -> None:
        """Without the event the sleep takes the given number of seconds."""
        clock = VirtualClock()
        await sleep_unless(clock, 5, asyncio.Event())

        assert clock.monotonic() == 5

    @virtually
    async def test_ends_when_the_event_is_set(self) -> None:
        """The event ends the sleep early, however long the sleep was to be."""
        clock, event = VirtualClock(), asyncio.Event()
        asyncio.get_running_loop().call_later(3, event.set)
        await sleep_unless(clock, float("inf"), event)

        assert clock.monotonic() == 3

    @pytest.mark.parametrize(("seconds", "is_set"), [(0, False), (-1, False), (5, True)])
    def test_only_yields_when_there_is_nothing_to_wait_for(self, seconds: float, is_set: bool) -> None:
        """With no time to sleep or the event set, other tasks run and no time passes."""

        @virtually
        async def check() -> None:
            clock, event = VirtualClock(), asyncio.Event()
            if is_set:
                event.set()
            other = asyncio.create_task(asyncio.sleep(0))
            await sleep_unless(clock, seconds, event)

            assert clock.monotonic() == 0
            await other

        check()

    @virtually
    async def test_a_cancellation_is_raised(self) -> None:
        """Cancelling the sleep raises CancelledError and leaves no task behind."""
        sleeper = asyncio.create_task(sleep_unless(VirtualClock(), 5, asyncio.Event()))
        await asyncio.sleep(1)
        sleeper.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sleeper
