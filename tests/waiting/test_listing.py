import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from samples import running

from voucherify_exports import Export, ExportPage, PollPolicy
from voucherify_exports._api.quota import PATIENCE
from voucherify_exports._waiting.listing import Page, PageMap
from voucherify_exports._waiting.waiter import Entry, Inbox, Request, Waiter

POLICY = PollPolicy(initial=2, factor=2, max=60, jitter=0)
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


def export(number: int) -> Export:
    """The export with this number, which is a second older than the one with the number before."""
    created_at = (NEWEST - timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    return Export.from_dict(running(id=f"exp_{number}", created_at=created_at))


def response_of(start: int, *, count: int = 100, total: int = 1_000, without: int = -1) -> ExportPage:
    """A page with the exports from this number on, `without` one of them."""
    numbers = [number for number in range(start, start + count) if number != without]
    return ExportPage(exports=tuple(map(export, numbers)), total=total)


class Awaited:
    """A map of pages with waits for the exports with these numbers; the rules hold after every step."""

    def __init__(self, *numbers: int, known: bool = False, policy: PollPolicy = POLICY) -> None:
        self.map = PageMap()
        self.policy = policy
        for number in numbers:
            self._join(number, 0.0, known, 0.0)
        self.map.check()

    def wait(self, number: int, *, due: float = 0.0, known: bool = False, created: float = 0.0) -> Waiter:
        waiter = self._join(number, due, known, created)
        self.map.check()
        return waiter

    def _join(self, number: int, due: float, known: bool, created: float) -> Waiter:
        waiter = Waiter(Inbox(), self.policy, 0.0, math.inf, due)
        self.map.joined(waiter, f"exp_{number}", export(number) if known else None, created)
        return waiter

    def entry(self, number: int) -> Entry:
        return self.map.entries[f"exp_{number}"]

    def pick(self, now: float, *, is_spare: bool = False) -> str | None:
        """What to request: the number of a page, or an id."""
        target = self.map.pick(now, is_spare=is_spare)
        self.map.check()
        return None if target is None else _name(target)

    def ask(self, now: float) -> Request:
        target = self.map.pick(now)
        assert target is not None
        request = self.map.asked(target, now)
        self.map.check()
        return request

    def poll(self, now: float, shown: ExportPage | None = None) -> str:
        """Send the poll that is due, whose response has these exports; `None`: it fails."""
        return self.respond(self.ask(now), now, shown)

    def get(self, number: int, now: float, shown: ExportPage | None = None) -> None:
        """Send a GET for this export, due or not."""
        self.respond(self.map.asked(self.entry(number), now), now, shown)

    def get_page(self, number: int, now: float, shown: ExportPage | None = None) -> None:
        """Request this page, whether it is due or not."""
        page = self.map._pages[number]
        self.respond(self.map.asked(page, now), now, shown)

    def respond(self, request: Request, now: float, shown: ExportPage | None) -> str:
        covered = request.covered
        target = covered[0] if not isinstance(request.target, Page) else request.target
        request.settle()
        if isinstance(target, Page) and shown is not None:
            listed = self.map.listed(target, covered, shown, now)
            assert {entry.export_id for entry, _ in listed} <= {each.id for each in shown.exports}
        elif isinstance(target, Page):
            self.map.not_listed(target, covered, now, is_unusable=False)
        elif shown is not None:
            self.map.got(target, shown.exports[0], now)
        else:
            self.map.not_got(target, now)
        self.map.ended(request)
        for entry in covered:
            for waiter in entry.waiters:
                waiter.polls += 1
                waiter.schedule_poll(now)
        self.map.check()
        return _name(target)

    def places(self, numbers: Sequence[int]) -> list[int | None]:
        """The page of each export, `None` in the queue."""
        places = [self.entry(number).place for number in numbers]
        return [place.number if isinstance(place, Page) else None for place in places]


def _name(target: object) -> str:
    assert isinstance(target, Page | Entry)
    return f"page {target.number}" if isinstance(target, Page) else target.export_id


class TestPick:
    def test_one_export_gets_a_get(self) -> None:
        """A page for one export costs the same as a GET and may not contain it."""
        assert Awaited(1).pick(0) == "exp_1"

    def test_two_exports_get_a_page(self) -> None:
        """From two exports on, a page is cheaper."""
        assert Awaited(1, 2).pick(0) == "page 1"

    def test_nothing_is_due_before_its_time(self) -> None:
        """A poll is not picked before it is due, and its due time is known."""
        awaited = Awaited()
        awaited.wait(1, due=5)
        awaited.wait(2, due=7)

        assert awaited.pick(4.9) is None
        assert awaited.map.next_due() == 5
        assert awaited.pick(5) == "page 1"

    def test_nothing_is_awaited(self) -> None:
        """Without waits nothing is ever due."""
        assert Awaited().pick(0) is None
        assert Awaited().map.next_due() == math.inf

    def test_more_exports_than_one_page(self) -> None:
        """250 exports are on at least three pages, all of which can be requested at once."""
        awaited = Awaited(*range(250))

        assert [_name(awaited.ask(0).target) for _ in range(3)] == ["page 1", "page 2", "page 3"]
        assert awaited.pick(0) is None

    def test_the_most_urgent_page_goes_first(self) -> None:
        """The page with more exports, or a longer time since its last poll, is polled first."""
        awaited = Awaited(*range(150))
        assert awaited.poll(10, response_of(0)) == "page 1"

        assert awaited.pick(12) == "page 2"

    def test_a_slow_response_gets_one_parallel_request(self) -> None:
        """After five seconds a page is requested a second time, and not a third time."""
        awaited = Awaited(1, 2)
        awaited.ask(0)

        assert awaited.pick(4.9) is None
        assert awaited.map.next_due() == PATIENCE
        assert _name(awaited.ask(PATIENCE).target) == "page 1"
        assert awaited.pick(PATIENCE + 4.9) is None
        assert awaited.map.next_due() == 2 * PATIENCE

    @pytest.mark.parametrize("is_queued", [False, True])
    def test_a_slow_get_gets_one_parallel_get(self, is_queued: bool) -> None:
        """The same holds for a GET, of the only export of a page or of one in the queue."""
        awaited = Awaited(1)
        if is_queued:
            awaited.map.isolate(awaited.entry(1))
        awaited.ask(0)

        assert awaited.pick(4.9) is None
        assert awaited.map.next_due() == PATIENCE
        first = awaited.ask(PATIENCE)
        assert awaited.pick(1_000) is None
        awaited.map.ended(first)
        assert awaited.pick(2 * PATIENCE) == "exp_1"

    def test_a_parallel_get_is_not_sent_before_its_time(self) -> None:
        """A slow GET for an export that is polled rarely is repeated when the next poll is due."""
        awaited = Awaited()
        awaited.wait(1, due=100)
        awaited.map.asked(awaited.entry(1), 0)

        assert awaited.map.next_due() == 100

    def test_a_page_under_way_counts_for_its_last_export(self) -> None:
        """If a page has one export left while it is requested, that gets no GET at the same time."""
        awaited = Awaited(1, 2)
        awaited.ask(0)
        (waiter,) = awaited.entry(2).waiters
        awaited.map.left(waiter)

        assert awaited.pick(4.9) is None
        assert awaited.pick(PATIENCE) == "exp_1"

    def test_a_request_without_a_response_delays_no_other(self) -> None:
        """What has no request under way comes before a parallel request."""
        awaited = Awaited(*range(100))
        awaited.ask(0)
        awaited.wait(100, due=9)

        assert awaited.pick(10) == "exp_100"

    def test_the_more_urgent_of_a_page_and_an_export_is_picked(self) -> None:
        """The page has more exports, so it is picked first unless its last poll is more recent."""
        awaited = Awaited(1, 2, 3)
        awaited.map.isolate(awaited.entry(1))
        assert awaited.poll(5, response_of(2)) == "page 1"
        awaited.entry(1).waiters[0].started = 0.0

        assert awaited.pick(11) == "exp_1"

    @pytest.mark.parametrize(("companions", "picked"), [(3, "exp_0"), (5, "page 1")])
    def test_urgency_grows_with_the_square_of_the_time(self, companions: int, picked: str) -> None:
        """After twice the time, one export is as urgent as four of a page."""
        awaited = Awaited(*range(companions + 1))
        awaited.map.isolate(awaited.entry(0))
        for number in range(companions + 1):
            awaited.entry(number).polled(5.0 if number else 1.0)

        assert awaited.pick(9) == picked


class TestDue:
    @pytest.mark.parametrize(("waiting", "due"), [(2, 30.0), (10, 6.0), (30, 2.0), (100, 2.0)])
    def test_n_exports_share_their_polls(self, waiting: int, due: float) -> None:
        """With n waiters of 60 s the page is due every 60 / n s, but not below the first delay."""
        awaited = Awaited(*range(waiting), policy=PollPolicy(initial=2, wait=lambda _: 60.0))
        awaited.poll(0, response_of(0))

        assert awaited.map.next_due() == pytest.approx(due)

    def test_a_later_wait_is_due_at_once(self) -> None:
        """A wait that joins has no pause yet, neither for a new export nor for one that is polled already."""
        for number in (2, 3):
            awaited = Awaited(1, 2)
            awaited.poll(0, response_of(0))
            awaited.wait(number, due=1)

            assert awaited.map.next_due() == 1

    @pytest.mark.parametrize("polled_at", [(10, 20), (20, 10)])
    def test_the_pause_starts_with_the_earliest_poll(self, polled_at: tuple[float, float]) -> None:
        """If some exports of a page were polled by GETs since, the others still need the poll."""
        awaited = Awaited(0, 1, policy=PollPolicy(initial=2, wait=lambda _: 60.0))
        awaited.get_page(1, 0, response_of(0))
        for number, at in enumerate(polled_at):
            awaited.get(number, at, response_of(number))

        assert awaited.map.next_due() == pytest.approx(40)

    def test_a_page_that_was_never_polled(self) -> None:
        """The first pause counts from the last poll of the page itself: a new page may be polled at once."""
        awaited = Awaited(*range(5))
        awaited.wait(200, known=True)
        page = awaited.ask(0).target
        assert isinstance(page, Page)
        awaited.map.listed(page, list(page.entries), response_of(0), 0)

        assert awaited.places([200]) == [2]
        assert awaited.map._pages[2].due == 0

    def test_a_pause_of_zero(self) -> None:
        """A wait strategy that returns 0 makes its page due as soon as a millisecond has passed."""
        awaited = Awaited(1, 2, policy=PollPolicy(wait=lambda _: 0))
        awaited.poll(0, response_of(0))

        assert awaited.map.next_due() == pytest.approx(0.0005)

    @pytest.mark.parametrize("policies", [(5, 9), (9, 5)])
    def test_whichever_joined_first(self, policies: tuple[float, float]) -> None:
        """The order of the waits on a page does not matter."""
        awaited = Awaited()
        for number, initial in enumerate(policies):
            awaited.policy = PollPolicy(initial=initial, max=1_000, jitter=0)
            awaited.wait(number)
        awaited.get_page(1, 0, response_of(0))
        assert awaited.map.next_due() == 5  # not 1 / (1 / 5 + 1 / 9), which is sooner

        for number in policies:
            awaited.wait(int(100 + number), due=20 + number)
        assert awaited.map.next_due() == 5
        awaited.get(0, 30, response_of(0))
        assert awaited.map._pages[1].due <= 30
        awaited.get(1, 30, response_of(1))
        for number in policies:
            awaited.map.left(awaited.entry(int(100 + number)).waiters[0])
        awaited.get(0, 40, response_of(0))
        assert awaited.map._pages[1].due < 40

    def test_the_shortest_pause_counts(self) -> None:
        """Of several waits for one export, the one with the shortest pause decides."""
        awaited = Awaited(1, 2, policy=PollPolicy(wait=lambda _: 60.0))
        awaited.policy = PollPolicy(wait=lambda _: 20.0)
        awaited.wait(1)
        awaited.poll(0, response_of(0))

        assert awaited.map.next_due() == pytest.approx(15)


class TestSparePolls:
    @pytest.mark.parametrize(("polled_at", "spare_due"), [(2, 4), (20, 22), (100, 110), (900, 960)])
    def test_a_tenth_of_the_age(self, polled_at: float, spare_due: float) -> None:
        """A poll may follow after a tenth of the export's age, but not before the policy's first pause."""
        awaited = Awaited(1, policy=PollPolicy(initial=2, factor=30, max=60, jitter=0))
        awaited.get(1, polled_at - 2, response_of(1))
        awaited.get(1, polled_at, response_of(1))

        assert awaited.map.next_due() == polled_at + 60
        assert awaited.map.next_due(is_spare=True) == spare_due
        assert awaited.pick(spare_due - 0.1, is_spare=True) is None
        assert awaited.pick(spare_due, is_spare=True) == "exp_1"
        assert (awaited.pick(spare_due) is None) == (spare_due < polled_at + 60)

    def test_the_age_counts_from_the_creation(self) -> None:
        """The more of an export's age has passed before the wait, the fewer polls are worth spare quota."""
        awaited = Awaited(policy=PollPolicy(initial=2, factor=30, max=60, jitter=0))
        awaited.wait(1, created=-300)
        awaited.poll(0, response_of(1))
        assert awaited.map.next_due() == awaited.map.next_due(is_spare=True) == 2
        awaited.poll(2, response_of(1))

        assert awaited.map.next_due(is_spare=True) == pytest.approx(2 + 30.2)

    @pytest.mark.parametrize("created", [(-300, 0), (0, -300)])
    def test_the_youngest_export_of_a_page_counts(self, created: tuple[float, float]) -> None:
        """The other exports of the page need no spare poll yet, and do not prevent one."""
        awaited = Awaited(policy=PollPolicy(initial=2, factor=30, max=60, jitter=0))
        for number, at in enumerate(created):
            awaited.wait(number, created=at)
        for now in (0, 2):
            awaited.get_page(1, now, response_of(0))

        assert awaited.map.next_due() == 2 + 30
        assert awaited.map.next_due(is_spare=True) == 2 + 2

    def test_a_strategy_of_the_caller_decides_alone(self) -> None:
        """With `wait` there are no polls beside those that it wants."""
        awaited = Awaited(1, policy=PollPolicy(wait=lambda _: 60.0))
        awaited.poll(0, response_of(1))

        assert awaited.map.next_due(is_spare=True) == 60

    @pytest.mark.parametrize(("waiting", "spare_due"), [(10, 2.0), (11, math.inf)])
    def test_only_while_few_exports_are_awaited(self, waiting: int, spare_due: float) -> None:
        """Many exports share their polls anyway."""
        policy = PollPolicy(initial=2, max=1_000, factor=500, jitter=0)
        awaited = Awaited(*range(waiting), policy=policy)
        awaited.get_page(1, 0, response_of(0))
        awaited.get_page(1, 2, response_of(0))

        assert awaited.map.next_due() == pytest.approx(2 + 1_000 / waiting)
        assert awaited.map.next_due(is_spare=True) == spare_due + 2
        assert (awaited.pick(4, is_spare=True) is None) == (waiting == 11)


class TestPolled:
    @pytest.mark.parametrize("shown", [response_of(1), None])
    def test_a_get_for_the_only_export_of_a_page(self, shown: ExportPage | None) -> None:
        """The next GET is due after the pause of the policy, whether this one succeeded or failed."""
        awaited = Awaited(1)
        assert awaited.poll(10, shown) == "exp_1"

        assert awaited.places([1]) == [1]
        assert awaited.map.next_due() == 12

    def test_a_get_for_one_of_several_exports(self) -> None:
        """A GET for one export does not delay the next poll of its page."""
        awaited = Awaited(1, 2)
        awaited.poll(0, response_of(0))
        awaited.map.got(awaited.entry(1), export(1), 1.5)

        assert awaited.map.next_due() == 2

    def test_an_export_that_was_expected_elsewhere(self) -> None:
        """An export is expected on the page that contained it last."""
        awaited = Awaited(1, 2, 3)
        awaited.map.isolate(awaited.entry(2))
        awaited.map._move(awaited.entry(3), 2)
        awaited.get_page(1, 0, response_of(0))

        assert awaited.places([1, 2, 3]) == [1, 1, 1]

    def test_a_page_whose_exports_came_later(self) -> None:
        """The response is a poll of the page, also if those for which it was requested have left."""
        awaited = Awaited(1, 2, 3, 4)
        awaited.get_page(1, 0, response_of(0))
        page = awaited.map._pages[1]
        covered = [awaited.entry(1), awaited.entry(2)]
        for entry in covered:
            awaited.map.left(entry.waiters[0])
        assert awaited.map.next_due() == 2
        awaited.map.listed(page, covered, response_of(50), 1)
        awaited.map.check()

        assert awaited.map.next_due() == 3

    @pytest.mark.parametrize("statuses", [["DONE", "SCHEDULED"], ["SCHEDULED", "DONE"]], ids=" ".join)
    def test_an_export_that_is_on_a_page_twice(self, statuses: list[str]) -> None:
        """The later status counts."""
        awaited = Awaited(1, 2)
        exports = [evolve(export(1), status=status) for status in statuses]
        shown = ExportPage(exports=(*exports, export(2)), total=3)
        page = awaited.map._pages[1]

        found = dict(awaited.map.listed(page, list(page.entries), shown, 0))
        assert found[awaited.entry(1)].status == "DONE"

    def test_an_export_for_which_nobody_waits_any_more(self) -> None:
        """A response for an export that was left in the meantime changes nothing."""
        awaited = Awaited(1, 2)
        page, single = awaited.ask(0).target, awaited.entry(2)
        awaited.map.left(single.waiters[0])
        assert isinstance(page, Page)
        assert [entry.export_id for entry, _ in awaited.map.listed(page, [single], response_of(1), 1)] == [
            "exp_1"
        ]
        awaited.map.got(single, export(2), 1)
        awaited.map.not_got(single, 1)
        awaited.map.check()

        assert list(awaited.map.entries) == ["exp_1"]

    def test_an_export_in_the_queue_for_which_nobody_waits_any_more(self) -> None:
        """The same holds for an export that gets GETs of its own."""
        awaited = Awaited(1, 2)
        entry = awaited.entry(2)
        awaited.map.isolate(entry)
        awaited.map.left(entry.waiters[0])
        awaited.map.got(entry, export(2), 1)
        awaited.map.not_got(entry, 1)
        awaited.map.check()

        assert list(awaited.map.entries) == ["exp_1"]


class TestMissed:
    """Where an export is expected after its page did not contain it; the page has exports 100 to 199."""

    def place_after(self, number: int, page: int = 2, companions: int = 5, total: int = 1_000) -> int | None:
        """The page where the missing export is expected after a poll of page 2."""
        awaited = Awaited(*(110 + other for other in range(companions - 1)))
        awaited.wait(number, known=True)
        for entry in awaited.map.entries.values():
            awaited.map._move(entry, page)
        awaited.map.check()
        polled, covered = awaited.map._pages[page], list(awaited.map.entries.values())
        request = awaited.map.asked(polled, 0.0)
        others = tuple(
            evolve(each, id="another") if each.id == f"exp_{number}" else each
            for each in response_of(100).exports
        )
        awaited.map.listed(polled, covered, ExportPage(exports=others, total=total), 0.0)
        awaited.map.ended(request)
        awaited.map.check()
        assert awaited.entry(number).misses == 1
        return awaited.places([number])[0]

    def test_an_older_export_is_on_the_next_page(self) -> None:
        """New exports have pushed an older export down the list."""
        assert self.place_after(200) == 3

    def test_a_newer_export_is_on_the_page_before(self) -> None:
        """Deletions have moved a newer export up the list."""
        assert self.place_after(50) == 1

    def test_an_export_of_the_pages_age_gets_a_get(self) -> None:
        """It was deleted, is malformed, or the list lags behind, and a GET finds out which."""
        assert self.place_after(150) is None

    def test_as_old_as_the_first_or_last_export_of_the_page(self) -> None:
        """An export may be on the next page if it is as old as the last one, and on no earlier page."""
        assert self.place_after(100) is None
        assert self.place_after(198) is None
        assert self.place_after(199) == 3

    def test_an_export_that_is_no_longer_expected_there(self) -> None:
        """If the export was moved while its page was requested, the page need not contain it."""
        awaited = Awaited(1, 2)
        page, entry = awaited.ask(0).target, awaited.entry(1)
        assert isinstance(page, Page)
        covered = list(page.entries)
        awaited.map.isolate(entry)
        awaited.map.listed(page, covered, response_of(2), 1)
        awaited.map.not_listed(page, covered, 2, is_unusable=True)

        assert (entry.place, entry.misses, entry.polled_at) == (awaited.map._queue, 0, None)

    def test_an_export_beyond_the_last_page_gets_a_get(self) -> None:
        """An export beyond the end of the list gets a GET."""
        assert self.place_after(200, total=200) is None
        assert self.place_after(200, page=100, total=20_000) is None

    def test_at_most_as_many_pages_as_exports_are_tried(self) -> None:
        """The only export of its page is not searched for on other pages."""
        assert self.place_after(200, companions=1) is None

    def test_the_next_page_is_not_polled_again_at_once(self) -> None:
        """A page to which an export moves is due after the policy's first pause since its last poll."""
        awaited = Awaited(1, 2)
        awaited.wait(500)
        page, entry = awaited.map._pages[1], awaited.entry(500)
        awaited.get_page(1, 10, response_of(0))
        awaited.map._move(entry, 1)
        assert (entry.misses, page.due) == (1, 12)


class TestLocate:
    def test_by_age(self) -> None:
        """An export of known age is expected on the page that contains this age."""
        awaited = Awaited(*range(150))
        assert awaited.poll(0, response_of(0)) == "page 1"
        assert awaited.poll(0, response_of(100)) == "page 2"
        for waiter in [entry.waiters[0] for entry in awaited.map.entries.values()]:
            awaited.map.left(waiter)
        for number in (50, 150, 250):
            awaited.wait(number, known=True)

        assert awaited.places([50, 150, 250]) == [1, 2, 3]

    def test_in_whatever_order_the_pages_were_polled(self) -> None:
        """The first page that is old enough counts, also if a later one was polled first."""
        awaited = Awaited(*range(150))
        for page in (2, 1):
            awaited.get_page(page, 0, response_of(100 * (page - 1)))
        awaited.map.left(awaited.entry(0).waiters[0])
        awaited.map.left(awaited.entry(149).waiters[0])
        awaited.wait(0, known=True)
        awaited.wait(149, known=True)

        assert awaited.places([0, 149]) == [1, 2]

    def test_as_old_as_the_last_export_of_a_page(self) -> None:
        """An export that was created at the same time as the last one of a page is expected there."""
        awaited = Awaited(0, 1)
        awaited.get_page(1, 0, response_of(0))
        awaited.wait(99, known=True)

        assert awaited.places([99]) == [1]

    def test_after_the_end_of_the_list(self) -> None:
        """What is older than the last page gets GETs, until that page shows that the list continues."""
        awaited = Awaited(*range(250))
        for page in (1, 2, 3):
            awaited.get_page(page, 0, response_of(100 * (page - 1), total=300))
        awaited.get_page(1, 10, response_of(0, total=300))
        awaited.wait(301, known=True)
        assert awaited.places([301]) == [None]

        awaited.get_page(3, 20, response_of(200, total=400))
        awaited.wait(302, known=True)
        assert awaited.places([302]) == [4]

    def test_a_page_after_the_end_of_the_list(self) -> None:
        """An empty page after the last one does not move the end."""
        awaited = Awaited(*range(250))
        for page in (1, 2, 3):
            awaited.get_page(page, 0, response_of(100 * (page - 1), total=300))
        awaited.wait(301)
        awaited.map._move(awaited.entry(301), 5)
        awaited.get_page(5, 0, ExportPage(exports=(), total=300))
        awaited.wait(302, known=True)

        assert awaited.places([301, 302]) == [None, None]

    def test_a_page_has_at_most_a_hundred(self) -> None:
        """New exports fill the pages, since a page cannot contain all of them."""
        awaited = Awaited(*range(250), known=True)

        assert awaited.places([0, 99, 100, 199, 200, 249]) == [1, 1, 2, 2, 3, 3]

    def test_on_the_last_page(self) -> None:
        """What is older than page 99 is expected on page 100."""
        awaited = Awaited(9_810, 9_820)
        for number in (9_810, 9_820):
            awaited.map._move(awaited.entry(number), 99)
        awaited.get_page(99, 0, response_of(9_800, total=20_000))
        awaited.wait(9_950, known=True)

        assert awaited.places([9_950]) == [100]

    def test_beyond_the_last_page(self) -> None:
        """What does not fit on the hundred pages of the list gets GETs."""
        awaited = Awaited(*range(10_001))

        assert awaited.places([9_999, 10_000]) == [100, None]
        awaited.map.listed(awaited.map._pages[100], [], response_of(9_900, total=20_000), 0)
        awaited.wait(10_001, known=True)
        assert awaited.places([10_001]) == [None]

    @pytest.mark.parametrize("total", [0, 1_000])
    def test_an_empty_page(self, total: int) -> None:
        """After an empty page, each export that was expected on it gets a GET, whatever the total is."""
        awaited = Awaited(0, 1)
        awaited.poll(0, ExportPage(exports=(), total=total))

        assert awaited.places([0, 1]) == [None, None]


class TestListThatIsBehind:
    def test_a_get_shows_it(self) -> None:
        """If an export exists that is newer than the list, all that it lacked are expected on it again."""
        awaited = Awaited(1, 2, 3, known=True)
        awaited.poll(0, response_of(50))
        assert awaited.places([1, 2, 3]) == [None] * 3

        awaited.get(2, 2, response_of(2))
        assert awaited.places([1, 2, 3]) == [1, 1, 1]
        assert (awaited.entry(2).polled_at, awaited.entry(2).misses) == (2, 0)
        assert awaited.map.next_due() <= 4

    def test_a_newer_export_that_it_did_not_lack(self) -> None:
        """An export that gets GETs for another reason is expected on the page of its age as usual."""
        awaited = Awaited(50, 51)
        awaited.get_page(1, 0, response_of(50))
        awaited.wait(1)
        awaited.map.isolate(awaited.entry(1))
        awaited.get(1, 2, response_of(1))

        assert awaited.places([1]) == [1]

    def test_exports_of_unknown_age(self) -> None:
        """The same holds for ids, also if the list is empty."""
        awaited = Awaited(1, 2, 3)
        awaited.poll(0, ExportPage(exports=(), total=0))
        awaited.poll(2, response_of(1))

        assert awaited.places([1, 2, 3]) == [1, 1, 1]

    def test_a_list_that_is_not_behind(self) -> None:
        """An export that is older than the newest one of the list is missing for another reason."""
        awaited = Awaited(51, 52, 53)
        awaited.poll(0, response_of(50, count=1, total=1))
        awaited.poll(2, response_of(51))

        assert awaited.places([51, 52, 53]) == [None, None, None]

    def test_a_list_with_an_export_of_the_same_time(self) -> None:
        """An export that is exactly as old as the newest one of the list does not show it either."""
        awaited = Awaited(51, 52, 53)
        awaited.poll(0, ExportPage(exports=(evolve(export(51), id="other"),), total=1))
        awaited.poll(2, response_of(51))

        assert awaited.places([51, 52, 53]) == [1, None, None]

    def test_each_export_is_expected_where_its_age_is(self) -> None:
        """Exports that are newer than the list are on its first page, the others on a later one."""
        awaited = Awaited(1, 150, known=True)
        awaited.map._move(awaited.entry(150), 2)
        awaited.get_page(2, 0, response_of(100, without=150))
        awaited.get_page(1, 0, response_of(50, count=50))
        awaited.get(1, 2, response_of(1))

        assert awaited.places([1, 150]) == [1, 2]

    def test_the_first_page_alone_shows_it(self) -> None:
        """An export that is newer than a later page, and older than the first one, shows nothing."""
        awaited = Awaited(60, 61, 200, known=True)
        awaited.get_page(1, 0, ExportPage(exports=(export(50), export(70)), total=1_000))
        awaited.get_page(2, 0, response_of(150))
        assert awaited.places([60, 61, 200]) == [None, None, 2]
        awaited.get(60, 2, response_of(60))

        assert awaited.places([60, 61]) == [1, None]

    def test_an_export_for_which_nobody_waits_any_more(self) -> None:
        """An export that was left in the meantime is not expected on the list again."""
        awaited = Awaited(1, 2, 3, known=True)
        awaited.poll(0, response_of(50))
        awaited.map.left(awaited.entry(3).waiters[0])
        awaited.map.check()
        awaited.get(1, 2, response_of(1))

        assert awaited.places([1, 2]) == [1, 1]

    def test_it_is_polled_less_and_less(self) -> None:
        """A list that is still behind is polled after 1, 2, 4, 8 … seconds, and GETs are sent instead."""
        awaited = Awaited(*range(8), policy=PollPolicy(wait=lambda _: 1.0))
        times = []
        for now in range(100):
            while (target := awaited.map.pick(now)) is not None:
                request = awaited.map.asked(target, now)
                is_page = isinstance(target, Page)
                times += [now] if is_page else []
                number = 0 if is_page else int(target.export_id.removeprefix("exp_"))
                awaited.respond(
                    request, now, ExportPage(exports=(), total=0) if is_page else response_of(number)
                )

        assert times == [0, 1, 2, 3, 5, 9, 17, 33, 65]

    @pytest.mark.parametrize("start", [0, -1_000])
    def test_a_list_that_shows_something_new(self, start: int) -> None:
        """Once the list has changed, it is polled again soon; a clock may start anywhere."""
        awaited = Awaited(1, 2, known=True)
        for now in (0, 2, 4):
            awaited.get_page(1, start + now, response_of(50))
            awaited.get(1, start + now, response_of(1))
            assert awaited.places([1, 2]) == [1, 1]
        awaited.get_page(1, start + 6, response_of(50))
        awaited.get(1, start + 6, response_of(1))
        assert awaited.places([1, 2]) == [None, None]
        awaited.get_page(1, start + 7, response_of(49))
        awaited.get(1, start + 7, response_of(1))

        assert awaited.places([1, 2]) == [1, 1]


class TestFailures:
    def test_one_get_shows_whether_only_the_page_fails(self) -> None:
        """After a failed page one of its exports gets a GET; if that works, a second failure isolates all."""
        awaited = Awaited(1, 2, 3)
        awaited.get_page(1, 0)
        assert awaited.places([1, 2, 3]) == [None, 1, 1]
        awaited.get(1, 2, response_of(1))
        awaited.get_page(1, 3)

        assert awaited.places([2, 3]) == [None, None]

    @pytest.mark.parametrize("start", [0, -1_000])
    def test_no_more_gets_while_they_fail_too(self, start: int) -> None:
        """If the GET fails as well, the pages stay, and no second export gets a GET."""
        awaited = Awaited(1, 2, 3)
        awaited.get_page(1, start)
        awaited.get(1, start + 2)
        awaited.get_page(1, start + 3)

        assert awaited.places([1, 2, 3]) == [None, 1, 1]

    def test_a_page_that_works_again(self) -> None:
        """One failure now and then isolates one export and no more."""
        awaited = Awaited(1, 2, 3)
        awaited.get_page(1, 0)
        awaited.get(1, 2, response_of(1))
        awaited.get_page(1, 3, response_of(1))
        awaited.get_page(1, 20)

        assert awaited.places([1, 2, 3]).count(None) == 1

    def test_a_page_that_fails_again_and_again(self) -> None:
        """Once it is known that only the page fails, exports that join it get GETs after its next failure."""
        awaited = Awaited(1, 2, 3)
        awaited.get_page(1, 0)
        awaited.get(1, 2, response_of(1))
        awaited.get_page(1, 3)
        awaited.wait(4)
        awaited.wait(5)
        awaited.get_page(1, 4)

        assert awaited.places([4, 5]) == [None, None]

    def test_an_export_for_which_nobody_waits_any_more(self) -> None:
        """An export that was left while its page was requested gets no GET."""
        awaited = Awaited(1, 2)
        page = awaited.ask(0).target
        assert isinstance(page, Page)
        covered = list(page.entries)
        awaited.map.left(awaited.entry(1).waiters[0])
        awaited.map.not_listed(page, covered, 1, is_unusable=True)
        awaited.map.check()

        assert awaited.places([2]) == [None]

    def test_an_earlier_get_shows_nothing(self) -> None:
        """Only a GET that works after the first failure shows that the page alone fails."""
        awaited = Awaited(1, 2, 3)
        awaited.get(1, 5, response_of(1))
        awaited.get_page(1, 5)
        awaited.get(1, 6)
        awaited.get_page(1, 7)

        assert awaited.places([1, 2, 3]) == [None, 1, 1]

    def test_a_failure_before_a_poll_is_due(self) -> None:
        """A poll that nobody wanted yet counts as well, and the rules hold."""
        awaited = Awaited()
        for number in (1, 2, 3):
            awaited.wait(number, due=100)
        assert awaited.map.next_due() == 100
        awaited.get_page(1, 10)

        assert awaited.map._pages[1].due == 100

    def test_a_failure_counts_as_a_poll(self) -> None:
        """The next poll of the page is due after the pause of the policy."""
        awaited = Awaited(1, 2, 3)
        awaited.get_page(1, 10)

        assert awaited.map._pages[1].due == 12
        assert (awaited.entry(2).polled_at, awaited.entry(2).misses) == (10, 0)

    def test_a_list_that_cannot_be_used(self) -> None:
        """If the list is forbidden, all exports of the page get GETs, and count as not polled."""
        awaited = Awaited(1, 2, 3)
        page = awaited.map._pages[1]
        awaited.map.not_listed(page, list(page.entries), 0, is_unusable=True)
        awaited.map.check()

        assert awaited.places([1, 2, 3]) == [None] * 3
        assert [entry.polled_at for entry in awaited.map.entries.values()] == [None] * 3


class TestLastTarget:
    def test_the_page_of_an_export(self) -> None:
        """Its page, unless that is under way for others already, or lacked the export."""
        awaited = Awaited(1, 2)
        entry, page = awaited.entry(1), awaited.map._pages[1]
        assert awaited.map.last_target(entry) is page
        request = awaited.map.asked(page, 3)
        assert awaited.map.last_target(entry) is entry
        awaited.map.ended(request)
        entry.missed()
        assert awaited.map.last_target(entry) is entry
        entry.polled(1)
        assert awaited.map.last_target(entry) is page
        awaited.map.isolate(entry)
        assert awaited.map.last_target(entry) is entry
        assert awaited.map.last_target(awaited.entry(2)) is awaited.entry(2)

    @pytest.mark.parametrize("start", [0, -1_000])
    def test_the_only_export_of_a_page(self, start: int) -> None:
        """A request for the page counts as well as one for its only export."""
        awaited = Awaited(1)
        page = awaited.map._pages[1]
        assert page.target is awaited.entry(1)
        assert page.is_idle
        single = awaited.map.asked(awaited.entry(1), 3)
        assert not page.is_idle
        whole = awaited.map.asked(page, 4)
        awaited.map.ended(single)
        assert not page.is_idle
        awaited.map.ended(whole)
        assert page.is_idle


class TestRequest:
    def test_is_known_to_the_waits_that_it_serves(self) -> None:
        """Each wait on the page has the request, until it has a result; a later wait has not."""
        awaited = Awaited(1, 2)
        (first,), (second,) = awaited.entry(1).waiters, awaited.entry(2).waiters
        request = awaited.ask(0)
        later = awaited.wait(1)
        assert (first.request, second.request, later.request) == (request, request, None)

        assert request.settle() == [first, second]
        assert request.is_settled
        assert request.settle() == []
        assert first.request is None

    def test_of_which_a_newer_one_exists(self) -> None:
        """A wait has its latest request, and the end of an older one does not matter to it."""
        awaited = Awaited(1, 2)
        (waiter,) = awaited.entry(1).waiters
        old = awaited.ask(0)
        new = awaited.map.asked(awaited.entry(1), 5)
        awaited.map.ended(old)

        assert waiter.request is new
        awaited.map.ended(new)
        assert waiter.request is None


class TestPageWithoutAResponse:
    def test_counts_as_failed(self) -> None:
        """After two requests without a response, one export gets a GET; if that works, all of them do."""
        awaited = Awaited(1, 2, 3)
        awaited.ask(0)
        awaited.ask(PATIENCE)
        assert awaited.pick(2 * PATIENCE) == "exp_1"
        assert awaited.places([1, 2, 3]) == [None, 1, 1]
        awaited.get(1, 2 * PATIENCE + 0.1, response_of(1))
        assert awaited.pick(3 * PATIENCE - 0.1) is None
        assert awaited.pick(3 * PATIENCE) in {"exp_2", "exp_3"}

        assert awaited.places([2, 3]) == [None, None]

    def test_while_gets_fail_too(self) -> None:
        """If the GET has no response either, no further one is sent for the page."""
        awaited = Awaited(1, 2, 3)
        awaited.ask(0)
        awaited.ask(PATIENCE)
        assert awaited.ask(2 * PATIENCE).target is awaited.entry(1)
        assert awaited.ask(3 * PATIENCE).target is awaited.entry(1)

        assert awaited.pick(100) is None
        assert awaited.places([2, 3]) == [1, 1]


class TestQueue:
    def test_the_earliest_due_export_is_picked(self) -> None:
        """Exports that get GETs are picked in the order of their due times."""
        awaited = Awaited()
        for number, due in ((1, 9.0), (2, 4.0)):
            awaited.wait(number, due=due)
            awaited.map.isolate(awaited.entry(number))

        assert awaited.map.next_due() == 4
        assert awaited.pick(20) == "exp_2"

    def test_outdated_items_are_skipped(self) -> None:
        """A changed due time, or an export that is no longer awaited, is skipped."""
        awaited = Awaited()
        waiters = [awaited.wait(number, due=number) for number in (1, 2, 9)]
        for number in (1, 2, 9):
            awaited.map.isolate(awaited.entry(number))
        assert awaited.map.next_due() == 1
        waiters[0].due = 10
        awaited.entry(1).changed()
        awaited.map.left(waiters[1])

        assert awaited.pick(8) is None
        assert awaited.map.next_due() == 9

    def test_an_export_that_moved_to_the_queue_is_not_due_on_its_page(self) -> None:
        """The page that it has left is due when its other exports are."""
        awaited = Awaited()
        awaited.wait(1, due=1)
        awaited.wait(2, due=5)
        assert awaited.map._pages[1].due == 1
        awaited.map.isolate(awaited.entry(1))
        awaited.map.check()

        assert awaited.map._pages[1].due == 5

    def test_an_export_that_moved_to_a_page_gets_no_get(self) -> None:
        """Its item in the queue no longer counts, although its due time is the same."""
        awaited = Awaited(1, 2)
        awaited.map.isolate(awaited.entry(1))
        assert awaited.map.next_due() == 0
        awaited.map._move(awaited.entry(1), 1)
        awaited.map.asked(awaited.map._pages[1], 0)

        assert awaited.pick(1) is None

    def test_outdated_items_do_not_accumulate(self) -> None:
        """However often due times change, the queue stays in proportion to its exports."""
        awaited = Awaited(1)
        entry = awaited.entry(1)
        awaited.map.isolate(entry)
        for due in range(1_000):
            entry.waiters[0].due = 2_000 - due
            entry.changed()
            awaited.map.next_due()

        assert len(awaited.map._queue._heap) < 200
        assert awaited.map.next_due() == 1_001

    def test_a_change_costs_the_same_however_many_exports_there_are(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The queue is put in order again now and then, and not after each change."""
        awaited = Awaited(*range(80))
        for number in range(80):
            awaited.map.isolate(awaited.entry(number))
        computed = 0
        due = Entry.due.fget

        def counted(entry: Entry) -> float:
            nonlocal computed
            computed += 1
            assert due is not None
            return due(entry)

        monkeypatch.setattr(Entry, "due", property(counted))
        for change in range(1_000):
            number = change % 80
            awaited.entry(number).waiters[0].due = 5_000.0 - change - 20 * number
            awaited.entry(number).changed()
            if change >= 80:
                assert awaited.map.next_due() == min(
                    entry.waiters[0].due for entry in awaited.map.entries.values()
                )

        assert computed < 5 * 1_000


class TestRules:
    """`check` notices what would leave an export without polls."""

    def broken(self) -> Awaited:
        return Awaited(*range(120))

    def test_an_entry_in_two_places(self) -> None:
        """One place per export."""
        awaited = self.broken()
        awaited.map._queue.entries[awaited.entry(0)] = None
        with pytest.raises(AssertionError):
            awaited.map.check()

    def test_an_entry_in_no_place(self) -> None:
        """No export without a place."""
        awaited = self.broken()
        del awaited.entry(0).place.entries[awaited.entry(0)]
        with pytest.raises(AssertionError):
            awaited.map.check()

    def test_a_due_time_that_changed_unnoticed(self) -> None:
        """A page does not keep an old due time."""
        awaited = self.broken()
        awaited.map.next_due()
        awaited.entry(0).waiters[0].due = -7.0
        with pytest.raises(AssertionError):
            awaited.map.check()

    def test_a_due_time_in_the_queue_that_changed_unnoticed(self) -> None:
        """The queue does not keep an old due time either, also of an entry that is not the first."""
        awaited = self.broken()
        for number in (1, 0):
            awaited.map.isolate(awaited.entry(number))
        awaited.map.check()
        awaited.entry(0).waiters[0].due = -7.0
        with pytest.raises(AssertionError, match="not queued under its present due time"):
            awaited.map.check()

    def test_a_wait_that_joined_unnoticed(self) -> None:
        """What several waits want together is computed again."""
        awaited = self.broken()
        awaited.wait(0)
        awaited.map.next_due()
        awaited.entry(0).waiters[1].due = -7.0
        with pytest.raises(AssertionError):
            awaited.entry(0).check()

    def test_a_waiter_in_another_place(self) -> None:
        """Each wait knows its place among those for its export."""
        awaited = self.broken()
        awaited.entry(0).waiters[0].index = 5
        with pytest.raises(AssertionError):
            awaited.map.check()

    def test_a_queued_entry_without_an_item(self) -> None:
        """The queue knows all its exports."""
        awaited = self.broken()
        awaited.map.isolate(awaited.entry(0))
        awaited.map._queue._changed.clear()
        with pytest.raises(AssertionError):
            awaited.map.check()
