"""Print what waiting costs: our watcher beside pollers that ask for each export by itself."""

import time

from simulation.scenarios import ROWS, Result, every_5_seconds, run_poller, run_watcher, with_backoff
from simulation.simulated import Plan

HEAD = f"{'waiters':>8} {'plan':>10} {'requests':>9} {'429s':>6} {'mean delay':>11} {'p95 delay':>10}   "


def line(result: Result, plan: Plan, name: str) -> str:
    shown = f"{plan.limit}/{'min' if plan.period == 60 else 'hour'}"
    return (
        f"{result.waiters:>8,} {shown:>10} {result.requests:>9,} {result.refused:>6,}"
        f" {result.mean:>9.1f} s {result.p95:>8.1f} s   {name}"
    )


def main() -> None:
    print(HEAD)
    for waiters, plan, *_ in ROWS:
        started = time.perf_counter()
        print(
            line(run_watcher(waiters, plan), plan, "this client"), f" [{time.perf_counter() - started:.1f} s]"
        )
        if waiters <= 1_000:
            print(line(run_poller(with_backoff, waiters, plan), plan, "one by one, 2 s doubling to 60 s"))
            print(line(run_poller(every_5_seconds, waiters, plan), plan, "one by one, every 5 s"))


if __name__ == "__main__":
    main()
