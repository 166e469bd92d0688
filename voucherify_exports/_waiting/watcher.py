"""One task per client that follows every awaited export; a look at one page serves all that are on it."""

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


class Source(Protocol):
    """Where the watcher gets its news."""

    async def get(self, export_id: str) -> Export:
        """One export, by one request."""
        ...

    async def list_page(self, page: int) -> ExportPage:
        """One page of the list, the newest exports first, by one request."""
        ...


class Watcher:
    """Serves the waits of one client."""

    def __init__(self, source: Source, quota: Quota, clock: Clock, emit: EventHook) -> None:
        self._source = source
        self._quota = quota
        self._clock = clock
        self._emit = emit
        self._entries: dict[str, Entry] = {}
        self._listing = Listing()
        self._by_deadline: list[Waiter] = []  # a heap
        self._enough = 100
        self._at_last_look: list[Waiter] = []
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._gate_told = -math.inf
        self._requests = self._seen = 0
        self._doubts_list = False

    async def wait(
        self,
        export_id: str,
        seen: Export | None,
        timeout: float | None,
        policy: PollPolicy,
        on_update: Callable[[Export], object] | None = None,
    ) -> Export:
        """The export once it is finished, well or not; `seen` is what the caller knows of it."""
        inbox = Inbox()
        waiter = self._attach(export_id, seen, timeout, policy, inbox)
        waiter.on_update = on_update
        try:
            while waiter.outcome is None:
                await inbox.news()
                inbox.take()
                waiter.tell_updates()
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
        pending = {self._attach(export_id, seen, timeout, policy, inbox) for export_id, seen in wanted}
        try:
            while pending:
                await inbox.news()
                for waiter in inbox.take():
                    pending.discard(waiter)
                    # Without callbacks there is no other news than the end.
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
            self._tell_end(waiter)

    def _attach(
        self, export_id: str, seen: Export | None, timeout: float | None, policy: PollPolicy, inbox: Inbox
    ) -> Waiter:
        now = self._clock.monotonic()
        deadline = math.inf if timeout is None else now + timeout
        due = now + (self._head_start(seen, policy) if seen else 0.0)
        is_known = export_id in self._entries
        entry = self._entries.setdefault(export_id, Entry(export_id, seen=seen))
        waiter = Waiter(entry, inbox, policy, now, deadline, min(due, deadline), deadline, seen)
        entry.waiters.append(waiter)
        if is_known:
            self._listing.touch(entry)
        else:
            self._listing.add(entry, now)
        if deadline < math.inf:
            self._forget_ended()
            heapq.heappush(self._by_deadline, waiter)
        self._gate_told = -math.inf
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="voucherify-exports-watcher")
            self._task.add_done_callback(self._pass_on_failure)
        self._changed.set()
        return waiter

    async def _detach(self, waiters: Iterable[Waiter]) -> None:
        """End waits, whether they have outcomes or not; the last one ends the task."""
        for waiter in waiters:
            self._drop(waiter)
        if not self._entries:
            await self._stop()

    def _head_start(self, seen: Export, policy: PollPolicy) -> float:
        """An export that was created just now is not worth a look yet."""
        delay = policy.delay(1, seen)
        age = self._clock.wall() - seen.created_at.timestamp()
        return delay if seen.status is ExportStatus.SCHEDULED and age < delay else 0.0

    async def _stop(self) -> None:
        self._tell_round(None)
        self._by_deadline.clear()
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
        for waiter in self._waiters():
            self._end(waiter, error)  # without an event, which may be what failed

    def _waiters(self) -> list[Waiter]:
        return [waiter for entry in self._entries.values() for waiter in entry.waiters]

    def _drop(self, waiter: Waiter) -> None:
        entry = waiter.entry
        if waiter not in entry.waiters:
            return
        entry.waiters.remove(waiter)
        if entry.waiters:
            self._listing.touch(entry)
        else:
            del self._entries[entry.export_id]
            self._listing.remove(entry)
            if entry.request is not None:
                entry.request.cancel()
        self._changed.set()

    def _finish(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        self._end(waiter, outcome)
        self._tell_end(waiter)

    def _end(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        waiter.outcome = outcome
        waiter.inbox.put(waiter)
        self._drop(waiter)

    def _tell_end(self, waiter: Waiter) -> None:
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
                self._tell_hopeless(now)
                self._start_due(now + _SLACK, requests)
                self._end_overdue(now + _SLACK)
                next_due = max(self._listing.next_due(), self._quota.poll_at(now))
                if self._entries:
                    self._tell_round(max(0.0, next_due - now))
                    await sleep_unless(self._clock, min(next_due, self._next_end()) - now, self._changed)

    def _tell_hopeless(self, now: float) -> None:
        """A wait that ends before anything may be sent again is told so at once."""
        opens_at = self._quota.opens_at(now)
        if opens_at <= max(now, self._gate_told):
            return
        self._gate_told = opens_at
        for waiter in self._waiters():
            if waiter.deadline < opens_at:
                request = f"Export {waiter.entry.export_id}"
                self._finish(waiter, spent_error(request, opens_at - now, self._clock.wall()))

    def _start_due(self, now: float, requests: asyncio.TaskGroup) -> None:
        while self._quota.poll_at(now) <= now and (look := self._listing.pick(now)) is not None:
            self._quota.poll_sent(now)
            self._requests += 1
            if isinstance(look, Page):
                covered = list(look.entries)
                look.requests, look.asked_at = look.requests + 1, now
                request = requests.create_task(self._look_at_page(look, covered))
            else:
                covered = [look]
                request = look.request = requests.create_task(self._look_at_export(look))
            request.add_done_callback(partial(self._look_ended, look))
            self._take_last_look(covered, now)

    def _take_last_look(self, covered: list[Entry], now: float) -> None:
        for entry in covered:
            for waiter in entry.waiters:
                if now >= waiter.deadline:
                    waiter.ends = now + LAST_POLL
                    self._at_last_look.append(waiter)

    def _look_ended(self, look: Page | Entry, _request: asyncio.Task[None]) -> None:
        self._quota.poll_ended()
        if isinstance(look, Page):
            look.requests -= 1
        else:
            look.request = None
            if look.waiters:
                self._listing.touch(look)  # which passes over what is asked for
        self._changed.set()

    def _end_overdue(self, now: float) -> None:
        while self._by_deadline and self._by_deadline[0].deadline <= now:
            waiter = heapq.heappop(self._by_deadline)
            if waiter.ends <= now and waiter.is_pending:
                self._finish_late(waiter)
        late = [waiter for waiter in self._at_last_look if waiter.ends <= now]
        for waiter in late:
            self._at_last_look.remove(waiter)
            if waiter.is_pending:
                self._finish_late(waiter)

    def _forget_ended(self) -> None:
        """Keep the heap in proportion to who waits: deadlines may be far away."""
        if len(self._by_deadline) >= self._enough:
            self._by_deadline = [waiter for waiter in self._by_deadline if waiter.is_pending]
            heapq.heapify(self._by_deadline)
            self._enough = 2 * len(self._by_deadline) + 100

    def _next_end(self) -> float:
        deadlines = [waiter.deadline for waiter in self._by_deadline[:1]]
        return min([*deadlines, *(waiter.ends for waiter in self._at_last_look)], default=math.inf)

    def _finish_late(self, waiter: Waiter) -> None:
        error = WaitTimeoutError(
            waiter.entry.export_id,
            elapsed=self._clock.monotonic() - waiter.started,
            polls=waiter.polls,
            last_export=waiter.latest,
            last_error=waiter.last_error,
        )
        self._finish(waiter, error)

    def _tell_round(self, next_due: float | None) -> None:
        requests, seen = self._requests, self._seen
        if not seen:
            return
        self._requests = self._seen = 0
        self._emit(
            RoundCompleted(
                requests=requests,
                seen=seen,
                pending=len(self._entries),
                remaining=self._quota.remaining,
                next_due=next_due,
            )
        )

    async def _look_at_export(self, entry: Entry) -> None:
        try:
            export = await self._source.get(entry.export_id)
        except VoucherifyExportsError as error:
            self._take_fault(entry, error)
        else:
            self._take_news(entry, export, by_itself=True)
            if self._doubts_list:
                self._doubts_list = False
                self._listing.isolate_all()
        if entry.waiters:
            self._listing.looked_at_entry(entry, self._clock.monotonic())

    async def _look_at_page(self, page: Page, covered: list[Entry]) -> None:
        try:
            shown = await self._source.list_page(page.number)
        except VoucherifyExportsError as error:
            self._take_page_fault(page, covered, error)
            return
        self._doubts_list = False
        now = self._clock.monotonic()
        for export in shown.exports:
            entry = self._entries.get(export.id)
            if entry is not None:
                self._listing.found(entry, page, now)
                self._take_news(entry, export, by_itself=False)
        self._listing.looked_at_page(page, covered, shown, now)

    def _take_page_fault(self, page: Page, covered: list[Entry], error: VoucherifyExportsError) -> None:
        """No news for its exports, but for credentials; a list that is of no use is gone round by GETs."""
        is_useless = not (_is_no_news(error) or isinstance(error, AuthenticationError))
        for entry in [entry for entry in covered if entry.waiters]:
            if is_useless or isinstance(error, InvalidResponseError):
                self._note_fault(entry, error)
                self._listing.isolate(entry)
            else:
                self._take_fault(entry, error)
        self._listing.failed(page, self._clock.monotonic())
        if page.entries:
            # Does the list fail, or everything? One export's own GET will tell.
            self._listing.isolate(next(iter(page.entries)))
            self._doubts_list = True

    def _note_fault(self, entry: Entry, error: VoucherifyExportsError) -> list[Waiter]:
        for waiter in entry.waiters:
            waiter.polls += 1
            waiter.last_error = error
        return list(entry.waiters)

    def _take_fault(self, entry: Entry, error: VoucherifyExportsError) -> None:
        for waiter in self._note_fault(entry, error):
            if _is_no_news(error):
                self._look_again(waiter)
            else:
                self._finish(waiter, _own_copy(error))
        if entry.waiters:
            self._listing.touch(entry)

    def _take_news(self, entry: Entry, export: Export, *, by_itself: bool) -> None:
        self._seen += 1
        for waiter in entry.waiters:
            waiter.polls += 1
        if export.is_done and export.result_url is None:
            self._take_done_without_result(entry, export, by_itself)
            return
        entry.lacked_result = False
        if rank(export.status) >= rank(entry.status):
            if export.status is not entry.status:
                self._emit(StatusChanged(export_id=export.id, previous=entry.status, status=export.status))
            entry.seen = export
        for waiter in list(entry.waiters):
            waiter.learn(export)
            if export.is_finished:
                self._finish(waiter, export)
            else:
                self._look_again(waiter)

    def _take_done_without_result(self, entry: Entry, export: Export, by_itself: bool) -> None:
        """Perhaps the result is about to come: one more GET, before it is an error."""
        gave_up, entry.lacked_result = entry.lacked_result and by_itself, True
        for waiter in list(entry.waiters):
            if gave_up:
                problem = "the status is DONE, but there is no result URL"
                text = f"Export {export.id}: {problem}, at the second look too; ask Voucherify's support"
                self._finish(waiter, InvalidResponseError(text, problem=problem))
            else:
                self._look_again(waiter)
        if entry.waiters:
            self._listing.isolate(entry)

    def _look_again(self, waiter: Waiter) -> None:
        """None follows the look at the deadline."""
        if waiter.ends > waiter.deadline:
            self._finish_late(waiter)
        else:
            waiter.look_again(self._clock.monotonic())


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
