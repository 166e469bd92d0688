"""How often to ask again: two policies, each a value around tenacity's strategies."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import field, frozen, validators
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from .models import Export

WaitStrategy: TypeAlias = Callable[[RetryCallState], float]


@frozen(kw_only=True)
class PollPolicy:
    """How long one waiter waits between two looks at its export.

    `initial` seconds at first, `factor` times as long each time, at most `max` seconds, each wait
    longer or shorter by up to the share `jitter`, but never outside `initial` to `max`.
    `wait` takes any tenacity wait strategy instead of all these.

    >>> [PollPolicy(jitter=0).delay(polls) for polls in (1, 2, 3, 10)]
    [2.0, 4.0, 8.0, 60.0]
    """

    initial: float = field(default=2.0, validator=validators.gt(0))
    factor: float = field(default=2.0, validator=validators.ge(1))
    max: float = field(default=60.0)
    jitter: float = field(default=0.2, validator=[validators.ge(0), validators.le(1)])
    wait: WaitStrategy | None = None

    def __attrs_post_init__(self) -> None:
        if not self.max >= self.initial:
            raise ValueError(f"max must be at least initial, not {self.max!r}")

    def delay(self, polls: int, latest: Export | None = None) -> float:
        """Seconds to wait after so many polls (1 or more), the last of which brought `latest`."""
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = polls
        state.set_result(latest)
        if self.wait is not None:
            return max(0.0, float(self.wait(state)))
        backoff = wait_exponential(multiplier=self.initial, exp_base=self.factor, max=self.max)(state)
        jittered = backoff * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - spreads load, guards nothing
        return min(max(jittered, self.initial), self.max)


@frozen(kw_only=True)
class RetryPolicy:
    """How often a request that met a fault is sent in all, and the tenacity strategy for the waits.

    It is for direct calls; a fault during a poll needs no retry, since the next poll is one.
    """

    attempts: int = field(default=5, validator=validators.ge(1))
    wait: WaitStrategy = field(factory=lambda: wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5))

    def delay(self, attempt: int, error: BaseException) -> float:
        """Seconds to wait after so many attempts (1 or more), the last of which ended in `error`."""
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        return max(0.0, float(self.wait(state)))

    def retrying(
        self,
        *,
        when: Callable[[BaseException], bool],
        sleep: Callable[[float], Awaitable[None]],
        before_sleep: Callable[[RetryCallState], None],
    ) -> AsyncRetrying:
        """The tenacity object that carries this policy out; the last error is raised as it is."""
        return AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=self.wait,
            retry=retry_if_exception(when),
            sleep=sleep,
            before_sleep=before_sleep,
            reraise=True,
        )
