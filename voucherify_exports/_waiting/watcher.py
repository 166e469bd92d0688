"""One task per client that polls every awaited export; the poll of a page serves all waiters on it.

A call attaches a `Waiter` to the `Entry` of its export and awaits its `Inbox`. The task sends the polls that
are due as far as the quota allows, gives each result to the waiters, ends those that are overdue, and
sleeps until the next poll or deadline. docs/internals.md explains it at length.
"""

import asyncio
import heapq
import math
from collections.abc import AsyncGenerator, Callable, Iterable
from copy import copy
from functools import partial
from typing import Protocol, cast

from .._api.quota import Quota, spent_error
from .._ground.clock import Clock, sleep_unless
from ..errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from ..events import EventHook, RoundCompleted, StatusChanged, WaitEnded
from ..models import Export, ExportPage, ExportStatus
from ..polling import PollPolicy
from .listing import Listing, Page
from .waiter import Entry, Inbox, Waiter, rank

LAST_POLL = 1.0
"""Seconds that the last poll, sent at the deadline, may take."""

_SLACK = 1e-6  # seconds; sums of floats that should be equal are not


class Poller(Protocol):
    """What the watcher polls with; each call sends one request."""

    async def get(self, export_id: str) -> Export:
        """One export."""
        ...

    async def list_page(self, page: int) -> ExportPage:
        """One page of the list, the newest exports first."""
        ...


class Watcher:
    """Serves the waits of one client.

    `_most_deadlines`: how long the heap of deadlines may get before it is cleared of ended waits.
    `_doubts_list`: a page failed, and it is not yet known whether GETs work.
    """

    def __init__(self, poller: Poller, quota: Quota, clock: Clock, emit: EventHook) -> None:
        self._poller = poller
        self._quota = quota
        self._clock = clock
        self._emit = emit
        self._entries: dict[str, Entry] = {}
        self._listing = Listing()
        self._by_deadline: list[Waiter] = []  # a heap
        self._most_deadlines = 100
        self._at_last_poll: list[Waiter] = []
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._checked_opening = -math.inf
        self._requests = self._returned = 0  # since the last event
        self._doubts_list = False

    async def wait(
        self,
        export_id: str,
        known: Export | None,
        timeout: float | None,
        policy: PollPolicy,
        on_update: Callable[[Export], object] | None = None,
    ) -> Export:
        """The export once it is DONE or ended in ERROR; `known` is what the caller knows of it."""
        inbox = Inbox()
        waiter = self._attach(export_id, known, timeout, policy, inbox)
        waiter.on_update = on_update
        try:
            while waiter.outcome is None:
                await inbox.notified()
                inbox.take()
                waiter.run_callbacks()
        finally:
            await self._detach([waiter])
        if isinstance(waiter.outcome, BaseException):
            raise waiter.outcome
        return waiter.outcome

    async def wait_many(
        self, wanted: Iterable[tuple[str, Export | None]], timeout: float | None, policy: PollPolicy
    ) -> AsyncGenerator[tuple[str, Export | BaseException]]:
        """Each id with its outcome, in the order in which they finish."""
        inbox = Inbox()
        pending = {self._attach(export_id, known, timeout, policy, inbox) for export_id, known in wanted}
        try:
            while pending:
                await inbox.notified()
                for waiter in inbox.take():
                    pending.discard(waiter)
                    # Without callbacks, a waiter is notified only of its end.
                    yield waiter.entry.export_id, cast("Export | BaseException", waiter.outcome)
        finally:
            await self._detach(pending)

    async def close(self) -> None:
        """End every wait with `ClientClosedError`."""
        waiters = self._waiters()
        for waiter in waiters:
            self._end(waiter, ClientClosedError())
        await self._stop()
        for waiter in waiters:
            self._emit_end(waiter)

    def _attach(
        self, export_id: str, known: Export | None, timeout: float | None, policy: PollPolicy, inbox: Inbox
    ) -> Waiter:
        now = self._clock.monotonic()
        deadline = math.inf if timeout is None else now + timeout
        due = now + (self._initial_delay(known, policy) if known else 0.0)
        is_known = export_id in self._entries
        entry = self._entries.setdefault(export_id, Entry(export_id, latest=known))
        waiter = Waiter(entry, inbox, policy, now, deadline, min(due, deadline), deadline, known)
        entry.waiters.append(waiter)
        if is_known:
            self._listing.reschedule(entry)
        else:
            self._listing.add(entry, now)
        if deadline < math.inf:
            self._drop_ended_deadlines()
            heapq.heappush(self._by_deadline, waiter)
        self._checked_opening = -math.inf
        if self._task is None:
            self._start()
        self._changed.set()
        return waiter

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="voucherify-exports-watcher")
        self._task.add_done_callback(self._task_ended)

    async def _detach(self, waiters: Iterable[Waiter]) -> None:
        """End waits, whether they have outcomes or not; without waits the task ends."""
        for waiter in waiters:
            self._drop(waiter)
        if not self._entries:
            await self._stop()

    def _initial_delay(self, known: Export, policy: PollPolicy) -> float:
        """Seconds before the first poll: an export that was just created is not polled at once."""
        delay = policy.delay(1, known)
        age = self._clock.wall() - known.created_at.timestamp()
        return delay if known.status is ExportStatus.SCHEDULED and age < delay else 0.0

    async def _stop(self) -> None:
        self._emit_round(None)
        self._by_deadline.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Keep the rule that a pending wait has a running task or an error, whatever ended the task.

        An exception, such as that of an event hook, ends all waits. Without one, the task ended because
        nobody waited, or somebody else cancelled it: if there are waits now, another task serves them.
        """
        if task is not self._task:
            return  # `_stop` ended it
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            if self._entries:
                self._start()
            return
        while isinstance(error, BaseExceptionGroup):  # as the task group wraps it
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        for waiter in self._waiters():
            self._end(waiter, error)  # without an event: the event hook may be what failed

    def _waiters(self) -> list[Waiter]:
        return [waiter for entry in self._entries.values() for waiter in entry.waiters]

    def _drop(self, waiter: Waiter) -> None:
        entry = waiter.entry
        if waiter not in entry.waiters:
            return
        entry.waiters.remove(waiter)
        if entry.waiters:
            self._listing.reschedule(entry)
        else:
            del self._entries[entry.export_id]
            self._listing.remove(entry)
            if entry.request is not None:
                entry.request.cancel()
        self._changed.set()

    def _finish(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        self._end(waiter, outcome)
        self._emit_end(waiter)

    def _end(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        waiter.outcome = outcome
        waiter.inbox.notify(waiter)
        self._drop(waiter)

    def _emit_end(self, waiter: Waiter) -> None:
        outcome, elapsed = waiter.outcome, self._clock.monotonic() - waiter.started
        name = str(outcome.status) if isinstance(outcome, Export) else type(outcome).__name__
        self._emit(
            WaitEnded(export_id=waiter.entry.export_id, outcome=name, elapsed=elapsed, polls=waiter.polls)
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as requests:
            while self._entries:
                self._changed.clear()
                now = self._clock.monotonic()
                self._end_hopeless(now)
                self._start_polls(now + _SLACK, requests)
                self._end_overdue(now + _SLACK)
                next_due = max(self._listing.next_due(), self._quota.poll_at(now))
                if self._entries:
                    self._emit_round(max(0.0, next_due - now))
                    await sleep_unless(self._clock, min(next_due, self._next_end()) - now, self._changed)

    def _end_hopeless(self, now: float) -> None:
        """End each wait whose deadline comes before anything may be sent again."""
        opens_at = self._quota.opens_at(now)
        if opens_at <= max(now, self._checked_opening):
            return
        self._checked_opening = opens_at
        for waiter in self._waiters():
            if waiter.deadline < opens_at:
                request = f"Export {waiter.entry.export_id}"
                self._finish(waiter, spent_error(request, opens_at - now, self._clock.wall()))

    def _start_polls(self, now: float, requests: asyncio.TaskGroup) -> None:
        while self._quota.poll_at(now) <= now and (due := self._listing.pick(now)) is not None:
            self._quota.poll_sent(now)
            self._requests += 1
            if isinstance(due, Page):
                covered = list(due.entries)
                due.requests, due.sent_at = due.requests + 1, now
                request = requests.create_task(self._poll_page(due, covered))
            else:
                covered = [due]
                request = due.request = requests.create_task(self._poll_export(due))
            request.add_done_callback(partial(self._poll_ended, due))
            self._mark_last_poll(covered, now)

    def _mark_last_poll(self, covered: list[Entry], now: float) -> None:
        for entry in covered:
            for waiter in entry.waiters:
                if now >= waiter.deadline:
                    waiter.ends = now + LAST_POLL
                    self._at_last_poll.append(waiter)

    def _poll_ended(self, polled: Page | Entry, _request: asyncio.Task[None]) -> None:
        self._quota.poll_ended()
        if isinstance(polled, Page):
            polled.requests -= 1
        else:
            polled.request = None
            if polled.waiters:
                self._listing.reschedule(polled)  # the queue skips an entry while its request is under way
        self._changed.set()

    def _end_overdue(self, now: float) -> None:
        while self._by_deadline and self._by_deadline[0].deadline <= now:
            waiter = heapq.heappop(self._by_deadline)
            if waiter.ends <= now and waiter.is_pending:
                self._time_out(waiter)
        late = [waiter for waiter in self._at_last_poll if waiter.ends <= now]
        for waiter in late:
            self._at_last_poll.remove(waiter)
            if waiter.is_pending:
                self._time_out(waiter)

    def _drop_ended_deadlines(self) -> None:
        """Keep the heap in proportion to the pending waits: deadlines may be far away."""
        if len(self._by_deadline) >= self._most_deadlines:
            self._by_deadline = [waiter for waiter in self._by_deadline if waiter.is_pending]
            heapq.heapify(self._by_deadline)
            self._most_deadlines = 2 * len(self._by_deadline) + 100

    def _next_end(self) -> float:
        deadlines = [waiter.deadline for waiter in self._by_deadline[:1]]
        return min([*deadlines, *(waiter.ends for waiter in self._at_last_poll)], default=math.inf)

    def _time_out(self, waiter: Waiter) -> None:
        error = WaitTimeoutError(
            waiter.entry.export_id,
            elapsed=self._clock.monotonic() - waiter.started,
            polls=waiter.polls,
            last_export=waiter.latest,
            last_error=waiter.last_error,
        )
        self._finish(waiter, error)

    def _emit_round(self, next_due: float | None) -> None:
        requests, returned = self._requests, self._returned
        if not returned:
            return
        self._requests = self._returned = 0
        self._emit(
            RoundCompleted(
                requests=requests,
                seen=returned,
                pending=len(self._entries),
                remaining=self._quota.remaining,
                next_due=next_due,
            )
        )

    async def _poll_export(self, entry: Entry) -> None:
        try:
            export = await self._poller.get(entry.export_id)
        except VoucherifyExportsError as error:
            self._handle_error(entry, error)
        else:
            self._handle_export(entry, export, by_itself=True)
            if self._doubts_list:
                self._doubts_list = False
                self._listing.isolate_all()
        if entry.waiters:
            self._listing.entry_polled(entry, self._clock.monotonic())

    async def _poll_page(self, page: Page, covered: list[Entry]) -> None:
        try:
            shown = await self._poller.list_page(page.number)
        except VoucherifyExportsError as error:
            self._handle_page_error(page, covered, error)
            return
        self._doubts_list = False
        now = self._clock.monotonic()
        for export in shown.exports:
            entry = self._entries.get(export.id)
            if entry is not None:
                self._listing.found(entry, page, now)
                self._handle_export(entry, export, by_itself=False)
        self._listing.page_polled(page, covered, shown, now)

    def _handle_page_error(self, page: Page, covered: list[Entry], error: VoucherifyExportsError) -> None:
        """A failed page ends waits only for wrong credentials; GETs replace a list that cannot be used."""
        is_unusable = not (_may_pass(error) or isinstance(error, AuthenticationError))
        for entry in [entry for entry in covered if entry.waiters]:
            if is_unusable or isinstance(error, InvalidResponseError):
                self._count_failure(entry, error)
                self._listing.isolate(entry)
            else:
                self._handle_error(entry, error)
        self._listing.failed(page, self._clock.monotonic())
        if page.entries:
            # Whether only the list fails, or everything, shows in a GET for one of its exports.
            self._listing.isolate(next(iter(page.entries)))
            self._doubts_list = True

    def _count_failure(self, entry: Entry, error: VoucherifyExportsError) -> list[Waiter]:
        for waiter in entry.waiters:
            waiter.polls += 1
            waiter.last_error = error
        return list(entry.waiters)

    def _handle_error(self, entry: Entry, error: VoucherifyExportsError) -> None:
        for waiter in self._count_failure(entry, error):
            if _may_pass(error):
                self._schedule_next(waiter)
            else:
                self._finish(waiter, _own_copy(error))
        if entry.waiters:
            self._listing.reschedule(entry)

    def _handle_export(self, entry: Entry, export: Export, *, by_itself: bool) -> None:
        self._returned += 1
        for waiter in entry.waiters:
            waiter.polls += 1
        if export.is_done and export.result_url is None:
            self._handle_missing_result(entry, export, by_itself)
            return
        entry.lacked_result = False
        if rank(export.status) >= rank(entry.status):
            if export.status is not entry.status:
                self._emit(StatusChanged(export_id=export.id, previous=entry.status, status=export.status))
            entry.latest = export
        for waiter in list(entry.waiters):
            waiter.learn(export)
            if export.is_finished:
                self._finish(waiter, export)
            else:
                self._schedule_next(waiter)

    def _handle_missing_result(self, entry: Entry, export: Export, by_itself: bool) -> None:
        """DONE without a result: one more GET, and then an error."""
        gave_up, entry.lacked_result = entry.lacked_result and by_itself, True
        for waiter in list(entry.waiters):
            if gave_up:
                problem = "the status is DONE, but there is no result URL"
                text = f"Export {export.id}: {problem}, also in a second poll; ask Voucherify's support"
                self._finish(waiter, InvalidResponseError(text, problem=problem))
            else:
                self._schedule_next(waiter)
        if entry.waiters:
            self._listing.isolate(entry)

    def _schedule_next(self, waiter: Waiter) -> None:
        """No poll follows the one at the deadline."""
        if waiter.ends > waiter.deadline:
            self._time_out(waiter)
        else:
            waiter.schedule_poll(self._clock.monotonic())


def _may_pass(error: VoucherifyExportsError) -> bool:
    """Whether a later poll may succeed."""
    if isinstance(error, ApiError):
        return isinstance(error, RateLimitedError | ServerError) or error.status == 408
    return isinstance(error, TransportError | InvalidResponseError)


def _own_copy(error: VoucherifyExportsError) -> VoucherifyExportsError:
    """The error for one of several waiters: an exception collects the traceback of each raise."""
    own = copy(error)
    own.__cause__ = error.__cause__
    own.__suppress_context__ = True
    return own
