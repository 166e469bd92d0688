"""What a wait is promised, under odd circumstances: a poll of its own, news from all polls, and an end."""

import asyncio
import math
import sys
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from test_watcher import EVERY_SECOND, STEADY, TIMELINE, FakePoller, Setup, exported
from virtual import virtually
from waits import wait

from voucherify_exports import (
    AuthenticationError,
    ClientClosedError,
    Event,
    Export,
    ExportNotFoundError,
    PollPolicy,
    RateLimit,
    RateLimitedError,
    StatusChanged,
    TransportError,
    WaitEnded,
    WaitTimeoutError,
)
from voucherify_exports._waiting.waiter import Schedule, Waiter
from voucherify_exports._waiting.watcher import LAST_POLL

DONE = [(0, "DONE")]
PENDING = [(0, "IN_PROGRESS")]


def hourly(setup: Setup, limit: int = 100) -> None:
    """Send the headers of a plan with this many requests an hour."""

    def headers() -> tuple[RateLimit, float]:
        now = setup.clock.monotonic()
        spent = sum(at >= now - now % 3600 for at in setup.poller.times)
        return RateLimit(limit=limit, remaining=limit - spent), 3600 - now % 3600

    setup.poller.headers = headers


class TestOnePollAtLeast:
    @virtually
    async def test_within_the_pace_of_a_small_quota(self) -> None:
        """On 100 requests an hour, waits that end before the next poll of the pace get one nevertheless."""
        setup = Setup(**{f"exp_{number}": DONE for number in range(10)})
        hourly(setup)

        for number in range(10):
            assert (await setup.wait(f"exp_{number}", timeout=20)).is_done

        assert len(setup.poller.requests) == 10

    @virtually
    async def test_with_a_timeout_of_zero(self) -> None:
        """`timeout=0` is one poll, however recent the last one was."""
        setup = Setup(exp_1=DONE, exp_2=PENDING)
        hourly(setup)

        assert (await setup.wait(timeout=0)).is_done
        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait("exp_2", timeout=0)
        assert caught.value.last_export == exported("IN_PROGRESS", "exp_2", "2025-01-01T00:00:58.000Z")
        assert len(setup.poller.requests) == 2

    @virtually
    async def test_at_the_time_of_another_poll(self) -> None:
        """A response that came just before the wait started is none for this wait."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=DONE)
        hourly(setup)
        waits = [setup.wait("exp_1", timeout=60), setup.wait("exp_2", timeout=60)]
        while not setup.events:
            await asyncio.sleep(0)

        assert (await setup.wait("exp_3", timeout=0)).is_done
        assert setup.clock.monotonic() == 0
        await asyncio.gather(*waits, return_exceptions=True)

    @virtually
    async def test_not_at_the_deadline_of_a_wait_that_has_ended(self) -> None:
        """A wait that was cancelled, or is done, gets no poll at its deadline."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING)
        keeper = setup.wait("exp_2", policy=PollPolicy(wait=lambda _: 1000.0))
        cancelled = setup.wait(timeout=50)
        await asyncio.sleep(1)
        cancelled.cancel()
        await asyncio.sleep(100)

        assert setup.poller.times == [0]
        keeper.cancel()
        await asyncio.wait({keeper, cancelled})

    @virtually
    async def test_one_poll_serves_all_that_end_at_the_same_time(self) -> None:
        """A hundred waits with one deadline share the poll of their page."""
        setup = Setup(**{f"exp_{number}": DONE for number in range(101)})
        hourly(setup)
        await setup.wait("exp_100")

        await asyncio.gather(*(setup.wait(f"exp_{number}", timeout=5) for number in range(100)))

        assert setup.poller.requests[1:] == [(5, "page 1")]

    @virtually
    async def test_not_when_nothing_is_left(self) -> None:
        """A quota that is spent is an error at once, with the time of the next request."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        hourly(setup, limit=1)
        await setup.wait()

        with pytest.raises(RateLimitedError) as caught:
            await setup.wait("exp_2", timeout=20)
        assert setup.clock.monotonic() == 0
        assert caught.value.retry_at is not None

    @virtually
    async def test_not_a_second_one(self) -> None:
        """Beyond the first, polls keep to the pace: a wait that had one ends without another."""
        setup = Setup(exp_1=PENDING)
        hourly(setup)

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait(timeout=20)

        assert setup.poller.times == [0]
        assert caught.value.held_back_by == (
            "the share of the quota that polling may use allows the next poll at 00:01:12 UTC"
        )
        assert "Polling was held back: the share of the quota" in str(caught.value)

    @virtually
    async def test_when_its_page_is_under_way_for_others(self) -> None:
        """A wait that joins a page whose request hangs gets a GET."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=DONE)
        setup.poller.slow["page 1"] = 1000
        waits = [setup.wait("exp_1", timeout=60), setup.wait("exp_2", timeout=60)]
        await asyncio.sleep(1)

        assert (await setup.wait("exp_3", timeout=2)).is_done
        assert setup.poller.requests == [(0, "page 1"), (3, "exp_3")]
        await asyncio.gather(*waits, return_exceptions=True)

    @virtually
    async def test_when_its_page_does_not_contain_it(self) -> None:
        """If the poll at the deadline shows only others, a GET follows."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=DONE)
        setup.poller.unlisted.add("exp_3")
        waits = [setup.wait("exp_1", timeout=9), setup.wait("exp_2", timeout=9)]
        await asyncio.sleep(1)

        assert (await setup.wait("exp_3", timeout=0)).is_done
        assert setup.clock.monotonic() <= 1 + LAST_POLL
        await asyncio.gather(*waits, return_exceptions=True)

    @virtually
    async def test_a_search_ends_as_well(self) -> None:
        """However many pages lack the export, the wait ends two seconds after its deadline."""
        ids = [f"exp_{number}" for number in range(210)]
        setup = Setup(**dict.fromkeys(ids, DONE))
        setup.poller.latency = 0.9
        others = [setup.wait(export_id, timeout=60) for export_id in ids[-6:-1]]

        with pytest.raises(WaitTimeoutError):
            await setup.wait(ids[-1], timeout=0)
        assert setup.clock.monotonic() == pytest.approx(2)
        assert setup.poller.requests == [(0, "page 1"), (0.9, "page 2"), (1.8, "page 3")]
        await asyncio.gather(*others)

    @virtually
    async def test_when_the_list_is_forbidden(self) -> None:
        """A list that may not be read is no poll of the export: a GET follows."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        setup.poller.outcomes["page 1"] = [_forbidden()] * 9

        exports = await asyncio.gather(setup.wait(timeout=0), setup.wait("exp_2", timeout=0))
        assert [export.is_done for export in exports] == [True, True]

    @virtually
    async def test_the_error_of_a_forbidden_list_is_kept(self) -> None:
        """If the GETs have no response, the timeout has the error of the list."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        setup.poller.outcomes["page 1"] = [_forbidden()] * 9
        setup.poller.slow = {"exp_1": 1000, "exp_2": 1000}

        outcomes = await asyncio.gather(
            setup.wait(timeout=5), setup.wait("exp_2", timeout=5), return_exceptions=True
        )
        assert [str(getattr(outcome, "last_error", None)) for outcome in outcomes] == ["forbidden"] * 2


def _forbidden() -> Exception:
    return AuthenticationError.for_status(403)("forbidden", status=403)


class TestRequestsWithoutAResponse:
    @pytest.mark.parametrize("when", ["first", "of a window", "after a 429"])
    def test_delay_no_other_wait(self, when: str) -> None:
        """A request that hangs while nothing is known of the quota delays others by five seconds at most."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=PENDING, exp_2=DONE, exp_3=DONE)
            setup.poller.unlisted = {"exp_1", "exp_2"}
            if when == "of a window":
                setup.poller.headers = lambda: (RateLimit(limit=100, remaining=50), 10)
                await setup.wait("exp_3")
                await asyncio.sleep(11)
            elif when == "after a 429":
                await setup.wait("exp_3")
                setup.quota.refused(setup.clock.monotonic(), 1)
                await asyncio.sleep(1)
            setup.poller.slow["exp_1"] = 30
            hanging = setup.wait(timeout=None, policy=PollPolicy(wait=lambda _: 100.0))
            await asyncio.sleep(1)
            started = setup.clock.monotonic()

            assert (await setup.wait("exp_2", timeout=20)).is_done
            assert setup.clock.monotonic() - started <= 4.5
            hanging.cancel()
            await asyncio.wait({hanging})

        check()

    @virtually
    async def test_a_get_that_hangs_is_sent_again(self) -> None:
        """After five seconds a second GET is sent, as for a page."""
        setup = Setup(exp_1=DONE)
        setup.poller.slow["exp_1"] = 30
        waiting = setup.wait()
        await asyncio.sleep(4)
        setup.poller.slow["exp_1"] = 0.5

        assert (await waiting).is_done
        assert setup.clock.monotonic() == pytest.approx(5.5)

    @virtually
    async def test_the_reason_is_in_the_error(self) -> None:
        """A wait that ends while its poll has no response says so."""
        setup = Setup(exp_1=DONE)
        setup.poller.latency = 1000

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait(timeout=4)
        assert caught.value.held_back_by == "a poll has had no response for 4.0 s"

    @virtually
    async def test_a_list_that_hangs_while_gets_work(self) -> None:
        """A page whose two requests have no response counts as failed, and its exports get GETs."""
        setup = Setup(exp_1=DONE, exp_2=DONE, exp_3=DONE)
        setup.poller.slow["page 1"] = 1000
        setup.poller.latency = 0.1

        exports = await asyncio.gather(*(setup.wait(f"exp_{number}", timeout=20) for number in (1, 2, 3)))

        assert all(export.is_done for export in exports)
        assert setup.clock.monotonic() <= 15.3

    @virtually
    async def test_a_first_poll_just_before_the_deadline(self) -> None:
        """A first poll that was sent a moment ago is waited for, half a second at most."""
        setup = Setup(exp_1=DONE)
        setup.poller.latency = 0.3
        assert (await setup.wait(timeout=0.05)).is_done

        setup.poller.latency = 1000
        started = setup.clock.monotonic()
        with pytest.raises(WaitTimeoutError):
            await setup.wait(timeout=0.05)
        assert setup.clock.monotonic() - started == pytest.approx(LAST_POLL / 2, abs=1e-5)

    @virtually
    async def test_a_failure_of_an_older_request(self) -> None:
        """It does not end a wait that has its own last poll under way."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=DONE)
        setup.poller.slow = {"page 1": 2.5, "exp_3": 0.8}
        setup.poller.outcomes["page 1"] = [TransportError("cut")]
        waits = [setup.wait("exp_1", timeout=9), setup.wait("exp_2", timeout=9)]
        await asyncio.sleep(1.7)

        assert (await setup.wait("exp_3", timeout=0.3)).is_done
        await asyncio.gather(*waits, return_exceptions=True)

    @virtually
    async def test_a_response_to_an_older_request(self) -> None:
        """A page that shows the export as unfinished does not end a wait whose last poll is under way."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=[(0, "IN_PROGRESS"), (2.6, "DONE")])
        setup.poller.slow = {"page 1": 2.5, "exp_3": 0.8}
        waits = [setup.wait("exp_1", timeout=9), setup.wait("exp_2", timeout=9)]
        await asyncio.sleep(1.7)

        assert (await setup.wait("exp_3", timeout=0.3)).is_done
        assert setup.clock.monotonic() == pytest.approx(2.8)
        await asyncio.gather(*waits, return_exceptions=True)

    @virtually
    async def test_a_request_that_is_cancelled_from_inside(self) -> None:
        """A hook or credentials that raise CancelledError count as a failure: no hot loop, and an end."""
        setup = Setup(exp_1=PENDING)
        setup.poller.outcomes["exp_1"] = [asyncio.CancelledError()] * 1_000

        with pytest.raises(WaitTimeoutError, match="The task of a poll was cancelled") as caught:
            await setup.wait(timeout=10)
        assert setup.poller.times == [0, 2, 6, 10]
        assert caught.value.polls == 4

    @virtually
    async def test_many_waits_for_an_export_whose_get_hangs(self) -> None:
        """However many waits end without a response, an export has two requests at a time."""
        setup = Setup(exp_1=PENDING)
        setup.poller.latency = 1000
        keeper = setup.wait(timeout=60)
        for _ in range(10):
            with pytest.raises(WaitTimeoutError):
                await setup.wait(timeout=0)

        assert len(setup.poller.requests) == 2
        keeper.cancel()
        await asyncio.wait({keeper})

    @virtually
    async def test_of_others_are_not_the_reason(self) -> None:
        """A request that was sent before the wait started is not its last poll."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=PENDING)
        setup.quota.answered(0, 100, 1, 60)
        setup.poller.latency = 1000
        waits = [setup.wait("exp_1", timeout=30), setup.wait("exp_2", timeout=30)]
        setup.quota.refused(0, 0)  # so that one poll is sent ahead
        await asyncio.sleep(1)

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait("exp_3", timeout=2)
        assert setup.poller.requests == [(0, "page 1")]
        assert caught.value.held_back_by is not None
        assert "no response for" not in caught.value.held_back_by
        await asyncio.gather(*waits, return_exceptions=True)


class TestStrategies:
    """What a wait strategy does is the affair of its own wait."""

    @pytest.mark.parametrize(
        ("strategy", "error"),
        [
            (lambda _: 1 / 0, ZeroDivisionError),
            (lambda _: None, TypeError),
            (lambda _: timedelta(seconds=2), TypeError),
            (lambda _: math.nan, ValueError),
            (lambda _: -1, ValueError),
            (lambda _: math.inf, ValueError),
        ],
        ids=["raises", "None", "timedelta", "NaN", "negative", "infinite"],
    )
    @pytest.mark.parametrize("many", [False, True])
    def test_fail_for_their_own_wait(self, strategy: Any, error: type[Exception], many: bool) -> None:
        """The error ends this wait, and no other one, also one for the same export."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
            others = [setup.wait("exp_1"), setup.wait("exp_2")]
            policy = PollPolicy(wait=strategy)
            if many:
                outcomes = setup.watcher.wait_many([("exp_1", None)], 60, policy)
                assert [type(outcome) async for _, outcome in outcomes] == [error]
            else:
                with pytest.raises(error):
                    await setup.wait("exp_1", policy=policy)
            assert setup.clock.monotonic() == 0
            assert any(
                isinstance(event, WaitEnded) and event.outcome == error.__name__ for event in setup.events
            )

            assert [export.is_done for export in await asyncio.gather(*others)] == [True, True]

        check()

    @virtually
    async def test_cancel_their_own_wait(self) -> None:
        """A CancelledError of a strategy is the outcome of its wait."""

        def cancel(_state: object) -> float:
            raise asyncio.CancelledError

        setup = Setup(exp_1=TIMELINE)
        other = setup.wait()
        cancelled = setup.wait(policy=PollPolicy(wait=cancel))
        await asyncio.wait({cancelled})

        assert cancelled.cancelled()
        assert (await other).is_done

    @virtually
    async def test_before_the_first_poll(self) -> None:
        """A strategy that fails for a new export fails at the call, and leaves no wait behind."""
        known = exported("SCHEDULED", created_at="2025-12-31T23:59:59.500Z")
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        policy = PollPolicy(wait=lambda state: 1 / 0 if state.outcome.result() else 1.0)
        wanted = [("exp_2", None), ("exp_1", known)]

        with pytest.raises(ZeroDivisionError):
            await anext(setup.watcher.wait_many(wanted, None, policy))
        assert setup.watcher._map.entries == {}

    @virtually
    async def test_are_not_called_after_the_last_poll(self) -> None:
        """Where no poll follows, there is no pause to choose."""
        calls: list[object] = []
        setup = Setup(exp_1=PENDING)
        policy = PollPolicy(wait=lambda state: calls.append(state) or 2.0)

        with pytest.raises(WaitTimeoutError):
            await setup.wait(timeout=4, policy=policy)
        assert (setup.poller.times, len(calls)) == ([0, 2, 4], 2)

    @virtually
    async def test_know_the_time_since_the_start(self) -> None:
        """`seconds_since_start` is the time since this wait began."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (20, "DONE")])
        await asyncio.sleep(100)
        setup.poller.statuses["exp_1"] = [(0, "SCHEDULED"), (120, "DONE")]
        policy = PollPolicy(wait=lambda state: 1.0 + (state.seconds_since_start or 0.0))

        assert (await setup.wait(policy=policy)).is_done
        assert setup.poller.times == [100, 101, 103, 107, 115, 131]

    @virtually
    async def test_of_several_waits_for_one_export(self) -> None:
        """Each wait has the time since its own start, and the quickest of them sets the pace."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (9, "DONE")])
        slow = setup.wait(policy=PollPolicy(wait=lambda _: 60.0))
        await asyncio.sleep(1)

        assert (await setup.wait(policy=PollPolicy(wait=lambda _: 3.0))).is_done
        assert (await slow).is_done
        assert setup.poller.times == [0, 1, 4, 7, 10]


class TestUnnamedRefusals:
    @virtually
    async def test_end_no_wait_early(self) -> None:
        """In the pause after a 429 that names no time, a wait gets its last poll at its deadline."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (29, "DONE")])
        waiting = setup.wait(timeout=30)
        await asyncio.sleep(27)
        for _ in range(6):
            setup.quota.refused(setup.clock.monotonic(), None)

        assert (await waiting).is_done
        assert setup.clock.monotonic() == 30

    @virtually
    async def test_are_the_reason_of_a_timeout(self) -> None:
        """If another poll is under way in the pause, no further one is sent, and the error says why."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING)
        setup.poller.unlisted = {"exp_1", "exp_2"}
        waits = [setup.wait(timeout=30), setup.wait("exp_2", timeout=30.5)]
        await asyncio.sleep(29)
        setup.quota.refused(setup.clock.monotonic(), None)
        setup.quota.refused(setup.clock.monotonic(), None)
        setup.poller.latency = 1000

        outcomes = await asyncio.gather(*waits, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [WaitTimeoutError] * 2
        assert isinstance(outcomes[1], WaitTimeoutError)
        assert (
            outcomes[1].held_back_by
            == "Voucherify refused a request (429) and named no time for the next one"
        )

    @virtually
    async def test_do_not_make_up_for_a_spent_quota(self) -> None:
        """The last poll in the pause is sent only if a request is left."""
        setup = Setup(exp_1=PENDING)
        setup.poller.headers = lambda: (RateLimit(limit=100, remaining=0), None)
        waiting = setup.wait(timeout=30)
        await asyncio.sleep(29)
        for _ in range(2):
            setup.quota.refused(setup.clock.monotonic(), None)

        with pytest.raises(WaitTimeoutError):
            await waiting
        assert setup.poller.times == [0]

    @virtually
    async def test_do_not_repeat_a_last_poll(self) -> None:
        """If somebody else cancels the last poll, the wait ends, since that counts as a failure."""
        setup = Setup(exp_1=PENDING)
        waiting = setup.wait(timeout=30)
        await asyncio.sleep(29)
        for _ in range(6):
            setup.quota.refused(setup.clock.monotonic(), None)
        before = asyncio.all_tasks()
        setup.poller.latency = 1000
        await asyncio.sleep(1.5)
        (request,) = (task for task in asyncio.all_tasks() - before if "_poll" in repr(task.get_coro()))
        request.cancel()

        with pytest.raises(WaitTimeoutError):
            await waiting
        assert setup.clock.monotonic() == 30.5
        assert setup.poller.times[-2:] == [14, 30]

    @virtually
    async def test_do_not_end_a_wait_that_joins(self) -> None:
        """A wait that starts in the pause and ends in it gets a poll."""
        setup = Setup(exp_1=DONE)
        for _ in range(7):
            setup.quota.refused(setup.clock.monotonic(), None)

        assert (await setup.wait(timeout=3)).is_done
        assert setup.poller.times == [3]


class TestNamedRefusals:
    @virtually
    async def test_end_a_wait_that_joins_at_once(self) -> None:
        """A wait that starts while nothing may be sent until after its deadline ends at once."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        longer = setup.wait("exp_2", timeout=90)
        setup.quota.refused(setup.clock.monotonic(), 60)
        await asyncio.sleep(1)

        with pytest.raises(RateLimitedError, match=r"exp_1.*another 59 s"):
            await setup.wait(timeout=30)
        assert setup.clock.monotonic() == 1
        assert (await longer).is_done
        assert setup.clock.monotonic() == 60

    @virtually
    async def test_do_not_end_a_wait_whose_request_is_under_way(self) -> None:
        """The response to a request that was sent before the refusal counts."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        setup.poller.latency = 1
        waiting, cancelled = setup.wait(timeout=5), setup.wait("exp_2", timeout=4)
        await asyncio.sleep(0.5)
        cancelled.cancel()
        setup.quota.refused(setup.clock.monotonic(), 60)
        later = setup.wait("exp_2", timeout=100)

        assert (await waiting).is_done
        assert setup.clock.monotonic() == 1
        later.cancel()
        await asyncio.wait({later})

    @virtually
    async def test_end_only_who_still_waits(self) -> None:
        """A wait that was cancelled before the refusal is not ended again."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING)
        waiting, cancelled = setup.wait(timeout=30), setup.wait("exp_2", timeout=20)
        await asyncio.sleep(1)
        cancelled.cancel()
        setup.quota.refused(setup.clock.monotonic(), 60)

        outcomes = await asyncio.gather(waiting, cancelled, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RateLimitedError, asyncio.CancelledError]

    @virtually
    async def test_a_deadline_at_the_opening_gets_its_poll(self) -> None:
        """A wait that ends when requests are allowed again is not hopeless."""
        setup = Setup(exp_1=DONE)
        setup.quota.refused(setup.clock.monotonic(), 60)

        assert (await setup.wait(timeout=60)).is_done


class TestLastingFailures:
    @pytest.mark.parametrize("count", [1, 3])
    def test_a_permanent_transport_error_ends_the_waits(self, count: int) -> None:
        """A certificate that is refused, or a proxy, ends waits as it ends direct calls: at once."""

        @virtually
        async def check() -> None:
            setup = Setup(**{f"exp_{number}": TIMELINE for number in range(count)})
            error = TransportError("TLS failed", is_permanent=True)
            setup.poller.outcomes = {name: [error] * 9 for name in ("exp_0", "page 1")}
            waits = [setup.wait(f"exp_{number}", timeout=None) for number in range(count)]

            outcomes = await asyncio.gather(*waits, return_exceptions=True)

            assert [type(outcome) for outcome in outcomes] == [TransportError] * count
            assert len(setup.poller.requests) == 1

        check()

    @virtually
    async def test_a_client_that_cannot_send_ends_the_waits(self) -> None:
        """If the client's session is closed, no GET is sent after the page."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.outcomes["page 1"] = [ClientClosedError()]

        outcomes = await asyncio.gather(setup.wait(), setup.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 2
        assert len(setup.poller.requests) == 1

    @virtually
    async def test_the_cause_is_kept(self) -> None:
        """Each waiter's own error has the cause, and shows no other context."""
        setup = Setup(exp_1=TIMELINE)
        error = TransportError("TLS failed", is_permanent=True)
        error.__cause__ = cause = OSError("certificate")
        setup.poller.outcomes["exp_1"] = [error]

        with pytest.raises(TransportError) as caught:
            await setup.wait()
        assert caught.value is not error
        assert caught.value.__cause__ is cause
        assert caught.value.__suppress_context__


class TestReadLag:
    """An export that this client has just created may not be found yet."""

    def setup(self, missing: int) -> Setup:
        setup = Setup(exp_1=TIMELINE)
        not_found = ExportNotFoundError("no", status=404)
        setup.poller.outcomes["exp_1"] = [not_found] * missing
        return setup

    @virtually
    async def test_a_new_export_is_polled_again(self) -> None:
        """A 404 within ten seconds after the creation does not end the wait."""
        setup = self.setup(missing=3)
        setup.watcher.note_created("exp_1")

        assert (await setup.wait()).is_done
        assert setup.poller.times == [0, 2, 6, 14, 30]

    @virtually
    async def test_after_ten_seconds_a_404_is_the_end(self) -> None:
        """Then the export was deleted, and the wait raises."""
        setup = self.setup(missing=9)
        setup.watcher.note_created("exp_1")

        with pytest.raises(ExportNotFoundError):
            await setup.wait()
        assert setup.poller.times == [0, 2, 6, 14]

    @virtually
    async def test_the_time_ends_exactly(self) -> None:
        """At the tenth second, a 404 is the end."""
        setup = self.setup(missing=99)
        setup.watcher.note_created("exp_1")

        with pytest.raises(ExportNotFoundError):
            await setup.wait(policy=EVERY_SECOND)
        assert setup.poller.times == list(range(11))

    @virtually
    async def test_another_failure(self) -> None:
        """A failure that is no 404 does not pass because the export is new."""
        setup = Setup(exp_1=TIMELINE)
        setup.poller.outcomes["exp_1"] = [AuthenticationError("unknown", status=401)]
        setup.watcher.note_created("exp_1")

        with pytest.raises(AuthenticationError):
            await setup.wait()
        assert setup.poller.times == [0]

    @virtually
    async def test_the_export_of_somebody_else(self) -> None:
        """Any other export that is not found does not exist."""
        setup = self.setup(missing=9)
        setup.watcher.note_created("exp_2")

        with pytest.raises(ExportNotFoundError):
            await setup.wait()
        assert setup.poller.times == [0]

    @virtually
    async def test_only_the_last_exports_are_remembered(self) -> None:
        """What was created more than `read_lag` seconds ago is forgotten."""
        setup = Setup()
        for number in range(30):
            setup.watcher.note_created(f"exp_{number}")
            await asyncio.sleep(1)

        assert list(setup.watcher._created) == [f"exp_{number}" for number in range(20, 30)]


class Reluctant(FakePoller):
    """A poller whose requests take two seconds to be cancelled, as the end of a connection may."""

    async def _request(self, requested: str) -> None:
        try:
            await super()._request(requested)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
            raise


class TestHooks:
    """State changes first, and hooks are called last: whatever they raise, nothing is done twice or lost."""

    @virtually
    async def test_that_raise_cancelled_error_in_a_request(self) -> None:
        """The response counts, and its export is not requested again at once."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (20, "DONE")])

        def hook(event: Event) -> None:
            if isinstance(event, StatusChanged):
                raise asyncio.CancelledError

        setup.watcher._emit = hook

        assert (await setup.wait()).is_done
        assert setup.poller.times == [0, 2, 6, 14, 30]

    @virtually
    async def test_that_raise_cancelled_error_after_a_page(self) -> None:
        """The page counts as well, and not as failed: no GET follows."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)

        def hook(event: Event) -> None:
            if isinstance(event, StatusChanged):
                raise asyncio.CancelledError

        setup.watcher._emit = hook
        await asyncio.gather(setup.wait(), setup.wait("exp_2"))

        assert {requested for _, requested in setup.poller.requests} == {"page 1"}

    @virtually
    async def test_events_are_in_order(self) -> None:
        """The status comes before the end of the wait, which comes before its call returns."""
        setup = Setup(exp_1=DONE, exp_2=PENDING)
        other = setup.wait("exp_2", timeout=3)
        await setup.wait()

        mine = [event for event in setup.events if getattr(event, "export_id", None) == "exp_1"]
        assert [type(event) for event in mine] == [StatusChanged, WaitEnded]
        await asyncio.wait({other})

    @virtually
    async def test_the_end_at_a_deadline_is_an_event_at_once(self) -> None:
        """The event of a wait whose time is over does not come with the next response."""
        setup = Setup(exp_1=PENDING)
        setup.poller.latency = 1000
        other = setup.wait(timeout=60)
        with pytest.raises(WaitTimeoutError):
            await setup.wait(timeout=4)

        assert [type(event) for event in setup.events] == [WaitEnded]
        other.cancel()
        await asyncio.wait({other})

    @virtually
    async def test_a_callback_that_returns_a_coroutine(self) -> None:
        """A lambda around an async function would never run it: its wait raises a TypeError."""

        async def update(_export: Export) -> None:
            raise AssertionError

        setup = Setup(exp_1=TIMELINE)
        other = setup.wait()
        with pytest.raises(TypeError, match="on_update must be a plain function"):
            await setup.wait(on_update=lambda export: update(export))
        assert (await other).is_done

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 added eager tasks")
    @virtually
    async def test_that_start_a_wait(self) -> None:
        """A wait that a hook starts as an eager task is served by the same task of the watcher."""
        setup = Setup(exp_1=DONE, exp_2=DONE)
        started: list[asyncio.Task[Export]] = []

        def hook(event: Event) -> None:
            if not started:
                started.append(setup.wait("exp_2"))
                names = [task.get_name() for task in asyncio.all_tasks()]
                assert names.count("voucherify-exports-watcher") == 1

        setup.watcher._emit = hook
        setup.quota.refused(setup.clock.monotonic(), 30)
        factory = getattr(asyncio, "eager_task_factory")  # noqa: B009 - unknown to Python 3.11
        asyncio.get_running_loop().set_task_factory(factory)
        with pytest.raises(RateLimitedError):
            await wait(setup.watcher, "exp_1", None, 5, STEADY)
        assert (await started[0]).is_done

    @virtually
    async def test_a_clock_that_fails(self) -> None:
        """An exception of the clock ends the waits, as one of a hook does."""
        setup = Setup(exp_1=PENDING)

        async def sleep(_seconds: float) -> None:
            raise ZeroDivisionError

        setup.watcher._clock = mock.Mock(wraps=setup.clock, sleep=sleep)
        with pytest.raises(ZeroDivisionError):
            await setup.wait()


class TestTaskUnderWay:
    @virtually
    async def test_a_wait_that_starts_while_only_a_request_is_left(self) -> None:
        """A task that waits for its last request serves a wait that joins meanwhile."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING, exp_3=DONE)
        setup.poller.slow["page 1"] = 30
        wanted = [("exp_1", None), ("exp_2", None)]
        async with aclosing(setup.watcher.wait_many(wanted, 3, STEADY)) as outcomes:
            assert [type(outcome) async for _, outcome in _first(outcomes, 1)] == [WaitTimeoutError]
            await asyncio.sleep(2)

            assert (await wait(setup.watcher, "exp_3", None, 5, STEADY)).is_done
            assert setup.clock.monotonic() < 10

    @virtually
    async def test_a_wait_that_starts_after_a_failed_task(self) -> None:
        """It gets a task of its own, even if nobody has taken the outcomes of the failed one."""
        setup = Setup(exp_1=DONE, exp_2=PENDING)
        wanted = [("exp_1", None), ("exp_2", None)]
        async with aclosing(setup.watcher.wait_many(wanted, None, STEADY)) as outcomes:
            await anext(outcomes)
            setup.poller.outcomes["exp_2"] = [ZeroDivisionError()]
            await asyncio.sleep(3)

            assert (await setup.wait(timeout=10)).is_done
            assert type((await anext(outcomes))[1]) is ZeroDivisionError

    @virtually
    async def test_a_cancelled_task_without_waits(self) -> None:
        """A shutdown that cancels the task while nobody waits is not answered with another task."""
        setup = Setup(exp_1=DONE)
        async with aclosing(setup.watcher.wait_many([("exp_1", None)], None, STEADY)) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(1)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(1)

            assert asyncio.all_tasks() == {asyncio.current_task()}

    @virtually
    async def test_a_wait_for_an_export_whose_request_is_under_way(self) -> None:
        """The response to a GET counts for a wait that started after the first one was cancelled."""
        setup = Setup(exp_1=DONE, exp_2=PENDING)
        setup.poller.unlisted = {"exp_1", "exp_2"}
        setup.poller.latency = 2
        keeper, cancelled = setup.wait("exp_2", timeout=60), setup.wait(policy=EVERY_SECOND)
        await asyncio.sleep(3)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert (3, "exp_1") not in setup.poller.requests
        again = setup.wait()

        assert (await again).is_done
        assert setup.clock.monotonic() <= 5
        keeper.cancel()
        await asyncio.wait({keeper})


async def _first(outcomes: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(outcomes)


class TestCloses:
    @virtually
    async def test_a_new_wait_after_a_close(self) -> None:
        """A watcher that was closed serves the next wait."""
        setup = Setup(exp_1=TIMELINE)
        waiting = setup.wait()
        await asyncio.sleep(1)
        await setup.watcher.close()
        with pytest.raises(ClientClosedError):
            await waiting

        assert (await setup.wait()).is_done

    @virtually
    async def test_leave_no_task(self) -> None:
        """When `close` returns, no request is under way, even if nobody has taken the outcomes."""
        setup = Setup(exp_1=DONE, exp_2=PENDING)
        wanted = [("exp_1", None), ("exp_2", None)]
        async with aclosing(setup.watcher.wait_many(wanted, None, STEADY)) as outcomes:
            await anext(outcomes)
            setup.poller.latency = 1000
            await asyncio.sleep(3)
            await setup.watcher.close()

            assert asyncio.all_tasks() == {asyncio.current_task()}

    @virtually
    async def test_a_new_wait_during_a_close(self) -> None:
        """A wait that starts while the requests are being cancelled is served at once, by one task."""
        setup = Setup(exp_1=TIMELINE, exp_2=[(0, "SCHEDULED"), (20, "DONE")])
        setup.watcher._poller = poller = Reluctant(
            setup.poller.statuses, setup.quota, setup.clock, slow={"exp_1": 1000}
        )
        setup.quota.answered(0, None, None, None)
        closed = setup.wait()
        await asyncio.sleep(1)
        closing = asyncio.create_task(setup.watcher.close())
        await asyncio.sleep(0)
        new = setup.wait("exp_2", policy=EVERY_SECOND)
        await asyncio.sleep(5)

        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("voucherify-exports-watcher") == 1
        assert poller.requests[:3] == [(0, "exp_1"), (1, "exp_2"), (2, "exp_2")]
        assert (await new).is_done
        await asyncio.wait({closing, closed})

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 added eager tasks")
    @virtually
    async def test_by_an_eager_task_of_a_wait_strategy(self) -> None:
        """If a function of the caller closes the watcher during a response, each wait has one outcome."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (1, "DONE")])
        closing: list[asyncio.Task[None]] = []

        def close(_state: object) -> float:
            if not closing:
                closing.append(asyncio.create_task(setup.watcher.close()))
            return 1 / 0

        waits = [setup.wait(policy=PollPolicy(wait=close)) for _ in range(3)]
        await asyncio.sleep(0)
        factory = getattr(asyncio, "eager_task_factory")  # noqa: B009 - unknown to Python 3.11
        asyncio.get_running_loop().set_task_factory(factory)
        outcomes = await asyncio.gather(*waits, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3
        assert sum(isinstance(event, WaitEnded) for event in setup.events) == 3
        await asyncio.wait(closing)

    @virtually
    async def test_by_a_function_of_the_caller(self) -> None:
        """The same, if the function runs the first step of `close` itself."""
        setup = Setup(exp_1=PENDING)
        closing = []

        def close(_state: object) -> float:
            if not closing:
                closing.append(setup.watcher.close())
                closing[0].send(None)
            return 1 / 0

        waits = [setup.wait(policy=PollPolicy(wait=close)) for _ in range(3)]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        closing[0].close()
        await asyncio.sleep(0.1)  # the watcher's task ends

        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3
        assert sum(isinstance(event, WaitEnded) for event in setup.events) == 3


class TestCheck:
    @virtually
    async def test_includes_the_places(self) -> None:
        """What the tests call after every step asserts the rules of the map, too."""
        setup = Setup(is_checked=False, exp_1=PENDING)
        waiting = setup.wait()
        await asyncio.sleep(1)
        entry = setup.watcher._map.entries["exp_1"]
        del entry.place.entries[entry]

        with pytest.raises(AssertionError, match="in two places, or in none"):
            setup.watcher.check()
        entry.place.entries[entry] = None
        waiting.cancel()
        await asyncio.wait({waiting})

    @virtually
    async def test_a_page_under_way_has_not_failed(self) -> None:
        """A request that ends because nobody waits any more shows nothing about its page."""
        setup = Setup(exp_1=PENDING, exp_2=PENDING)
        setup.poller.latency = 1000
        waits = [setup.wait("exp_1"), setup.wait("exp_2")]
        await asyncio.sleep(1)
        for task in waits:
            task.cancel()
        await asyncio.wait(waits)

        assert setup.watcher._map._pages[1].failing_since == math.inf


class TestManyWaits:
    @pytest.mark.parametrize("waits", [1_000, 4_000])
    def test_for_one_id_are_linear(self, waits: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of thousands of waits for one export, each joins and leaves without regard to the others."""
        steps = 0
        include = Schedule.include

        def counted(schedule: Schedule, waiter: Waiter, is_missing: bool) -> None:
            nonlocal steps
            steps += 1
            include(schedule, waiter, is_missing)

        def ends_before(waiter: Waiter, other: Waiter) -> bool:
            nonlocal steps
            steps += 1
            return waiter.ends < other.ends

        monkeypatch.setattr(Schedule, "include", counted)
        monkeypatch.setattr(Waiter, "__lt__", ends_before)

        @virtually
        async def check() -> None:
            setup = Setup(is_checked=False, exp_1=[(0, "SCHEDULED"), (9, "DONE")])
            tasks = [setup.wait() for _ in range(waits)]
            await asyncio.sleep(1)
            for task in tasks[::2]:
                task.cancel()
                await asyncio.sleep(0)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert sum(isinstance(outcome, Export) for outcome in outcomes) == waits / 2

        check()
        assert steps < 20 * waits

    @virtually
    async def test_keep_their_deadlines_when_others_have_ended(self) -> None:
        """Waits that are cancelled by the hundred change nothing for those that remain."""
        setup = Setup(is_checked=False, exp_1=PENDING)
        waits = {timeout: setup.wait(timeout=timeout) for timeout in (37 * n % 401 + 0.5 for n in range(401))}
        await asyncio.sleep(0.1)
        cancelled = [waits.pop(timeout) for timeout in list(waits) if timeout % 3 > 1]
        for task in cancelled:
            task.cancel()
        await asyncio.wait(cancelled)
        waits |= {timeout: setup.wait(timeout=timeout) for timeout in range(500, 800)}
        await asyncio.wait(waits.values())

        ended = [event for event in setup.events if isinstance(event, WaitEnded)]
        assert [event.elapsed for event in ended] == pytest.approx(sorted(waits))

    @virtually
    async def test_ended_waits_do_not_accumulate(self) -> None:
        """Deadlines that are far away do not keep waits that have ended in memory."""
        setup = Setup(exp_1=PENDING)
        keeper = setup.wait(timeout=None)
        for _ in range(40):
            waits = [setup.wait(timeout=1_000_000) for _ in range(20)]
            await asyncio.sleep(0.1)
            for task in waits:
                task.cancel()
            await asyncio.wait(waits)
        assert len(setup.watcher._ends) <= 300
        keeper.cancel()
        await asyncio.wait({keeper})
        assert setup.watcher._ends == []
