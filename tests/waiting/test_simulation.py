"""The cost of waiting in the simulation, where requests, refusals and delays are counted exactly."""

from typing import Any

import pytest
from simulation.scenarios import (
    HOUR_100,
    MINUTE_100,
    MINUTE_2000,
    ROWS,
    combine,
    run_poller,
    run_watcher,
    with_backoff,
)
from simulation.simulated import Plan


class TestCost:
    @pytest.mark.timeout(120)  # twenty seconds of CPU time in asyncio's debug mode
    @pytest.mark.parametrize(
        ("waiters", "plan", "requests", "mean", "p95"),
        ROWS,
        ids=[f"{waiters} on {plan.limit} in {plan.period} s" for waiters, plan, *_ in ROWS],
    )
    def test_is_within_its_limits(
        self, waiters: int, plan: Plan, requests: int, mean: float, p95: float
    ) -> None:
        """Requests and delays are within the limits of the row, and no request is refused."""
        result = run_watcher(waiters, plan)

        assert len(result.delays) == waiters
        assert result.refused == 0
        assert result.requests <= requests
        assert result.mean <= mean
        assert result.p95 <= p95

    def test_one_wait_is_heard_soon(self) -> None:
        """While quota is plentiful, one export is noticed after 5.5 seconds on average."""
        result = combine(run_watcher(1, MINUTE_100, seed=seed) for seed in range(300))

        assert result.refused == 0
        assert result.requests <= 50 * 300
        assert result.mean <= 5.5

    def test_one_wait_without_headers_is_like_a_poller(self) -> None:
        """Without headers the policy alone decides: one poll at a time, after 2, 4, 8 … seconds."""
        watcher, poller = run_watcher(1, None), run_poller(with_backoff, 1, MINUTE_100)

        assert watcher.requests == poller.requests
        assert watcher.mean <= 1.2 * poller.mean

    def test_is_a_twentieth_of_polling_one_by_one(self) -> None:
        """1,000 waiters need about a twentieth of the requests and notice the end fifty times sooner."""
        watcher, poller = run_watcher(1_000, MINUTE_100), run_poller(with_backoff, 1_000, MINUTE_100)

        assert watcher.requests * 18 < poller.requests
        assert watcher.mean * 40 < poller.mean
        assert poller.refused > 5_000


class TestQuota:
    @pytest.mark.parametrize("names_end", [True, False])
    def test_others_are_never_refused(self, names_end: bool) -> None:
        """Neither the polls nor a process that spends 40 of the 100 requests a minute are ever refused."""
        result = run_watcher(1_000, Plan(100, 60, names_end), spent_by_others=40)

        assert (result.refused, result.refused_others) == (0, 0)
        assert len(result.delays) == 1_000

    @pytest.mark.parametrize("plan", [MINUTE_100, MINUTE_2000, HOUR_100], ids=lambda plan: f"{plan.limit}")
    def test_a_reset_that_is_not_known(self, plan: Plan) -> None:
        """Nobody is refused, even if the reset header says "now" while something remains."""
        result = run_watcher(200, Plan(plan.limit, plan.period, names_end=False))

        assert result.refused == 0
        assert len(result.delays) == 200

    def test_no_headers(self) -> None:
        """Without headers only the policy paces polls, and waiters still share pages."""
        result = run_watcher(1_000, None)

        assert result.requests <= 1_200
        assert result.mean <= 2.2


class TestFailures:
    @pytest.mark.parametrize(
        ("waiters", "plan", "runs"), [(100, MINUTE_100, 8), (1_000, MINUTE_100, 1), (1_000, MINUTE_2000, 1)]
    )
    def test_delays_at_most_double(self, waiters: int, plan: Plan, runs: int) -> None:
        """With 1 % of responses failing and 1 % taking 20 seconds, every wait still ends."""
        without_failures = combine(run_watcher(waiters, plan, seed=seed) for seed in range(runs))
        with_failures = combine(
            run_watcher(waiters, plan, seed=seed, failing=0.01, slow=0.01) for seed in range(runs)
        )

        assert len(with_failures.delays) == waiters * runs
        assert with_failures.mean <= 2 * without_failures.mean
        assert with_failures.p95 <= 2 * without_failures.p95

    @pytest.mark.parametrize("options", [{"created_every": 0.1}, {"created_every": 1.0}], ids=str)
    def test_pages_that_shift(self, options: dict[str, Any]) -> None:
        """Others create up to ten exports a second, which move all pages, and every wait still ends."""
        result = run_watcher(1_000, MINUTE_2000, **options)

        assert len(result.delays) == 1_000
        assert result.requests <= 1_200
        assert result.mean <= 3

    def test_a_list_that_lags(self) -> None:
        """A list that is 10 seconds behind delays the result by 10 seconds and costs few more requests."""
        result = run_watcher(1_000, MINUTE_2000, lag=10)

        assert result.requests <= 1_300
        assert result.mean <= 10 + 2.2

    @pytest.mark.parametrize("are_known", [False, True], ids=["ids", "new exports"])
    def test_a_list_without_the_newest_exports(self, are_known: bool) -> None:
        """A list that lacks what was created in the last 5 seconds does not cost a GET for each export."""
        result = run_watcher(1_000, MINUTE_100, lag=5, are_known=are_known)

        assert result.requests <= 450
        assert result.mean <= 20

    def test_more_exports_than_the_list_has(self) -> None:
        """With 1,200 waits and a list of 1,000, the other 200 exports get GETs."""
        result = run_watcher(1_200, MINUTE_2000, reach=1_000)

        assert len(result.delays) == 1_200
        assert result.refused == 0
