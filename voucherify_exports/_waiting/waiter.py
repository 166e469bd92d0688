"""The waits, and the exports they wait for; all times are the clock's monotonic seconds."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from .._api.quota import PATIENCE
from .._ground.callbacks import check_returned
from ..errors import VoucherifyExportsError
from ..models import Export, ExportStatus
from ..polling import PollPolicy

MOST_REQUESTS = 2
"""The most requests at a time that return the same."""


@define(eq=False, weakref_slot=False)
class Inbox:
    """How a call learns that its waiters changed: `wait_until_done` has one waiter, `wait_many` many."""

    _changed: list["Waiter"] | None = None  # created when needed: there are thousands of inboxes
    _signal: asyncio.Future[None] | None = None

    def notify(self, waiter: "Waiter") -> None:
        """Report that a waiter has an outcome, or updates for its callback."""
        if self._changed is None:
            self._changed = []
        self._changed.append(waiter)
        if self._signal is not None and not self._signal.done():
            self._signal.set_result(None)

    def notified(self) -> asyncio.Future[None]:
        """A future to await; a coroutine would keep a frame for each of thousands of waits."""
        self._signal = asyncio.get_running_loop().create_future()
        if self._changed is not None:
            self._signal.set_result(None)
        return self._signal

    def take(self) -> list["Waiter"]:
        """The waiters that were notified since the last call; a waiter may be among them twice."""
        changed, self._changed = self._changed, None
        return changed or []


@define(eq=False, weakref_slot=False)
class Waiter:
    """One wait of one call.

    `due` is when the policy wants the next poll, and `pause` is its present pause between two polls, `None`
    before the first one. `ends` is the deadline, or a little later while the last poll is under way.
    `request` is the latest poll that was sent during this wait and should return its export, until it ends.
    `index` is its place among the waiters of its entry, -1 once it has left.
    """

    inbox: Inbox
    policy: PollPolicy
    started: float
    deadline: float
    due: float
    latest: Export | None = None
    on_update: Callable[[Export], object] | None = None
    entry: "Entry" = field(init=False)
    index: int = field(init=False)
    ends: float = field(init=False)
    pause: float | None = None
    polls: int = 0
    request: "Request | None" = None
    last_error: VoucherifyExportsError | None = None
    updates: list[Export] | None = None
    outcome: Export | BaseException | None = None

    def __attrs_post_init__(self) -> None:
        self.ends = self.deadline

    def __lt__(self, other: "Waiter") -> bool:
        return self.ends < other.ends

    @property
    def is_pending(self) -> bool:
        """Whether it has no outcome yet, and its call has not been cancelled."""
        return self.outcome is None and self.index >= 0

    def learn(self, export: Export) -> None:
        """Store the export of a response, unless an earlier response had a later status."""
        previous = self.latest.status if self.latest else None
        if rank(export.status) < rank(previous):
            return
        self.latest = export
        if export.status is not previous and self.on_update is not None:
            self.updates = [*(self.updates or ()), export]
            self.inbox.notify(self)

    def notified(self) -> asyncio.Future[None]:
        """A future to await for an outcome, or for updates."""
        return self.inbox.notified()

    def result(self) -> Export:
        """The outcome; raises the error of a wait that failed."""
        assert self.outcome is not None
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def run_callbacks(self) -> None:
        """Call `on_update` for each change of status since the last call, in order."""
        self.inbox.take()
        updates, self.updates = self.updates, None
        for export in updates or ():
            assert self.on_update is not None, "updates are collected for a callback only"
            check_returned("on_update", self.on_update(export))

    def schedule_poll(self, now: float) -> None:
        """Set the time of the next poll by the policy, if the previous pause is over.

        Raises what the policy's wait strategy raises.
        """
        if self.due <= now:
            self.pause = self.policy.delay(self.polls, self.latest, elapsed=now - self.started)
            self.due = now + self.pause
            self.entry.changed()


@define
class Schedule:
    """What the waiters of one export want together.

    `first_due` is when the first of those that have had no poll wants one, infinity without any. `pause` is
    the shortest pause that a policy wants, and `spare_pause` the shortest one that is worth a poll while
    quota is plentiful. `floor` are the fewest seconds between two polls, however many waiters there are; the
    first poll for a waiter has no floor, unless a page has just lacked its export.
    """

    due: float = math.inf
    first_due: float = math.inf
    pause: float = math.inf
    spare_pause: float = math.inf
    floor: float = math.inf
    started: float = math.inf

    def include(self, waiter: Waiter, is_missing: bool) -> None:
        """Add a waiter; `is_missing`: the page that was polled last should have contained its export."""
        policy = waiter.policy
        self.due = min(self.due, waiter.due)
        self.started = min(self.started, waiter.started)
        if waiter.pause is None:
            self.first_due = min(self.first_due, waiter.due)
            self.floor = min(self.floor, policy.initial if is_missing else math.inf)
        else:
            self.pause = min(self.pause, waiter.pause)
            self.floor = min(self.floor, policy.initial, waiter.pause)
            if policy.wait is None:
                self.spare_pause = min(self.spare_pause, policy.initial)


@define(eq=False, weakref_slot=False)
class Polled:
    """What one request can return: one export, or a page of the list; `requests` are under way."""

    requests: int = field(default=0, init=False)
    sent_at: float = field(default=-math.inf, init=False)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self.requests

    def not_before_patience(self, due: float) -> float:
        """When to send the request that is due: a slow one gets a parallel one after some seconds."""
        return max(due, self.sent_at + PATIENCE) if self.requests else due


class Place(Protocol):
    """Where an export is polled: on a page, or in the queue of those that get GETs."""

    entries: dict["Entry", None]

    def changed(self, entry: "Entry", /) -> None:
        """What its waiters want has changed."""
        ...


def _no_waiters() -> list[Waiter]:
    """A list, ten times as fast as `list[Waiter]()`."""
    return []


@define(eq=False, weakref_slot=False)
class Entry(Polled):
    """One export id, and the waiters for it.

    It has exactly one `place` while it has waiters, and its place learns of every change. `misses` counts
    the pages that should have contained it and did not. `created` is when the export was created, or
    awaited first if that is not known.
    """

    export_id: str
    created: float
    place: Place
    latest: Export | None = None
    waiters: list[Waiter] = field(factory=_no_waiters)
    polled_at: float | None = None
    misses: int = 0
    lacked_result: bool = False
    _schedule: Schedule | None = None

    @property
    def schedule(self) -> Schedule:
        """What the waiters want. It is kept until a change if there are many of them."""
        if self._schedule is not None:
            return self._schedule
        schedule = self._compute_schedule()
        if len(self.waiters) > 1:
            self._schedule = schedule
        return schedule

    def _compute_schedule(self) -> Schedule:
        schedule = Schedule()
        for waiter in self.waiters:
            schedule.include(waiter, self.misses > 0)
        return schedule

    @property
    def status(self) -> ExportStatus | None:
        """The furthest status that a response contained."""
        return self.latest.status if self.latest else None

    @property
    def due(self) -> float:
        """When a GET for it is due."""
        return self.not_before_patience(self.schedule.due)

    def not_before_patience(self, due: float) -> float:
        """The same, for at most two at a time: the server may be slow already."""
        return Polled.not_before_patience(self, due) if self.requests < MOST_REQUESTS else math.inf

    @property
    def silent_since(self) -> float:
        """The time of its last poll, or of the first wait for it."""
        return self.schedule.started if self.polled_at is None else self.polled_at

    def urgency(self, now: float) -> float:
        """How much waiting a GET would end; see `Page.urgency`."""
        return (now - self.silent_since) ** 2

    def join(self, waiter: Waiter) -> None:
        """Add a waiter."""
        waiter.entry, waiter.index = self, len(self.waiters)
        self.waiters.append(waiter)
        if self._schedule is not None:  # computed anew for each of thousands of waiters, it would be slow
            self._schedule.include(waiter, self.misses > 0)
        self.place.changed(self)

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiter: the last one takes its place, since there may be thousands."""
        last = self.waiters.pop()
        if last is not waiter:
            self.waiters[waiter.index], last.index = last, waiter.index
        waiter.index = -1
        self.changed()

    def changed(self) -> None:
        """Discard what was computed from the waiters, here and in the place of this entry."""
        self._schedule = None
        self.place.changed(self)

    def learn(self, export: Export, created: float) -> bool:
        """Store the export of a response; returns whether its status is a new one.

        A response that is older than an earlier one is ignored, which shows in the statuses.
        """
        self.lacked_result = False
        if rank(export.status) < rank(self.status):
            return False
        if self.latest is None:
            self.created = min(self.created, created)
        is_new = export.status is not self.status
        self.latest = export
        self.changed()
        return is_new

    def polled(self, now: float) -> None:
        """A poll ended that returned the export, or failed."""
        self.polled_at, self.misses = now, 0
        self.changed()

    def missed(self) -> None:
        """A page that should have contained the export did not."""
        self.misses += 1
        self.changed()

    def check(self) -> None:
        """Assert that what was computed is up to date."""
        assert self._schedule in (None, self._compute_schedule()), "a change of a waiter was missed"
        for index, waiter in enumerate(self.waiters):
            assert (waiter.entry, waiter.index) == (self, index), "a waiter is not in its place"
            assert waiter.request is None or waiter.request.target.requests, "a request has ended unnoticed"


@define(eq=False)
class Request:
    """A poll under way, and the entries that its response should contain."""

    target: Polled
    covered: list[Entry]
    sent_at: float
    is_settled: bool = False

    def settle(self) -> list[Waiter]:
        """It has a result, or never will: returns the waiters that have no newer request."""
        self.is_settled = True
        waiting = [waiter for entry in self.covered for waiter in entry.waiters if waiter.request is self]
        for waiter in waiting:
            waiter.request = None
        return waiting


def has_ended(export: Export) -> bool:
    """Whether there is nothing to wait for; DONE without a result URL is not the end."""
    return export.is_failed or (export.is_done and export.result_url is not None)


def rank(status: ExportStatus | None) -> tuple[bool, bool]:
    """What orders the statuses: whether it has started, as every unknown one, and whether it has ended."""
    is_started = status not in (None, ExportStatus.SCHEDULED)
    return is_started, status in (ExportStatus.DONE, ExportStatus.ERROR)
