"""Who waits, and for which export; the times are the clock's monotonic seconds."""

import asyncio
from collections.abc import Callable

from attrs import Factory, define

from ..errors import VoucherifyExportsError
from ..models import Export, ExportStatus
from ..polling import PollPolicy


@define(eq=False, weakref_slot=False)
class Inbox:
    """Where a call hears of its waiters: one for `wait_until_done`, many for `wait_many`."""

    _told: list["Waiter"] | None = None  # made when needed: there are thousands of inboxes
    _signal: asyncio.Future[None] | None = None

    def put(self, waiter: "Waiter") -> None:
        """Say that there is news for a waiter."""
        if self._told is None:
            self._told = []
        self._told.append(waiter)
        if self._signal is not None and not self._signal.done():
            self._signal.set_result(None)

    def news(self) -> asyncio.Future[None]:
        """What to wait for; not a coroutine, whose frame would be kept for each of thousands."""
        self._signal = asyncio.get_running_loop().create_future()
        if self._told is not None:
            self._signal.set_result(None)
        return self._signal

    def take(self) -> list["Waiter"]:
        """The waiters that there was news for since last time; one may be there twice."""
        told, self._told = self._told, None
        return told or []


@define(eq=False, weakref_slot=False)
class Waiter:
    """One wait of one call.

    `due` is when the policy asks for the next look, and `delay` how long it waits between two now.
    `ends` is the deadline, but a little later while the last look is under way.
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
        """Whether it has no outcome yet, and its call has not left."""
        return self.outcome is None and self in self.entry.waiters

    @property
    def floor(self) -> float:
        """The least seconds between two looks, however many wait."""
        return min(self.policy.initial, self.delay)

    def learn(self, export: Export) -> None:
        """Take what an answer showed, unless an earlier one showed it further on."""
        previous = self.latest.status if self.latest else None
        if rank(export.status) < rank(previous):
            return
        self.latest = export
        if export.status is not previous and self.on_update is not None:
            self.updates = [*(self.updates or ()), export]
            self.inbox.put(self)

    def tell_updates(self) -> None:
        """Call back for each change of status since last time, in order."""
        updates, self.updates = self.updates, None
        if self.on_update is not None:
            for export in updates or ():
                self.on_update(export)

    def look_again(self, now: float) -> None:
        """Set the next look by the policy, if the one it asked for has been taken."""
        if self.due <= now:
            self.delay = self.policy.delay(self.polls, self.latest)
            self.due = min(now + self.delay, self.deadline)


@define(eq=False, weakref_slot=False)
class Entry:
    """One id, and who waits for it.

    `place` is the page of the list where it is expected, `None` where it gets a GET of its own.
    """

    export_id: str
    waiters: list[Waiter] = Factory(list[Waiter])
    place: int | None = None
    seen: Export | None = None
    looked_at: float | None = None
    misses: int = 0
    lacked_result: bool = False
    request: asyncio.Task[None] | None = None

    @property
    def status(self) -> ExportStatus | None:
        """The furthest status that an answer showed."""
        return self.seen.status if self.seen else None

    @property
    def due(self) -> float:
        """When the first of the waiters asks for a look."""
        return min(waiter.due for waiter in self.waiters)

    @property
    def delay(self) -> float:
        """The shortest wait between two looks that a waiter asks for."""
        return min(waiter.delay for waiter in self.waiters)

    @property
    def since(self) -> float:
        """How long there has been no look at it."""
        return min(waiter.started for waiter in self.waiters) if self.looked_at is None else self.looked_at


def rank(status: ExportStatus | None) -> int:
    """How far an export is; a status that this version does not know is somewhere on the way."""
    if status is None:
        return -1
    return {ExportStatus.SCHEDULED: 0, ExportStatus.DONE: 2, ExportStatus.ERROR: 2}.get(status, 1)
