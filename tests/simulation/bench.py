"""Print what waiting costs: the watcher, compared with pollers that request one export at a time."""

from simulation.scenarios import (
    MINUTE_100,
    MINUTE_2000,
    ROWS,
    Result,
    every_5_seconds,
    mean,
    run_poller,
    run_watcher,
    with_backoff,
)
from simulation.simulated import Plan

HEADER = f"{'waiters':>8} {'plan':>10} {'requests':>9} {'429s':>6} {'mean delay':>11} {'p95 delay':>10}   "


def line(result: Result, plan: Plan, label: str) -> str:
    plan_name = f"{plan.limit}/{'min' if plan.period == 60 else 'hour'}"
    return (
        f"{result.waiters:>8,} {plan_name:>10} {result.requests:>9,} {result.refused:>6,}"
        f" {result.mean:>9.1f} s {result.p95:>8.1f} s   {label}"
    )


def show(result: Result, plan: Plan, label: str) -> None:
    print(line(result, plan, label), flush=True)


def main() -> None:
    print(HEADER)
    one = mean(run_watcher(1, MINUTE_100, seed=seed) for seed in range(300))
    show(one, MINUTE_100, "this client, mean of 300 runs")
    for waiters, plan, *_ in ROWS:
        show(run_watcher(waiters, plan), plan, "this client")
        if waiters <= 1_000:
            show(run_poller(with_backoff, waiters, plan), plan, "one by one, 2 s doubling to 60 s")
            show(run_poller(every_5_seconds, waiters, plan), plan, "one by one, every 5 s")
    for are_known, waited_for in ((False, "by id"), (True, "as new exports")):
        result = run_watcher(1_000, MINUTE_100, lag=5, are_known=are_known)
        show(result, MINUTE_100, f"this client, {waited_for}, the list 5 s behind")
    show(run_watcher(100_000, MINUTE_2000), MINUTE_2000, "this client, more exports than the list has")


if __name__ == "__main__":
    main()
