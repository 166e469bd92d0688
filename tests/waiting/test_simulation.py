"""What waiting costs, counted in the simulation: requests, refusals and delays are exact there."""

from typing import Any

import pytest
from simulation.scenarios import (
    HOUR_100,
    MINUTE_100,
    MINUTE_2000,
    ROWS,
    run_poller,
    run_watcher,
    together,
    with_backoff,
)
from simulation.simulated import Plan


class TestRows:
    @pytest.mark.timeout(120)  # twenty seconds of computing under asyncio's debug mode
    @pytest.mark.parametrize(
        ("waiters", "plan", "requests", "mean", "p95"),
        ROWS,
        ids=[f"{waiters} on {plan.limit} in {plan.period} s" for waiters, plan, *_ in ROWS],
    )
    def test_is_within_its_bounds(
        self, waiters: int, plan: Plan, requests: int, mean: float, p95: float
    ) -> None:
        """Everybody hears in time, within the requests allowed, and nobody is ever refused."""
        result = run_watcher(waiters, plan)

        assert len(result.delays) == waiters
        assert result.refused == 0
        assert result.requests <= requests
        assert result.mean <= mean
        assert result.p95 <= p95

    def test_one_waiter_is_as_the_policy_says(self) -> None:
        """For one export the watcher is no other than a poller with backoff."""
        ours, poller = run_watcher(1, MINUTE_100), run_poller(with_backoff, 1, MINUTE_100)

        assert ours.requests == poller.requests
        assert ours.mean <= 1.2 * poller.mean

    def test_costs_a_twentieth_of_polling_one_by_one(self) -> None:
        """About that, and hears fifty times sooner."""
        ours, poller = run_watcher(1_000, MINUTE_100), run_poller(with_backoff, 1_000, MINUTE_100)

        assert ours.requests * 18 < poller.requests
        assert ours.mean * 40 < poller.mean
        assert poller.refused > 5_000


class TestQuota:
    @pytest.mark.parametrize("names_end", [True, False])
    def test_others_are_never_refused(self, names_end: bool) -> None:
        """A process that spends 40 of the 100 requests a minute does not notice us."""
        result = run_watcher(1_000, Plan(100, 60, names_end), spent_by_others=40)

        assert (result.refused, result.refused_others) == (0, 0)
        assert len(result.delays) == 1_000

    @pytest.mark.parametrize("plan", [MINUTE_100, MINUTE_2000, HOUR_100], ids=lambda plan: f"{plan.limit}")
    def test_a_reset_that_is_not_named(self, plan: Plan) -> None:
        """The header may say no more than "now" while something remains: nobody is refused all the same."""
        result = run_watcher(200, Plan(plan.limit, plan.period, names_end=False))

        assert result.refused == 0
        assert len(result.delays) == 200

    def test_no_headers_at_all(self) -> None:
        """The policy alone decides, and many still share their pages."""
        result = run_watcher(1_000, None)

        assert result.requests <= 1_200
        assert result.mean <= 2.2


class TestFaults:
    @pytest.mark.parametrize(
        ("waiters", "plan", "runs"), [(100, MINUTE_100, 8), (1_000, MINUTE_100, 1), (1_000, MINUTE_2000, 1)]
    )
    def test_at_most_double_the_delays(self, waiters: int, plan: Plan, runs: int) -> None:
        """1 % of answers fail, 1 % take 20 seconds: nobody is lost."""
        sound = together(run_watcher(waiters, plan, seed=seed) for seed in range(runs))
        faulty = together(
            run_watcher(waiters, plan, seed=seed, failing=0.01, slow=0.01) for seed in range(runs)
        )

        assert len(faulty.delays) == waiters * runs
        assert faulty.mean <= 2 * sound.mean
        assert faulty.p95 <= 2 * sound.p95

    @pytest.mark.parametrize("options", [{"created_every": 0.1}, {"created_every": 1.0}], ids=str)
    def test_pages_that_shift(self, options: dict[str, Any]) -> None:
        """Others create ten exports a second: the pages move all the time, and nobody is lost."""
        result = run_watcher(1_000, MINUTE_2000, **options)

        assert len(result.delays) == 1_000
        assert result.requests <= 1_200
        assert result.mean <= 3

    def test_a_list_that_lags(self) -> None:
        """News from pages that are 10 seconds behind comes 10 seconds later, and costs no more."""
        result = run_watcher(1_000, MINUTE_2000, lag=10)

        assert result.requests <= 1_200
        assert result.mean <= 10 + 2.2

    def test_more_than_the_list_reaches(self) -> None:
        """1,200 waits on a list of 1,000: the rest are followed one by one."""
        result = run_watcher(1_200, MINUTE_2000, reach=1_000)

        assert len(result.delays) == 1_200
        assert result.refused == 0
