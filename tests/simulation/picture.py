"""Draw the diagram of docs/watcher.md: the cost of waiting, compared with polling one by one."""

import math
from collections.abc import Callable
from pathlib import Path

from simulation.scenarios import MINUTE_100, Result, mean, run_poller, run_watcher, with_backoff

WAITERS = [1, 3, 10, 30, 100, 300, 1_000]
CLIENT_COLOUR, POLLER_COLOUR, TEXT_COLOUR, GRID_COLOUR = "#0b7285", "#c2410c", "#343a40", "#dee2e6"
WIDTH, HEIGHT, LEFT, TOP = 300, 220, 62, 44


class Panel:
    """One diagram with two curves on logarithmic axes."""

    def __init__(self, x: float, title: str, ticks: list[float], unit: str) -> None:
        self.x, self.title, self.ticks, self.unit = x, title, ticks, unit

    def at(self, waiters: float, value: float) -> tuple[float, float]:
        low, high = math.log10(self.ticks[0]), math.log10(self.ticks[-1])
        across = math.log10(waiters) / math.log10(WAITERS[-1])
        up = (math.log10(max(value, self.ticks[0])) - low) / (high - low)
        return self.x + across * WIDTH, TOP + HEIGHT * (1 - up)

    def frame(self) -> list[str]:
        lines = [text(self.x, TOP - 18, self.title, size=14, weight="bold")]
        for tick in self.ticks:
            _, y = self.at(1, tick)
            lines.append(f'<path d="M{self.x} {y:.1f}h{WIDTH}" stroke="{GRID_COLOUR}"/>')
            lines.append(text(self.x - 8, y + 4, f"{tick:,g}{self.unit}", anchor="end"))
        for waiters in (1, 10, 100, 1_000):
            x, y = self.at(waiters, self.ticks[0])
            lines.append(text(x, y + 18, f"{waiters:,}", anchor="middle"))
        lines.append(
            text(self.x + WIDTH / 2, TOP + HEIGHT + 38, "exports awaited at the same time", anchor="middle")
        )
        return lines

    def curve(self, values: list[float], colour: str) -> list[str]:
        points = [self.at(waiters, value) for waiters, value in zip(WAITERS, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>', *dots]


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", **more: str) -> str:
    extra = "".join(f' font-{name}="{value}"' for name, value in more.items() if name != "fill")
    colour = more.get("fill", TEXT_COLOUR)
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-size="{size}" fill="{colour}"{extra}>{words}</text>'


def draw(client_results: list[Result], poller_results: list[Result]) -> str:
    requests = Panel(LEFT, "Requests", [1, 10, 100, 1_000, 10_000], "")
    delay = Panel(LEFT + WIDTH + 90, "Mean delay", [1, 3, 10, 30, 100, 300, 1_000], " s")
    lines = [*requests.frame(), *delay.frame()]
    for results, colour in ((poller_results, POLLER_COLOUR), (client_results, CLIENT_COLOUR)):
        lines += requests.curve([result.requests for result in results], colour)
        lines += delay.curve([result.mean for result in results], colour)
    refused = "one by one, 2 s doubling to 60 s (most of the last run refused)"
    y = TOP + HEIGHT + 70
    for x, words, colour in (
        (LEFT, "this client (none ever refused)", CLIENT_COLOUR),
        (LEFT + 260, refused, POLLER_COLOUR),
    ):
        lines.append(f'<path d="M{x} {y - 4}h22" stroke="{colour}" stroke-width="3"/>')
        lines.append(text(x + 30, y, words, fill=colour))
    size = f'viewBox="0 0 {LEFT + 2 * WIDTH + 120} {y + 20}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])


def average(run: Callable[[int, int], Result]) -> list[Result]:
    """The mean result for each number of waiters; small numbers have many runs, since they vary more."""
    return [mean(run(waiters, seed) for seed in range(max(1, 300 // waiters))) for waiters in WAITERS]


def show(label: str, results: list[Result]) -> None:
    for result in results:
        delays = f"mean delay {result.mean:.1f} s, 95 % within {result.p95:.1f} s"
        print(f"{label}, {result.waiters:,} exports: {result.requests:,} requests, {delays}")


def main() -> None:
    client_results = average(lambda waiters, seed: run_watcher(waiters, MINUTE_100, seed=seed))
    poller_results = average(lambda waiters, seed: run_poller(with_backoff, waiters, MINUTE_100, seed=seed))
    show("this client", client_results)
    show("one by one", poller_results)
    Path("docs/watcher.svg").write_text(draw(client_results, poller_results))


if __name__ == "__main__":
    main()
