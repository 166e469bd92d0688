"""Where on the list of exports the awaited ones are, and which look is worth its request.

The list has pages of 100, the newest export first, and reaches back 10,000 exports (Voucherify API
reference, "List exports"). New exports push the others towards later pages.
"""

import heapq
import itertools
import math
from collections.abc import Iterator

from attrs import Factory, define

from ..models import Export, ExportPage
from .waiter import Entry

PAGE_SIZE = 100
LAST_PAGE = 100

_PATIENCE = 5.0  # seconds
_SHORTEST = 1e-3  # seconds; a strategy may say that it waits for nothing


@define(eq=False)
class Page:
    """The awaited exports that are expected on one page of the list, and when it is worth a look."""

    number: int
    since: float  # how long its exports have been without news
    entries: dict[Entry, None] = Factory(dict[Entry, None])
    looked_at: float = -math.inf
    requests: int = 0  # under way
    asked_at: float = -math.inf
    _due: float | None = None

    @property
    def due(self) -> float:
        """When the next look is due.

        n exports may see their page looked at n times as often as the policy asks for one of them, but
        not sooner after another look than the policy's first wait. Who has had no look yet is due by
        itself, and so is who has come to the deadline.
        """
        if self._due is None:
            self._due = self._reckon()
        if not self.requests:
            return self._due
        # An answer that is slow gets one rival; only one, lest a slow server gets slower.
        return max(self._due, self.asked_at + _PATIENCE) if self.requests == 1 else math.inf

    def changed(self) -> None:
        """Say that `due` must be reckoned anew."""
        self._due = None

    def urgency(self, now: float) -> float:
        """How much waiting a look would end.

        Exports finish all the time: the delay that has gathered grows with their number, and with the
        square of the time without news.
        """
        return len(self.entries) * (now - self.since) ** 2

    def _reckon(self) -> float:
        rate, floor, seen, first, last = 0.0, math.inf, math.inf, math.inf, math.inf
        for entry in self.entries:
            for waiter in entry.waiters:
                floor = min(floor, waiter.floor)
                last = min(last, waiter.deadline)
            if entry.looked_at is None or entry.misses:
                first = min(first, entry.due)
            else:
                rate += 1 / max(entry.delay, _SHORTEST)
                seen = min(seen, entry.looked_at)
        shared = max(seen, self.looked_at) + 1 / rate if rate else math.inf
        return min(max(min(first, shared), self.looked_at + floor), last)


class Listing:
    """All awaited exports: each on the page where it is expected, or alone."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._alone: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._last: dict[int, Export] = {}  # of each page that was seen

    def add(self, entry: Entry, now: float) -> None:
        """Expect an export where its age says, or on the first page that has room."""
        self._put(entry, self._locate(entry.seen) if entry.seen else self._with_room(1), now)

    def remove(self, entry: Entry) -> None:
        """Forget an export that nobody waits for any more."""
        page = self._pages.get(entry.place or 0)
        if page is not None:
            del page.entries[entry]
            page.changed()

    def touch(self, entry: Entry) -> None:
        """Say that somebody else waits for an export, or by another policy."""
        if entry.place is None:
            self._queue(entry)
        else:
            self._pages[entry.place].changed()

    def pick(self, now: float) -> Page | Entry | None:
        """The look that is due and ends the most waiting: a page, or one export by itself."""
        pages = [page for page in self._idle_pages() if page.due <= now]
        page = max(pages, key=lambda page: page.urgency(now), default=None)
        alone = self._first_alone()
        if (
            alone is not None
            and alone.due <= now
            and (page is None or page.urgency(now) < (now - alone.since) ** 2)
        ):
            return alone
        if page is not None and len(page.entries) == 1:
            return next(iter(page.entries))  # as dear as the page, and surely about this one
        return page

    def next_due(self) -> float:
        """When the next look is due."""
        alone = self._first_alone()
        pages = min((page.due for page in self._idle_pages()), default=math.inf)
        return pages if alone is None else min(pages, alone.due)

    def looked_at_entry(self, entry: Entry, now: float) -> None:
        """One export was looked at by itself: from now on it is expected where its age says."""
        entry.looked_at, entry.misses = now, 0
        if entry.place is None:
            self._put(entry, self._locate(entry.seen) if entry.seen else None, now)
            return
        page = self._pages[entry.place]
        page.changed()
        if len(page.entries) == 1:
            self._renew(page, now)

    def looked_at_page(self, page: Page, covered: list[Entry], shown: ExportPage, now: float) -> None:
        """A page was looked at: whoever was expected there and not shown is somewhere else."""
        self._renew(page, now)
        ids = {export.id for export in shown.exports}
        if shown.exports:
            self._last[page.number] = shown.exports[-1]
        is_last = not shown.exports or page.number * PAGE_SIZE >= shown.total or page.number == LAST_PAGE
        for entry in covered:
            if entry.waiters and entry.place == page.number and entry.export_id not in ids:
                entry.misses += 1
                self._move(entry, self._elsewhere(entry, page, shown, len(covered), is_last), now)

    def found(self, entry: Entry, page: Page, now: float) -> None:
        """An export was shown on a page."""
        entry.looked_at, entry.misses = now, 0
        if entry.place != page.number:
            self._move(entry, page.number, now)

    def failed(self, page: Page, now: float) -> None:
        """A page could not be looked at: its next look is as if this one had brought no change."""
        self._renew(page, now)
        for entry in page.entries:
            entry.looked_at = now

    def isolate(self, entry: Entry) -> None:
        """Give an export a GET of its own the next time."""
        self._move(entry, None, 0.0)

    def isolate_all(self) -> None:
        """Give each export a GET of its own the next time."""
        for page in self._pages.values():
            for entry in list(page.entries):
                self.isolate(entry)

    def _renew(self, page: Page, now: float) -> None:
        page.looked_at = page.since = now
        page.changed()

    def _elsewhere(
        self, entry: Entry, page: Page, shown: ExportPage, companions: int, is_last: bool
    ) -> int | None:
        """The page to look for an export that this one did not show; `None` for a GET of its own."""
        # As long as looking on may be cheaper than a GET for each of them.
        after = None if is_last or entry.misses >= companions else self._with_room(page.number + 1)
        if entry.seen is None or not shown.exports:
            return after
        if entry.seen.created_at <= shown.exports[-1].created_at:
            return after
        if entry.seen.created_at > shown.exports[0].created_at and page.number > 1:
            return page.number - 1
        return None  # it should have been here: deleted, malformed, or not yet on the list

    def _with_room(self, place: int) -> int | None:
        """The first page from this one on that may hold one more: what is more than a page is on the next."""
        while place in self._pages and len(self._pages[place].entries) >= PAGE_SIZE:
            place += 1
        return place if place <= LAST_PAGE else None

    def _locate(self, export: Export) -> int | None:
        """The page where an export of this age should be, as far as pages have been seen."""
        for number in sorted(self._last):
            if export.created_at >= self._last[number].created_at:
                return number
        after = max(self._last, default=0) + 1
        return after if after <= LAST_PAGE else None

    def _move(self, entry: Entry, place: int | None, now: float) -> None:
        self.remove(entry)
        self._put(entry, place, now)

    def _put(self, entry: Entry, place: int | None, now: float) -> None:
        entry.place = place
        if place is None:
            self._queue(entry)
            return
        page = self._pages.setdefault(place, Page(place, now))
        page.entries[entry] = None
        page.since = min(page.since, entry.since)
        page.changed()

    def _queue(self, entry: Entry) -> None:
        heapq.heappush(self._alone, (entry.due, next(self._order), entry))

    def _first_alone(self) -> Entry | None:
        """The first of those alone by the time that it is due; what the queue holds may be out of date."""
        while self._alone:
            due, _, entry = self._alone[0]
            if entry.place is None and entry.waiters and not entry.request and entry.due == due:
                return entry
            heapq.heappop(self._alone)
        return None

    def _idle_pages(self) -> Iterator[Page]:
        return (page for page in self._pages.values() if page.entries and not _is_asked_for(page.entries))


def _is_asked_for(entries: dict[Entry, None]) -> bool:
    return len(entries) == 1 and next(iter(entries)).request is not None
