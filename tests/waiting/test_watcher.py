import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from attrs import Factory, define, evolve
from samples import running, wire
from virtual import EPOCH, VirtualClock, virtually

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


def seen(status: str, export_id: str = "exp_1", created_at: str = "2025-01-01T00:00:59.000Z") -> Export:
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
    unlisted: set[str] = Factory(set)
    created: dict[str, datetime] = Factory(dict)
    slow: dict[str, float] = Factory(dict)
    late: dict[str, int] = Factory(dict)  # by so many steps of the loop

    async def get(self, export_id: str) -> Export:
        await self._request(export_id)
        return self._shown(export_id)

    async def list_page(self, page: int) -> ExportPage:
        await self._request(f"page {page}")
        shown = [export_id for export_id in self.statuses if export_id not in self.unlisted]
        ids = shown[100 * (page - 1) : 100 * page]
        return ExportPage(exports=tuple(map(self._shown, ids)), total=len(shown))

    async def _request(self, what: str) -> None:
        self.requests.append((self.clock.monotonic(), what))
        await asyncio.sleep(self.slow.get(what, self.latency))
        for _ in range(self.late.get(what, 0)):
            await asyncio.sleep(0)
        said, reset_in = self.headers()
        self.quota.answered(self.clock.monotonic(), said.limit, said.remaining, reset_in)
        if self.faults.get(what) and isinstance(self.faults[what][0], BaseException):
            raise self.faults[what].pop(0)

    def _shown(self, export_id: str) -> Export:
        if self.faults.get(export_id) and isinstance(self.faults[export_id][0], Export):
            return self.faults[export_id].pop(0)
        now = self.clock.monotonic()
        status = [status for at, status in self.statuses[export_id] if at <= now][-1]
        return evolve(seen(status, export_id), created_at=self._created_at(export_id))

    def _created_at(self, export_id: str) -> datetime:
        """Each export is a second older than the one listed before it, and stays so."""
        if export_id not in self.created:
            newest = max(self.created.values(), default=CREATED - timedelta(seconds=len(self.statuses)))
            for new in reversed([known for known in self.statuses if known not in self.created]):
                newest = self.created[new] = newest + timedelta(seconds=1)
        return self.created[export_id]

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
        assert WaitEnded(export_id="exp_1", outcome="DONE", elapsed=30, polls=5) in scene.events

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
        ended = WaitEnded(export_id="exp_1", outcome="WaitTimeoutError", elapsed=10, polls=4)
        assert ended in scene.events

    @virtually
    async def test_an_answer_under_way_is_not_waited_for(self) -> None:
        """A request that hangs cannot outlast the deadline."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")])
        scene.source.latency = 1000

        with pytest.raises(WaitTimeoutError, match="could not be polled"):
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
    async def test_a_last_look_that_hangs_holds_nobody_else(self) -> None:
        """While one wait is given its second, the deadline of another is kept."""
        scene = Scene(exp_1=[(0, "IN_PROGRESS")], exp_2=[(0, "IN_PROGRESS")])
        first, second = scene.wait(timeout=10), scene.wait("exp_2", timeout=10.5)
        await asyncio.sleep(9.5)
        scene.source.latency = 1000

        with pytest.raises(WaitTimeoutError):
            await second
        assert scene.clock.monotonic() == 10.5
        with pytest.raises(WaitTimeoutError):
            await first
        assert scene.clock.monotonic() == pytest.approx(10 + LAST_POLL)

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

        with pytest.raises(WaitTimeoutError, match="The last error was: last") as caught:
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
        scene.source.unlisted.add("exp_1")
        scene.source.faults["exp_1"] = [ApiError.for_status(404)("gone", status=404)]

        gone, done = await asyncio.gather(scene.wait(), scene.wait("exp_2"), return_exceptions=True)

        assert isinstance(gone, LookupError)
        assert isinstance(done, Export)
        assert done.id == "exp_2"

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
        scene.source.faults["page 1"] = [ZeroDivisionError()]

        outcomes = await asyncio.gather(scene.wait(), scene.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
        assert (await scene.wait()).is_done

    @virtually
    async def test_a_hook_that_raises_leaves_nobody_waiting(self) -> None:
        """Its exception reaches every waiter, and closing raises it after all have ended."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE, exp_3=LIFE)

        def fail(event: Event) -> None:
            raise ZeroDivisionError

        scene.watcher._emit = fail
        waits = [scene.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3

        scene.source.latency = 1000
        waits = [scene.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
        await asyncio.sleep(1)
        with pytest.raises(ZeroDivisionError):
            await scene.watcher.close()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3


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
        ids = [f"exp_{number}" for number in range(300)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))
        scene.source.latency = 1

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids))

        assert scene.source.requests == [(0, "page 1"), (1, "page 2"), (1, "page 3")]

    @virtually
    async def test_polls_are_spread_over_the_window(self) -> None:
        """Of 20 requests a minute, polling takes ten, evenly."""
        ids = [f"exp_{number}" for number in range(12)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))
        scene.source.unlisted.update(ids)

        def headers() -> tuple[RateLimit, float]:
            into_window = scene.clock.monotonic() % 60
            window = scene.clock.monotonic() - into_window
            spent = sum(at >= window for at in scene.source.times)
            return RateLimit(limit=20, remaining=20 - spent), 60 - into_window

        scene.source.headers = headers

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids))

        assert [what for _, what in scene.source.requests] == ["page 1", *ids]
        assert scene.source.times == pytest.approx([0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72])

    @virtually
    async def test_a_refusal_that_outlasts_the_wait_is_told_at_once(self) -> None:
        """Who cannot wait so long hears of it now, who can goes on."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        short, long = scene.wait(timeout=30), scene.wait("exp_2", timeout=300)
        await asyncio.sleep(3)
        scene.quota.refused(scene.clock.monotonic(), 60)

        with pytest.raises(RateLimitedError, match=r"exp_1.*not sent.*spent for another") as caught:
            await short

        assert scene.clock.monotonic() == 4
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


class TestPages:
    @virtually
    async def test_two_exports_are_looked_at_by_one_request(self) -> None:
        """From two on, a page is cheaper than a GET each, and refreshed twice as often as for one."""
        scene = Scene(exp_1=LIFE, exp_2=[(0, "SCHEDULED"), (40, "DONE")])

        await asyncio.gather(scene.wait(), scene.wait("exp_2"))

        assert {what for at, what in scene.source.requests if at < 20} == {"page 1"}
        assert scene.source.times[:4] == [0, 2, 4, 6]

    @virtually
    async def test_the_last_one_gets_gets(self) -> None:
        """Where a page holds one awaited export, it is asked for by itself."""
        scene = Scene(exp_1=[(0, "DONE")], exp_2=LIFE)

        await asyncio.gather(scene.wait(), scene.wait("exp_2"))

        assert scene.source.requests == [
            (0, "page 1"),
            (2, "exp_2"),
            (6, "exp_2"),
            (14, "exp_2"),
            (30, "exp_2"),
        ]

    @virtually
    async def test_a_page_is_news_for_everybody(self) -> None:
        """Who is shown hears of it, whether it was due or expected there or not."""
        scene = Scene(exp_1=[(0, "SCHEDULED"), (15, "DONE")], exp_2=LIFE, exp_3=LIFE)
        slow = PollPolicy(initial=1000, max=1000, jitter=0)
        lazy = scene.wait(policy=slow)
        await asyncio.sleep(10)
        started = scene.clock.monotonic()

        await asyncio.gather(lazy, scene.wait("exp_2"), scene.wait("exp_3"))

        assert started == 10
        assert scene.clock.monotonic() < 40

    @virtually
    async def test_only_pages_with_pending_exports_are_fetched(self) -> None:
        """250 exports wait on three pages of 500 listed ones; later pages are never asked for."""
        ids = [f"exp_{number}" for number in range(500)]
        scene = Scene(**dict.fromkeys(ids, ((0, "SCHEDULED"), (30, "DONE"))))

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids[:250]))

        assert {what for _, what in scene.source.requests} == {"page 1", "page 2", "page 3"}

    @virtually
    async def test_pages_never_cost_more_than_gets(self) -> None:
        """Three exports far down the list: after three pages in vain each gets a GET."""
        ids = [f"exp_{number}" for number in range(1_000)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids[-3:]))

        whats = [what for _, what in scene.source.requests]
        assert whats == ["page 1", "page 2", "page 3", *ids[-3:]]

    @virtually
    async def test_many_far_down_the_list_are_found(self) -> None:
        """Fifty exports on page 8 are worth the pages before."""
        ids = [f"exp_{number}" for number in range(1_000)]
        scene = Scene(**dict.fromkeys(ids, ((0, "DONE"),)))

        await asyncio.gather(*(scene.wait(export_id) for export_id in ids[700:750]))

        assert [what for _, what in scene.source.requests] == [f"page {number}" for number in range(1, 9)]

    @virtually
    async def test_beyond_the_reach_of_the_list(self) -> None:
        """Exports that no page shows are followed by GETs to their end."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        scene.source.unlisted = {"exp_1", "exp_2"}

        exports = await asyncio.gather(scene.wait(), scene.wait("exp_2"))

        assert all(export.is_done for export in exports)
        assert [what for _, what in scene.source.requests].count("exp_1") >= 4

    @virtually
    async def test_shifting_pages_lose_nobody(self) -> None:
        """Others create exports all the time, so that everything moves down, page after page."""
        ids = [f"exp_{number}" for number in range(150)]
        scene = Scene(**dict.fromkeys(ids, ((0, "SCHEDULED"), (100, "DONE"))))
        waits = [scene.wait(export_id) for export_id in ids]
        for number in range(40):
            await asyncio.sleep(2)
            older = scene.source.statuses
            scene.source.statuses = {f"new_{number}_{n}": [(0, "SCHEDULED")] for n in range(7)} | older

        assert all(export.is_done for export in await asyncio.gather(*waits))
        assert sum(what.startswith("page") for _, what in scene.source.requests) > 0.7 * len(
            scene.source.requests
        )

    @virtually
    async def test_a_malformed_entry_spoils_only_itself(self) -> None:
        """An export that pages never show is followed by GETs, the others by pages."""
        ids = [f"exp_{number}" for number in range(20)]
        scene = Scene(**dict.fromkeys(ids, tuple(LIFE)))
        scene.source.unlisted = {"exp_3"}

        assert all(export.is_done for export in await asyncio.gather(*map(scene.wait, ids)))
        assert {what for _, what in scene.source.requests} == {"page 1", "exp_3"}

    @virtually
    async def test_a_list_that_lags_tells_nothing_twice(self) -> None:
        """A page that is behind a GET does not take a status back, and DONE comes once."""
        scene = Scene(exp_1=[(0, "SCHEDULED"), (8, "DONE")], exp_2=LIFE, exp_3=LIFE)
        scene.source.faults["exp_1"] = [seen("IN_PROGRESS"), *([seen("SCHEDULED")] * 2)]
        told: list[str] = []

        await asyncio.gather(
            scene.wait(on_update=lambda export: told.append(export.status)),
            scene.wait("exp_2"),
            scene.wait("exp_3"),
        )

        assert told == ["IN_PROGRESS", "DONE"]

    @virtually
    async def test_done_without_a_result_on_a_page(self) -> None:
        """What a page shows so gets one more GET of its own before it is an error."""
        scene = Scene(exp_1=[(0, "DONE")], exp_2=LIFE, exp_3=LIFE)
        bare = Export.from_dict(wire(result=None, id="exp_1"))
        scene.source.faults["exp_1"] = [bare, bare]
        waits = [scene.wait(), scene.wait("exp_2"), scene.wait("exp_3")]

        exports = await asyncio.gather(*waits, return_exceptions=True)

        assert all(isinstance(export, Export) for export in exports)

        scene.source.faults["exp_1"] = [bare] * 40
        waits = [scene.wait(), scene.wait("exp_2"), scene.wait("exp_3")]
        with pytest.raises(InvalidResponseError, match="no result URL"):
            await waits[0]
        await asyncio.gather(*waits[1:])
        assert "exp_1" in [what for _, what in scene.source.requests]


class TestFailingPages:
    @pytest.mark.parametrize(
        "fault", [TransportError("no route"), ServerError("failing", status=503)], ids=repr
    )
    def test_a_page_that_fails_is_no_news(self, fault: VoucherifyExportsError) -> None:
        """One bad page delays, and ends nothing."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=LIFE, exp_2=LIFE, exp_3=LIFE)
            scene.source.faults["page 1"] = [fault]

            exports = await asyncio.gather(scene.wait(), scene.wait("exp_2"), scene.wait("exp_3"))

            assert all(export.is_done for export in exports)
            assert scene.clock.monotonic() < 40

        check()

    @pytest.mark.parametrize(
        "fault",
        [
            ServerError("failing", status=503),
            InvalidResponseError("odd", problem="odd"),
            ApiError.for_status(403)("forbidden", status=403),
            ApiError("odd", status=405),
        ],
        ids=repr,
    )
    def test_a_list_that_is_of_no_use_is_gone_round(self, fault: VoucherifyExportsError) -> None:
        """Where every page fails, and single exports do not, GETs bring the news."""

        @virtually
        async def check() -> None:
            ids = [f"exp_{number}" for number in range(5)]
            scene = Scene(**dict.fromkeys(ids, tuple(LIFE)))
            scene.source.faults["page 1"] = [fault] * 1000

            assert all(export.is_done for export in await asyncio.gather(*map(scene.wait, ids)))
            assert scene.clock.monotonic() < 90

        check()

    @virtually
    async def test_a_late_fault_loses_nobody(self) -> None:
        """Who waits for the quota to be looked at alone is so, though the page of old fails meanwhile."""
        ids = [f"exp_{number}" for number in range(102)]
        scene = Scene(**dict.fromkeys(ids, tuple(LIFE)))
        scene.source.slow = {"page 1": 1, "exp_0": 1, "page 2": 8}
        scene.source.faults = {f"page {page}": [ServerError("failing", status=503)] * 2 for page in (1, 2)}
        waits = [scene.wait(export_id, timeout=None) for export_id in ids]
        await asyncio.sleep(3.5)
        scene.quota.refused(scene.clock.monotonic(), 20)

        exports = await asyncio.gather(*waits)

        assert (3, "exp_0") in scene.source.requests
        assert all(export.is_done for export in exports)

    @pytest.mark.parametrize("steps", range(12))
    def test_a_fault_in_any_step_loses_nobody(self, steps: int) -> None:
        """In whatever step of the loop an export's own look ends, the next one follows."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=LIFE, exp_2=LIFE)
            scene.source.unlisted = {"exp_1", "exp_2"}
            scene.source.faults = {name: [TransportError("cut")] * 6 for name in ("exp_1", "exp_2")}
            scene.source.late = {"exp_2": steps}

            waits = [
                scene.wait("exp_1", timeout=None),
                scene.wait("exp_2", timeout=None, policy=EVERY_SECOND),
            ]

            assert all(export.is_done for export in await asyncio.gather(*waits))

        check()

    @pytest.mark.parametrize("status", [401, 403, 503])
    def test_who_left_meanwhile_is_left_alone(self, status: int) -> None:
        """A wait that was cancelled while its page was under way is nobody's concern when that fails."""

        @virtually
        async def check() -> None:
            scene = Scene(exp_1=LIFE, exp_2=LIFE, exp_3=LIFE)
            scene.source.latency = 1
            scene.source.faults["page 1"] = [ApiError.for_status(status)("no", status=status)]
            gone, *stay = [scene.wait(export_id) for export_id in ("exp_1", "exp_2", "exp_3")]
            await asyncio.sleep(0.5)
            gone.cancel()

            outcomes = await asyncio.gather(*stay, return_exceptions=True)

            expected = AuthenticationError if status == 401 else Export
            assert [type(outcome) for outcome in outcomes] == [expected] * 2

        check()

    @virtually
    async def test_wrong_credentials_end_the_waits_at_once(self) -> None:
        """A page's 401 is everybody's."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        scene.source.faults["page 1"] = [AuthenticationError("unknown", status=401)]

        outcomes = await asyncio.gather(scene.wait(), scene.wait("exp_2"), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [AuthenticationError] * 2
        assert outcomes[0] is not outcomes[1]
        assert scene.source.requests == [(0, "page 1")]

    @virtually
    async def test_the_fault_of_a_page_is_told_with_the_timeout(self) -> None:
        """Who never had news hears why."""
        scene = Scene(exp_1=LIFE, exp_2=LIFE)
        scene.source.faults = {what: [TransportError("cut")] * 99 for what in ("page 1", "exp_1", "exp_2")}

        outcomes = await asyncio.gather(
            scene.wait(timeout=10), scene.wait("exp_2", timeout=10), return_exceptions=True
        )

        assert [str(outcome)[-3:] for outcome in outcomes] == ["cut"] * 2
        assert all(isinstance(outcome, WaitTimeoutError) and outcome.polls > 0 for outcome in outcomes)


class TestWaitMany:
    @virtually
    async def test_brings_each_as_it_finishes(self) -> None:
        """The order is that of the ends, and every wait has one outcome, twice the same id included."""
        scene = Scene(exp_1=[(0, "SCHEDULED"), (30, "DONE")], exp_2=[(0, "DONE")], exp_3=[(0, "ERROR")])
        wanted = [("exp_1", None), ("exp_2", None), ("exp_3", None), ("exp_2", None)]

        outcomes = [outcome async for outcome in scene.watcher.wait_many(wanted, 1800, STEADY)]

        assert [export_id for export_id, _ in outcomes] == ["exp_2", "exp_2", "exp_3", "exp_1"]

    @virtually
    async def test_a_failure_ends_nobody_else(self) -> None:
        """The timeout of one is its own outcome."""
        scene = Scene(exp_1=[(0, "SCHEDULED")], exp_2=[(0, "SCHEDULED"), (3, "DONE")])

        outcomes = dict(
            [item async for item in scene.watcher.wait_many([("exp_1", None), ("exp_2", None)], 9, STEADY)]
        )

        assert isinstance(outcomes["exp_1"], WaitTimeoutError)
        assert isinstance(outcomes["exp_2"], Export)

    @virtually
    async def test_a_slow_consumer_misses_nothing(self) -> None:
        """Whatever finishes while the caller is busy is there when it comes back."""
        scene = Scene(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (3, "DONE")], exp_3=LIFE)
        order: list[str] = []

        wanted = [(f"exp_{number}", None) for number in (1, 2, 3)]
        async for export_id, _ in scene.watcher.wait_many(wanted, 1800, STEADY):
            order.append(export_id)
            await asyncio.sleep(100)

        assert order == ["exp_1", "exp_2", "exp_3"]
        assert scene.clock.monotonic() == 300

    @virtually
    async def test_leaving_early_detaches_the_rest(self) -> None:
        """A broken loop leaves no wait, task or request behind."""
        scene = Scene(exp_1=LIFE, exp_2=[(0, "DONE")], exp_3=LIFE)
        async with aclosing(
            scene.watcher.wait_many([(f"exp_{number}", None) for number in (1, 2, 3)], 1800, STEADY)
        ) as outcomes:
            async for export_id, _ in outcomes:
                assert export_id == "exp_2"
                break

        assert scene.clock.monotonic() == 0
        assert len(scene.source.requests) == 1


class TestRounds:
    @virtually
    async def test_each_look_is_told(self) -> None:
        """Requests, exports seen and pending, what the quota has left, and when the next look is due."""
        scene = Scene(exp_1=[(0, "DONE")], exp_2=[(0, "SCHEDULED"), (1, "DONE")])
        scene.source.headers = lambda: (RateLimit(limit=100, remaining=98), 60.0)

        await asyncio.gather(scene.wait(), scene.wait("exp_2"))

        rounds = [event for event in scene.events if isinstance(event, RoundCompleted)]
        assert rounds == [
            RoundCompleted(requests=1, seen=2, pending=1, remaining=98, next_due=pytest.approx(2)),
            RoundCompleted(requests=1, seen=1, pending=0, remaining=98, next_due=None),
        ]


def test_a_second_is_little() -> None:
    """The last look is short against any timeout that people give."""
    assert 0 < LAST_POLL < math.inf
