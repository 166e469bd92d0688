"""Somebody who waits has a running watcher or an error, whatever ended the watcher's task."""

import asyncio
import sys
from contextlib import aclosing

import pytest
from test_watcher import EVERY_SECOND, STEADY, TIMELINE, Setup, exported
from virtual import virtually
from waits import wait

from voucherify_exports import Event, RateLimitedError, RoundCompleted, WaitEnded


def watcher_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "voucherify-exports-watcher"]


class TestAfterItsEnd:
    @virtually
    async def test_while_the_last_outcome_of_wait_many_is_handled(self) -> None:
        """A wait that starts while another caller keeps a generator at its last outcome is polled."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (3, "DONE")])
        async with aclosing(setup.watcher.wait_many([("exp_1", None)], 60, STEADY)) as outcomes:
            async for export_id, _ in outcomes:
                assert export_id == "exp_1"
                await asyncio.sleep(1)
                assert (await setup.wait("exp_2", timeout=10)).is_done
                assert (await setup.wait("exp_2", timeout=10)).is_done

    @virtually
    async def test_cancelled_by_somebody_else(self) -> None:
        """A shutdown loop that cancels every task does not leave a wait without polls."""
        setup = Setup(exp_1=TIMELINE)
        wait = setup.wait(policy=EVERY_SECOND)
        for _ in range(3):
            await asyncio.sleep(2.5)
            for task in watcher_tasks():
                task.cancel()

        assert await wait == exported("DONE")

    @virtually
    async def test_its_requests_cancelled_by_somebody_else(self) -> None:
        """A request that was cancelled is sent again."""
        setup = Setup(exp_1=[(0, "DONE")])
        setup.poller.latency = 1
        wait = setup.wait()
        await asyncio.sleep(0.5)
        for task in asyncio.all_tasks() - {asyncio.current_task(), wait, *watcher_tasks()}:
            task.cancel()

        assert await wait == exported("DONE")

    @pytest.mark.parametrize("kind", [WaitEnded, RoundCompleted])
    @virtually
    async def test_a_hook_that_raises_cancelled_error(self, kind: type[Event]) -> None:
        """A hook that raises CancelledError does not leave the other waits without polls."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (3, "DONE")])

        def hook(event: Event) -> None:
            if isinstance(event, kind) and asyncio.current_task() in watcher_tasks():
                raise asyncio.CancelledError

        setup.watcher._emit = hook
        first, second = setup.wait("exp_1"), setup.wait("exp_2")

        assert (await first).is_done
        assert (await second).is_done
        assert (await setup.wait("exp_1")).is_done

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 added eager tasks")
    @virtually
    async def test_a_task_that_ends_while_it_is_created(self) -> None:
        """With an eager task factory and a spent quota each wait ends at once, and a later one is polled."""
        loop = asyncio.get_running_loop()
        setup = Setup(exp_1=[(0, "DONE")])
        setup.quota.refused(loop.time(), 30)
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to Python 3.11

        waits = setup.watcher.wait_many([("exp_1", None), ("exp_2", None)], 5, STEADY)
        assert [type(outcome) async for _, outcome in waits] == [RateLimitedError] * 2
        assert await wait(setup.watcher, "exp_1", None, 60, STEADY) == exported("DONE")
