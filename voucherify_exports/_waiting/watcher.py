"""One task per client that polls every awaited export; the poll of a page serves all waiters on it.

A call attaches a `Waiter` to the `Entry` of its export and awaits its `Inbox`. The task sends the polls that
are due as far as the quota allows, gives each result to the waiters, ends those that are overdue, and
sleeps until the next poll or deadline. docs/internals.md explains it at length.

The rule of all this: whoever waits has a running task, a place where its export is polled again (`PageMap`),
and an end. State changes first, and events are emitted last, since a hook may raise.
"""

import asyncio
import heapq
import math
from collections.abc import AsyncGenerator, Callable, Iterable
from copy import copy
from functools import partial
from types import TracebackType
from typing import Protocol, Self, cast

from .._api.quota import PATIENCE, Quota, spent_error
from .._ground.clock import Clock, sleep_unless
from ..errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    ExportNotFoundError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from ..events import Event, EventHook, RoundCompleted, StatusChanged, WaitEnded
from ..models import Export, ExportPage, ExportStatus
from ..polling import PollPolicy
from .listing import Page, PageMap
from .waiter import MOST_REQUESTS, Entry, Inbox, Request, Waiter, has_ended

LAST_POLL = 1.0
"""Seconds that the last poll, sent at the deadline, may take."""

_LASTING_EVERYWHERE = (AuthenticationError, TransportError, ClientClosedError)
_LONGEST_SEARCH = 2.0  # seconds after its deadline in which a wait may be looking for its export
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

    `_ends` is a heap of the waits, by their ends; `_most_ends` is how long it may get before it is cleared of
    waits that have ended. `_created` has the exports of the last `read_lag` seconds.
    """

    def __init__(
        self, poller: Poller, quota: Quota, clock: Clock, emit: EventHook, read_lag: float = 10.0
    ) -> None:
        self._poller = poller
        self._quota = quota
        self._clock = clock
        self._emit = emit
        self._read_lag = read_lag
        self._map = PageMap()
        self._ends: list[Waiter] = []
        self._most_ends = 100
        self._created: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._events: list[Event] = []  # to emit
        self._requests = self._returned = 0  # since the last event

    async def wait_many(
        self, wanted: Iterable[tuple[str, Export | None]], timeout: float | None, policy: PollPolicy
    ) -> AsyncGenerator[tuple[str, Export | BaseException]]:
        """Each id with its outcome, in the order in which they finish."""
        inbox = Inbox()
        pending: dict[Waiter, None] = {}
        ended: list[tuple[str, Export]] = []
        try:
            for export_id, known in wanted:
                if known is not None and has_ended(known):
                    ended.append((export_id, known))
                else:
                    pending[self.attach(export_id, known, timeout, policy, inbox)] = None
            for export_id, known in ended:
                yield export_id, known
            while pending:
                await inbox.notified()
                for waiter in inbox.take():
                    pending.pop(waiter, None)
                    # Without callbacks, a waiter is notified only of its end.
                    yield waiter.entry.export_id, cast("Export | BaseException", waiter.outcome)
        finally:
            await self.detach(pending)

    def note_created(self, export_id: str) -> None:
        """Remember that this client created an export: Voucherify may not find it for some seconds."""
        now = self._clock.monotonic()
        while self._created and now - next(iter(self._created.values())) >= self._read_lag:
            del self._created[next(iter(self._created))]
        self._created[export_id] = now

    async def close(self) -> None:
        """End every wait with `ClientClosedError`."""
        for waiter in self._waiters():
            self._finish(waiter, ClientClosedError())
        try:
            self._emit_events()
        finally:
            await self._stop()

    def attach(
        self,
        export_id: str,
        known: Export | None,
        timeout: float | None,
        policy: PollPolicy,
        inbox: Inbox | None = None,
        on_update: Callable[[Export], object] | None = None,
    ) -> Waiter:
        """Start a wait, which must be detached; `known` is what the caller knows of the export."""
        now = self._clock.monotonic()
        deadline = math.inf if timeout is None else now + timeout
        created = due = now
        if known:
            age = self._age(known)
            created, due = now - age, now + _first_pause(known, age, policy)
        waiter = Waiter(inbox or Inbox(), policy, now, deadline, due, known, on_update)
        self._map.joined(waiter, export_id, known, created)
        self._drop_ended()
        heapq.heappush(self._ends, waiter)
        if self._task is None:
            self._start()
        self._changed.set()
        return waiter

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="voucherify-exports-watcher")
        self._task.add_done_callback(self._task_ended)

    async def detach(self, waiters: Iterable[Waiter]) -> None:
        """End waits, whether they have outcomes or not; without waits the task ends."""
        for waiter in waiters:
            self._leave(waiter)
        if not self._map.entries:
            await self._stop()

    def _leave(self, waiter: Waiter) -> None:
        if waiter.index >= 0:
            self._map.left(waiter)

    async def _stop(self) -> None:
        self._ends.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._end_round(None)
        self._emit_events()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Keep the rule that a pending wait has a running task or an error, whatever ended the task.

        An exception, such as that of an event hook, ends all waits. Without one, somebody else cancelled the
        task: if there are waits, another one serves them.
        """
        if task is not self._task:
            return  # `_stop` ended it
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            if self._map.entries:
                self._start()
            return
        while isinstance(error, BaseExceptionGroup):  # as the task group wraps it
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        for waiter in self._waiters():
            self._end(waiter, error)  # without an event: the event hook may be what failed

    def _waiters(self) -> list[Waiter]:
        return [waiter for entry in self._map.entries.values() for waiter in entry.waiters]

    def _end(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        waiter.outcome = outcome
        waiter.inbox.notify(waiter)
        self._leave(waiter)

    def _finish(self, waiter: Waiter, outcome: Export | BaseException) -> None:
        if not waiter.is_pending:
            return  # a function of the caller ended it meanwhile, such as one that closes the client
        self._end(waiter, outcome)
        elapsed = self._clock.monotonic() - waiter.started
        name = str(outcome.status) if isinstance(outcome, Export) else type(outcome).__name__
        ended = WaitEnded(export_id=waiter.entry.export_id, outcome=name, elapsed=elapsed, polls=waiter.polls)
        self._events.append(ended)

    def _emit_events(self) -> None:
        """Emit what has happened; after an exception of the hook, the rest is lost."""
        events, self._events = self._events, []
        for event in events:
            self._emit(event)

    async def _run(self) -> None:
        await asyncio.sleep(0)  # else an eager task would do things before it is known as the watcher's
        async with asyncio.TaskGroup() as requests:
            while True:  # until `_stop`, since a wait may start at any time
                self._changed.clear()
                now = self._clock.monotonic()
                self._end_hopeless(now)
                self._start_polls(now + _SLACK, requests)
                self._reach_deadlines(now + _SLACK, requests)
                next_poll = self._next_poll(now)
                self._end_round(next_poll - now)
                self._emit_events()
                ends_next = self._ends[0].ends if self._ends else math.inf
                await sleep_unless(self._clock, min(next_poll, ends_next) - now, self._changed)

    def _end_hopeless(self, now: float) -> None:
        """End each wait whose deadline comes before anything may be sent again, as the responses say.

        One whose request is under way may have its export any moment.
        """
        opens_at = self._quota.named_opening(now)
        under_way: list[Waiter] = []
        while opens_at > now and self._ends and self._ends[0].ends < opens_at:
            waiter = heapq.heappop(self._ends)
            if waiter.request is not None:
                under_way.append(waiter)
            else:
                request = f"A poll of export {waiter.entry.export_id}"
                self._finish(waiter, spent_error(request, opens_at - now, self._clock.wall()))
        for waiter in under_way:
            heapq.heappush(self._ends, waiter)

    def _start_polls(self, now: float, requests: asyncio.TaskGroup) -> None:
        for is_spare in (False, True):
            while (
                self._quota.poll_at(now, is_spare=is_spare) <= now
                and (target := self._map.pick(now, is_spare=is_spare)) is not None
            ):
                self._send(target, now, requests)

    def _next_poll(self, now: float) -> float:
        return min(
            max(self._map.next_due(is_spare=is_spare), self._quota.poll_at(now, is_spare=is_spare))
            for is_spare in (False, True)
        )

    def _send(self, target: Page | Entry, now: float, requests: asyncio.TaskGroup) -> None:
        self._quota.poll_sent(now)
        self._requests += 1
        request = self._map.asked(target, now)
        task = requests.create_task(self._poll(request))
        task.add_done_callback(partial(self._poll_ended, request))

    def _poll_ended(self, request: Request, _task: asyncio.Task[None]) -> None:
        self._quota.poll_ended()
        if not request.is_settled and self._map.entries:
            # Somebody else cancelled it, or a hook that raised CancelledError.
            self._handle_failure(request, TransportError("The task of a poll was cancelled"))
        self._map.ended(request)
        self._changed.set()

    def _reach_deadlines(self, now: float, requests: asyncio.TaskGroup) -> None:
        """End each wait whose time is over, once its last poll has had a second to be answered."""
        while self._ends and self._ends[0].ends <= now:
            waiter = heapq.heappop(self._ends)
            if not waiter.is_pending:
                continue
            ends = self._answer_by(waiter)
            if self._may_send_last(waiter, now):
                self._send(self._map.last_target(waiter.entry), now, requests)
                ends = now + LAST_POLL
            # However often its export is searched for, a wait ends.
            waiter.ends = min(ends, waiter.deadline + _LONGEST_SEARCH)
            if now < waiter.ends:
                heapq.heappush(self._ends, waiter)
            else:
                self._time_out(waiter)

    def _answer_by(self, waiter: Waiter) -> float:
        """Until when a wait that has reached its deadline waits for its request under way."""
        request = waiter.request
        if request is None:
            # Another request would be one too many: the newest that is under way serves it as well.
            is_full = waiter.entry.requests >= MOST_REQUESTS
            return waiter.entry.sent_at + LAST_POLL if is_full else -math.inf
        if request.sent_at >= waiter.deadline:
            return request.sent_at + LAST_POLL
        # It was sent before the deadline: unless it is the first, there was one with a response.
        return -math.inf if waiter.polls else request.sent_at + LAST_POLL / 2

    def _may_send_last(self, waiter: Waiter, now: float) -> bool:
        """Whether to send a poll at the deadline: within the share, or if the wait would end without any."""
        request = waiter.request
        if waiter.entry.requests >= MOST_REQUESTS:
            return False
        if waiter.polls == 0:
            is_due = request is None or now >= request.sent_at + PATIENCE
            return is_due and self._quota.allows_last_poll(now)
        if request is not None:
            return False  # it was sent
        is_allowed = self._quota.poll_at(now) <= now
        return is_allowed or (self._quota.is_paused(now) and self._quota.allows_last_poll(now))

    def _drop_ended(self) -> None:
        """Keep the heap in proportion to the pending waits: deadlines may be far away."""
        if len(self._ends) >= self._most_ends:
            self._ends = [waiter for waiter in self._ends if waiter.is_pending]
            heapq.heapify(self._ends)
            self._most_ends = 2 * len(self._ends) + 100

    def _time_out(self, waiter: Waiter) -> None:
        error = WaitTimeoutError(
            waiter.entry.export_id,
            elapsed=self._clock.monotonic() - waiter.started,
            polls=waiter.polls,
            last_export=waiter.latest,
            last_error=waiter.last_error,
            held_back_by=self._held_back_by(waiter),
        )
        self._finish(waiter, error)

    def _held_back_by(self, waiter: Waiter) -> str | None:
        """Why the export has not been polled at the end of the wait."""
        now, polled_at = self._clock.monotonic(), waiter.entry.polled_at
        if waiter.request is not None:
            return f"a poll has had no response for {now - waiter.request.sent_at:.1f} s"
        if polled_at is not None and polled_at >= waiter.deadline - _SLACK:
            return None
        return self._quota.held_back_by(now, self._clock.wall())

    def _end_round(self, next_due: float | None) -> None:
        requests, returned = self._requests, self._returned
        if not returned:
            return
        self._requests = self._returned = 0
        self._events.append(
            RoundCompleted(
                requests=requests,
                seen=returned,
                pending=len(self._map.entries),
                remaining=self._quota.remaining,
                next_due=next_due if self._map.entries else None,
            )
        )

    async def _poll(self, request: Request) -> None:
        target = request.target
        try:
            response: Export | ExportPage
            if isinstance(target, Page):
                response = await self._poller.list_page(target.number)
            else:
                response = await self._poller.get(request.covered[0].export_id)
        except VoucherifyExportsError as error:
            self._handle_failure(request, error)
        else:
            self._handle_response(request, response)
        self._emit_events()

    def _handle_response(self, request: Request, response: Export | ExportPage) -> None:
        now = self._clock.monotonic()
        request.settle()
        if isinstance(response, Export):
            # After a cancellation, somebody may wait for the same export again.
            entry = self._map.entries.get(response.id, request.covered[0])
            self._map.got(entry, response, now)
            self._handle_export(entry, response, by_itself=True)
            return
        page = cast("Page", request.target)
        for entry, export in self._map.listed(page, request.covered, response, now):
            self._handle_export(entry, export, by_itself=False)

    def _handle_failure(self, request: Request, error: VoucherifyExportsError) -> None:
        """It counts for the waits that have no newer request."""
        now = self._clock.monotonic()
        waiters = request.settle()
        is_lasting = not _may_pass(error)
        if isinstance(request.target, Page):
            # What is wrong only with the list, such as a missing permission, ends no wait: GETs follow.
            is_unusable = is_lasting and not isinstance(error, _LASTING_EVERYWHERE)
            self._map.not_listed(request.target, request.covered, now, is_unusable=is_unusable)
            if is_unusable:
                for waiter in waiters:
                    waiter.last_error = error
                return
        else:
            self._map.not_got(request.covered[0], now)
            is_lasting = is_lasting and not self._may_appear(request.covered[0], error, now)
        for waiter in waiters:
            waiter.polls += 1
            waiter.last_error = error
            if is_lasting:
                self._finish(waiter, _own_copy(error))
            else:
                self._schedule_next(waiter, now)

    def _may_appear(self, entry: Entry, error: VoucherifyExportsError, now: float) -> bool:
        """Whether an export that was not found is too new to have been deleted."""
        created = self._created.get(entry.export_id, -math.inf)
        return isinstance(error, ExportNotFoundError) and now - created < self._read_lag

    def _handle_export(self, entry: Entry, export: Export, *, by_itself: bool) -> None:
        now = self._clock.monotonic()
        self._returned += 1
        for waiter in entry.waiters:
            waiter.polls += 1
        if export.is_done and export.result_url is None:
            self._handle_missing_result(entry, export, now, by_itself)
            return
        previous = entry.status
        if entry.learn(export, now - self._age(export)):
            self._events.append(StatusChanged(export_id=export.id, previous=previous, status=export.status))
        for waiter in list(entry.waiters):
            waiter.learn(export)
            if export.is_finished:
                self._finish(waiter, export)
            else:
                self._schedule_next(waiter, now)

    def _handle_missing_result(self, entry: Entry, export: Export, now: float, by_itself: bool) -> None:
        """DONE without a result: one more GET, and then an error."""
        gave_up, entry.lacked_result = entry.lacked_result and by_itself, True
        for waiter in list(entry.waiters):
            if gave_up:
                problem = "the status is DONE, but there is no result URL"
                text = f"Export {export.id}: {problem}, also in a second poll; ask Voucherify's support"
                self._finish(waiter, InvalidResponseError(text, problem=problem))
            else:
                self._schedule_next(waiter, now)
        if entry.waiters:
            self._map.isolate(entry)

    def _age(self, export: Export) -> float:
        """Seconds since the export was created; 0 if the clocks of the server and of this machine differ."""
        return max(0.0, self._clock.wall() - export.created_at.timestamp())

    def _schedule_next(self, waiter: Waiter, now: float) -> None:
        """No poll follows the one at the deadline. A wait strategy that fails ends its own wait."""
        if now >= waiter.deadline - _SLACK:
            if waiter.request is None:
                self._time_out(waiter)
            return  # a newer request is under way
        with _Failure() as failure:
            waiter.schedule_poll(now)
        if failure.error is not None:
            self._finish(waiter, failure.error)

    def check(self) -> None:
        """Assert that whoever waits is served: there is a task, a place for each export, and an end."""
        self._map.check()
        waiters = self._waiters()
        assert self._task is not None or not waiters, "nothing runs for those who wait"
        assert set(waiters) <= set(self._ends), "a wait has no end"
        for waiter in waiters:
            assert waiter.outcome is None, "a wait that has ended is still served"


class _Failure:
    """Catches whatever a caller's own function raises, so that it ends nobody else's wait.

    The function runs in the watcher's task, where any exception would end all waits. It is synchronous, so
    a `CancelledError` is its own as well, and nobody's cancellation.
    """

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, Exception | asyncio.CancelledError)


def _first_pause(known: Export, age: float, policy: PollPolicy) -> float:
    """Seconds before the first poll: an export that was just created is not polled at once."""
    pause = policy.delay(1, known)
    return pause if known.status is ExportStatus.SCHEDULED and age < pause else 0.0


def _may_pass(error: VoucherifyExportsError) -> bool:
    """Whether a later poll may succeed."""
    if isinstance(error, ApiError):
        return isinstance(error, RateLimitedError | ServerError) or error.status == 408
    if isinstance(error, TransportError):
        return not error.is_permanent
    return isinstance(error, InvalidResponseError)


def _own_copy(error: VoucherifyExportsError) -> VoucherifyExportsError:
    """The error for one of several waiters: an exception collects the traceback of each raise."""
    own = copy(error)
    own.__cause__ = error.__cause__  # even `None` suppresses the context
    return own
