"""Any sequence of requests, failures, cancellations and hooks that raise: every wait ends as it should.

Hypothesis generates operations, which run in virtual time against a watcher with a poller without a
network. The rules of waiting are asserted after every step of the event loop. At the end of a sequence
nothing fails any more and every export is DONE; then each wait must end, with an outcome that it may have.
"""

import asyncio
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias
from unittest import mock

import pytest
from attrs import Factory, define, evolve, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import running, wire
from virtual import EPOCH, VirtualClock, VirtualLoop
from waits import wait as wait_with

from voucherify_exports import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    Event,
    Export,
    ExportNotFoundError,
    ExportPage,
    InvalidResponseError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitedError,
    TransportError,
    WaitTimeoutError,
)
from voucherify_exports._api.quota import Quota, spent_error
from voucherify_exports._waiting import listing
from voucherify_exports._waiting.waiter import MOST_REQUESTS, Request
from voucherify_exports._waiting.watcher import LAST_POLL, Watcher

EXPORTS = 8
PAGE_SIZE, LAST_PAGE = 3, 2  # so small that a few exports fill several pages, and some are beyond the last
HANG = 30.0  # seconds until a request without a response fails
SETTLED_AFTER = 4 * 3600.0  # seconds: the longest refusal, the longest window, and all polls after them
READ_LAG = 10.0
EPSILON = 1e-3

Delay: TypeAlias = float | None
Status: TypeAlias = Literal["SCHEDULED", "IN_PROGRESS", "PAUSED", "DONE", "ERROR", "LACKS", "DELETED"]
Policy: TypeAlias = Literal["default", "steady", "zero", "slow", "raises", "cancels", "nan", "none", "later"]
Raised: TypeAlias = Literal["ZeroDivisionError", "CancelledError"]
Hooked: TypeAlias = Literal[Raised, "close", "wait", "cancel"]
Kind: TypeAlias = Literal[
    "reset", "hang", "refused certificate", "500", "408", "401", "403", "404", "429", "invalid"
]
Scope: TypeAlias = Literal["list", "get", "all"]

RAISED: dict[Raised, type[BaseException]] = {
    "ZeroDivisionError": ZeroDivisionError,
    "CancelledError": asyncio.CancelledError,
}


def id_of(index: int) -> str:
    return f"exp_{index}"


def created_at(index: int) -> datetime:
    """The export 0 is the newest; all of them are older than any wait, except that of a `Created`."""
    return datetime.fromtimestamp(EPOCH, UTC) - timedelta(seconds=10 * (index + 1))


@define
class Wait:
    """A call that waits, and how it ended: `raised` by the call itself, `outcomes` for each export."""

    exports: Sequence[int]
    timeout: float | None
    started: float
    own: set[type[BaseException]]  # what its own policy or callback may raise
    slowness: float = 0.0  # seconds that the caller takes for each outcome
    outcomes: list[tuple[str, Export | BaseException, float]] = Factory(list)
    raised: BaseException | None = None
    ended: float | None = None
    is_cancelled: bool = False
    task: "asyncio.Task[None] | None" = None

    @property
    def deadline(self) -> float:
        return math.inf if self.timeout is None else self.started + self.timeout


@define
class Poll:
    """A request, and the exports that its response should contain, or contained."""

    covered: Collection[str]
    sent: float
    ended: float = math.inf


class World:
    """The server, the network and the callers; remembers what happened, to judge the outcomes."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = VirtualClock()
        self.quota = Quota(0.5)
        self.watcher = Watcher(self, self.quota, self.clock, self.hook, READ_LAG)
        self.waits: list[Wait] = []
        self.others: list[asyncio.Task[None]] = []  # calls of `close`
        self.statuses: dict[str, Status] = {id_of(i): "SCHEDULED" for i in range(EXPORTS)}
        self.history: set[tuple[str, Status]] = set(self.statuses.items())
        self.hidden_until: dict[str, float] = {}
        self.latencies: Iterable[tuple[float, int]] = itertools.repeat((0.1, 0))
        self.is_snapshot = False  # whether a response contains what was true when it was requested
        self.faults: list[tuple[Scope, Kind, float | None]] = []
        self.headers: Callable[[float], tuple[int | None, int | None, float | None]] = no_headers
        self.hook_faults: list[Hooked] = []
        self.applied: Counter[int] = Counter()  # operations, by the second
        self.sent: Counter[tuple[int, str]] = Counter()  # requests, by the second
        self.polls: list[Poll] = []
        self.failed: list[tuple[float, str, type[BaseException]]] = []
        self.refused: list[tuple[float, float]] = []  # when, and until when
        self.hook_raised: list[tuple[float, type[BaseException]]] = []
        self.tasks_cancelled: list[float] = []
        self.closed: list[float] = []
        self.is_closing = False
        self.full: set[tuple[float, str]] = set()  # when an export had as many requests as it may have
        self.unpollable: list[float] = []  # when the quota did not allow even a last poll
        self.noted: dict[str, float] = {}
        self.covered: dict[asyncio.Task[Any] | None, list[str]] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self._poll = self.watcher._poll
        self.watcher._poll = self.poll_remembered  # to know what a request covers
        self._steps = (0.0, 0)

    @property
    def now(self) -> float:
        return self.loop.time()

    def check(self) -> None:
        """Called after every step of the loop."""
        self.watcher.check()
        if self.watcher._task is not None:
            self.tasks.add(self.watcher._task)
        at, steps = self._steps
        self._steps = (at, steps + 1) if at == self.now else (self.now, 0)
        assert steps < 2_000, "the loop is busy while no time passes"
        if not self.quota.allows_last_poll(self.now):
            self.unpollable.append(self.now)
        for entry in self.watcher._map.entries.values():
            if entry.requests >= MOST_REQUESTS and entry.sent_at + LAST_POLL <= self.now + EPSILON:
                self.full.add((self.now, entry.export_id))

    # The server

    async def poll_remembered(self, request: Request) -> None:
        self.covered[asyncio.current_task()] = [entry.export_id for entry in request.covered]
        await self._poll(request)

    async def get(self, export_id: str) -> Export:
        return await self._respond(export_id, "get", lambda: self._one(export_id))

    async def list_page(self, page: int) -> ExportPage:
        return await self._respond(f"page {page}", "list", lambda: self._page(page))

    async def _respond(self, requested: str, scope: Scope, make: Callable[[], Any]) -> Any:
        opening = self.quota.named_opening(self.now)
        if opening > self.now:  # as in `Transport.poll`
            raise spent_error("GET", opening - self.now, self.clock.wall())
        self.sent[int(self.now), requested] += 1
        covered = self.covered.pop(asyncio.current_task())
        poll = Poll(covered, self.now)
        self.polls.append(poll)
        response = make()
        latency, steps = next(iter(self.latencies))
        kind, delay = self._next_fault(scope)
        try:
            await asyncio.sleep(HANG if kind == "hang" else latency)
            for _ in range(steps):
                await asyncio.sleep(0)
        finally:
            poll.ended = self.now  # also if somebody cancels the request
        if not self.is_snapshot:
            response = make()
        if isinstance(response, ExportPage):
            poll.covered = {*covered, *(export.id for export in response.exports)}
        self._update_quota(kind, delay)
        error = error_of(kind) if kind else None
        if error is None and isinstance(response, BaseException):
            error = response
        if error is not None:
            self.failed += [
                (self.now, export_id if scope == "get" else "", type(error)) for export_id in covered
            ]
            raise error
        return response

    def _next_fault(self, scope: Scope) -> tuple[Kind | None, float | None]:
        for index, (of, kind, delay) in enumerate(self.faults):
            if of in (scope, "all"):
                del self.faults[index]
                return kind, delay
        return None, None

    def _update_quota(self, kind: Kind | None, delay: float | None) -> None:
        if kind in ("reset", "hang", "refused certificate"):
            return
        limit, remaining, reset_in = self.headers(self.now)
        self.quota.answered(self.now, limit, remaining, reset_in)
        if limit is not None and remaining in (0, 1, 2) and reset_in is not None:
            # Few count as none if an earlier response for the window had none: they may overtake each other.
            self.refused.append((self.now, self.now + reset_in))
        if kind != "429":
            self.quota.accepted()
            return
        self.quota.refused(self.now, delay)
        if delay is not None:
            self.refused.append((self.now, self.now + delay))

    def _one(self, export_id: str) -> Export | ExportNotFoundError:
        status = self.statuses[export_id]
        if status == "DELETED" or self.now - self.noted.get(export_id, -math.inf) < READ_LAG / 2:
            return ExportNotFoundError("not found", status=404)
        return self._export(export_id, status)

    def _export(self, export_id: str, status: Status) -> Export:
        make = wire if status == "DONE" else running
        export = Export.from_dict(make(id=export_id, status="DONE" if status == "LACKS" else status))
        return evolve(export, created_at=created_at(int(export_id.removeprefix("exp_"))))

    def _page(self, number: int) -> ExportPage:
        listed = [
            self._export(export_id, status)
            for export_id, status in self.statuses.items()
            if status != "DELETED" and self.hidden_until.get(export_id, -math.inf) <= self.now
        ]
        shown = listed[PAGE_SIZE * (number - 1) : PAGE_SIZE * number]
        return ExportPage(exports=tuple(shown), total=len(listed))

    # The caller

    def hook(self, event: Event) -> None:
        if not self.hook_faults:
            return
        match self.hook_faults.pop():
            case "close":
                self.start_close()
            case "wait":
                if not self.is_closing:  # a client that is closed refuses new waits
                    WaitFor(0, timeout=10).apply(self)
            case "cancel":
                CancelWait(0).apply(self)
            case name:
                error = RAISED[name]
                self.hook_raised.append((self.now, error))
                raise error

    def set_status(self, export_id: str, status: Status) -> None:
        self.statuses[export_id] = status
        self.history.add((export_id, status))

    async def run_one(self, wait: Wait, known: Export | None, policy: PollPolicy, callback: Any) -> None:
        export_id = id_of(wait.exports[0])
        outcome: Export | BaseException
        try:
            outcome = await wait_with(self.watcher, export_id, known, wait.timeout, policy, callback)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is judged later
            outcome = error
        wait.ended = self.now
        wait.outcomes.append((export_id, outcome, self.now))

    async def run_many(self, wait: Wait, policy: PollPolicy, stop_after: int | None) -> None:
        wanted = [(id_of(index), None) for index in wait.exports]
        try:
            async with aclosing(self.watcher.wait_many(wanted, wait.timeout, policy)) as outcomes:
                async for export_id, outcome in outcomes:
                    wait.outcomes.append((export_id, outcome, self.now))
                    if len(wait.outcomes) == stop_after:
                        wait.is_cancelled = True
                        break
                    await asyncio.sleep(wait.slowness)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is judged later
            wait.raised = error
        wait.ended = self.now

    def start_close(self) -> None:
        self.others.append(asyncio.create_task(self.close()))

    async def close(self) -> None:
        self.closed.append(self.now)
        self.is_closing = True
        with suppress(*RAISED.values()):  # of the hook
            await self.watcher.close()
        self.is_closing = False

    # The judge

    async def settle(self) -> None:
        """End all failures, let every export be DONE, and wait until nothing waits."""
        self.faults.clear()
        self.hook_faults.clear()
        self.headers = no_headers
        self.latencies = itertools.repeat((0.1, 0))
        for export_id, status in self.statuses.items():
            if status != "DELETED":
                self.set_status(export_id, "DONE")
        tasks = [wait.task for wait in self.waits if wait.task is not None] + self.others
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=SETTLED_AFTER)
            assert not pending, "a wait does not end"
        for _ in range(10):  # steps of tasks that are being cancelled
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"
        assert not self.watcher._map.entries, "an export is awaited, but nobody waits"
        assert not self.quota._polls_in_flight, "a poll still counts as under way"
        # asyncio logs an exception that nobody retrieves: only that of a hook, if all waits have outcomes.
        logged = [task.exception() for task in self.tasks if getattr(task, "_log_traceback")]  # noqa: B009 - not in typeshed
        assert not logged or self.hook_raised, f"nobody handled {logged}"

    def judge(self) -> None:
        """Assert that each outcome is one that the wait may have."""
        for wait in self.waits:
            if wait.ended is None:
                assert wait.is_cancelled, "a wait did not start"
                continue
            patience = 2 * LAST_POLL + wait.slowness * len(wait.exports) + EPSILON
            assert wait.ended <= wait.deadline + patience, "a wait took longer than its timeout"
            ended = Counter(export_id for export_id, _, _ in wait.outcomes)
            assert ended <= Counter(map(id_of, wait.exports)), "an outcome too many"
            if wait.raised is not None:
                assert self.may_raise(wait, wait.raised, wait.ended), f"raised {wait.raised!r}"
            elif not wait.is_cancelled:
                assert ended == Counter(map(id_of, wait.exports)), "an outcome is missing"
            for export_id, outcome, at in wait.outcomes:
                assert self.may_end(wait, export_id, outcome, at), (
                    f"{export_id} ended with {outcome!r} at {at}"
                )
        for (second, requested), requests in self.sent.items():
            assert requests <= 25 + 3 * self.applied[second], f"{requests} of {requested} in second {second}"

    def may_raise(self, wait: Wait, error: BaseException, at: float) -> bool:
        """Whether the call may raise this, for a cause that is its own, or that ends all waits."""
        if isinstance(error, asyncio.CancelledError) and wait.is_cancelled:
            return True
        if isinstance(error, ClientClosedError):
            return any(wait.started <= closed <= at for closed in self.closed)
        return type(error) in wait.own or any(
            wait.started <= raised <= at and type(error) is kind for raised, kind in self.hook_raised
        )

    def may_end(self, wait: Wait, export_id: str, outcome: Export | BaseException, at: float) -> bool:
        match outcome:
            case Export():
                is_known = (export_id, str(outcome.status)) in self.history
                return outcome.id == export_id and outcome.is_finished and is_known
            case WaitTimeoutError():
                return at >= wait.deadline - EPSILON and self.was_polled(wait, export_id, at)
            case RateLimitedError():
                return any(when <= at and until > wait.deadline - EPSILON for when, until in self.refused)
            case ExportNotFoundError():
                noted = self.noted.get(export_id, math.inf)
                is_new = noted <= wait.started <= at < noted + READ_LAG
                return not is_new and self.has_failed(wait, export_id, outcome, at)
            case InvalidResponseError():
                return (export_id, "LACKS") in self.history
            case AuthenticationError() | TransportError():
                is_lasting = isinstance(outcome, AuthenticationError) or outcome.is_permanent
                return is_lasting and self.has_failed(wait, export_id, outcome, at, is_everywhere=True)
            case PermissionDeniedError():
                return self.has_failed(wait, export_id, outcome, at)
            case _:
                return self.may_raise(wait, outcome, at)

    def was_polled(self, wait: Wait, export_id: str, at: float) -> bool:
        """Whether a wait had a poll, if the quota allowed one at its end, and nobody cancelled its requests.

        A poll that is sent at the deadline has `LAST_POLL` seconds for its response.
        """
        cancelled = [*self.tasks_cancelled, *(raised for raised, _ in self.hook_raised)]
        if any(wait.started <= when <= at for when in cancelled):
            return True
        ends = wait.deadline - EPSILON
        full = [when for when, of in self.full if of == export_id]
        if any(ends <= when <= at + EPSILON for when in [*self.unpollable, *full]):
            return True
        return any(
            wait.started <= poll.ended <= at
            or wait.started <= poll.sent < wait.deadline - 1e-5
            or wait.started <= poll.sent <= at - LAST_POLL + EPSILON
            for poll in self.polls
            if export_id in poll.covered
        )

    def has_failed(
        self, wait: Wait, export_id: str, error: BaseException, at: float, *, is_everywhere: bool = False
    ) -> bool:
        wanted = {export_id, ""} if is_everywhere else {export_id}
        return any(
            wait.started <= when <= at and of in wanted and kind is type(error)
            for when, of, kind in self.failed
        )


def no_headers(now: float) -> tuple[int | None, int | None, float | None]:
    return None, None, None


def error_of(kind: Kind) -> Exception | None:
    match kind:
        case "reset" | "hang":
            return TransportError("no response")
        case "refused certificate":
            return TransportError("the certificate was refused", is_permanent=True)
        case "invalid":
            return InvalidResponseError("not an export", problem="not an export")
        case _:
            status = int(kind)
            return ApiError.for_status(status)("failed", status=status)


def policy_of(name: Policy) -> tuple[PollPolicy, set[type[BaseException]]]:
    """A policy, and what its strategy raises."""

    def fail(error: type[BaseException]) -> Any:
        raise error

    match name:
        case "default":
            return PollPolicy(), set()
        case "steady":
            return PollPolicy(initial=1, factor=1, max=1, jitter=0), set()
        case "slow":
            return PollPolicy(wait=lambda state: 45.0), set()
        case "zero":
            return PollPolicy(wait=lambda state: 0 if state.attempt_number < 20 else 5), set()
        case "raises":
            return PollPolicy(wait=lambda state: fail(ZeroDivisionError)), {ZeroDivisionError}
        case "cancels":
            return PollPolicy(wait=lambda state: fail(asyncio.CancelledError)), {asyncio.CancelledError}
        case "nan":
            return PollPolicy(wait=lambda state: math.nan), {ValueError}
        case "none":
            return PollPolicy(wait=lambda state: None), {TypeError}
        case "later":
            later = PollPolicy(wait=lambda state: 1 if state.attempt_number < 3 else fail(ZeroDivisionError))
            return later, {ZeroDivisionError}


# The operations


@frozen
class WaitFor:
    """Wait for one export, of which its status may be known."""

    export: int
    timeout: float | None = None
    policy: Policy = "default"
    known: Literal["SCHEDULED", "IN_PROGRESS"] | None = None
    callback_raises: Raised | None = None

    def apply(self, world: World) -> None:
        policy, own = policy_of(self.policy)
        callback = None
        if self.callback_raises is not None:
            error = RAISED[self.callback_raises]
            own = own | {error}

            def callback(export: Export) -> None:
                raise error

        known = None if self.known is None else world._export(id_of(self.export), self.known)
        wait = Wait([self.export], self.timeout, world.now, own)
        wait.task = asyncio.create_task(world.run_one(wait, known, policy, callback))
        world.waits.append(wait)


@frozen
class WaitForMany:
    """Wait for several exports, with a caller that is slow, or loses interest."""

    exports: tuple[int, ...]
    timeout: float | None = None
    policy: Policy = "default"
    slowness: float = 0.0
    stop_after: int | None = None

    def apply(self, world: World) -> None:
        policy, own = policy_of(self.policy)
        wait = Wait(self.exports, self.timeout, world.now, own, self.slowness)
        wait.task = asyncio.create_task(world.run_many(wait, policy, self.stop_after))
        world.waits.append(wait)


@frozen
class CancelWait:
    """Cancel one of the calls."""

    index: int

    def apply(self, world: World) -> None:
        if world.waits:
            wait = world.waits[self.index % len(world.waits)]
            if wait.task is not None and not wait.task.done():
                wait.is_cancelled = True
                wait.task.cancel()


@frozen
class CancelTasks:
    """Cancel the task of the watcher, or its requests and timers, as a shutdown loop does."""

    of: Literal["watcher", "requests", "all"]

    def apply(self, world: World) -> None:
        world.tasks_cancelled.append(world.now)
        own = {wait.task for wait in world.waits} | {*world.others, asyncio.current_task()}
        for task in asyncio.all_tasks() - own:
            if self.of == "all" or (task is world.watcher._task) == (self.of == "watcher"):
                task.cancel()


@frozen
class Change:
    """An export gets another status; LACKS is DONE without a result."""

    export: int
    status: Status

    def apply(self, world: World) -> None:
        world.set_status(id_of(self.export), self.status)


@frozen
class Hide:
    """The list lacks an export for a time."""

    export: int
    seconds: float

    def apply(self, world: World) -> None:
        world.hidden_until[id_of(self.export)] = world.now + self.seconds


@frozen
class NoteCreated:
    """The client created an export, which is found only after some seconds."""

    export: int

    def apply(self, world: World) -> None:
        world.noted[id_of(self.export)] = world.now
        world.watcher.note_created(id_of(self.export))


@frozen
class Fail:
    """The next requests fail; `delay` is the time that a 429 names."""

    scope: Scope
    kind: Kind
    times: int = 1
    delay: float | None = None

    def apply(self, world: World) -> None:
        world.faults += [(self.scope, self.kind, self.delay)] * self.times


@frozen
class Respond:
    """From now on, responses take these times in turn, and then some steps of the loop."""

    latencies: tuple[tuple[float, int], ...]
    is_snapshot: bool = False

    def apply(self, world: World) -> None:
        world.latencies = itertools.cycle(self.latencies)
        world.is_snapshot = self.is_snapshot


@frozen
class Headers:
    """From now on, responses have these headers, true or not."""

    limit: int | None = None
    remaining: int | None = None
    reset_in: float | None = None

    def apply(self, world: World) -> None:
        world.headers = lambda now: (self.limit, self.remaining, self.reset_in)


@frozen
class Plan:
    """From now on, responses have true headers of a plan; only some plans name the end of the window."""

    limit: int
    period: float
    names_end: bool = True

    def apply(self, world: World) -> None:
        windows: Counter[float] = Counter()

        def headers(now: float) -> tuple[int, int, float]:
            window, into = divmod(now, self.period)
            windows[window] += 1
            remaining = max(0, self.limit - windows[window])
            return self.limit, remaining, self.period - into if self.names_end or not remaining else 0.0

        world.headers = headers


@frozen
class DirectCall:
    """A direct call starts or ends; each counts as a request under way."""

    starts: bool

    def apply(self, world: World) -> None:
        if self.starts:
            world.quota.sent()
        elif world.quota._direct_in_flight:
            world.quota.ended()


@frozen
class Refuse:
    """A direct call is refused."""

    delay: float | None = None

    def apply(self, world: World) -> None:
        world.quota.refused(world.now, self.delay)
        if self.delay is not None:
            world.refused.append((world.now, world.now + self.delay))


@frozen
class Hook:
    """For the next events, the event hook raises, or interferes."""

    does: Hooked
    times: int = 1

    def apply(self, world: World) -> None:
        world.hook_faults += [self.does] * self.times


@frozen
class Close:
    """Close the watcher; waits that start later are served as always."""

    def apply(self, world: World) -> None:
        world.start_close()


Operation: TypeAlias = (
    WaitFor
    | WaitForMany
    | CancelWait
    | CancelTasks
    | Change
    | Hide
    | NoteCreated
    | Fail
    | Respond
    | Headers
    | Plan
    | DirectCall
    | Refuse
    | Hook
    | Close
)


Steps: TypeAlias = Sequence[tuple[Operation, Delay]]


async def play(operations: Steps) -> None:
    """Apply the operations, each followed by a pause: `None` is none at all, 0 a step of the loop."""
    world = World()
    assert isinstance(world.loop, VirtualLoop)
    world.loop.check_after_each_step(world.check)
    for operation, delay in operations:
        world.applied[int(world.now)] += 1
        operation.apply(world)
        if delay is not None:
            await asyncio.sleep(delay)
    await world.settle()
    world.judge()


def run(*parts: Steps, eager: bool = False) -> None:
    """Run the operations of all parts in a loop of their own."""

    async def main() -> None:
        if eager and sys.version_info >= (3, 12):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await play([*itertools.chain(*parts)])

    small = mock.patch.multiple(listing, PAGE_SIZE=PAGE_SIZE, LAST_PAGE=LAST_PAGE)
    with small, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


indices = st.integers(0, EXPORTS - 1)
timeouts = st.sampled_from([None, 0.0, 0.5, 3.0, 10.0, 100.0, 1800.0])
usual: st.SearchStrategy[Policy] = st.sampled_from(["default", "steady", "slow", "zero"])
faulty: st.SearchStrategy[Policy] = st.sampled_from(["later", "raises", "cancels", "nan", "none"])
policies = st.one_of(usual, usual, usual, usual, faulty)
raised: st.SearchStrategy[Raised] = st.sampled_from(["ZeroDivisionError", "CancelledError"])
hooked: st.SearchStrategy[Hooked] = st.one_of(raised, st.sampled_from(["close", "wait", "cancel"]))
sometimes_raised = st.one_of(st.none(), st.none(), st.none(), raised)
delays = st.sampled_from([None, 0.5, 5.0, 90.0, 4000.0])
latencies = st.tuples(st.sampled_from([0.1, 0.01, 0.9, 1.5, 7.0]), st.integers(0, 3))
known = st.sampled_from([None, None, "SCHEDULED", "IN_PROGRESS"])

waits = st.one_of(
    st.builds(WaitFor, indices, timeouts, policies, known, sometimes_raised),
    st.builds(
        WaitForMany,
        st.lists(indices, min_size=1, max_size=EXPORTS).map(tuple),
        timeouts,
        policies,
        st.sampled_from([0.0, 0.3, 4.0]),
        st.sampled_from([None, None, 1, 2]),
    ),
)
changes = st.one_of(
    st.builds(
        Change,
        indices,
        st.sampled_from(["DONE", "ERROR", "IN_PROGRESS", "LACKS", "DELETED", "PAUSED", "SCHEDULED"]),
    ),
    st.builds(Hide, indices, st.sampled_from([3.0, 20.0, 200.0, math.inf])),
    st.builds(NoteCreated, indices),
)
failures = st.one_of(
    st.builds(
        Fail,
        st.sampled_from(["all", "list", "get"]),
        st.sampled_from(
            ["reset", "500", "429", "hang", "invalid", "403", "408", "404", "401", "refused certificate"]
        ),
        st.integers(1, 5),
        delays,
    ),
    st.builds(Respond, st.lists(latencies, min_size=1, max_size=4).map(tuple), st.booleans()),
)
quotas = st.one_of(
    st.builds(
        Headers,
        st.sampled_from([None, 100, 2000, 1]),
        st.sampled_from([None, 0, 1, 2, 50, 100, 2000]),
        st.sampled_from([None, 0.0, -100.0, 1.0, 30.0, 3600.0]),
    ),
    st.builds(Plan, st.sampled_from([10, 100, 2000]), st.sampled_from([60.0, 3600.0]), st.booleans()),
    st.builds(DirectCall, st.booleans()),
    st.builds(Refuse, delays),
)
interferences = st.one_of(
    st.builds(CancelWait, st.integers(0, 20)),
    st.builds(CancelTasks, st.sampled_from(["watcher", "requests", "all"])),
    st.builds(Hook, hooked, st.integers(1, 3)),
    st.builds(Close),
)
pauses = st.sampled_from([None, 0.0, 0.0001, 0.1, 1.0, 2.0, 10.0, 70.0])
usual_steps = st.tuples(st.one_of(waits, waits, changes, failures, quotas), pauses)
any_steps = st.tuples(st.one_of(waits, waits, changes, failures, quotas, interferences), pauses)
some = st.lists(usual_steps, max_size=15) | st.lists(any_steps, max_size=15)
# Several lists are longer than one, and shrink well.
sequences = st.tuples(some, some, some, some)

EVERY_DAY = settings(max_examples=800, suppress_health_check=[HealthCheck.too_slow])


class TestEveryWaitEnds:
    @pytest.mark.timeout(120)  # ten seconds of CPU time
    @given(sequences, st.booleans())
    @EVERY_DAY
    def test_in_any_sequence(self, parts: tuple[Steps, ...], eager: bool) -> None:
        """The rules hold after every step, and each wait ends with an outcome that it may have."""
        run(*parts, eager=eager)

    @pytest.mark.thorough
    @pytest.mark.timeout(600)
    @given(sequences, st.booleans())
    @settings(EVERY_DAY, max_examples=5_000)
    def test_in_many_sequences(self, parts: tuple[Steps, ...], eager: bool) -> None:
        """The same, for many more sequences."""
        run(*parts, eager=eager)
