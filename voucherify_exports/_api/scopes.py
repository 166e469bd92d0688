"""What a client awaits, so that all of it ends when the client is closed."""

import asyncio
import math


class Scopes:
    """The timeouts under way; those that have a bound have the same one, `seconds`.

    One timer serves them all, which costs a request less than a timer of its own.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Timeout, float] = {}  # in the time of the loop
        self._timer: asyncio.TimerHandle | None = None

    def open(self, *, bounded: bool = False) -> asyncio.Timeout:
        """A timeout to be entered at once, and to be forgotten (`discard`) afterwards."""
        scope = asyncio.timeout(None)
        self._ends[scope] = math.inf
        if bounded:
            loop = asyncio.get_running_loop()
            self._ends[scope] = ends = loop.time() + self._seconds
            if self._timer is None:
                self._timer = loop.call_at(ends, self._end_overdue)
        return scope

    def discard(self, scope: asyncio.Timeout) -> None:
        del self._ends[scope]

    def _end_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._end(now)
        later = [ends for ends in self._ends.values() if now < ends < math.inf]
        self._timer = loop.call_at(min(later), self._end_overdue) if later else None

    def _end(self, until: float) -> None:
        """End those whose time is over by then, as their own timer would."""
        now = asyncio.get_running_loop().time()
        for scope, ends in self._ends.items():
            if ends <= until and not scope.expired():
                scope.reschedule(now)

    async def close(self) -> None:
        """End them all, and wait until they are."""
        self._end(math.inf)
        while self._ends:  # noqa: ASYNC110 - each ends within a few steps of the loop
            await asyncio.sleep(0)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
