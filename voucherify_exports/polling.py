"""How often a client polls and retries: two policies, each a value around tenacity's wait strategies."""

import math
import random
from collections.abc import Callable
from sys import float_info
from typing import TypeAlias

from attrs import field, frozen, validators
from tenacity import AsyncRetrying, RetryCallState, wait_exponential, wait_random

from .errors import check_range
from .models import Export

WaitStrategy: TypeAlias = Callable[[RetryCallState], float]
"""A wait strategy of tenacity, or any function of its `RetryCallState` that returns seconds."""


def _name_of(strategy: object) -> str:
    return getattr(strategy, "__name__", type(strategy).__name__)


@frozen(kw_only=True)
class PollPolicy:
    """How long one waiter waits between two polls of its export.

    The first wait takes `initial` seconds, each further one `factor` times as long, up to `max` seconds.
    Each is longer or shorter by up to the share `jitter`, but never outside `initial` to `max`.
    `wait` replaces all of these by a wait strategy of tenacity. While few exports are awaited and quota is
    plentiful, an export is polled as well after a tenth of its age, but not sooner than `initial` seconds
    after the last poll, and not with `wait`.

    >>> [PollPolicy(jitter=0).delay(polls) for polls in (1, 2, 3, 10)]
    [2.0, 4.0, 8.0, 60.0]
    """

    initial: float = 2.0
    factor: float = 2.0
    max: float = 60.0
    jitter: float = 0.2
    wait: WaitStrategy | None = field(default=None, validator=validators.optional(validators.is_callable()))

    def __attrs_post_init__(self) -> None:
        check_range("initial", self.initial, above=0, most=float_info.max)
        check_range("factor", self.factor, least=1)
        check_range("max", self.max, least=self.initial)
        check_range("jitter", self.jitter, least=0, most=1)

    def delay(self, polls: int, latest: Export | None = None, elapsed: float = 0.0) -> float:
        """Seconds to wait after `polls` polls (1 or more), the last of which returned `latest`.

        `elapsed` are the seconds since the wait started, tenacity's `seconds_since_start`. Raises what
        `wait` raises, `TypeError` if it returns no number, and `ValueError` for one that is negative, NaN or
        infinite.
        """
        state = _call_state(polls)
        state.set_result(latest)
        state.start_time = (state.outcome_timestamp or 0.0) - elapsed
        if self.wait is not None:
            return _checked(self.wait(state), self.wait)
        backoff = wait_exponential(multiplier=self.initial, exp_base=self.factor, max=self.max)(state)
        jittered = backoff * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - spreads load, guards nothing
        return min(max(jittered, self.initial), self.max)


@frozen(kw_only=True)
class RetryPolicy:
    """How often a failed request is sent in all, and the wait strategy of tenacity between the attempts.

    It applies to direct calls. A failed poll is not retried, since the next poll comes anyway.

    >>> RetryPolicy(attempts=3, wait=lambda state: 5.0).delay(1, TimeoutError())
    5.0
    """

    attempts: int = field(default=5, validator=[validators.instance_of(int), validators.ge(1)])
    wait: WaitStrategy = field(
        factory=lambda: wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5),
        repr=_name_of,
        validator=validators.is_callable(),
    )

    def delay(self, attempt: int, error: BaseException, elapsed: float = 0.0) -> float:
        """Seconds to wait after attempt number `attempt` (1 or more), which raised `error`.

        `elapsed` are the seconds since the first attempt started, tenacity's `seconds_since_start`.
        """
        state = _call_state(attempt)
        state.set_exception((type(error), error, error.__traceback__))
        state.start_time = (state.outcome_timestamp or 0.0) - elapsed
        return _checked(self.wait(state), self.wait)


def _checked(seconds: object, strategy: WaitStrategy) -> float:
    """What a wait strategy returned, if it is a time to wait."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(
            f"the wait strategy {_name_of(strategy)} returned {seconds!r}, not seconds as a number"
        )
    if not 0 <= seconds < math.inf:  # neither is NaN
        raise ValueError(f"the wait strategy {_name_of(strategy)} returned {seconds!r} seconds")
    return float(seconds)


def _call_state(attempts: int) -> RetryCallState:
    """What tenacity's strategies read. Its own loop is not used: the client's clock measures the time."""
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempts
    return state
