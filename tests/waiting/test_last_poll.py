"""The last poll of several waits with one deadline."""

import asyncio

import pytest
from attrs import evolve
from test_watcher import STEADY, Setup, exported
from virtual import virtually

from voucherify_exports import Export, RateLimit, WaitTimeoutError
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

    @virtually
    async def test_is_not_one_too_many(self) -> None:
        """Waits that end while two GETs of their export are under way have the response of these."""
        setup = Setup(exp_1=[(0, "DONE")])
        setup.poller.latency = 0.5
        waits = []
        for _ in range(4):
            waits.append(setup.wait(timeout=0))
            await asyncio.sleep(0.1)

        assert [(await wait).is_done for wait in waits] == [True] * 4
        assert setup.poller.requests == [(0, "exp_1"), (0.1, "exp_1")]


class TestOfAnotherPage:
    @virtually
    async def test_serves_a_wait_that_its_first_page_lacked(self) -> None:
        """A poll of the second page for one wait is the last poll of all waits that are expected there."""
        others = {f"other_{number}": [(0, "SCHEDULED")] for number in range(98)}
        setup = Setup(exp_1=[(0, "SCHEDULED")], exp_2=[(0, "SCHEDULED")], **others, exp_3=[(0, "SCHEDULED")])
        setup.poller.statuses |= {"exp_4": [(0, "DONE")], "exp_5": [(0, "DONE")]}
        setup.poller.latency = 0.1
        setup.poller.headers = lambda: (RateLimit(limit=10, remaining=9), 60)
        waits = [setup.wait(f"exp_{number}", timeout=None) for number in (1, 2, 3)]
        await asyncio.sleep(1)
        assert setup.watcher._map.entries["exp_3"].place is setup.watcher._map._place(2)

        wanted = [(export_id, known_of(setup, export_id)) for export_id in ("exp_4", "exp_3", "exp_5")]
        outcomes = {
            export_id: outcome async for export_id, outcome in setup.watcher.wait_many(wanted, 0, STEADY)
        }

        assert setup.poller.requests == [(0, "page 1"), (1, "page 2")]
        assert isinstance(outcomes["exp_4"], Export)
        assert isinstance(outcomes["exp_3"], WaitTimeoutError)
        assert outcomes["exp_3"].polls == 1
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)


def known_of(setup: Setup, export_id: str) -> Export | None:
    """The export as a caller knows it, so that it is expected on the page of its age."""
    return evolve(exported("IN_PROGRESS", export_id), created_at=setup.poller._created_at(export_id))
