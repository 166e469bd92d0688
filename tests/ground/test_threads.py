import asyncio
import threading
from typing import Any

import pytest

from voucherify_exports._ground.threads import in_stoppable_thread, in_thread


class TestInThread:
    async def test_the_result(self) -> None:
        """The work runs in another thread, and its result is returned."""
        assert await in_thread(threading.get_ident) != threading.get_ident()

    async def test_cancelled(self) -> None:
        """A cancelled call waits for the work, and passes its result to `undo`."""
        started, may_finish = threading.Event(), threading.Event()
        undone: list[str] = []

        def work() -> str:
            started.set()
            may_finish.wait()
            return "result"

        task = asyncio.create_task(in_thread(work, undone.append))
        while not started.is_set():
            await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        may_finish.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone == ["result"]


class TestInStoppableThread:
    async def test_cancelled_twice(self) -> None:
        """However often it is cancelled, it waits for the thread."""
        is_finished = threading.Event()
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work(check: Any) -> None:
            loop.call_soon_threadsafe(started.set)
            try:
                while True:
                    check(0)
            finally:
                is_finished.set()

        task = asyncio.create_task(in_stoppable_thread(work))
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_finished.is_set()

    async def test_the_result(self) -> None:
        """Without cancellation the checks do nothing."""

        def work(check: Any) -> int:
            check(1)
            return 7

        assert await in_stoppable_thread(work) == 7
