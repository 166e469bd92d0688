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
    """The export with this number, which is a second older than the one with the number before."""
    created_at = (NEWEST - timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    return Export.from_dict(running(id=f"exp_{number}", created_at=created_at))


def entry(
    number: int, *, due: float = 0.0, delay: float = 2.0, deadline: float = math.inf, known: bool = False
) -> Entry:
    """An awaited export with one waiter."""
    entry = Entry(f"exp_{number}", latest=export(number) if known else None)
    waiter = Waiter(entry, Inbox(), POLICY, 0.0, deadline, due, deadline, delay=delay)
    entry.waiters.append(waiter)
    return entry


def listing_with(*entries: Entry) -> Listing:
    """A listing that expects these exports."""
    listing = Listing()
    for entry in entries:
        listing.add(entry, 0.0)
    return listing


def response_of(start: int, *, total: int = 1_000, without: int = -1) -> ExportPage:
    """A page with a hundred exports from this number on, `without` one of them."""
    numbers = [number for number in range(start, start + 100) if number != without]
    return ExportPage(exports=tuple(map(export, numbers)), total=total)


def due_page(listing: Listing, now: float = 0.0) -> Page:
    """The poll to send next, which must be of a page."""
    due = listing.pick(now)
    assert isinstance(due, Page)
    return due


class TestPick:
    def test_one_export_gets_a_get(self) -> None:
        """A page for one export costs the same as a GET and may not contain it."""
        single = entry(1)

        assert listing_with(single).pick(0) is single

    def test_two_exports_get_a_page(self) -> None:
        """From two exports on, a page is cheaper."""
        assert due_page(listing_with(entry(1), entry(2))).number == 1

    def test_nothing_is_due_before_its_time(self) -> None:
        """A poll is not picked before it is due, and its due time is known."""
        listing = listing_with(entry(1, due=5), entry(2, due=7))

        assert listing.pick(4.9) is None
        assert listing.next_due() == 5
        assert due_page(listing, 5).number == 1

    def test_an_empty_listing(self) -> None:
        """An empty listing is never due."""
        assert Listing().pick(0) is None
        assert Listing().next_due() == math.inf

    def test_more_exports_than_one_page(self) -> None:
        """250 exports are on at least three pages, all of which can be requested at once."""
        listing = listing_with(*(entry(number) for number in range(250)))
        numbers = []
        while (due := listing.pick(0)) is not None:
            assert isinstance(due, Page)
            due.requests, due.sent_at = 1, 0.0
            numbers.append(due.number)

        assert numbers == [1, 2, 3]

    def test_the_most_urgent_page_goes_first(self) -> None:
        """The page with more exports, or a longer time since its last poll, is polled first."""
        listing = listing_with(*(entry(number) for number in range(150)))
        page = due_page(listing, 10)
        listing.page_polled(page, list(page.entries), response_of(0), 10)

        assert due_page(listing, 12).number == 2

    def test_a_slow_response_gets_one_parallel_request(self) -> None:
        """After five seconds a page is requested a second time, and not a third time."""
        listing = listing_with(entry(1), entry(2))
        page = due_page(listing)
        page.requests, page.sent_at = 1, 0.0

        assert listing.pick(4.9) is None
        assert listing.next_due() == 5
        assert listing.pick(5) is page
        page.requests, page.sent_at = 2, 5.0
        assert listing.pick(1000) is None


class TestDue:
    @pytest.mark.parametrize(("waiting", "due"), [(2, 30.0), (10, 6.0), (30, 2.0), (100, 2.0)])
    def test_n_exports_share_their_polls(self, waiting: int, due: float) -> None:
        """With n waiters of 60 s the page is due every 60 / n s, but not below the first delay."""
        listing = listing_with(*(entry(number, delay=60) for number in range(waiting)))
        page = due_page(listing)
        for awaited in page.entries:
            listing.found(awaited, page, 0.0)
        listing.page_polled(page, list(page.entries), response_of(0), 0.0)

        assert page.due == pytest.approx(due)

    def test_a_poll_is_due_at_a_deadline(self) -> None:
        """At a deadline a poll is due, however recent the last one was."""
        listing = listing_with(entry(1, delay=60), entry(2, delay=60, deadline=1.0))
        page = due_page(listing)
        for awaited in page.entries:
            listing.found(awaited, page, 0.0)
        listing.page_polled(page, list(page.entries), response_of(0), 0.0)

        assert page.due == 1.0


class TestPolled:
    def test_a_get_for_the_only_export_of_a_page(self) -> None:
        """A GET for the only export of a page counts as a poll of that page."""
        single = entry(1, delay=8)
        listing = listing_with(single)
        listing.entry_polled(single, 10)

        assert listing.next_due() == 18

    def test_a_get_for_one_of_several_exports(self) -> None:
        """A GET for one export does not delay the next poll of its page."""
        listing = listing_with(entry(1), entry(2))
        page = due_page(listing)
        for awaited in page.entries:
            listing.found(awaited, page, 0.0)
        listing.page_polled(page, list(page.entries), response_of(0), 0.0)
        due = page.due
        listing.entry_polled(next(iter(page.entries)), 1.5)

        assert page.due == due == 2


class TestMissed:
    """Where an export is expected after its page did not contain it; the page has exports 100 to 199."""

    def place_after(self, number: int, page: int = 2, companions: int = 5, total: int = 1_000) -> int | None:
        """The page where the missing export is expected after a poll of page 2."""
        missing = entry(number, known=True)
        listing = listing_with(*(entry(100 + other) for other in range(companions - 1)))
        listing.add(missing, 0.0)
        polled = Page(page, 0.0)
        listing._pages[page] = polled
        for other in list(listing._pages[1].entries):
            listing._move(other, page, 0.0)
        listing.page_polled(polled, list(polled.entries), response_of(100, total=total, without=number), 0.0)
        return missing.page_number

    def test_an_older_export_is_on_the_next_page(self) -> None:
        """New exports have pushed an older export down the list."""
        assert self.place_after(200) == 3

    def test_a_newer_export_is_on_the_page_before(self) -> None:
        """Deletions have moved a newer export up the list."""
        assert self.place_after(50) == 1

    def test_an_export_of_the_pages_age_gets_a_get(self) -> None:
        """It was deleted, is malformed, or the list lags behind, and a GET finds out which."""
        assert self.place_after(150) is None

    def test_an_export_beyond_the_last_page_gets_a_get(self) -> None:
        """An export beyond the end of the list gets a GET."""
        assert self.place_after(200, total=200) is None
        assert self.place_after(200, page=100, total=20_000) is None

    def test_at_most_as_many_pages_as_exports_are_tried(self) -> None:
        """The only export of its page is not searched for on other pages."""
        assert self.place_after(200, companions=1) is None


class TestLocate:
    def test_by_age(self) -> None:
        """An export of known age is expected on the page that contains this age."""
        listing = listing_with(entry(0), entry(1))
        for number in (1, 2):
            listing.page_polled(Page(number, 0.0), [], response_of(100 * (number - 1)), 0.0)
        for number, page_number in ((50, 1), (150, 2), (250, 3)):
            known = entry(number, known=True)
            listing.add(known, 0.0)
            assert known.page_number == page_number

    def test_beyond_the_last_page(self) -> None:
        """An export older than the hundredth page gets GETs."""
        listing = Listing()
        listing.page_polled(Page(100, 0.0), [], response_of(9_900, total=20_000), 0.0)
        old = entry(10_001, known=True)
        listing.add(old, 0.0)

        assert old.page_number is None
        assert listing.pick(0) is old

    def test_an_empty_page(self) -> None:
        """After an empty page, each export that was expected on it gets a GET."""
        entry_0, entry_1 = entry(0), entry(1)
        listing = listing_with(entry_0, entry_1)
        page = due_page(listing)
        listing.page_polled(page, [entry_0, entry_1], ExportPage(exports=(), total=0), 0.0)

        assert (entry_0.page_number, entry_1.page_number) == (None, None)


class TestQueue:
    def test_the_earliest_due_export_is_picked(self) -> None:
        """Exports that get GETs are picked in the order of their due times."""
        late, early = entry(1, due=9), entry(2, due=4)
        listing = listing_with(late, early)
        listing.isolate_all()

        assert listing.next_due() == 4
        assert listing.pick(20) is early

    def test_outdated_items_are_skipped(self) -> None:
        """A changed due time, or an export that is no longer awaited, is skipped."""
        rescheduled, removed = entry(1, due=1), entry(2, due=2)
        listing = listing_with(rescheduled, removed)
        listing.isolate_all()
        rescheduled.waiters[0].due = 8
        listing.reschedule(rescheduled)
        removed.waiters.clear()
        listing.remove(removed)

        assert listing.pick(7) is None
        assert listing.next_due() == 8

    def test_the_more_urgent_of_a_page_and_an_export_is_picked(self) -> None:
        """The page has more exports, so it is picked first unless its last poll is more recent."""
        isolated = entry(1)
        listing = listing_with(entry(2), entry(3), isolated)
        listing.isolate(isolated)
        page = due_page(listing, 10)

        for awaited in page.entries:
            listing.found(awaited, page, 5.0)
        listing.page_polled(page, list(page.entries), response_of(0), 5.0)
        assert listing.pick(11) is isolated
