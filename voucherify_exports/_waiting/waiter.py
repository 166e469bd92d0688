"""The waits, and the exports they wait for; all times are the clock's monotonic seconds."""

import asyncio
from collections.abc import Callable

from attrs import Factory, define

from ..errors import VoucherifyExportsError
from ..models import Export, ExportStatus
from ..polling import PollPolicy


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

    `due` is when the policy wants the next poll, and `delay` is its present pause between two polls. `ends`
    is the deadline, or a little later while the last poll is under way.
    """

    entry: "Entry"
    inbox: Inbox
    policy: PollPolicy
    started: float
    deadline: float
    due: float
    ends: float
    latest: Export | None = None
    delay: float = 0.0
    polls: int = 0
    last_error: VoucherifyExportsError | None = None
    on_update: Callable[[Export], object] | None = None
    updates: list[Export] | None = None
    outcome: Export | BaseException | None = None

    def __lt__(self, other: "Waiter") -> bool:
        return self.deadline < other.deadline

    @property
    def is_pending(self) -> bool:
        """Whether it has no outcome yet, and its call has not been cancelled."""
        return self.outcome is None and self in self.entry.waiters

    @property
    def floor(self) -> float:
        """The fewest seconds between two polls, however many waiters there are."""
        return min(self.policy.initial, self.delay)

    def learn(self, export: Export) -> None:
        """Store the export of a response, unless an earlier response had a later status."""
        previous = self.latest.status if self.latest else None
        if rank(export.status) < rank(previous):
            return
        self.latest = export
        if export.status is not previous and self.on_update is not None:
            self.updates = [*(self.updates or ()), export]
            self.inbox.notify(self)

    def run_callbacks(self) -> None:
        """Call `on_update` for each change of status since the last call, in order."""
        updates, self.updates = self.updates, None
        if self.on_update is not None:
            for export in updates or ():
                self.on_update(export)

    def schedule_poll(self, now: float) -> None:
        """Set the time of the next poll by the policy, if the previous one is over."""
        if self.due <= now:
            self.delay = self.policy.delay(self.polls, self.latest)
            self.due = min(now + self.delay, self.deadline)


@define(eq=False, weakref_slot=False)
class Entry:
    """One export id, and the waiters for it.

    `page_number` is the page of the list where it is expected, `None` if it gets a GET of its own. `misses`
    counts the pages that should have contained it and did not. `request` is its GET under way.
    """

    export_id: str
    waiters: list[Waiter] = Factory(list[Waiter])
    page_number: int | None = None
    latest: Export | None = None
    polled_at: float | None = None
    misses: int = 0
    lacked_result: bool = False
    request: asyncio.Task[None] | None = None

    @property
    def status(self) -> ExportStatus | None:
        """The furthest status that a response contained."""
        return self.latest.status if self.latest else None

    @property
    def due(self) -> float:
        """When the first of the waiters wants a poll."""
        return min(waiter.due for waiter in self.waiters)

    @property
    def delay(self) -> float:
        """The shortest pause between two polls that a waiter wants."""
        return min(waiter.delay for waiter in self.waiters)

    @property
    def silent_since(self) -> float:
        """The time of its last poll, or of the first wait for it."""
        return min(waiter.started for waiter in self.waiters) if self.polled_at is None else self.polled_at


def rank(status: ExportStatus | None) -> int:
    """The order of the statuses; an unknown status is between SCHEDULED and DONE."""
    if status is None:
        return -1
    return {ExportStatus.SCHEDULED: 0, ExportStatus.DONE: 2, ExportStatus.ERROR: 2}.get(status, 1)
