import asyncio
import math
from itertools import permutations

from attrs import evolve
from samples import running, wire
from virtual import virtually

from voucherify_exports import Export, PollPolicy
from voucherify_exports._waiting.waiter import Entry, Inbox, Schedule, Waiter, rank

SCHEDULED = Export.from_dict(running(status="SCHEDULED"))
IN_PROGRESS = Export.from_dict(running(status="IN_PROGRESS"))
UNKNOWN = Export.from_dict(running(status="PAUSED"))
DONE = Export.from_dict(wire(status="DONE"))
ERROR = Export.from_dict(running(status="ERROR"))


class FakePlace:
    """A place that counts the changes it learns of."""

    def __init__(self) -> None:
        self.entries: dict[Entry, None] = {}
        self.changes = 0

    def changed(self, _entry: Entry) -> None:
        self.changes += 1


def waiter(
    *,
    due: float = 0.0,
    started: float = 0.0,
    pause: float | None = None,
    policy: PollPolicy | None = None,
    deadline: float = math.inf,
) -> Waiter:
    wait = Waiter(Inbox(), policy or PollPolicy(jitter=0), started, deadline, due)
    wait.pause = pause
    return wait


def entry(*waiters: Waiter) -> Entry:
    """An entry with these waiters."""
    awaited = Entry("exp_1", 0.0, FakePlace())
    for each in waiters:
        awaited.join(each)
    return awaited


class TestInbox:
    @virtually
    async def test_a_waiter_that_is_notified_later(self) -> None:
        """The future is done once a waiter is notified, and one more notification does no harm."""
        inbox, wait = Inbox(), waiter()
        future = inbox.notified()
        assert not future.done()
        inbox.notify(wait)
        inbox.notify(wait)
        await future

        assert inbox.take() == [wait, wait]
        assert inbox.take() == []

    @virtually
    async def test_a_waiter_that_was_notified_earlier(self) -> None:
        """What happened before the call is not missed, and what was taken is not reported again."""
        inbox, wait = Inbox(), waiter()
        inbox.notify(wait)
        assert inbox.notified().done()
        inbox.take()
        assert not inbox.notified().done()

    @virtually
    async def test_a_call_that_was_cancelled(self) -> None:
        """A notification after the call has been cancelled does no harm."""
        inbox = Inbox()
        inbox.notified().cancel()
        inbox.notify(waiter())
        await asyncio.sleep(0)

        assert inbox.notified().done()


class TestWaiter:
    def test_is_pending(self) -> None:
        """Until it has an outcome, or has left its entry."""
        ended, left = waiter(), waiter()
        entry(ended, left)
        assert ended.is_pending
        assert left.is_pending
        ended.outcome = DONE
        left.entry.leave(left)

        assert not ended.is_pending
        assert not left.is_pending

    def test_is_ordered_by_its_end(self) -> None:
        """The earliest end comes first, whether it is the deadline or was moved."""
        early, late = waiter(deadline=5), waiter(deadline=9)
        assert early < late
        early.ends = 10
        assert late < early

    def test_updates_are_in_order(self) -> None:
        """The callback gets each change of status once, the earliest first, however many there are."""
        updates: list[Export] = []
        wait = waiter()
        wait.on_update = updates.append
        for export in (SCHEDULED, SCHEDULED, IN_PROGRESS):
            wait.learn(export)
        assert updates == []
        wait.run_callbacks()
        wait.run_callbacks()

        assert updates == [SCHEDULED, IN_PROGRESS]

    def test_the_newest_export_is_kept(self) -> None:
        """Also if the status is the same, since other properties may have changed."""
        wait, newer = waiter(), evolve(SCHEDULED, channel="WEBSITE")
        for export in (SCHEDULED, newer):
            wait.learn(export)

        assert wait.latest is newer
        assert wait.inbox.take() == []

    def test_a_poll_before_its_time(self) -> None:
        """A poll that was sent for others does not start the next pause; one at the due time does."""
        wait = waiter(due=10)
        awaited = entry(wait, waiter(due=11))
        wait.schedule_poll(9.9)
        assert (wait.due, wait.pause, awaited.due) == (10, None, 10)
        wait.polls = 1
        wait.schedule_poll(10)
        awaited.check()

        assert (wait.due, wait.pause, awaited.due) == (12, 2, 11)


class TestSchedule:
    """What several waiters want together, in whatever order they joined."""

    def schedules(self, *waiters: Waiter, is_missing: bool = False) -> Schedule:
        """The schedule of these waiters, which is the same in any order."""
        schedules: list[Schedule] = []
        for ordered in permutations(waiters):
            schedule = Schedule()
            for each in ordered:
                schedule.include(each, is_missing)
            schedules.append(schedule)
        assert all(schedule == schedules[0] for schedule in schedules)
        return schedules[0]

    def polled(self) -> list[Waiter]:
        return [
            waiter(due=50, started=1, pause=8, policy=PollPolicy(initial=5)),
            waiter(due=40, started=2, pause=9, policy=PollPolicy(initial=3)),
        ]

    def new(self) -> list[Waiter]:
        return [
            waiter(due=70, started=3, policy=PollPolicy(initial=1)),
            waiter(due=65, started=0, policy=PollPolicy(initial=1.25)),
        ]

    def test_of_nobody(self) -> None:
        """Without waiters nothing is ever due."""
        assert self.schedules() == Schedule(*[math.inf] * 6)

    def test_of_waiters_that_were_polled(self) -> None:
        """The earliest time, the shortest pause, and the shortest first pause of any policy."""
        assert self.schedules(*self.polled()) == Schedule(
            due=40, first_due=math.inf, pause=8, spare_pause=3, floor=3, started=1
        )

    def test_of_new_waiters(self) -> None:
        """They have no pause yet, and nothing delays their first poll."""
        assert self.schedules(*self.new()) == Schedule(due=65, first_due=65, started=0)

    def test_of_new_waiters_whose_export_is_missing(self) -> None:
        """After a page that lacked the export, the first pause of the policy delays the next poll."""
        assert self.schedules(*self.new(), is_missing=True) == Schedule(
            due=65, first_due=65, floor=1, started=0
        )

    def test_of_a_strategy_of_the_caller(self) -> None:
        """Its pause may be shorter than the first pause of other policies, and is worth no spare quota."""
        strategy = PollPolicy(initial=2, wait=lambda _: 1.5)
        wanted = self.schedules(*self.polled(), waiter(due=60, started=4, pause=1.5, policy=strategy))

        assert (wanted.pause, wanted.spare_pause, wanted.floor) == (1.5, 3, 1.5)


class TestEntry:
    def test_waiters_leave_in_any_order(self) -> None:
        """Each waiter knows its place, the others are kept, and the place of the entry learns of it."""
        waiters = [waiter(due=due) for due in (4, 1, 2, 3)]
        awaited, place = entry(*waiters), FakePlace()
        awaited.place = place
        for index, due in ((1, 2), (3, 2), (2, 4)):
            assert awaited.due < math.inf
            awaited.leave(waiters[index])
            awaited.check()
            assert awaited.due == due

        assert awaited.waiters == [waiters[0]]
        assert place.changes == 3

    def test_a_waiter_that_joins(self) -> None:
        """What was computed for the others includes it, and the place of the entry learns of it."""
        awaited = entry(waiter(due=9, started=5), waiter(due=8, started=6))
        awaited.missed()
        assert awaited.schedule.floor == 2
        place = awaited.place = FakePlace()
        awaited.join(waiter(due=7, started=7, policy=PollPolicy(initial=1)))
        awaited.check()

        assert (awaited.due, awaited.schedule.floor, place.changes) == (7, 1, 1)

    def test_the_place_learns_of_every_change(self) -> None:
        """A page computes its due time from what its entries learned, and the queue keeps it."""
        awaited, place = entry(waiter()), FakePlace()
        awaited.place = place
        awaited.learn(SCHEDULED, -50)
        assert place.changes == 1
        awaited.polled(5)
        assert place.changes == 2
        awaited.missed()
        assert place.changes == 3

    def test_new_waiters_delay_no_poll(self) -> None:
        """As long as no page lacked the export, they set no least time between two polls."""
        awaited = entry(waiter(), waiter())
        assert awaited.schedule.floor == math.inf
        awaited.join(waiter())
        assert awaited.schedule.floor == math.inf

    def test_what_several_waiters_want_is_computed_once(self) -> None:
        """It is kept until a change, also while others join. One waiter needs no memory for that."""
        single, several = entry(waiter()), entry(waiter(), waiter())
        kept = several.schedule
        several.join(waiter())
        assert several.schedule is kept
        several.changed()
        assert several.schedule is not kept
        assert single.schedule is not single.schedule

    def test_silence(self) -> None:
        """It lasts from the start of the first wait, and then from the last poll."""
        awaited = entry(waiter(started=3), waiter(started=4))
        assert awaited.silent_since == 3
        awaited.polled(0)
        assert awaited.silent_since == 0

    def test_misses_are_counted(self) -> None:
        """Each page that lacked the export counts, until a poll ends the search."""
        awaited = entry(waiter())
        awaited.missed()
        awaited.missed()

        assert awaited.misses == 2

    def test_a_poll_ends_the_search(self) -> None:
        """The export was returned: earlier misses do not count any more."""
        awaited = entry(waiter())
        awaited.missed()
        awaited.polled(5)

        assert (awaited.misses, awaited.polled_at) == (0, 5)

    def test_statuses_only_advance(self) -> None:
        """A response with an earlier status is ignored; the same status is not a new one."""
        awaited = entry(waiter())
        responses = (SCHEDULED, SCHEDULED, UNKNOWN, SCHEDULED, IN_PROGRESS, DONE, IN_PROGRESS)
        news = [awaited.learn(export, 0) for export in responses]

        assert news == [True, False, True, False, True, True, False]
        assert awaited.status == "DONE"

    def test_the_newest_export_is_kept(self) -> None:
        """Also if the status is the same, since other properties may have changed."""
        awaited, newer = entry(waiter()), evolve(SCHEDULED, channel="WEBSITE")
        for export in (SCHEDULED, newer):
            awaited.learn(export, 0)

        assert awaited.latest is newer

    def test_the_age_is_learned_once(self) -> None:
        """The first response has the time of creation; a jump of the wall clock later does not count."""
        awaited = entry(waiter())
        awaited.learn(SCHEDULED, -50)
        awaited.learn(SCHEDULED, -5_000)
        assert awaited.created == -50

    def test_an_export_is_not_younger_than_its_first_wait(self) -> None:
        """If the clocks differ, the first wait is the time that is known."""
        awaited = entry(waiter())
        awaited.learn(SCHEDULED, 7)
        assert awaited.created == 0

    def test_a_result_that_was_lacking_once(self) -> None:
        """A response that is complete, or is not yet finished, ends the suspicion."""
        awaited = entry(waiter())
        awaited.lacked_result = True
        awaited.learn(IN_PROGRESS, 0)
        assert not awaited.lacked_result


def test_the_order_of_the_statuses() -> None:
    """An earlier status never replaces a later one; those of one stage may follow each other."""
    stages = [[SCHEDULED], [IN_PROGRESS, UNKNOWN], [DONE, ERROR]]
    ranks = [{rank(export.status) for export in stage} for stage in stages]

    assert [len(each) for each in ranks] == [1, 1, 1]
    assert ranks == sorted(ranks, key=max)
    assert len({max(each) for each in ranks}) == 3
    assert rank(None) <= rank(SCHEDULED.status)
