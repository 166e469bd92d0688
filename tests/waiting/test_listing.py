import math
from datetime import UTC, datetime, timedelta

import pytest
from samples import running

from voucherify_exports import Export, ExportPage, PollPolicy
from voucherify_exports._waiting.listing import Listing, Page
from voucherify_exports._waiting.waiter import Entry, Inbox, Waiter

POLICY = PollPolicy(initial=2, factor=2, max=60, jitter=0)
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


def export(number: int) -> Export:
    """The export with this number, each a second older than the one before."""
    created_at = (NEWEST - timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    return Export.from_dict(running(id=f"exp_{number}", created_at=created_at))


def entry(
    number: int, *, due: float = 0.0, delay: float = 2.0, deadline: float = math.inf, known: bool = False
) -> Entry:
    """An awaited export, with one waiter."""
    entry = Entry(f"exp_{number}", latest=export(number) if known else None)
    waiter = Waiter(entry, Inbox(), POLICY, 0.0, deadline, due, deadline, delay=delay)
    entry.waiters.append(waiter)
    return entry


def listed(*entries: Entry) -> Listing:
    listing = Listing()
    for entry in entries:
        listing.add(entry, 0.0)
    return listing


def shown(first: int, *, total: int = 1_000, without: int = -1) -> ExportPage:
    """A page of a hundred, but for one that it does not show."""
    numbers = [number for number in range(first, first + 100) if number != without]
    return ExportPage(exports=tuple(map(export, numbers)), total=total)


def page_of(listing: Listing, now: float = 0.0) -> Page:
    look = listing.pick(now)
    assert isinstance(look, Page)
    return look


class TestPick:
    def test_one_export_is_looked_at_by_itself(self) -> None:
        """A page for one is no cheaper than a GET, and less sure."""
        only = entry(1)

        assert listed(only).pick(0) is only

    def test_two_are_looked_at_by_a_page(self) -> None:
        """From two on the page is cheaper."""
        assert page_of(listed(entry(1), entry(2))).number == 1

    def test_nothing_is_due_before_its_time(self) -> None:
        """A look that is not due is not picked, and its time is known."""
        listing = listed(entry(1, due=5), entry(2, due=7))

        assert listing.pick(4.9) is None
        assert listing.next_due() == 5
        assert page_of(listing, 5).number == 1

    def test_nobody_waits_for_nothing(self) -> None:
        """An empty list is never due."""
        assert Listing().pick(0) is None
        assert Listing().next_due() == math.inf

    def test_more_than_a_page_is_on_the_next(self) -> None:
        """250 exports are on three pages at least, all of which can be asked for at once."""
        listing = listed(*(entry(number) for number in range(250)))
        numbers = []
        while (look := listing.pick(0)) is not None:
            assert isinstance(look, Page)
            look.requests, look.sent_at = 1, 0.0
            numbers.append(look.number)

        assert numbers == [1, 2, 3]

    def test_the_most_urgent_page_goes_first(self) -> None:
        """More exports, or longer without news: that page ends more waiting."""
        listing = listed(*(entry(number) for number in range(150)))
        first = page_of(listing, 10)
        listing.page_polled(first, list(first.entries), shown(0), 10)

        assert page_of(listing, 12).number == 2

    def test_a_slow_answer_gets_one_rival(self) -> None:
        """After five seconds a page is asked for once more, and not a third time."""
        listing = listed(entry(1), entry(2))
        page = page_of(listing)
        page.requests, page.sent_at = 1, 0.0

        assert listing.pick(4.9) is None
        assert listing.next_due() == 5
        assert listing.pick(5) is page
        page.requests, page.sent_at = 2, 5.0
        assert listing.pick(1000) is None


class TestDue:
    @pytest.mark.parametrize(("waiting", "due"), [(2, 30.0), (10, 6.0), (30, 2.0), (100, 2.0)])
    def test_n_exports_share_the_waits_of_n(self, waiting: int, due: float) -> None:
        """N waiters of 60 seconds see their page every 60 / n seconds, but not below the first wait."""
        listing = listed(*(entry(number, delay=60) for number in range(waiting)))
        page = page_of(listing)
        for waiting_entry in page.entries:
            listing.found(waiting_entry, page, 0.0)
        listing.page_polled(page, list(page.entries), shown(0), 0.0)

        assert page.due == pytest.approx(due)

    def test_a_deadline_is_kept(self) -> None:
        """At a deadline there is a look, however short ago the last one was."""
        listing = listed(entry(1, delay=60), entry(2, delay=60, deadline=1.0))
        page = page_of(listing)
        for waiting_entry in page.entries:
            listing.found(waiting_entry, page, 0.0)
        listing.page_polled(page, list(page.entries), shown(0), 0.0)

        assert page.due == 1.0


class TestLookedAt:
    def test_one_alone_on_its_page_is_its_page(self) -> None:
        """Its next look is reckoned from this one."""
        only = entry(1, delay=8)
        listing = listed(only)
        listing.entry_polled(only, 10)

        assert listing.next_due() == 18

    def test_one_of_many_does_not_put_off_the_others(self) -> None:
        """A GET for one export is no look at its page."""
        listing = listed(entry(1), entry(2))
        page = page_of(listing)
        for waiting_entry in page.entries:
            listing.found(waiting_entry, page, 0.0)
        listing.page_polled(page, list(page.entries), shown(0), 0.0)
        due = page.due
        listing.entry_polled(next(iter(page.entries)), 1.5)

        assert page.due == due == 2


class TestMissed:
    """Where an export goes that its page does not show; the page shows exports 100 to 199."""

    def look(self, number: int, page: int = 2, companions: int = 5, total: int = 1_000) -> int | None:
        """The place of an export of known age that was expected on page 2."""
        missed = entry(number, known=True)
        listing = listed(*(entry(100 + other) for other in range(companions - 1)))
        listing.add(missed, 0.0)
        second = Page(page, 0.0)
        listing._pages[page] = second
        for other in list(listing._pages[1].entries):
            listing._move(other, page, 0.0)
        listing.page_polled(second, list(second.entries), shown(100, total=total, without=number), 0.0)
        return missed.page_number

    def test_an_older_one_is_on_the_next(self) -> None:
        """New exports pushed it down."""
        assert self.look(200) == 3

    def test_a_newer_one_is_on_the_one_before(self) -> None:
        """Others were deleted, and it moved up."""
        assert self.look(50) == 1

    def test_one_that_should_be_there_is_asked_for_by_itself(self) -> None:
        """Deleted, malformed, or the list lags: a GET tells."""
        assert self.look(150) is None

    def test_after_the_last_page_there_is_none(self) -> None:
        """What the list does not reach is asked for by itself."""
        assert self.look(200, total=200) is None
        assert self.look(200, page=100, total=20_000) is None

    def test_as_many_pages_as_exports_are_tried(self) -> None:
        """Alone, an export is not searched for page by page."""
        assert self.look(200, companions=1) is None


class TestLocate:
    def test_by_age_once_pages_are_known(self) -> None:
        """An export of known age is expected on the page that reaches so far back."""
        listing = listed(entry(0), entry(1))
        for number in (1, 2):
            listing.page_polled(Page(number, 0.0), [], shown(100 * (number - 1)), 0.0)
        for number, place in ((50, 1), (150, 2), (250, 3)):
            known = entry(number, known=True)
            listing.add(known, 0.0)
            assert known.page_number == place

    def test_beyond_the_reach_there_is_no_page(self) -> None:
        """Older than the hundredth page: followed by GETs."""
        listing = Listing()
        listing.page_polled(Page(100, 0.0), [], shown(9_900, total=20_000), 0.0)
        old = entry(10_001, known=True)
        listing.add(old, 0.0)

        assert old.page_number is None
        assert listing.pick(0) is old

    def test_an_empty_page_tells_nothing_of_ages(self) -> None:
        """The list is shorter than was thought: everybody expected there is asked for by itself."""
        first, second = entry(0), entry(1)
        listing = listed(first, second)
        page = page_of(listing)
        listing.page_polled(page, [first, second], ExportPage(exports=(), total=0), 0.0)

        assert (first.page_number, second.page_number) == (None, None)


class TestAlone:
    def test_the_first_due_goes_first(self) -> None:
        """Those alone are asked for in the order of their times."""
        late, early = entry(1, due=9), entry(2, due=4)
        listing = listed(late, early)
        listing.isolate_all()

        assert listing.next_due() == 4
        assert listing.pick(20) is early

    def test_what_is_out_of_date_is_forgotten(self) -> None:
        """A time that was changed, or an export that nobody waits for, is passed over."""
        moved, left = entry(1, due=1), entry(2, due=2)
        listing = listed(moved, left)
        listing.isolate_all()
        moved.waiters[0].due = 8
        listing.reschedule(moved)
        left.waiters.clear()
        listing.remove(left)

        assert listing.pick(7) is None
        assert listing.next_due() == 8

    def test_a_page_with_more_waiting_goes_first(self) -> None:
        """One export by itself comes after a page on which many wait as long, and before it if not."""
        lonely = entry(1)
        listing = listed(entry(2), entry(3), lonely)
        listing.isolate(lonely)
        page = page_of(listing, 10)

        for waiting_entry in page.entries:
            listing.found(waiting_entry, page, 5.0)
        listing.page_polled(page, list(page.entries), shown(0), 5.0)
        assert listing.pick(11) is lonely
