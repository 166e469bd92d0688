"""Where on the list the awaited exports are expected, and which poll is worth its request.

The list has pages of 100 exports, the newest first, and contains the newest 10,000 (Voucherify API reference,
"List exports"). New exports move the others to later pages. docs/internals.md explains the rules.
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

_PATIENCE = 5.0  # seconds until a second request for the same page is sent in parallel
_SHORTEST = 1e-3  # seconds; a wait strategy may return 0


@define(eq=False)
class Page:
    """The awaited exports that are expected on one page of the list, and when to poll it."""

    number: int
    silent_since: float  # the time of the oldest last poll among its exports
    entries: dict[Entry, None] = Factory(dict[Entry, None])
    polled_at: float = -math.inf
    requests: int = 0  # under way
    sent_at: float = -math.inf
    _due: float | None = None

    @property
    def due(self) -> float:
        """When the next poll is due.

        A page with n exports may be polled n times as often as the policy allows for one of them, but not
        sooner after another poll than the policy's first pause. An export that was never polled, and a
        waiter at its deadline, make the page due at once.
        """
        if self._due is None:
            self._due = self._compute_due()
        if not self.requests:
            return self._due
        # A slow request gets one parallel request, and no more: the server may be slow already.
        return max(self._due, self.sent_at + _PATIENCE) if self.requests == 1 else math.inf

    def invalidate(self) -> None:
        """Discard the cached `due`."""
        self._due = None

    def urgency(self, now: float) -> float:
        """How much waiting a poll would end.

        Exports finish all the time: the delay that has accumulated grows with their number, and with the
        square of the time since the last poll.
        """
        return len(self.entries) * (now - self.silent_since) ** 2

    def _compute_due(self) -> float:
        rate, floor, polled, unpolled_due, deadline = 0.0, math.inf, math.inf, math.inf, math.inf
        for entry in self.entries:
            for waiter in entry.waiters:
                floor = min(floor, waiter.floor)
                deadline = min(deadline, waiter.deadline)
            if entry.polled_at is None or entry.misses:
                unpolled_due = min(unpolled_due, entry.due)
            else:
                rate += 1 / max(entry.delay, _SHORTEST)
                polled = min(polled, entry.polled_at)
        shared_due = max(polled, self.polled_at) + 1 / rate if rate else math.inf
        return min(max(min(unpolled_due, shared_due), self.polled_at + floor), deadline)


class Listing:
    """All awaited exports: each on the page where it is expected, or queued for a GET of its own."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._queued: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._oldest: dict[int, Export] = {}  # the last export of each page that was polled

    def add(self, entry: Entry, now: float) -> None:
        """Expect an export on the page of its age, or on the first page that has room."""
        self._put(entry, self._locate(entry.latest) if entry.latest else self._with_room(1), now)

    def remove(self, entry: Entry) -> None:
        """Forget an export that is no longer awaited."""
        page = self._pages.get(entry.page_number or 0)
        if page is not None:
            del page.entries[entry]
            page.invalidate()

    def reschedule(self, entry: Entry) -> None:
        """Update the schedule after the due time of an export changed."""
        if entry.page_number is None:
            self._queue(entry)
        else:
            self._pages[entry.page_number].invalidate()

    def pick(self, now: float) -> Page | Entry | None:
        """The poll that is due and ends the most waiting: of a page, or of one export by a GET."""
        pages = [page for page in self._idle_pages() if page.due <= now]
        page = max(pages, key=lambda page: page.urgency(now), default=None)
        entry = self._next_queued()
        if (
            entry is not None
            and entry.due <= now
            and (page is None or page.urgency(now) < (now - entry.silent_since) ** 2)
        ):
            return entry
        if page is not None and len(page.entries) == 1:
            return next(iter(page.entries))  # a GET costs the same, and certainly returns this export
        return page

    def next_due(self) -> float:
        """When the next poll is due."""
        entry = self._next_queued()
        pages = min((page.due for page in self._idle_pages()), default=math.inf)
        return pages if entry is None else min(pages, entry.due)

    def entry_polled(self, entry: Entry, now: float) -> None:
        """A GET for one export ended: from now on it is expected on the page of its age."""
        entry.polled_at, entry.misses = now, 0
        if entry.page_number is None:
            self._put(entry, self._locate(entry.latest) if entry.latest else None, now)
            return
        page = self._pages[entry.page_number]
        page.invalidate()
        if len(page.entries) == 1:
            self._renew(page, now)

    def page_polled(self, page: Page, covered: list[Entry], shown: ExportPage, now: float) -> None:
        """A page was polled: exports that were expected on it and are missing are expected elsewhere."""
        self._renew(page, now)
        ids = {export.id for export in shown.exports}
        if shown.exports:
            self._oldest[page.number] = shown.exports[-1]
        is_last = not shown.exports or page.number * PAGE_SIZE >= shown.total or page.number == LAST_PAGE
        for entry in covered:
            if entry.waiters and entry.page_number == page.number and entry.export_id not in ids:
                entry.misses += 1
                self._move(entry, self._next_place(entry, page, shown, len(covered), is_last), now)

    def found(self, entry: Entry, page: Page, now: float) -> None:
        """A page contained an export."""
        entry.polled_at, entry.misses = now, 0
        if entry.page_number != page.number:
            self._move(entry, page.number, now)

    def failed(self, page: Page, now: float) -> None:
        """A poll of a page failed: the next one is due as if this one had shown no change."""
        self._renew(page, now)
        for entry in page.entries:
            entry.polled_at = now

    def isolate(self, entry: Entry) -> None:
        """Poll an export by a GET of its own the next time."""
        self._move(entry, None, 0.0)

    def isolate_all(self) -> None:
        """Poll each export by a GET of its own the next time."""
        for page in self._pages.values():
            for entry in list(page.entries):
                self.isolate(entry)

    def _renew(self, page: Page, now: float) -> None:
        page.polled_at = page.silent_since = now
        page.invalidate()

    def _next_place(
        self, entry: Entry, page: Page, shown: ExportPage, covered: int, is_last: bool
    ) -> int | None:
        """The page on which to expect an export that this page lacks; `None` for a GET of its own."""
        # The next page, as long as that may be cheaper than a GET for each of them.
        after = None if is_last or entry.misses >= covered else self._with_room(page.number + 1)
        if entry.latest is None or not shown.exports:
            return after
        if entry.latest.created_at <= shown.exports[-1].created_at:
            return after
        if entry.latest.created_at > shown.exports[0].created_at and page.number > 1:
            return page.number - 1
        return None  # it should be on this page: it was deleted, is malformed, or is not yet on the list

    def _with_room(self, number: int) -> int | None:
        """The first page from this one on that has room for one more export."""
        while number in self._pages and len(self._pages[number].entries) >= PAGE_SIZE:
            number += 1
        return number if number <= LAST_PAGE else None

    def _locate(self, export: Export) -> int | None:
        """The page that should contain an export of this age, as far as pages were polled."""
        for number in sorted(self._oldest):
            if export.created_at >= self._oldest[number].created_at:
                return number
        after = max(self._oldest, default=0) + 1
        return after if after <= LAST_PAGE else None

    def _move(self, entry: Entry, number: int | None, now: float) -> None:
        self.remove(entry)
        self._put(entry, number, now)

    def _put(self, entry: Entry, number: int | None, now: float) -> None:
        entry.page_number = number
        if number is None:
            self._queue(entry)
            return
        page = self._pages.setdefault(number, Page(number, now))
        page.entries[entry] = None
        page.silent_since = min(page.silent_since, entry.silent_since)
        page.invalidate()

    def _queue(self, entry: Entry) -> None:
        heapq.heappush(self._queued, (entry.due, next(self._order), entry))

    def _next_queued(self) -> Entry | None:
        """The queued export that is due first; items of the queue that are out of date are dropped."""
        while self._queued:
            due, _, entry = self._queued[0]
            if entry.page_number is None and entry.waiters and not entry.request and entry.due == due:
                return entry
            heapq.heappop(self._queued)
        return None

    def _idle_pages(self) -> Iterator[Page]:
        return (page for page in self._pages.values() if page.entries and not _has_request(page.entries))


def _has_request(entries: dict[Entry, None]) -> bool:
    return len(entries) == 1 and next(iter(entries)).request is not None
