"""Draw docs/run.svg and docs/wait.svg: the real command on a terminal of 80 columns."""

import asyncio
from collections.abc import AsyncGenerator
from html import escape
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pyte
from attrs import frozen
from cli.cli_process import environment, terminal

from voucherify_exports import Sandbox

COLUMNS = 80
FRAME, PROMPT, END = 0.2, 1.0, 4.0  # seconds
WIDE, HIGH, MARGIN = 8.43, 19, 14  # pixels: the width of a character of 14 px, a line, the margin
INK, PAPER = "#e6edf3", "#0d1117"
COLOURS = {"red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff"} | {
    "cyan": "#76e3ea",
    "magenta": "#d2a8ff",
    "white": "#b1bac4",
}

KINDS = ["voucher", "redemption", "customer", "order", "publication", "product", "sku"]

Line = tuple[tuple[int, str, str], ...]
"""The pieces of a line: the first column, the style and the text of each."""


@frozen
class Frame:
    """The content of a terminal, and how many seconds it is shown."""

    lines: tuple[Line, ...]
    seconds: float


def frame_of(screen: pyte.Screen, seconds: float) -> Frame:
    """The current content of a screen, without trailing spaces."""
    lines = []
    for number in range(screen.lines):
        row = [screen.buffer[number][column] for column in range(screen.columns)]
        pieces, column = [], 0
        for style, group in groupby(row, key=style_of):
            text = "".join(character.data for character in group)
            if text.strip():
                pieces.append((column, style, text.rstrip()))
            column += len(text)
        lines.append(tuple(pieces))
    return Frame(tuple(lines), seconds)


def style_of(character: pyte.screens.Char) -> str:
    colour = COLOURS.get(character.fg, INK if character.fg == "default" else f"#{character.fg}")
    return f'fill="{colour}"' + (' font-weight="bold"' if character.bold else "")


async def record(
    sandbox: Sandbox, folder: Path, command: str, *args: str, lines: int
) -> AsyncGenerator[Frame]:
    """The frames of a command, from its first letter to its end; `args` are its arguments, parsed."""
    screen = pyte.Screen(COLUMNS, lines)
    screen.set_mode(pyte.modes.LNM)  # a line feed starts a new line, as in a terminal driver
    stream = pyte.ByteStream(screen)
    stream.feed(b"$ ")
    yield frame_of(screen, PROMPT)
    for letter in command:
        stream.feed(letter.encode())
        yield frame_of(screen, 0.03)
    stream.feed(b"\n")
    async with terminal(*args, env=environment(sandbox), lines=lines, cwd=folder) as running:
        drawn = 0  # bytes
        while True:
            has_ended = running.process.returncode is not None
            stream.feed(running.written[drawn:])
            drawn = len(running.written)
            yield frame_of(screen, FRAME)
            if has_ended:
                break
            await asyncio.sleep(FRAME)
    stream.feed(b"$ ")
    yield frame_of(screen, END)


def merged(frames: list[Frame]) -> list[Frame]:
    """The frames, with equal neighbours merged into one."""
    return [
        Frame(lines, sum(frame.seconds for frame in equal))
        for lines, equal in groupby(frames, key=lambda frame: frame.lines)
    ]


def draw(frames: list[Frame]) -> str:
    """An SVG that shows the frames as a film; it starts with the last, for viewers without animation."""
    frames = [frames[-1], *frames[:-1]]
    width, height = COLUMNS * WIDE + 2 * MARGIN, len(frames[0].lines) * HIGH + 2 * MARGIN
    total = sum(frame.seconds for frame in frames)
    steps, passed = [], 0.0
    for number, frame in enumerate(frames):
        steps.append(f"{100 * passed / total:.2f}%{{transform:translate({-number * width:.0f}px)}}")
        passed += frame.seconds
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}"'
            ' font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace"'
            f' font-size="14"><style>text{{white-space:pre}}@keyframes film{{{"".join(steps)}}}'
            f"#film{{animation:film {total:.1f}s step-end infinite}}"
            "@media(prefers-reduced-motion){#film{animation:none}}</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/><g id="film">',
            *(picture(frame, number * width) for number, frame in enumerate(frames)),
            "</g></svg>\n",
        ]
    )


def picture(frame: Frame, left: float) -> str:
    return "".join(
        f'<text x="{left + MARGIN + column * WIDE:.0f}" y="{MARGIN + (number + 0.75) * HIGH:.0f}"'
        f' textLength="{len(text) * WIDE:.0f}" {style}>{escape(text)}</text>'
        for number, line in enumerate(frame.lines)
        for column, style, text in line
    )


async def run_picture(folder: Path) -> str:
    """`run`, from the creation of the export to the file."""
    args = ("run", "redemption", "-o", "redemptions.parquet")
    async with Sandbox(scheduled_for=1, in_progress_for=3, rows=60_000, rate_limit=(100, 60)) as sandbox:
        sandbox.fail(download=True, pause=0.012)
        command = " ".join(("voucherify-exports", *args))
        frames = [frame async for frame in record(sandbox, folder, command, *args, lines=7)]
    return draw(merged(frames))


async def wait_picture(folder: Path) -> str:
    """`wait` for seven exports, at a time when each status occurs."""
    async with Sandbox(
        seed=7, scheduled_for=(0, 16), in_progress_for=(1, 6), rate_limit=(100, 60)
    ) as sandbox:
        ids = [sandbox.add_export(kind, outcome="ERROR" if kind == "voucher" else "DONE") for kind in KINDS]
        command = "voucherify-exports wait $(cat export-ids)"
        frames = [frame async for frame in record(sandbox, folder, command, "wait", *ids, lines=13)]
    return draw([max(frames, key=statuses)])


def statuses(frame: Frame) -> int:
    """The number of different statuses in a frame."""
    shown = " ".join(text for line in frame.lines for _, _, text in line)
    return sum(status in shown for status in ("SCHEDULED", "IN_PROGRESS", "DONE", "ERROR"))


async def main() -> None:
    with TemporaryDirectory() as folder:
        Path("docs/run.svg").write_text(await run_picture(Path(folder)))
        Path("docs/wait.svg").write_text(await wait_picture(Path(folder)))


if __name__ == "__main__":
    asyncio.run(main())
