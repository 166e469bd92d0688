import asyncio
import math
from collections.abc import Callable, Sequence

import pytest
from attrs import Factory, define
from samples import running, wire
from virtual import EPOCH, VirtualClock, virtually

from voucherify_exports import (
    ApiError,
    ClientClosedError,
    Event,
    Export,
    ExportPage,
    InvalidResponseError,
    PollPolicy,
    RateLimit,
    RateLimitedError,
    StatusChanged,
    TransportError,
    VoucherifyExportsError,
    WaitEnded,
    WaitTimeoutError,
)
from voucherify_exports._quota import Quota
from voucherify_exports._watcher import LAST_POLL, Watcher

STEADY = PollPolicy(initial=2, factor=2, max=60, jitter=0)
EVERY_SECOND = PollPolicy(initial=1, factor=1, max=1, jitter=0)


def seen(status: str, export_id: str = "exp_1", created_at: str = "2025-01-01T00:00:00.000Z") -> Export:
    """An export as an answer would show it."""
    make = wire if status == "DONE" else running
    return Export.from_dict(make(status=status, id=export_id, created_at=created_at))


@define
class Script:
    """A source that plays the API: each export has a status from a time on, and answers take a while."""

    statuses: dict[str, Sequence[tuple[float, str]]]
    quota: Quota
    clock: VirtualClock
    latency: float = 0.0
    faults: dict[str, list[BaseException | Export]] = Factory(dict)
    headers: Callable[[], tuple[RateLimit, float | None]] = lambda: (RateLimit(), None)
    requests: list[tuple[float, str]] = Factory(list)

    async def get(self, export_id: str) -> Export:
        self.requests.append((self.clock.monotonic(), export_id))
        await asyncio.sleep(self.latency)
        self.quota.answered(self.clock.monotonic(), *self.headers())
        if self.faults.get(export_id):
            fault = self.faults[export_id].pop(0)
            if isinstance(fault, Export):
                return fault
            raise fault
        now = self.clock.monotonic()
        return seen([status for at, status in self.statuses[export_id] if at <= now][-1], export_id)

    async def list_page(self, page: int) -> ExportPage:
        raise NotImplementedError

    @property
    def times(self) -> list[float]:
        return [round(at, 6) for at, _ in self.requests]


class Scene:
    """A watcher with everything around it."""

    def __init__(self, poll_share: float = 0.5, **statuses: Sequence[tuple[float, str]]) -> None:
        self.clock = VirtualClock()
        self.quota = Quota(poll_share)
        self.source = Script(statuses, self.quota, self.clock)
        self.events: list[Event] = []
        self.watcher = Watcher(self.source, self.quota, self.clock, self.events.append)

    def wait(
        self,
        export_id: str = "exp_1",
        *,
        known: Export | None = None,
        timeout: float | None = 1800,
        policy: PollPolicy = STEADY,
        on_update: Callable[[Export], object] | None = None,
    ) -> asyncio.Task[Export]:
        return asyncio.create_task(self.watcher.wait(export_id, known, timeout, policy, on_update))


LIFE = [(0, "SCHEDULED"), (5, "IN_PROGRESS"), (20, "DONE")]


class TestWaiting:
    @virtually
    async def test_polls_first_and_then_backs_off(self) -> None:
        """The first look is at once, the others after 2, 4, 8 and 16 seconds."""
        scene = Scene(exp_1=LIFE)

        export = await scene.wait()

        assert export == seen("DONE")
        assert scene.source.times == [0, 2, 6, 14, 30]

    @virtually
    async def test_tells_each_change_of_status_once(self) -> None:
        """`on_update` hears the first sight, each change, and the end."""
        scene = Scene(exp_1=LIFE)
        updates: list[str] = []

        await scene.wait(
            on_update=lambda export: updates.append(f"{export.status} {scene.clock.monotonic():g}")
        )

        assert updates == ["SCHEDULED 0", "IN_PROGRESS 6", "DONE 30"]
        assert [event.status for event in scene.events if isinstance(event, StatusChanged)] == [
            "SCHEDULED",
            "IN_PROGRESS",
            "DONE",
        ]
        assert scene.events[-1] == WaitEnded(export_id="exp_1", outcome="DONE", elapsed=30, polls=5)

    @virtually
    async def test_a_callback_that_fails_ends_its_own_wait(self) -> None:
        """The caller's own mistake comes back to the caller, and to nobody else."""
        scene = Scene(exp_1=LIFE)
        other = scene.wait()

        def fail(export: Export) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await scene.wait(on_update=fail)
        assert (await other).is_done

    @virtually
    async def test_brings_a_failed_export_back(self) -> None:
        """ERROR is an end as well."""
        assert (await Scene(exp_1=[(0, "ERROR")]).wait()).is_failed

    @virtually
    async def test_an_unknown_status_is_on_the_way(self) -> None:
        """A status of tomorrow is waited through, and told."""
        scene = Scene(exp_1=[(0, "SCHEDULED"), (1, "PAUSED"), (5, "IN_PROGRESS"), (9, "DONE")])
        updates: list[str] = []

        await scene.wait(policy=EVERY_SECOND, on_update=lambda export: updates.append(export.status))

        assert updates == ["SCHEDULED", "PAUSED", "IN_PROGRESS", "DONE"]

    @virtually
    async def test_a_strategy_of_tenacitys_decides(self) -> None:
        """Each waiter's own policy sets its pace."""
        scene = Scene(exp_1=LIFE)

        await scene.wait(policy=PollPolicy(wait=lambda state: 7.0))

        assert scene.source.times == [0, 7, 14, 21]

    @virtually
    async def test_a_status_never_goes_back(self) -> None:
        """An answer older than one seen before is not told."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS"), (1, "SCHEDULED"), (2, "IN_PROGRESS"), (3, "DONE")])
        updates: list[str] = []

        await scene.wait(policy=EVERY_SECOND, on_update=lambda export: updates.append(export.status))

        assert updates == ["IN_PROGRESS", "DONE"]
        assert sum(isinstance(event, StatusChanged) for event in scene.events) == 2


class TestKnownExport:
    @virtually
    async def test_one_created_just_now_is_not_looked_at_yet(self) -> None:
        """A SCHEDULED export of this second gets its first look after `initial` seconds."""
        scene = Scene(exp_1=LIFE)
        known = seen("SCHEDULED", created_at="2025-12-31T23:59:59.500Z")
        updates: list[str] = []

        await scene.wait(known=known, on_update=lambda export: updates.append(export.status))

        assert scene.clock.wall() - scene.clock.monotonic() == EPOCH
        assert scene.source.times == [2, 4, 8, 16, 32]
        assert updates == ["IN_PROGRESS", "DONE"]

    @pytest.mark.parametrize(
        "known",
        [
            seen("SCHEDULED", created_at="2025-12-31T23:59:00.000Z"),
            seen("IN_PROGRESS", created_at="2026-01-01T00:00:00.000Z"),
        ],
    )
    def test_an_older_one_is_looked_at_first(self, known: Export) -> None:
        """Anything else may have changed since the caller saw it."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=[(0, "DONE")])
            await scene.wait(known=known)
            assert scene.source.times == [0]

        check()


class TestDeadline:
    @virtually
    async def test_the_last_look_is_at_the_deadline(self) -> None:
        """The last wait is shortened to the deadline, and one more look follows."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS"), (9.9, "DONE")])

        assert (await scene.wait(timeout=10)).is_done
        assert scene.source.times == [0, 2, 6, 10]

    @virtually
    async def test_late_is_an_error_that_says_how_late(self) -> None:
        """The error carries the last state, the time and the polls."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])

        with pytest.raises(WaitTimeoutError) as caught:
            await scene.wait(timeout=10)

        assert caught.value.export_id == "exp_1"
        assert caught.value.last_export == seen("IN_PROGRESS")
        assert (caught.value.elapsed, caught.value.polls, caught.value.last_error) == (10, 4, None)
        assert scene.clock.monotonic() == 10
        assert scene.events[-1] == WaitEnded(
            export_id="exp_1", outcome="WaitTimeoutError", elapsed=10, polls=4
        )

    @virtually
    async def test_an_answer_under_way_is_not_waited_for(self) -> None:
        """A request that hangs cannot outlast the deadline."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])
        scene.source.latency = 1000

        with pytest.raises(WaitTimeoutError, match="could not be looked at"):
            await scene.wait(timeout=10)

        assert scene.clock.monotonic() == 10

    @virtually
    async def test_the_last_look_gets_a_second(self) -> None:
        """The look at the deadline may take a moment, and no more."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS"), (10, "DONE")])
        scene.source.latency = 0.9

        assert (await scene.wait(timeout=10)).is_done

        scene = Scene(exp_1=[(0, "IN_PROGRESS")])
        started = scene.clock.monotonic()
        waiting = scene.wait(timeout=10)
        await asyncio.sleep(9)
        scene.source.latency = 1000
        with pytest.raises(WaitTimeoutError):
            await waiting
        assert scene.clock.monotonic() - started == pytest.approx(10 + LAST_POLL)

    @virtually
    async def test_no_time_at_all_is_one_look(self) -> None:
        """`timeout=0` asks once."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])

        with pytest.raises(WaitTimeoutError):
            await scene.wait(timeout=0)
        assert scene.source.times == [0]

        assert (await Scene(exp_1=[(0, "DONE")]).wait(timeout=0)).is_done

    @virtually
    async def test_none_waits_for_ever(self) -> None:
        """Without a deadline a wait takes as long as the export."""
        scene = Scene(exp_1=[(0, "SCHEDULED"), (100_000, "DONE")])

        assert (await scene.wait(timeout=None)).is_done
        assert 100_000 <= scene.clock.monotonic() <= 100_060

    @virtually
    async def test_each_waiter_has_its_own(self) -> None:
        """The shorter of two waits for one export ends, the longer goes on."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS"), (20, "DONE")])
        long = scene.wait(timeout=60)

        with pytest.raises(WaitTimeoutError):
            await scene.wait(timeout=5)
        assert (await long).is_done


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
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
    def test_a_passing_fault_is_no_news(self, fault: VoucherifyExportsError) -> None:
        """The wait goes on at its pace, and remembers the fault."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=[(0, "IN_PROGRESS"), (5, "DONE")])
            scene.source.faults["exp_1"] = [fault] * 2

            assert (await scene.wait()).is_done
            assert scene.source.times == [0, 2, 6]

        check()

    @virtually
    async def test_the_last_fault_is_told_with_the_timeout(self) -> None:
        """Nothing but faults: the error says which the last was."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])
        scene.source.faults["exp_1"] = [TransportError("first"), *([TransportError("last")] * 9)]

        with pytest.raises(WaitTimeoutError, match="The last fault on the way: last") as caught:
            await scene.wait(timeout=10)

        assert str(caught.value.last_error) == "last"
        assert caught.value.last_export is None

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409])
    def test_a_lasting_fault_ends_the_wait(self, status: int) -> None:
        """Nothing is gained by asking again."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=LIFE)
            await asyncio.gather(deleted := scene.wait(), scene.wait(), return_exceptions=True)
            scene.source.faults["exp_1"] = [ApiError.for_status(status)("said", status=status)]

            outcomes = await asyncio.gather(scene.wait(), scene.wait(), return_exceptions=True)

            assert deleted.result().is_done
            assert [type(outcome) for outcome in outcomes] == [ApiError.for_status(status)] * 2
            assert outcomes[0] is not outcomes[1]
            assert len(scene.source.times) == 6

        check()

    @virtually
    async def test_one_export_that_is_gone_leaves_the_others(self) -> None:
        """A 404 ends the waits for that id alone."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        scene.source.faults["exp_1"] = [ApiError.for_status(404)("gone", status=404)]

        gone, done = await asyncio.gather(scene.wait(), scene.wait("exp_2"), return_exceptions=True)

        assert isinstance(gone, LookupError)
        assert done == seen("DONE", "exp_2")

    @virtually
    async def test_done_without_a_result_is_looked_at_once_more(self) -> None:
        """The result may come a moment later than the status."""
        scene = Scene(exp_1=[(0, "DONE")])
        scene.source.faults["exp_1"] = [Export.from_dict(wire(result=None, id="exp_1"))]
        updates: list[Export] = []

        assert await scene.wait(on_update=updates.append) == seen("DONE")
        assert scene.source.times == [0, 2]
        assert updates == [seen("DONE")]

    @virtually
    async def test_done_without_a_result_twice_is_an_error(self) -> None:
        """After the second look it is an invalid response, which names the export."""
        scene = Scene(exp_1=[(0, "DONE")])
        scene.source.faults["exp_1"] = [Export.from_dict(wire(result=None, id="exp_1"))] * 2

        with pytest.raises(InvalidResponseError, match=r"exp_1.*no result URL"):
            await scene.wait()
        assert scene.source.times == [0, 2]

    @virtually
    async def test_done_that_is_taken_back_is_waited_for(self) -> None:
        """DONE without a result, then IN_PROGRESS again: the wait goes on."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS"), (10, "DONE")])
        bare = Export.from_dict(wire(result=None, id="exp_1"))
        scene.source.faults["exp_1"] = [bare, seen("IN_PROGRESS"), bare]
        updates: list[str] = []

        assert (await scene.wait(on_update=lambda export: updates.append(export.status))).is_done
        assert updates == ["IN_PROGRESS", "DONE"]

    @virtually
    async def test_a_fault_of_ours_reaches_every_waiter(self) -> None:
        """Nobody waits for a task that has died, and the next wait starts a new one."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        scene.source.faults["exp_1"] = [ZeroDivisionError()]

        outcomes = await asyncio.gather(scene.wait(), scene.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
        assert (await scene.wait()).is_done


class TestSharing:
    @virtually
    async def test_many_waiters_of_one_export_cost_one_poll(self) -> None:
        """However many wait for an id, it is asked for once at a time."""
        scene = Scene(exp_1=LIFE)
        scene.source.latency = 0.1

        exports = await asyncio.gather(*(scene.wait() for _ in range(50)))

        assert exports == [seen("DONE")] * 50
        assert len(scene.source.times) == 5

    @virtually
    async def test_a_later_waiter_has_its_look_at_once(self) -> None:
        """Who joins does not inherit another's long wait, and the other gets the news."""
        scene = Scene(exp_1=LIFE)
        first = scene.wait()
        await asyncio.sleep(21)

        assert (await scene.wait()).is_done
        assert (await first).is_done
        assert scene.source.times == [0, 2, 6, 14, 21]

    @virtually
    async def test_one_task_serves_all(self) -> None:
        """The task starts with the first waiter and is gone with the last."""
        scene = Scene(**{f"exp_{number}": LIFE for number in range(20)})
        waits = [scene.wait(f"exp_{number}") for number in range(20)]
        await asyncio.sleep(1)

        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("voucherify-exports-watcher") == 1

        await asyncio.gather(*waits)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "voucherify-exports-watcher" not in names

    @virtually
    async def test_a_cancelled_waiter_leaves_the_others(self) -> None:
        """Cancelling passes through at once, and only the one is gone."""
        scene = Scene(exp_1=LIFE)
        gone, stays = scene.wait(), scene.wait()
        await asyncio.sleep(1)
        gone.cancel()

        with pytest.raises(asyncio.CancelledError):
            await gone
        assert scene.clock.monotonic() == 1
        assert (await stays).is_done

    @virtually
    async def test_the_last_cancelled_waiter_ends_the_task_and_its_request(self) -> None:
        """Nothing goes on for nobody, a request under way included."""
        scene = Scene(exp_1=LIFE)
        scene.source.latency = 1000
        only = scene.wait()
        await asyncio.sleep(1)
        only.cancel()

        with pytest.raises(asyncio.CancelledError):
            await only
        assert asyncio.all_tasks() == {asyncio.current_task()}
        scene.source.latency = 0
        assert (await scene.wait()).is_done

    @virtually
    async def test_a_waiter_cancelled_before_its_poll_began(self) -> None:
        """Cancelled at the earliest moment, a wait still leaves the books in order."""
        scene = Scene(exp_1=LIFE)
        only = scene.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only

        assert (await scene.wait()).is_done

    @virtually
    async def test_closing_ends_every_wait(self) -> None:
        """All pending waits raise, and no task is left."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        waits = [scene.wait(), scene.wait("exp_2"), scene.wait()]
        await asyncio.sleep(1)

        await scene.watcher.close()

        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3

    @virtually
    async def test_closing_without_waits_is_nothing(self) -> None:
        """There is nothing to end."""
        await Scene().watcher.close()


class TestQuota:
    @virtually
    async def test_the_first_poll_learns_for_the_others(self) -> None:
        """Nobody knows the quota yet: one request goes ahead."""
        ids = [f"exp_{number}" for number in range(100)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))
        scene.source.latency = 1

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids))

        assert scene.source.times == [0] + [1] * 99

    @virtually
    async def test_polls_are_spread_over_the_window(self) -> None:
        """Of 20 requests a minute, polling takes ten, evenly, and the oldest request goes first."""
        ids = [f"exp_{number}" for number in range(12)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))

        def headers() -> tuple[RateLimit, float]:
            into_window = scene.clock.monotonic() % 60
            window = scene.clock.monotonic() - into_window
            spent = sum(at >= window for at in scene.source.times)
            return RateLimit(limit=20, remaining=20 - spent), 60 - into_window

        scene.source.headers = headers

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids))

        times = scene.source.times
        assert [export_id for _, export_id in scene.source.requests] == ids
        assert sum(at < 60 for at in times) == 10
        assert times == pytest.approx([0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66])

    @virtually
    async def test_a_refusal_that_outlasts_the_wait_is_told_at_once(self) -> None:
        """Who cannot wait so long hears of it now, who can goes on."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        short, long = scene.wait(timeout=30), scene.wait("exp_2", timeout=300)
        await asyncio.sleep(3)
        scene.quota.refused(scene.clock.monotonic(), 60)

        with pytest.raises(RateLimitedError, match=r"exp_1.*not sent.*spent for another") as caught:
            await short

        assert scene.clock.monotonic() == 6
        assert caught.value.retry_at is not None
        assert caught.value.retry_at.timestamp() == EPOCH + 63
        assert (await long).is_done
        assert [at for at in scene.source.times if 3 < at < 63] == []

    @virtually
    async def test_no_look_at_the_deadline_without_quota(self) -> None:
        """The last look does not break the rule that polling keeps to its share."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])
        scene.source.headers = lambda: (RateLimit(limit=2, remaining=1), 60 - scene.clock.monotonic())

        with pytest.raises(WaitTimeoutError) as caught:
            await scene.wait(timeout=10)

        assert scene.source.times == [0]
        assert caught.value.elapsed == 10


def test_a_second_is_little() -> None:
    """The last look is short against any timeout that people give."""
    assert 0 < LAST_POLL < math.inf
