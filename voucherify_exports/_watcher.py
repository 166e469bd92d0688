"""One task per client that follows every awaited export; each id is polled once, however many wait."""

import asyncio
import math
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import Protocol, cast

from attrs import Factory, define

from ._clock import Clock, sleep_unless
from ._quota import Quota, spent_error
from .errors import (
    ApiError,
    ClientClosedError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from .events import EventHook, StatusChanged, WaitEnded
from .models import Export, ExportPage, ExportStatus
from .polling import PollPolicy

LAST_POLL = 1.0
"""Seconds that the last poll, sent at the deadline, may take."""


class Source(Protocol):
    """Where the watcher gets its news."""

    async def get(self, export_id: str) -> Export:
        """One export, by one request."""
        ...

    async def list_page(self, page: int) -> ExportPage:
        """One page of the newest exports, by one request."""
        ...


@define(eq=False)
class _Waiter:
    """One call that waits; the times are the clock's monotonic seconds."""

    export_id: str
    policy: PollPolicy
    started: float
    deadline: float
    due: float
    latest: Export | None
    ends: float = math.inf
    polls: int = 0
    last_error: VoucherifyExportsError | None = None
    updates: list[Export] = Factory(list[Export])
    outcome: Export | BaseException | None = None
    signal: asyncio.Future[None] = Factory(lambda: asyncio.get_running_loop().create_future())

    def __attrs_post_init__(self) -> None:
        self.ends = self.deadline

    def notify(self) -> None:
        """Wake the call."""
        if not self.signal.done():
            self.signal.set_result(None)

    async def next_updates(self) -> list[Export]:
        """Wait for news; the changes of status since last time, in order."""
        await self.signal
        self.signal = asyncio.get_running_loop().create_future()
        updates, self.updates = self.updates, []
        return updates


@define(eq=False)
class _Entry:
    """One id, and who waits for it."""

    export_id: str
    waiters: dict[_Waiter, None] = Factory(dict[_Waiter, None])  # a set that keeps its order
    poll: asyncio.Task[None] | None = None
    status: ExportStatus | None = None
    lacked_result: bool = False

    @property
    def due(self) -> float:
        return min(waiter.due for waiter in self.waiters)


class Watcher:
    """Serves the waits of one client."""

    def __init__(self, source: Source, quota: Quota, clock: Clock, emit: EventHook) -> None:
        self._source = source
        self._quota = quota
        self._clock = clock
        self._emit = emit
        self._entries: dict[str, _Entry] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def wait(
        self,
        export_id: str,
        seen: Export | None,
        timeout: float | None,
        policy: PollPolicy,
        on_update: Callable[[Export], object] | None = None,
    ) -> Export:
        """The export once it is finished, well or not; `seen` is what the caller knows of it."""
        waiter = self._attach(export_id, seen, timeout, policy)
        try:
            while waiter.outcome is None:
                for update in await waiter.next_updates():
                    if on_update is not None:
                        on_update(update)
        finally:
            self._drop(waiter)
            if not self._entries:
                await self._stop()
        if isinstance(waiter.outcome, BaseException):
            raise waiter.outcome
        return waiter.outcome

    def _attach(
        self, export_id: str, seen: Export | None, timeout: float | None, policy: PollPolicy
    ) -> _Waiter:
        now = self._clock.monotonic()
        deadline = math.inf if timeout is None else now + timeout
        due = now + (self._head_start(seen, policy) if seen else 0.0)
        waiter = _Waiter(export_id, policy, now, deadline, min(due, deadline), seen)
        self._entries.setdefault(export_id, _Entry(export_id)).waiters[waiter] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="voucherify-exports-watcher")
            self._task.add_done_callback(self._pass_on_failure)
        self._changed.set()
        return waiter

    async def close(self) -> None:
        """End every wait with `ClientClosedError`."""
        for waiter in list(self._waiters()):
            self._finish(waiter, ClientClosedError())
        await self._stop()

    def _head_start(self, seen: Export, policy: PollPolicy) -> float:
        """An export that was created just now is not worth a look yet."""
        delay = policy.delay(1, seen)
        age = self._clock.wall() - seen.created_at.timestamp()
        return delay if seen.status is ExportStatus.SCHEDULED and age < delay else 0.0

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _pass_on_failure(self, task: asyncio.Task[None]) -> None:
        """Nobody may wait for a task that died of a fault of ours, or of an event hook's."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._task = None
        while isinstance(error, BaseExceptionGroup):  # as the task group wraps it
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        for waiter in list(self._waiters()):
            self._finish(waiter, error)

    def _waiters(self) -> Iterator[_Waiter]:
        for entry in self._entries.values():
            yield from entry.waiters

    def _drop(self, waiter: _Waiter) -> None:
        entry = self._entries.get(waiter.export_id)
        if entry is None or waiter not in entry.waiters:
            return
        del entry.waiters[waiter]
        if not entry.waiters:
            del self._entries[entry.export_id]
            if entry.poll is not None:
                entry.poll.cancel()
        self._changed.set()

    def _finish(self, waiter: _Waiter, outcome: Export | BaseException) -> None:
        waiter.outcome = outcome
        waiter.notify()
        self._drop(waiter)
        elapsed = self._clock.monotonic() - waiter.started
        name = outcome.status if isinstance(outcome, Export) else type(outcome).__name__
        self._emit(
            WaitEnded(export_id=waiter.export_id, outcome=str(name), elapsed=elapsed, polls=waiter.polls)
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as polls:
            while self._entries:
                self._changed.clear()
                now = self._clock.monotonic()
                self._end_hopeless(now)
                self._start_due(now, polls)
                self._end_overdue(now)
                if self._entries:
                    await sleep_unless(self._clock, self._next_at(now) - now, self._changed)

    def _end_hopeless(self, now: float) -> None:
        """A wait that ends before anything may be sent again is told so at once."""
        opens_at = self._quota.opens_at(now)
        if opens_at <= now:
            return
        for waiter in [waiter for waiter in self._waiters() if waiter.deadline < opens_at]:
            self._finish(
                waiter, spent_error(f"Export {waiter.export_id}", opens_at - now, self._clock.wall())
            )

    def _start_due(self, now: float, polls: asyncio.TaskGroup) -> None:
        idle = [entry for entry in self._entries.values() if entry.poll is None and entry.due <= now]
        for entry in sorted(idle, key=lambda entry: entry.due):
            if self._quota.poll_at(now) > now:
                break
            self._quota.poll_sent(now)
            entry.poll = polls.create_task(self._poll(entry))
            entry.poll.add_done_callback(partial(self._poll_over, entry))
            for waiter in entry.waiters:
                if now >= waiter.deadline:
                    waiter.ends = now + LAST_POLL

    def _end_overdue(self, now: float) -> None:
        for waiter in [waiter for waiter in self._waiters() if waiter.ends <= now]:
            self._finish_late(waiter, now)

    def _finish_late(self, waiter: _Waiter, now: float) -> None:
        error = WaitTimeoutError(
            waiter.export_id,
            elapsed=now - waiter.started,
            polls=waiter.polls,
            last_export=waiter.latest,
            last_error=waiter.last_error,
        )
        self._finish(waiter, error)

    def _next_at(self, now: float) -> float:
        ends = min(waiter.ends for waiter in self._waiters())
        due = min((entry.due for entry in self._entries.values() if entry.poll is None), default=math.inf)
        return min(ends, max(due, self._quota.poll_at(now)))

    async def _poll(self, entry: _Entry) -> None:
        try:
            export = await self._source.get(entry.export_id)
        except VoucherifyExportsError as error:
            self._take_fault(entry, error)
        else:
            self._take_news(entry, export)

    def _poll_over(self, entry: _Entry, _poll: asyncio.Task[None]) -> None:
        self._quota.poll_ended()
        entry.poll = None
        self._changed.set()

    def _polled(self, entry: _Entry) -> list[_Waiter]:
        for waiter in entry.waiters:
            waiter.polls += 1
        return list(entry.waiters)

    def _take_fault(self, entry: _Entry, error: VoucherifyExportsError) -> None:
        for waiter in self._polled(entry):
            waiter.last_error = error
            if _is_no_news(error):
                self._reschedule(waiter)
            else:
                self._finish(waiter, _own_copy(error))

    def _take_news(self, entry: _Entry, export: Export) -> None:
        if export.is_done and export.result_url is None:
            self._take_done_without_result(entry, export)
            return
        entry.lacked_result = False
        if _rank(export.status) >= _rank(entry.status) and export.status is not entry.status:
            self._emit(StatusChanged(export_id=export.id, previous=entry.status, status=export.status))
            entry.status = export.status
        for waiter in self._polled(entry):
            self._tell(waiter, export)

    def _take_done_without_result(self, entry: _Entry, export: Export) -> None:
        """Perhaps the result is about to come: one more look, before it is an error."""
        gave_up, entry.lacked_result = entry.lacked_result, True
        for waiter in self._polled(entry):
            if gave_up:
                problem = "the status is DONE, but there is no result URL"
                text = f"Export {export.id}: {problem}, at the second look too; ask Voucherify's support"
                self._finish(waiter, InvalidResponseError(text, problem=problem))
            else:
                self._reschedule(waiter, export)

    def _tell(self, waiter: _Waiter, export: Export) -> None:
        previous = waiter.latest.status if waiter.latest else None
        if _rank(export.status) >= _rank(previous):  # an answer may be older than one seen before
            waiter.latest = export
            if export.status is not previous:
                waiter.updates.append(export)
                waiter.notify()
        if export.is_finished:
            self._finish(waiter, export)
        else:
            self._reschedule(waiter, export)

    def _reschedule(self, waiter: _Waiter, export: Export | None = None) -> None:
        """Set the time of the next poll; none follows the one at the deadline."""
        now = self._clock.monotonic()
        if waiter.ends > waiter.deadline:
            self._finish_late(waiter, now)
        elif waiter.due <= now:
            waiter.due = min(now + waiter.policy.delay(waiter.polls, export), waiter.deadline)


def _is_no_news(error: VoucherifyExportsError) -> bool:
    if isinstance(error, ApiError):
        return isinstance(error, RateLimitedError | ServerError) or error.status == 408
    return isinstance(error, TransportError | InvalidResponseError)


def _own_copy(error: VoucherifyExportsError) -> VoucherifyExportsError:
    """The error for one of several waiters: an exception object collects the traceback of each raise."""
    own = copy(error)
    own.__cause__ = error.__cause__
    own.__suppress_context__ = True
    return own


def _rank(status: ExportStatus | None) -> int:
    """How far an export is; a status that this version does not know is somewhere on the way."""
    if status is None:
        return -1
    return {ExportStatus.SCHEDULED: 0, ExportStatus.DONE: 2, ExportStatus.ERROR: 2}.get(status, 1)
