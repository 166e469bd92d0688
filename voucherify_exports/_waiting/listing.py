"""Where on the list the awaited exports are expected, and which poll is worth its request.

The list has pages of 100 exports, the newest first, and contains the newest 10,000 (Voucherify API reference,
"List exports"). New exports move the others to later pages. docs/internals.md explains the rules.
"""

import heapq
import itertools
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from attrs import Factory, define

from ..models import Export, ExportPage
from .waiter import MOST_REQUESTS, Entry, Place, Polled, Request, Waiter, rank

PAGE_SIZE = 100
LAST_PAGE = 100

_SHORTEST = 1e-3  # seconds; a wait strategy may return 0
_FEW = 10  # awaited exports; with more of them, pages are polled often anyway
_LONG_AGO, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class _Computed(NamedTuple):
    """What a page computes from its entries."""

    due: float
    spare_due: float
    silent_since: float


@define(eq=False)
class Page(Polled):
    """The awaited exports that are expected on one page of the list, and when to poll it.

    `failing_since` is the time of the first of the polls that failed since the last one that did not.
    """

    number: int
    entries: dict[Entry, None] = Factory(dict[Entry, None])
    polled_at: float = -math.inf
    failing_since: float = math.inf
    _computed: _Computed | None = None

    @property
    def due(self) -> float:
        """When the next poll is due by the policies."""
        return self._not_before_patience(self.computed.due)

    @property
    def spare_due(self) -> float:
        """When the next poll is worth spare quota: at `due` or earlier."""
        return self._not_before_patience(self.computed.spare_due)

    @property
    def target(self) -> "Page | Entry":
        """What to request: for a single export a GET costs the same, and certainly returns it."""
        return self if len(self.entries) != 1 else next(iter(self.entries))

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way that would return its exports."""
        return not self.requests and not self.target.requests

    @property
    def computed(self) -> _Computed:
        """What follows from the entries, computed when it is needed after a change."""
        if self._computed is None:
            self._computed = self._compute()
        return self._computed

    def changed(self, _entry: Entry) -> None:
        """Discard what was computed."""
        self._computed = None

    def polled(self, now: float) -> None:
        """A poll of this page ended: another one may be due."""
        self.polled_at = now
        self._computed = None

    def urgency(self, now: float) -> float:
        """How much waiting a poll would end.

        Exports finish all the time: the delay that has accumulated grows with their number, and with the
        square of the time since the last poll.
        """
        return len(self.entries) * (now - self.computed.silent_since) ** 2

    def _not_before_patience(self, due: float) -> float:
        return self.not_before_patience(self.target.not_before_patience(due))

    def _compute(self) -> _Computed:
        """A page with n exports may be polled n times as often as the policy allows for one of them.

        But not sooner after another poll than the policy's first pause. An export that was never polled
        makes the page due at the time that its waiters want. A tenth of the age that an export had at its
        last poll is a pause after which another poll is worth spare quota.
        """
        rate = 0.0
        floor, polled, first_due, missed_due, spare_pause, silent_since = (math.inf,) * 6
        for entry in self.entries:
            schedule = entry.schedule
            floor = min(floor, schedule.floor)
            silent_since = min(silent_since, entry.silent_since)
            if entry.misses:
                missed_due = min(missed_due, schedule.due)
                continue
            first_due = min(first_due, schedule.first_due)
            if entry.polled_at is None:
                continue
            polled = min(polled, entry.polled_at)
            rate += 1 / max(schedule.pause, _SHORTEST)
            tenth = (entry.polled_at - entry.created) / 10
            spare_pause = min(spare_pause, max(schedule.spare_pause, tenth))
        polled = max(polled, self.polled_at)
        due = min(missed_due, polled + 1 / rate if rate else math.inf)
        if due < math.inf:
            due = max(due, self.polled_at + floor)
        due = min(due, first_due)
        return _Computed(due, min(due, polled + spare_pause), silent_since)

    def check(self) -> None:
        """Assert that what was computed is up to date."""
        assert self._computed in (None, self._compute()), "a page did not learn of a change"


@define(eq=False)
class Queue:
    """The awaited exports that get GETs of their own."""

    entries: dict[Entry, None] = Factory(dict[Entry, None])
    _heap: list[tuple[float, int, Entry]] = Factory(list[tuple[float, int, Entry]])
    _changed: dict[Entry, None] = Factory(dict[Entry, None])  # to be queued under another time
    _order: "itertools.count[int]" = Factory(itertools.count)

    def changed(self, entry: Entry) -> None:
        """Queue an entry anew before the next one is taken: it may change thousands of times until then."""
        self._changed[entry] = None

    def first(self) -> Entry | None:
        """The entry that is due first."""
        for entry in self._changed:
            heapq.heappush(self._heap, (entry.due, next(self._order), entry))
        self._changed.clear()
        if len(self._heap) > 2 * len(self.entries) + PAGE_SIZE:  # most items are out of date
            self._heap = [(entry.due, next(self._order), entry) for entry in self.entries]
            heapq.heapify(self._heap)
        while self._heap and not self._is_present(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def _is_present(self, item: tuple[float, int, Entry]) -> bool:
        due, _, entry = item
        return entry in self.entries and due == entry.due

    def check(self) -> None:
        """Assert that each entry is queued under its present due time."""
        self.first()
        queued = {entry for due, _, entry in self._heap if due == entry.due}
        assert queued >= self.entries.keys(), "an entry is not queued under its present due time"


class PageMap:
    """Owns all awaited exports, and where each is polled: on one page, or in the queue.

    The rules, which `check` asserts: an entry has waiters, and is in exactly one place; an entry in the queue
    is queued under its present due time; what was computed from waiters or entries is up to date. So each
    awaited export is polled again, as soon as its last request is over or overdue.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._pages: dict[int, Page] = {}
        self._queue = Queue()
        self._oldest: dict[int, Export] = {}  # the last export of each page that was polled
        self._end = LAST_PAGE  # the last page, as far as is known
        self._unlisted: dict[Entry, None] = {}  # in the queue since the list lacked them
        self._got_at = -math.inf  # the last time that a GET returned an export
        self._see_newest(_NEVER)

    def joined(self, waiter: Waiter, export_id: str, known: Export | None, created: float) -> None:
        """A wait starts; a new export is expected on the page of its age, or on the first with room."""
        entry = self.entries.get(export_id)
        if entry is None:
            place = self._place(self._locate(known))
            self.entries[export_id] = entry = Entry(export_id, created, place, known)
            place.entries[entry] = None
        entry.join(waiter)

    def left(self, waiter: Waiter) -> None:
        """A wait ended; an export for which nobody waits is forgotten."""
        entry = waiter.entry
        entry.leave(waiter)
        if not entry.waiters:
            del self.entries[entry.export_id], entry.place.entries[entry]
            self._unlisted.pop(entry, None)

    def pick(self, now: float, *, is_spare: bool = False) -> Page | Entry | None:
        """The poll that is due and ends the most waiting: of a page, or of one export by a GET.

        With `is_spare`, one that is worth a request while few exports are awaited and quota is plentiful.
        """
        if is_spare and len(self.entries) > _FEW:
            return None
        best = self._most_urgent(now, is_spare)
        while isinstance(best, Page) and best.requests >= MOST_REQUESTS:
            # All of its requests have had no response for long: GETs may work.
            best.sent_at = now
            self._page_failed(best, best.entries, now)
            best = self._most_urgent(now, is_spare)
        return best.target if isinstance(best, Page) else best

    def _most_urgent(self, now: float, is_spare: bool) -> Page | Entry | None:
        due: list[Page | Entry] = [
            page for page in self._pages.values() if (page.spare_due if is_spare else page.due) <= now
        ]
        entry = self._queue.first()
        if entry is not None and entry.due <= now:
            due.append(entry)
        # A poll that has had no response for long comes after all that have none under way.
        return max(due, key=lambda each: (each.is_idle, each.urgency(now)), default=None)

    def next_due(self, *, is_spare: bool = False) -> float:
        """When the next poll is due."""
        if is_spare and len(self.entries) > _FEW:
            return math.inf
        dues = (page.spare_due if is_spare else page.due for page in self._pages.values())
        entry = self._queue.first()
        return min(dues, default=math.inf) if entry is None else min((entry.due, *dues))

    def last_target(self, entry: Entry) -> Page | Entry:
        """What to request when a wait for an export is about to end: its page, or a GET to be certain."""
        place = entry.place
        return place.target if isinstance(place, Page) and place.is_idle and not entry.misses else entry

    def asked(self, target: Page | Entry, now: float) -> Request:
        """A request is sent."""
        target.requests += 1
        target.sent_at = now
        request = Request(target, list(target.entries) if isinstance(target, Page) else [target], now)
        for entry in request.covered:
            for waiter in entry.waiters:
                waiter.request = request
        if isinstance(target, Entry):
            target.changed()
        return request

    def ended(self, request: Request) -> None:
        """A request ended, with a response or without."""
        request.settle()
        request.target.requests -= 1
        if isinstance(request.target, Entry):
            request.target.changed()

    def got(self, entry: Entry, export: Export, now: float) -> None:
        """A GET returned an export: from now on it is expected on the page of its age."""
        self._got_at = now
        if entry not in self._unlisted or export.created_at <= self._newest:
            self._single_polled(entry, export, now)
            return
        # The list is behind.
        entry.polled(now)
        if self._is_list_worth_a_poll(now):
            for unlisted in list(self._unlisted):
                self._move(unlisted, self._locate(unlisted.latest))

    def not_got(self, entry: Entry, now: float) -> None:
        """A GET failed: that counts as a poll that showed no change."""
        self._single_polled(entry, entry.latest, now)

    def listed(
        self, page: Page, covered: list[Entry], shown: ExportPage, now: float
    ) -> Iterable[tuple[Entry, Export]]:
        """A page was returned; returns the awaited exports on it.

        Exports that were expected on it and are missing are expected elsewhere.
        """
        page.failing_since = math.inf
        page.polled(now)
        self._learn_ages(page, shown)
        awaited: dict[Entry, Export] = {}
        for export in shown.exports:
            entry = self.entries.get(export.id)
            # A page that shifts while it is read may contain an export twice.
            if entry is not None and (
                entry not in awaited or rank(export.status) > rank(awaited[entry].status)
            ):
                awaited[entry] = export
        for entry in awaited:
            entry.polled(now)
            self._move(entry, page.number)
        for entry in [entry for entry in self._left_on(page, covered) if entry not in awaited]:
            entry.missed()
            self._search(entry, page, shown, len(covered))
        return awaited.items()

    def not_listed(self, page: Page, covered: list[Entry], now: float, *, is_unusable: bool) -> None:
        """A poll of a page failed: GETs replace a list that cannot be used."""
        if is_unusable:
            for entry in self._left_on(page, covered):
                self._move(entry, None)
        else:
            self._page_failed(page, covered, now)

    def _page_failed(self, page: Page, covered: Iterable[Entry], now: float) -> None:
        """One GET shows whether nothing works or only this page; if it then fails again, all get GETs."""
        page.polled(now)
        is_only_page = self._got_at > page.failing_since
        page.failing_since = min(page.failing_since, now)
        left = self._left_on(page, covered)
        for entry in left:
            entry.polled_at = now
        if is_only_page or not self._queue.entries:
            for entry in left if is_only_page else left[:1]:
                self._move(entry, None)

    def _left_on(self, page: Page, covered: Iterable[Entry]) -> list[Entry]:
        return [entry for entry in covered if entry.place is page and entry.waiters]

    def isolate(self, entry: Entry) -> None:
        """Poll an export by a GET of its own the next time."""
        self._move(entry, None)

    def check(self) -> None:
        """Assert the rules of this class."""
        self._queue.check()
        places: list[Place] = [self._queue, *self._pages.values()]
        entries = [entry for place in places for entry in place.entries]
        assert len(entries) == len(self.entries), "an entry is in two places, or in none"
        for place in places:
            for entry in place.entries:
                assert entry.place is place, "an entry is not in its place"
                assert self.entries[entry.export_id] is entry, "an entry is not the one of its id"
                assert entry.waiters, "nobody waits for an entry"
                entry.check()
        for page in self._pages.values():
            page.check()
        assert self._unlisted.keys() <= self._queue.entries.keys(), "an unlisted entry is not in the queue"

    def _single_polled(self, entry: Entry, export: Export | None, now: float) -> None:
        entry.polled(now)
        if entry.waiters and entry.place is self._queue:
            self._move(entry, self._locate(export) if export else None)

    def _see_newest(self, created_at: datetime) -> None:
        """The first export of the list is another one, created at this time; `_NEVER`: not known yet."""
        self._newest = created_at
        self._behind_since: float = math.inf
        self._next_trust: float = -math.inf

    def _is_list_worth_a_poll(self, now: float) -> bool:
        """Whether a list that was behind may have caught up: each time after twice the time."""
        self._behind_since = min(self._behind_since, now)
        if now < self._next_trust:
            return False
        self._next_trust = now + (now - self._behind_since)
        return True

    def _learn_ages(self, page: Page, shown: ExportPage) -> None:
        if not shown.exports or page.number * PAGE_SIZE >= shown.total:
            self._end = min(self._end, page.number)
        elif page.number >= self._end:
            self._end = LAST_PAGE
        if shown.exports:
            self._oldest[page.number] = shown.exports[-1]
        if page.number == 1:
            newest = shown.exports[0].created_at if shown.exports else _LONG_AGO
            if newest != self._newest:
                self._see_newest(newest)

    def _search(self, entry: Entry, page: Page, shown: ExportPage, covered: int) -> None:
        """Expect an export elsewhere that this page lacks: on another page, or by a GET of its own."""
        # The next page, as long as that may be cheaper than a GET for each of them.
        is_last = page.number >= self._end
        after = None if is_last or entry.misses >= covered else self._with_room(page.number + 1)
        created_at = entry.latest.created_at if entry.latest else None
        if created_at is None or not shown.exports or created_at <= shown.exports[-1].created_at:
            number = after
        elif created_at > shown.exports[0].created_at and page.number > 1:
            number = page.number - 1
        else:
            number = None  # it should be on this page: it was deleted, cannot be read, or is not yet listed
        self._move(entry, number)
        if number is None:
            self._unlisted[entry] = None

    def _with_room(self, number: int) -> int | None:
        """The first page from this one on that has room for one more export."""
        while number in self._pages and len(self._pages[number].entries) >= PAGE_SIZE:
            number += 1
        return number if number <= LAST_PAGE else None

    def _locate(self, export: Export | None) -> int | None:
        """The page that should contain an export of this age, as far as pages were polled."""
        if export is None:
            return self._with_room(1)
        for number in sorted(self._oldest):
            if export.created_at >= self._oldest[number].created_at:
                return self._with_room(number)
        after = max(self._oldest, default=0) + 1
        return self._with_room(after) if after <= self._end else None

    def _move(self, entry: Entry, number: int | None) -> None:
        """Expect an export on another page, or in the queue."""
        del entry.place.entries[entry]
        entry.place.changed(entry)
        self._unlisted.pop(entry, None)
        entry.place = self._place(number)
        entry.place.entries[entry] = None
        entry.place.changed(entry)

    def _place(self, number: int | None) -> Page | Queue:
        if number is None:
            return self._queue
        return self._pages.setdefault(number, Page(number))
