import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from attrs import Factory, define, evolve
from samples import running, wire
from virtual import EPOCH, VirtualClock, VirtualLoop, virtually
from waits import wait

from voucherify_exports import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    Event,
    Export,
    ExportPage,
    InvalidResponseError,
    PollPolicy,
    RateLimit,
    RateLimitedError,
    RoundCompleted,
    ServerError,
    StatusChanged,
    TransportError,
    VoucherifyExportsError,
    WaitEnded,
    WaitTimeoutError,
)
from voucherify_exports._api.quota import Quota
from voucherify_exports._waiting.watcher import LAST_POLL, Watcher

STEADY = PollPolicy(initial=2, factor=2, max=60, jitter=0)
CREATED = datetime(2025, 1, 1, 0, 0, 59, tzinfo=UTC)
EVERY_SECOND = PollPolicy(initial=1, factor=1, max=1, jitter=0)


def exported(status: str, export_id: str = "exp_1", created_at: str = "2025-01-01T00:00:59.000Z") -> Export:
    """An export with this status, as a response contains it."""
    make = wire if status == "DONE" else running
    return Export.from_dict(make(status=status, id=export_id, created_at=created_at))


@define
class FakePoller:
    """A poller without a network: each export changes its status at given times, and responses take time."""

    statuses: dict[str, Sequence[tuple[float, str]]]
    quota: Quota
    clock: VirtualClock
    latency: float = 0.0
    outcomes: dict[str, list[BaseException | Export]] = Factory(dict)  # of the next requests
    headers: Callable[[], tuple[RateLimit, float | None]] = lambda: (RateLimit(), None)
    requests: list[tuple[float, str]] = Factory(list)
    unlisted: set[str] = Factory(set)
    created: dict[str, datetime] = Factory(dict)
    slow: dict[str, float] = Factory(dict)
    loop_steps: dict[str, int] = Factory(dict)  # steps of the event loop before the response

    async def get(self, export_id: str) -> Export:
        await self._request(export_id)
        return self._export(export_id)

    async def list_page(self, page: int) -> ExportPage:
        await self._request(f"page {page}")
        listed = [export_id for export_id in self.statuses if export_id not in self.unlisted]
        ids = listed[100 * (page - 1) : 100 * page]
        return ExportPage(exports=tuple(map(self._export, ids)), total=len(listed))

    async def _request(self, requested: str) -> None:
        self.requests.append((self.clock.monotonic(), requested))
        await asyncio.sleep(self.slow.get(requested, self.latency))
        for _ in range(self.loop_steps.get(requested, 0)):
            await asyncio.sleep(0)
        rate_limit, reset_in = self.headers()
        self.quota.answered(self.clock.monotonic(), rate_limit.limit, rate_limit.remaining, reset_in)
        if self.outcomes.get(requested) and isinstance(self.outcomes[requested][0], BaseException):
            raise self.outcomes[requested].pop(0)

    def _export(self, export_id: str) -> Export:
        if self.outcomes.get(export_id) and isinstance(self.outcomes[export_id][0], Export):
            return self.outcomes[export_id].pop(0)
        now = self.clock.monotonic()
        status = [status for at, status in self.statuses[export_id] if at <= now][-1]
        return evolve(exported(status, export_id), created_at=self._created_at(export_id))

    def _created_at(self, export_id: str) -> datetime:
        """An export is always a second older than the one listed before it."""
        if export_id not in self.created:
            newest = max(self.created.values(), default=CREATED - timedelta(seconds=len(self.statuses)))
            for new in reversed([known for known in self.statuses if known not in self.created]):
                newest = self.created[new] = newest + timedelta(seconds=1)
        return self.created[export_id]

    @property
    def times(self) -> list[float]:
        return [round(at, 6) for at, _ in self.requests]


class Setup:
    """A watcher with its poller, quota, clock and events."""

    def __init__(
        self, poll_share: float = 0.5, is_checked: bool = True, **statuses: Sequence[tuple[float, str]]
    ) -> None:
        self.clock = VirtualClock()
        self.quota = Quota(poll_share)
        self.poller = FakePoller(statuses, self.quota, self.clock)
        self.events: list[Event] = []
        self.watcher = Watcher(self.poller, self.quota, self.clock, self.events.append)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if is_checked:
            loop.check_after_each_step(self.watcher.check)

    def wait(
        self,
        export_id: str = "exp_1",
        *,
        known: Export | None = None,
        timeout: float | None = 1800,
        policy: PollPolicy = STEADY,
        on_update: Callable[[Export], object] | None = None,
    ) -> asyncio.Task[Export]:
        return asyncio.create_task(wait(self.watcher, export_id, known, timeout, policy, on_update))


TIMELINE = [(0, "SCHEDULED"), (5, "IN_PROGRESS"), (20, "DONE")]


class TestWaiting:
    @virtually
    async def test_polls_at_once_and_then_backs_off(self) -> None:
        """The first poll is sent at once, and the next ones after 2, 4, 8 and 16 seconds."""
        setup = Setup(exp_1=TIMELINE)

        export = await setup.wait()

        assert export == exported("DONE")
        assert setup.poller.times == [0, 2, 6, 14, 30]

    @virtually
    async def test_reports_each_change_of_status_once(self) -> None:
        """`on_update` is called for the first status and for each change, the last included."""
        setup = Setup(exp_1=TIMELINE)
        updates: list[str] = []

        await setup.wait(
            on_update=lambda export: updates.append(f"{export.status} {setup.clock.monotonic():g}")
        )

        assert updates == ["SCHEDULED 0", "IN_PROGRESS 6", "DONE 30"]
        assert [event.status for event in setup.events if isinstance(event, StatusChanged)] == [
            "SCHEDULED",
            "IN_PROGRESS",
            "DONE",
        ]
        assert WaitEnded(export_id="exp_1", outcome="DONE", elapsed=30, polls=5) in setup.events

    @virtually
    async def test_a_callback_that_raises_ends_its_own_wait(self) -> None:
        """An exception of `on_update` is raised by its own wait and by no other."""
        setup = Setup(exp_1=TIMELINE)
        other = setup.wait()

        def fail(export: Export) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await setup.wait(on_update=fail)
        assert (await other).is_done

    @virtually
    async def test_returns_a_failed_export(self) -> None:
        """The status ERROR ends a wait as well."""
        assert (await Setup(exp_1=[(0, "ERROR")]).wait()).is_failed

    @virtually
    async def test_an_unknown_status_does_not_end_a_wait(self) -> None:
        """An unknown status is reported, and the wait continues."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (1, "PAUSED"), (5, "IN_PROGRESS"), (9, "DONE")])
        updates: list[str] = []

        await setup.wait(policy=EVERY_SECOND, on_update=lambda export: updates.append(export.status))

        assert updates == ["SCHEDULED", "PAUSED", "IN_PROGRESS", "DONE"]

    @virtually
    async def test_a_strategy_of_tenacity(self) -> None:
        """A tenacity strategy in the policy of a waiter paces its polls."""
        setup = Setup(exp_1=TIMELINE)

        await setup.wait(policy=PollPolicy(wait=lambda state: 7.0))

        assert setup.poller.times == [0, 7, 14, 21]

    @virtually
    async def test_a_status_never_goes_back(self) -> None:
        """A response with an earlier status than a previous one is not reported."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (1, "SCHEDULED"), (2, "IN_PROGRESS"), (3, "DONE")])
        updates: list[str] = []

        await setup.wait(policy=EVERY_SECOND, on_update=lambda export: updates.append(export.status))

        assert updates == ["IN_PROGRESS", "DONE"]
        assert sum(isinstance(event, StatusChanged) for event in setup.events) == 2


class TestKnownExport:
    @virtually
    async def test_an_export_created_just_now(self) -> None:
        """A SCHEDULED export created within the last second is first polled after `initial` seconds."""
        setup = Setup(exp_1=TIMELINE)
        known = exported("SCHEDULED", created_at="2025-12-31T23:59:59.500Z")
        updates: list[str] = []

        await setup.wait(known=known, on_update=lambda export: updates.append(export.status))

        assert setup.clock.wall() - setup.clock.monotonic() == EPOCH
        assert setup.poller.times == [2, 4, 8, 16, 32]
        assert updates == ["IN_PROGRESS", "DONE"]

    @pytest.mark.parametrize(
        "known",
        [
            exported("SCHEDULED", created_at="2025-12-31T23:59:00.000Z"),
            exported("SCHEDULED", created_at="2025-12-31T23:59:58.000Z"),
            exported("IN_PROGRESS", created_at="2026-01-01T00:00:00.000Z"),
        ],
    )
    def test_an_older_export_is_polled_at_once(self, known: Export) -> None:
        """Any other export may have changed since the caller received it."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=[(0, "DONE")])
            await setup.wait(known=known)
            assert setup.poller.times == [0]

        check()

    def test_an_export_from_the_future(self) -> None:
        """If the clocks of the server and of this machine differ, an export may be new, and not younger."""
        times: list[list[float]] = []

        @virtually
        async def poll(created_at: str) -> None:
            setup = Setup(exp_1=[(0, "SCHEDULED"), (60, "DONE")])
            setup.poller.headers = lambda: (RateLimit(limit=2_000, remaining=1_990), 60.0)
            policy = PollPolicy(initial=1, factor=2, max=60, jitter=0)
            await setup.wait(known=exported("SCHEDULED", created_at=created_at), policy=policy)
            times.append(setup.poller.times)

        poll("2026-01-01T00:00:00.000Z")
        poll("2026-01-01T00:05:00.000Z")

        assert times[0][0] == 1
        assert times[0] == times[1]

    @pytest.mark.parametrize(
        ("created_at", "times"),
        [
            ("2025-12-31T23:59:59.000Z", [0, 2, 4, 6, 8, 10, 12]),
            ("2025-12-31T23:55:00.000Z", [0, 2, 6, 14, 30, 62]),
        ],
    )
    def test_spare_polls_depend_on_the_age(self, created_at: str, times: list[float]) -> None:
        """A tenth of the age of the export, not of the wait, is a pause after which spare quota is used."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=[(0, "IN_PROGRESS"), (times[-1] - 1e-3, "DONE")])
            setup.poller.headers = lambda: (RateLimit(limit=2_000, remaining=1_990), 60.0)
            await setup.wait(known=exported("IN_PROGRESS", created_at=created_at))
            assert setup.poller.times == times

        check()

    @virtually
    async def test_spare_polls_depend_on_the_age_in_the_response(self) -> None:
        """The age of an export of which only the id is known is in its first response."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (61, "DONE")])
        setup.poller.headers = lambda: (RateLimit(limit=2_000, remaining=1_990), 60.0)

        await setup.wait()

        assert setup.poller.times == [0, 2, 6, 14, 30, 62]


class TestDeadline:
    @virtually
    async def test_a_loop_that_was_blocked(self) -> None:
        """If the loop was blocked until after the deadline, the wait ends as usual, with a last poll."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])
        waiting = setup.wait(timeout=10)
        await asyncio.sleep(9)
        asyncio.get_running_loop()._jumping.elapsed += 3

        with pytest.raises(WaitTimeoutError):
            await waiting
        assert setup.poller.times == [0, 2, 6, 12]

    @virtually
    async def test_durations_are_since_the_start_of_the_wait(self) -> None:
        """`elapsed` is the time of this wait, and no time of the clock."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")], exp_2=[(0, "IN_PROGRESS"), (104, "DONE")])
        await asyncio.sleep(100)

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait(timeout=10)
        await setup.wait("exp_2")

        assert caught.value.elapsed == 10
        assert [event.elapsed for event in setup.events if isinstance(event, WaitEnded)] == [10, 0]

    @virtually
    async def test_the_last_poll_is_at_the_deadline(self) -> None:
        """The last delay is shortened to the deadline, and one more poll follows."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (9.9, "DONE")])

        assert (await setup.wait(timeout=10)).is_done
        assert setup.poller.times == [0, 2, 6, 10]

    @virtually
    async def test_a_timeout_is_an_error(self) -> None:
        """The error has the last export, the elapsed time and the number of polls."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait(timeout=10)

        assert caught.value.export_id == "exp_1"
        assert caught.value.last_export == exported("IN_PROGRESS")
        assert (caught.value.elapsed, caught.value.polls, caught.value.last_error) == (10, 4, None)
        assert caught.value.held_back_by is None
        assert setup.clock.monotonic() == 10
        ended = WaitEnded(export_id="exp_1", outcome="WaitTimeoutError", elapsed=10, polls=4)
        assert ended in setup.events

    @virtually
    async def test_a_request_that_hangs(self) -> None:
        """A request that hangs does not delay the end of the wait."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])
        setup.poller.latency = 1000

        with pytest.raises(WaitTimeoutError, match="could not be polled"):
            await setup.wait(timeout=10)

        assert setup.clock.monotonic() == 10

    @virtually
    async def test_the_last_poll_takes_at_most_a_second(self) -> None:
        """The poll at the deadline may take up to `LAST_POLL` seconds."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (10, "DONE")])
        setup.poller.latency = 0.9

        assert (await setup.wait(timeout=10)).is_done

        setup = Setup(exp_1=[(0, "IN_PROGRESS")])
        started = setup.clock.monotonic()
        waiting = setup.wait(timeout=10)
        await asyncio.sleep(9)
        setup.poller.latency = 1000
        with pytest.raises(WaitTimeoutError):
            await waiting
        assert setup.clock.monotonic() - started == pytest.approx(10 + LAST_POLL) == pytest.approx(11)

    @virtually
    async def test_a_last_poll_that_hangs_delays_no_other_wait(self) -> None:
        """While the last poll of one wait hangs, the deadline of another wait is kept."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")], exp_2=[(0, "IN_PROGRESS")])
        earlier, later = setup.wait(timeout=10), setup.wait("exp_2", timeout=10.3)
        await asyncio.sleep(9.5)
        setup.poller.latency = 1000

        with pytest.raises(WaitTimeoutError):
            await later
        assert setup.clock.monotonic() == 10.3
        with pytest.raises(WaitTimeoutError):
            await earlier
        assert setup.clock.monotonic() == pytest.approx(10 + LAST_POLL)

    @virtually
    async def test_a_timeout_of_zero_is_one_poll(self) -> None:
        """With `timeout=0` exactly one poll is sent."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])

        with pytest.raises(WaitTimeoutError):
            await setup.wait(timeout=0)
        assert setup.poller.times == [0]

        assert (await Setup(exp_1=[(0, "DONE")]).wait(timeout=0)).is_done

    @virtually
    async def test_no_timeout(self) -> None:
        """With `timeout=None` a wait takes as long as the export."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (100_000, "DONE")])

        assert (await setup.wait(timeout=None)).is_done
        assert 100_000 <= setup.clock.monotonic() <= 100_060

    @virtually
    async def test_each_waiter_has_its_own_deadline(self) -> None:
        """The shorter of two waits for one export ends, and the longer one continues."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (20, "DONE")])
        long = setup.wait(timeout=60)

        with pytest.raises(WaitTimeoutError):
            await setup.wait(timeout=5)
        assert (await long).is_done


class TestFailures:
    @pytest.mark.parametrize(
        "failure",
        [
            TransportError("no route"),
            InvalidResponseError("odd", problem="odd"),
            *(
                ApiError.for_status(status)("said", status=status)
                for status in (408, 429, 500, 501, 503, 599)
            ),
        ],
        ids=repr,
    )
    def test_a_transient_failure_does_not_end_a_wait(self, failure: VoucherifyExportsError) -> None:
        """Polls that fail are followed by the next ones as usual."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=[(0, "IN_PROGRESS"), (5, "DONE")])
            setup.poller.outcomes["exp_1"] = [failure] * 2

            assert (await setup.wait()).is_done
            assert setup.poller.times == [0, 2, 6]

        check()

    @virtually
    async def test_the_timeout_has_the_last_error(self) -> None:
        """If all polls fail, the error of the timeout contains the last failure."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])
        setup.poller.outcomes["exp_1"] = [TransportError("first"), *([TransportError("last")] * 9)]

        with pytest.raises(WaitTimeoutError, match="The last error was: last") as caught:
            await setup.wait(timeout=10)

        assert str(caught.value.last_error) == "last"
        assert caught.value.last_export is None

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409])
    def test_a_lasting_error_ends_the_wait(self, status: int) -> None:
        """An error that another poll would get as well ends the waits for the export."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=TIMELINE)
            await asyncio.gather(deleted := setup.wait(), setup.wait(), return_exceptions=True)
            setup.poller.outcomes["exp_1"] = [ApiError.for_status(status)("said", status=status)]

            outcomes = await asyncio.gather(setup.wait(), setup.wait(), return_exceptions=True)

            assert deleted.result().is_done
            assert [type(outcome) for outcome in outcomes] == [ApiError.for_status(status)] * 2
            assert outcomes[0] is not outcomes[1]
            assert len(setup.poller.times) == 6

        check()

    @virtually
    async def test_a_404_ends_the_waits_for_one_export(self) -> None:
        """A 404 ends the waits for its id, and all others continue."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.unlisted.add("exp_1")
        setup.poller.outcomes["exp_1"] = [ApiError.for_status(404)("gone", status=404)]

        missing, done = await asyncio.gather(setup.wait(), setup.wait("exp_2"), return_exceptions=True)

        assert isinstance(missing, LookupError)
        assert isinstance(done, Export)
        assert done.id == "exp_2"

    @virtually
    async def test_done_without_a_result_is_polled_once_more(self) -> None:
        """The result may arrive a moment after the status."""
        setup = Setup(exp_1=[(0, "DONE")])
        setup.poller.outcomes["exp_1"] = [Export.from_dict(wire(result=None, id="exp_1"))]
        updates: list[Export] = []

        assert await setup.wait(on_update=updates.append) == exported("DONE")
        assert setup.poller.times == [0, 2]
        assert updates == [exported("DONE")]

    @virtually
    async def test_done_without_a_result_twice_is_an_error(self) -> None:
        """After the second such response the wait raises InvalidResponseError, which names the export."""
        setup = Setup(exp_1=[(0, "DONE")])
        setup.poller.outcomes["exp_1"] = [Export.from_dict(wire(result=None, id="exp_1"))] * 2

        with pytest.raises(InvalidResponseError, match=r"exp_1.*no result URL"):
            await setup.wait()
        assert setup.poller.times == [0, 2]

    @virtually
    async def test_done_without_a_result_concerns_no_other_export(self) -> None:
        """The second poll is a GET, and then all waits for this export end, and no other one."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "IN_PROGRESS"), (60, "DONE")])
        setup.poller.outcomes["exp_1"] = [Export.from_dict(wire(result=None, id="exp_1"))] * 9
        other = setup.wait("exp_2")

        outcomes = await asyncio.gather(*(setup.wait() for _ in range(3)), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [InvalidResponseError] * 3
        assert setup.poller.requests.count((2, "exp_1")) == 1
        assert setup.clock.monotonic() == 2
        assert (await other).is_done

    @virtually
    async def test_in_progress_after_done_without_a_result(self) -> None:
        """If IN_PROGRESS follows DONE without a result, the wait continues."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS"), (10, "DONE")])
        without_result = Export.from_dict(wire(result=None, id="exp_1"))
        setup.poller.outcomes["exp_1"] = [without_result, exported("IN_PROGRESS"), without_result]
        updates: list[str] = []

        assert (await setup.wait(on_update=lambda export: updates.append(export.status))).is_done
        assert updates == ["IN_PROGRESS", "DONE"]

    @virtually
    async def test_an_unexpected_exception_ends_all_waits(self) -> None:
        """All waits raise an exception of the watcher's task, and the next wait starts a new task."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.outcomes["page 1"] = [ZeroDivisionError()]

        outcomes = await asyncio.gather(setup.wait(), setup.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
        assert (await setup.wait()).is_done

    @virtually
    async def test_a_hook_that_raises_ends_all_waits(self) -> None:
        """All waits raise the exception of the hook, and `close` raises it after all waits have ended."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE, exp_3=TIMELINE)

        def fail(event: Event) -> None:
            raise ZeroDivisionError

        setup.watcher._emit = fail
        waits = [setup.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3

        setup.poller.latency = 1000
        waits = [setup.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
        await asyncio.sleep(1)
        with pytest.raises(ZeroDivisionError):
            await setup.watcher.close()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3


class TestSharing:
    @virtually
    async def test_waiters_for_one_export_share_its_polls(self) -> None:
        """However many wait for an id, it has one request at a time."""
        setup = Setup(exp_1=TIMELINE)
        setup.poller.latency = 0.1

        exports = await asyncio.gather(*(setup.wait() for _ in range(50)))

        assert exports == [exported("DONE")] * 50
        assert len(setup.poller.times) == 5

    @virtually
    async def test_a_later_waiter_is_polled_for_at_once(self) -> None:
        """A waiter that joins does not inherit another's long delay, and the poll serves both."""
        setup = Setup(exp_1=TIMELINE)
        earlier = setup.wait()
        await asyncio.sleep(21)

        assert (await setup.wait()).is_done
        assert (await earlier).is_done
        assert setup.poller.times == [0, 2, 6, 14, 21]

    @virtually
    async def test_one_task_serves_all(self) -> None:
        """One task starts with the first waiter and ends with the last one."""
        setup = Setup(**{f"exp_{number}": TIMELINE for number in range(20)})
        waits = [setup.wait(f"exp_{number}") for number in range(20)]
        await asyncio.sleep(1)

        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("voucherify-exports-watcher") == 1

        await asyncio.gather(*waits)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "voucherify-exports-watcher" not in names

    @virtually
    async def test_cancelling_one_waiter(self) -> None:
        """Cancelling a waiter ends it at once, and the other waiters continue."""
        setup = Setup(exp_1=TIMELINE)
        cancelled, remaining = setup.wait(), setup.wait()
        await asyncio.sleep(1)
        cancelled.cancel()

        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert setup.clock.monotonic() == 1
        assert (await remaining).is_done

    @virtually
    async def test_cancelling_the_last_waiter_ends_the_task(self) -> None:
        """Without waiters the task and its request under way end."""
        setup = Setup(exp_1=TIMELINE)
        setup.poller.latency = 1000
        waiting = setup.wait()
        await asyncio.sleep(1)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}
        setup.poller.latency = 0
        assert (await setup.wait()).is_done

    @virtually
    async def test_cancelling_a_waiter_before_its_first_poll(self) -> None:
        """A waiter that is cancelled before its first poll leaves nothing behind for the next wait."""
        setup = Setup(exp_1=TIMELINE)
        waiting = setup.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert (await setup.wait()).is_done

    @virtually
    async def test_closing_ends_every_wait(self) -> None:
        """All pending waits raise ClientClosedError, and no task is left."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        waits = [setup.wait(), setup.wait("exp_2"), setup.wait()]
        await asyncio.sleep(1)

        await setup.watcher.close()

        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3

    @virtually
    async def test_closing_without_waits(self) -> None:
        """Closing a watcher without waits does nothing."""
        await Setup().watcher.close()


class TestQuota:
    @virtually
    async def test_one_poll_is_sent_first(self) -> None:
        """While the quota is unknown, one request is sent first and the others follow its response."""
        ids = [f"exp_{number}" for number in range(300)]
        setup = Setup(**dict.fromkeys(ids, ((0, "DONE"),)))
        setup.poller.latency = 1

        await asyncio.gather(*(setup.wait(export_id) for export_id in ids))

        assert setup.poller.requests == [(0, "page 1"), (1, "page 2"), (1, "page 3")]

    @virtually
    async def test_polls_are_spread_over_the_window(self) -> None:
        """Of 20 requests a minute polling takes ten, at equal intervals."""
        ids = [f"exp_{number}" for number in range(12)]
        setup = Setup(newer=[(0, "DONE")], **dict.fromkeys(ids, ((0, "DONE"),)))
        setup.poller.unlisted.update(ids)

        def headers() -> tuple[RateLimit, float]:
            into_window = setup.clock.monotonic() % 60
            window = setup.clock.monotonic() - into_window
            spent = sum(at >= window for at in setup.poller.times)
            return RateLimit(limit=20, remaining=20 - spent), 60 - into_window

        setup.poller.headers = headers

        await asyncio.gather(*(setup.wait(export_id) for export_id in ids))

        assert [requested for _, requested in setup.poller.requests] == ["page 1", *ids]
        assert setup.poller.times == pytest.approx([0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72])

    @virtually
    async def test_a_refusal_beyond_the_deadline_is_raised_at_once(self) -> None:
        """A wait that ends before the refusal does raises at once, and a longer one continues."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        short, long = setup.wait(timeout=30), setup.wait("exp_2", timeout=300)
        await asyncio.sleep(3)
        setup.quota.refused(setup.clock.monotonic(), 60)

        with pytest.raises(RateLimitedError, match=r"exp_1.*not sent.*spent for another") as caught:
            await short

        assert setup.clock.monotonic() == 4
        assert caught.value.retry_at is not None
        assert caught.value.retry_at.timestamp() == EPOCH + 63
        assert (await long).is_done
        assert [at for at in setup.poller.times if 3 < at < 63] == []

    @virtually
    async def test_no_poll_at_the_deadline_without_quota(self) -> None:
        """The last poll of a wait is not sent if it would exceed the share of the quota."""
        setup = Setup(exp_1=[(0, "IN_PROGRESS")])
        setup.poller.headers = lambda: (RateLimit(limit=2, remaining=1), 60 - setup.clock.monotonic())

        with pytest.raises(WaitTimeoutError) as caught:
            await setup.wait(timeout=10)

        assert setup.poller.times == [0]
        assert caught.value.elapsed == 10


class TestPages:
    @virtually
    async def test_two_exports_share_a_page(self) -> None:
        """From two exports on, a page replaces GETs and is polled twice as often as for one."""
        setup = Setup(exp_1=TIMELINE, exp_2=[(0, "SCHEDULED"), (40, "DONE")])

        await asyncio.gather(setup.wait(), setup.wait("exp_2"))

        assert {requested for at, requested in setup.poller.requests if at < 20} == {"page 1"}
        assert setup.poller.times[:4] == [0, 2, 4, 6]

    @virtually
    async def test_the_last_export_gets_gets(self) -> None:
        """If a page has one awaited export left, that export gets GETs."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=TIMELINE)

        await asyncio.gather(setup.wait(), setup.wait("exp_2"))

        assert setup.poller.requests == [
            (0, "page 1"),
            (2, "exp_2"),
            (6, "exp_2"),
            (14, "exp_2"),
            (30, "exp_2"),
        ]

    @virtually
    async def test_a_page_serves_every_waiter(self) -> None:
        """A page updates each awaited export on it, even one that was not due or not expected there."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (15, "DONE")], exp_2=TIMELINE, exp_3=TIMELINE)
        slow = PollPolicy(initial=1000, max=1000, jitter=0)
        lazy = setup.wait(policy=slow)
        await asyncio.sleep(10)
        started = setup.clock.monotonic()

        await asyncio.gather(lazy, setup.wait("exp_2"), setup.wait("exp_3"))

        assert started == 10
        assert setup.clock.monotonic() < 40

    @virtually
    async def test_only_pages_with_awaited_exports_are_requested(self) -> None:
        """250 awaited exports are on the first three of five pages, and later pages are not requested."""
        ids = [f"exp_{number}" for number in range(500)]
        setup = Setup(**dict.fromkeys(ids, ((0, "SCHEDULED"), (30, "DONE"))))

        await asyncio.gather(*(setup.wait(export_id) for export_id in ids[:250]))

        assert {requested for _, requested in setup.poller.requests} == {"page 1", "page 2", "page 3"}

    @virtually
    async def test_pages_never_cost_more_than_gets(self) -> None:
        """Three exports far down the list get GETs after three pages without them."""
        ids = [f"exp_{number}" for number in range(1_000)]
        setup = Setup(**dict.fromkeys(ids, ((0, "DONE"),)))

        await asyncio.gather(*(setup.wait(export_id) for export_id in ids[-3:]))

        sent = [requested for _, requested in setup.poller.requests]
        assert sent == ["page 1", "page 2", "page 3", *ids[-3:]]

    @virtually
    async def test_many_exports_far_down_the_list(self) -> None:
        """Fifty exports on page 8 are worth polling the pages before it."""
        ids = [f"exp_{number}" for number in range(1_000)]
        setup = Setup(**dict.fromkeys(ids, ((0, "DONE"),)))

        await asyncio.gather(*(setup.wait(export_id) for export_id in ids[700:750]))

        assert [requested for _, requested in setup.poller.requests] == [
            f"page {number}" for number in range(1, 9)
        ]

    @virtually
    async def test_exports_that_are_not_on_the_list(self) -> None:
        """Exports that no page contains get GETs until they are done."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.unlisted = {"exp_1", "exp_2"}

        exports = await asyncio.gather(setup.wait(), setup.wait("exp_2"))

        assert all(export.is_done for export in exports)
        assert [requested for _, requested in setup.poller.requests].count("exp_1") >= 4

    @virtually
    async def test_pages_that_shift(self) -> None:
        """Every wait ends although new exports move all others down the pages, mostly by polls of pages."""
        ids = [f"exp_{number}" for number in range(150)]
        setup = Setup(**dict.fromkeys(ids, ((0, "SCHEDULED"), (100, "DONE"))))
        waits = [setup.wait(export_id) for export_id in ids]
        for number in range(40):
            await asyncio.sleep(2)
            older = setup.poller.statuses
            setup.poller.statuses = {f"new_{number}_{n}": [(0, "SCHEDULED")] for n in range(7)} | older

        assert all(export.is_done for export in await asyncio.gather(*waits))
        assert sum(requested.startswith("page") for _, requested in setup.poller.requests) > 0.7 * len(
            setup.poller.requests
        )

    @virtually
    async def test_an_export_that_pages_lack(self) -> None:
        """An export that is on no page gets GETs, and the others are polled by pages."""
        ids = [f"exp_{number}" for number in range(20)]
        setup = Setup(**dict.fromkeys(ids, tuple(TIMELINE)))
        setup.poller.unlisted = {"exp_3"}

        assert all(export.is_done for export in await asyncio.gather(*map(setup.wait, ids)))
        assert {requested for _, requested in setup.poller.requests} == {"page 1", "exp_3"}

    @virtually
    async def test_a_list_that_lags(self) -> None:
        """A page that is older than a GET does not set a status back, and DONE is reported once."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (8, "DONE")], exp_2=TIMELINE, exp_3=TIMELINE)
        setup.poller.outcomes["exp_1"] = [exported("IN_PROGRESS"), *([exported("SCHEDULED")] * 2)]
        updates: list[str] = []

        await asyncio.gather(
            setup.wait(on_update=lambda export: updates.append(export.status)),
            setup.wait("exp_2"),
            setup.wait("exp_3"),
        )

        assert updates == ["IN_PROGRESS", "DONE"]

    @virtually
    async def test_done_without_a_result_on_a_page(self) -> None:
        """DONE without a result on a page is followed by one GET before it is an error."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=TIMELINE, exp_3=TIMELINE)
        without_result = Export.from_dict(wire(result=None, id="exp_1"))
        setup.poller.outcomes["exp_1"] = [without_result, without_result]
        waits = [setup.wait(), setup.wait("exp_2"), setup.wait("exp_3")]

        exports = await asyncio.gather(*waits, return_exceptions=True)

        assert all(isinstance(export, Export) for export in exports)

        setup.poller.outcomes["exp_1"] = [without_result] * 40
        waits = [setup.wait(), setup.wait("exp_2"), setup.wait("exp_3")]
        with pytest.raises(InvalidResponseError, match="no result URL"):
            await waits[0]
        await asyncio.gather(*waits[1:])
        assert "exp_1" in [requested for _, requested in setup.poller.requests]


class TestFailingPages:
    @pytest.mark.parametrize(
        "failure", [TransportError("no route"), ServerError("failing", status=503)], ids=repr
    )
    def test_a_page_that_fails_does_not_end_a_wait(self, failure: VoucherifyExportsError) -> None:
        """One failed page delays the waits and ends none."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE, exp_3=TIMELINE)
            setup.poller.outcomes["page 1"] = [failure]

            exports = await asyncio.gather(setup.wait(), setup.wait("exp_2"), setup.wait("exp_3"))

            assert all(export.is_done for export in exports)
            assert setup.clock.monotonic() < 40

        check()

    @pytest.mark.parametrize(
        "failure",
        [
            ServerError("failing", status=503),
            InvalidResponseError("odd", problem="odd"),
            ApiError.for_status(403)("forbidden", status=403),
            ApiError("odd", status=405),
        ],
        ids=repr,
    )
    def test_gets_replace_a_list_that_always_fails(self, failure: VoucherifyExportsError) -> None:
        """If every page fails and single exports do not, GETs are sent instead."""

        @virtually
        async def check() -> None:
            ids = [f"exp_{number}" for number in range(5)]
            setup = Setup(**dict.fromkeys(ids, tuple(TIMELINE)))
            setup.poller.outcomes["page 1"] = [failure] * 1000

            assert all(export.is_done for export in await asyncio.gather(*map(setup.wait, ids)))
            assert setup.clock.monotonic() < 90

        check()

    @virtually
    async def test_a_late_failure_loses_no_export(self) -> None:
        """An export that is queued for a GET keeps its place even if its former page fails later."""
        ids = [f"exp_{number}" for number in range(102)]
        setup = Setup(**dict.fromkeys(ids, tuple(TIMELINE)))
        setup.poller.slow = {"page 1": 1, "exp_0": 1, "page 2": 8}
        setup.poller.outcomes = {f"page {page}": [ServerError("failing", status=503)] * 2 for page in (1, 2)}
        waits = [setup.wait(export_id, timeout=None) for export_id in ids]
        await asyncio.sleep(3.5)
        setup.quota.refused(setup.clock.monotonic(), 20)

        exports = await asyncio.gather(*waits)

        assert (3, "exp_0") in setup.poller.requests
        assert all(export.is_done for export in exports)

    @pytest.mark.parametrize("steps", range(12))
    def test_a_failure_at_any_step_loses_no_export(self, steps: int) -> None:
        """At whatever step of the event loop a GET fails, the next one follows."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
            setup.poller.unlisted = {"exp_1", "exp_2"}
            setup.poller.outcomes = {name: [TransportError("cut")] * 6 for name in ("exp_1", "exp_2")}
            setup.poller.loop_steps = {"exp_2": steps}

            waits = [
                setup.wait("exp_1", timeout=None),
                setup.wait("exp_2", timeout=None, policy=EVERY_SECOND),
            ]

            assert all(export.is_done for export in await asyncio.gather(*waits))

        check()

    @pytest.mark.parametrize("status", [401, 403, 503])
    def test_a_page_that_fails_after_a_cancellation(self, status: int) -> None:
        """A waiter that was cancelled while its page was under way is not affected by its failure."""

        @virtually
        async def check() -> None:
            setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE, exp_3=TIMELINE)
            setup.poller.latency = 1
            setup.poller.outcomes["page 1"] = [ApiError.for_status(status)("no", status=status)]
            cancelled, *remaining = [setup.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
            await asyncio.sleep(0.5)
            cancelled.cancel()

            outcomes = await asyncio.gather(*remaining, return_exceptions=True)

            expected = AuthenticationError if status == 401 else Export
            assert [type(outcome) for outcome in outcomes] == [expected] * 2

        check()

    @virtually
    async def test_wrong_credentials_end_all_waits(self) -> None:
        """A 401 for a page ends every wait at once."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.outcomes["page 1"] = [AuthenticationError("unknown", status=401)]

        outcomes = await asyncio.gather(setup.wait(), setup.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [AuthenticationError] * 2
        assert outcomes[0] is not outcomes[1]
        assert setup.poller.requests == [(0, "page 1")]

    @virtually
    async def test_the_timeout_has_the_last_error_of_a_page(self) -> None:
        """If all pages and GETs fail, the error of the timeout contains the last failure."""
        setup = Setup(exp_1=TIMELINE, exp_2=TIMELINE)
        setup.poller.outcomes = {
            requested: [TransportError("cut")] * 99 for requested in ("page 1", "exp_1", "exp_2")
        }

        outcomes = await asyncio.gather(
            setup.wait(timeout=10), setup.wait("exp_2", timeout=10), return_exceptions=True
        )

        assert [str(outcome)[-3:] for outcome in outcomes] == ["cut"] * 2
        assert all(isinstance(outcome, WaitTimeoutError) and outcome.polls > 0 for outcome in outcomes)


class TestWaitMany:
    @virtually
    async def test_yields_each_as_it_finishes(self) -> None:
        """The order is that of the ends, and each wait has one outcome, even two for the same id."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (30, "DONE")], exp_2=[(0, "DONE")], exp_3=[(0, "ERROR")])
        wanted = [("exp_1", None), ("exp_2", None), ("exp_3", None), ("exp_2", None)]

        outcomes = [outcome async for outcome in setup.watcher.wait_many(wanted, 1800, STEADY)]

        assert [export_id for export_id, _ in outcomes] == ["exp_2", "exp_2", "exp_3", "exp_1"]

    @virtually
    async def test_a_failure_ends_no_other_wait(self) -> None:
        """A timeout is the outcome of its own wait only."""
        setup = Setup(exp_1=[(0, "SCHEDULED")], exp_2=[(0, "SCHEDULED"), (3, "DONE")])

        outcomes = dict(
            [item async for item in setup.watcher.wait_many([("exp_1", None), ("exp_2", None)], 9, STEADY)]
        )

        assert isinstance(outcomes["exp_1"], WaitTimeoutError)
        assert isinstance(outcomes["exp_2"], Export)

    @virtually
    async def test_a_slow_consumer_misses_nothing(self) -> None:
        """Exports that finish while the caller is busy are yielded when it continues."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (3, "DONE")], exp_3=TIMELINE)
        order: list[str] = []

        wanted = [(f"exp_{number}", None) for number in (1, 2, 3)]
        async for export_id, _ in setup.watcher.wait_many(wanted, 1800, STEADY):
            order.append(export_id)
            await asyncio.sleep(100)

        assert order == ["exp_1", "exp_2", "exp_3"]
        assert setup.clock.monotonic() == 300

    @virtually
    async def test_leaving_the_loop_ends_the_other_waits(self) -> None:
        """Leaving the loop leaves no wait, task or request behind."""
        setup = Setup(exp_1=TIMELINE, exp_2=[(0, "DONE")], exp_3=TIMELINE)
        async with aclosing(
            setup.watcher.wait_many([(f"exp_{number}", None) for number in (1, 2, 3)], 1800, STEADY)
        ) as outcomes:
            async for export_id, _ in outcomes:
                assert export_id == "exp_2"
                break

        assert setup.clock.monotonic() == 0
        assert len(setup.poller.requests) == 1


class TestRounds:
    @virtually
    async def test_each_round_is_an_event(self) -> None:
        """The event has the requests, the exports returned and pending, the quota and the next due time."""
        setup = Setup(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (1, "DONE")])
        setup.poller.headers = lambda: (RateLimit(limit=100, remaining=98), 60.0)

        await asyncio.gather(setup.wait(), setup.wait("exp_2"))

        rounds = [event for event in setup.events if isinstance(event, RoundCompleted)]
        assert rounds == [
            RoundCompleted(requests=1, seen=2, pending=1, remaining=98, next_due=pytest.approx(2)),
            RoundCompleted(requests=1, seen=1, pending=0, remaining=98, next_due=None),
        ]

    @virtually
    async def test_no_poll_is_due_when_nobody_waits(self) -> None:
        """After the last outcome, `next_due` is `None`, even if nobody has taken it."""
        setup = Setup(exp_1=[(0, "DONE")])
        async with aclosing(setup.watcher.wait_many([("exp_1", None)], None, STEADY)) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(1)

            rounds = [event for event in setup.events if isinstance(event, RoundCompleted)]
            assert [event.next_due for event in rounds] == [None]

    @virtually
    async def test_the_next_due_time_is_a_duration(self) -> None:
        """`next_due` are the seconds from the event to the next poll."""
        setup = Setup(exp_1=[(0, "SCHEDULED"), (102, "DONE")])
        await asyncio.sleep(100)

        await setup.wait()

        rounds = [event for event in setup.events if isinstance(event, RoundCompleted)]
        assert [event.next_due for event in rounds] == [pytest.approx(2), None]


def test_the_last_poll_is_short() -> None:
    """The last poll is short compared with usual timeouts."""
    assert 0 < LAST_POLL < math.inf
