"""The last poll of several waits for one export."""

import asyncio

import pytest
from test_watcher import STEADY, Setup
from virtual import virtually

from voucherify_exports import Export, WaitTimeoutError
from voucherify_exports._waiting.watcher import LAST_POLL


class TestOfOneExport:
    @virtually
    async def test_serves_all_its_waits(self) -> None:
        """While its page is under way for others, one GET at the deadline serves all waits for an export."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "DONE")])
        setup.poller.latency = 0.5
        others = [setup.wait("exp_1"), setup.wait("exp_2")]
        await asyncio.sleep(0.1)

        outcomes = [outcome async for _, outcome in setup.watcher.wait_many([("exp_1", None)] * 3, 0, STEADY)]

        assert [isinstance(outcome, Export) and outcome.is_done for outcome in outcomes] == [True] * 3
        assert setup.poller.requests == [(0, "page 1"), (0.1, "exp_1")]
        await asyncio.wait(others)

    @virtually
    async def test_that_hangs_ends_all_its_waits_after_a_second(self) -> None:
        """Each of the waits ends `LAST_POLL` seconds after the GET was sent, and names it as the reason."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "DONE")])
        setup.poller.latency = 1000
        others = [setup.wait("exp_1"), setup.wait("exp_2")]
        await asyncio.sleep(0.1)

        waits = [setup.wait("exp_1", timeout=0) for _ in range(2)]
        for wait in waits:
            with pytest.raises(WaitTimeoutError, match=r"a poll has had no response for 1\.0 s"):
                await wait
        assert setup.clock.monotonic() == pytest.approx(0.1 + LAST_POLL)
        for other in others:
            other.cancel()
        await asyncio.wait(others)
