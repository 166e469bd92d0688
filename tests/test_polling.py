import math
import random
from datetime import timedelta
from typing import Any

import pytest
from samples import running
from tenacity import RetryCallState, wait_chain, wait_fixed, wait_none

from voucherify_exports import Export, PollPolicy, RetryPolicy, WaitStrategy


def _returning(value: Any) -> WaitStrategy:
    def odd(_state: RetryCallState) -> Any:
        return value

    return odd


class TestPollPolicy:
    def test_the_delay_doubles_up_to_max(self) -> None:
        """Without jitter the delays are 2, 4, 8 … seconds, and never more than 60."""
        policy = PollPolicy(jitter=0)

        assert [policy.delay(polls) for polls in range(1, 8)] == [2, 4, 8, 16, 32, 60, 60]

    def test_the_delay_never_overflows(self) -> None:
        """After any number of polls the delay is `max`."""
        assert PollPolicy(jitter=0).delay(100_000) == 60

    def test_jitter_stays_within_the_bounds(self) -> None:
        """Delays vary by up to a fifth, but none is below `initial` or above `max`."""
        policy = PollPolicy()
        delays = {polls: [policy.delay(polls) for _ in range(200)] for polls in (1, 3, 9)}

        assert all(2 <= delay <= 2.4 for delay in delays[1])
        assert all(6.4 <= delay <= 9.6 for delay in delays[3])
        assert all(48 <= delay <= 60 for delay in delays[9])
        assert min(delays[3]) < 7 < 9 < max(delays[3])

    def test_jitter_is_seeded_by_random(self) -> None:
        """The same seed of `random` gives the same delays."""
        random.seed(1)
        delays = [PollPolicy().delay(polls) for polls in range(1, 6)]
        random.seed(1)

        assert [PollPolicy().delay(polls) for polls in range(1, 6)] == delays

    def test_accepts_any_tenacity_strategy(self) -> None:
        """A wait strategy of tenacity replaces the other parameters."""
        policy = PollPolicy(wait=wait_chain(wait_fixed(1), wait_fixed(5), wait_none()))

        assert [policy.delay(polls) for polls in (1, 2, 3, 4)] == [1, 5, 0, 0]

    def test_passes_the_export_to_the_strategy(self) -> None:
        """A strategy can depend on the status of the export."""
        export = Export.from_dict(running("SCHEDULED"))

        def by_status(state: RetryCallState) -> float:
            assert state.outcome is not None
            return 30 if state.outcome.result().status == "SCHEDULED" else 3

        assert PollPolicy(wait=by_status).delay(1, export) == 30

    def test_passes_the_elapsed_time_to_the_strategy(self) -> None:
        """Strategies that depend on the time since the start get it."""
        policy = PollPolicy(wait=lambda state: state.seconds_since_start or 0.0)

        assert policy.delay(3, elapsed=12.5) == 12.5
        assert policy.delay(1) == 0

    @pytest.mark.parametrize("wrong", [-3, -0.1, math.nan, math.inf, -math.inf])
    def test_refuses_a_time_that_cannot_be_waited(self, wrong: float) -> None:
        """A number that is not a time to wait is a ValueError that names the strategy and the number."""
        with pytest.raises(ValueError, match=rf"the wait strategy odd returned {wrong} seconds"):
            PollPolicy(wait=_returning(wrong)).delay(1)
        with pytest.raises(ValueError, match=rf"the wait strategy odd returned {wrong} seconds"):
            RetryPolicy(wait=_returning(wrong)).delay(1, TimeoutError())

    @pytest.mark.parametrize("wrong", [None, "2", timedelta(seconds=2), True], ids=repr)
    def test_refuses_what_is_not_a_number(self, wrong: Any) -> None:
        """Anything else is a TypeError that names the strategy and what it returned."""
        with pytest.raises(TypeError, match=r"the wait strategy odd returned .*, not seconds as a number"):
            PollPolicy(wait=_returning(wrong)).delay(1)
        with pytest.raises(TypeError, match=r"the wait strategy odd returned .*, not seconds as a number"):
            RetryPolicy(wait=_returning(wrong)).delay(1, TimeoutError())

    @pytest.mark.parametrize(
        "wrong",
        [{"initial": 0}, {"initial": -1}, {"factor": 0.5}, {"max": 1}, {"jitter": -0.1}, {"jitter": 1.1}]
        + [{name: float("nan")} for name in ("initial", "factor", "max", "jitter")],
    )
    def test_refuses_invalid_parameters(self, wrong: dict[str, float]) -> None:
        """A parameter that would make polling spin or speed up is a ValueError that names it."""
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PollPolicy(**wrong)  # type: ignore[arg-type]  # mypy takes the values for `wait`

    @pytest.mark.parametrize("name", ["initial", "factor", "max", "jitter"])
    @pytest.mark.parametrize("wrong", [timedelta(seconds=2), "2", None, True], ids=repr)
    def test_refuses_what_is_not_a_number_as_a_parameter(self, name: str, wrong: Any) -> None:
        """The TypeError names the parameter."""
        with pytest.raises(TypeError, match=f"{name} must be a number, not {type(wrong).__name__}"):
            PollPolicy(**{name: wrong})

    def test_refuses_an_infinite_pause(self) -> None:
        """No poll would follow the first one."""
        with pytest.raises(ValueError, match="initial cannot be inf"):
            PollPolicy(initial=math.inf, max=math.inf)
        assert PollPolicy(max=math.inf, jitter=0).delay(9) == 512


class TestRetryPolicy:
    def test_has_five_attempts_and_bounded_delays(self) -> None:
        """The default delays grow from half a second to 8 seconds, with up to half a second of jitter."""
        policy = RetryPolicy()
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # not used
        delays = []
        for attempt in range(1, 8):
            state.attempt_number = attempt
            delays.append(policy.wait(state))

        assert policy.attempts == 5
        assert all(
            least <= delay <= least + 0.5
            for delay, least in zip(delays, [0.5, 1, 2, 4, 8, 8, 8], strict=True)
        )

    @pytest.mark.parametrize("attempts", [0, -1])
    def test_refuses_less_than_one_attempt(self, attempts: int) -> None:
        """Less than one attempt is a ValueError."""
        with pytest.raises(ValueError, match="attempts"):
            RetryPolicy(attempts=attempts)

    def test_strategies_know_the_time_since_the_first_attempt(self) -> None:
        """Tenacity's `seconds_since_start` is the elapsed time that the client's clock measured."""
        policy = RetryPolicy(wait=lambda state: state.seconds_since_start or 0.0)

        assert policy.delay(3, TimeoutError(), elapsed=42.0) == pytest.approx(42)
        assert policy.delay(1, TimeoutError()) == 0
