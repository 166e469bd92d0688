"""The table of statuses, and its display."""

import asyncio
import io
import threading
from typing import Any

import pytest
from attrs import define
from cli_process import Screen
from rich.console import Console
from samples import running, wire

from voucherify_exports import Export
from voucherify_exports.cli.status_display import StatusDisplay, StatusView, duration
from voucherify_exports.cli.streams import StreamConsole


@define
class Time:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def export(export_id: str, status: str, **changes: Any) -> Export:
    shape = wire if status == "DONE" else running
    return Export.from_dict(shape(id=export_id, status=status, **changes))


def drawn(view: StatusView, *, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the view on a screen of that size."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, color_system=None)
    console.print(view)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


class TestStatusView:
    def test_the_statuses_of_an_export(self) -> None:
        """A row has the object, the status and its duration; the summary is below the table."""
        time = Time()
        view = StatusView(["exp_1", "exp_2"], now=time, summary=lambda: "7 requests")
        frames = [drawn(view)]
        for step, status in enumerate(("SCHEDULED", "IN_PROGRESS", "DONE")):
            time.now += step
            view.update(export("exp_1", status))
            time.now += 0.5
            frames.append(drawn(view))

        assert frames == [
            [
                "object  id     status         time",
                "…       exp_1  · …            for 0.0 s",
                "…       exp_2  · …            for 0.0 s",
                "0 of 2 finished · 0.0 s · 7 requests",
            ],
            [
                "object    id     status         time",
                "customer  exp_1  · SCHEDULED    for 0.5 s",
                "…         exp_2  · …            for 0.5 s",
                "0 of 2 finished · 0.5 s · 7 requests",
            ],
            [
                "object    id     status         time",
                "customer  exp_1  ⠋ IN_PROGRESS  for 0.5 s",
                "…         exp_2  · …            for 2.0 s",
                "0 of 2 finished · 2.0 s · 7 requests",
            ],
            [
                "object    id     status         time",
                "customer  exp_1  ✔ DONE         after 4.0 s",
                "…         exp_2  · …            for 4.5 s",
                "1 of 2 finished · 4.5 s · 7 requests",
            ],
        ]

    def test_the_clock_stops_at_the_end(self) -> None:
        """When every export is finished, the duration is that of the last one."""
        time = Time()
        view = StatusView(["exp_1", "exp_2"], now=time)
        time.now += 3
        view.update(export("exp_1", "ERROR"))
        view.give_up("exp_2", "not found")
        time.now += 60

        assert drawn(view)[1:] == [
            "customer  exp_1  ✘ ERROR        after 3.0 s",
            "…         exp_2  ✘ not found    after 3.0 s",
            "2 of 2 finished · 3.0 s",
        ]

    def test_the_spinner_turns(self) -> None:
        """The spinner of an export IN_PROGRESS turns with time."""
        time = Time()
        view = StatusView(["exp_1"], now=time)
        view.update(export("exp_1", "IN_PROGRESS"))
        marks = set[str]()
        for _ in range(20):
            time.now += 0.1
            marks.add(drawn(view)[1].split()[2])

        assert len(marks) > 5

    def test_fits_the_screen(self) -> None:
        """With more exports than lines, running ones come first, then failed ones."""
        ids = [f"exp_{number}" for number in range(50)]
        view = StatusView(ids, now=Time())
        for export_id in ids[:40]:
            view.update(export(export_id, "DONE"))
        view.update(export("exp_9", "ERROR"))
        view.update(export("exp_45", "IN_PROGRESS"))
        lines = drawn(view, height=18)

        assert len(lines) == 15
        shown = [line.split()[1] for line in lines[1:-2]]
        assert shown == [
            "exp_45",
            *(f"exp_{number}" for number in (40, 41, 42, 43, 44, 46, 47, 48, 49)),
            "exp_9",
            "exp_0",
        ]
        assert lines[-2:] == ["and 38 more", "40 of 50 finished · 0.0 s"]

    def test_a_screen_without_room(self) -> None:
        """At least one row is shown."""
        view = StatusView(["exp_1", "exp_2"], now=Time())

        assert len(drawn(view, height=2)) == 4

    def test_eighty_columns_are_enough(self) -> None:
        """The longest known names fit into 80 columns."""
        view = StatusView(["exp_CGnCVltmWjI9V1pGlnunw2Nf"], now=Time())
        view.update(
            export("exp_CGnCVltmWjI9V1pGlnunw2Nf", "IN_PROGRESS", exported_object="voucher_transactions")
        )

        assert drawn(view)[1] == (
            "voucher_transactions  exp_CGnCVltmWjI9V1pGlnunw2Nf  ⠋ IN_PROGRESS  for 0.0 s"
        )

    def test_an_id_that_does_not_fit_is_cut(self) -> None:
        """A row is one line, even with a longer id."""
        view = StatusView(["exp_" + "x" * 200], now=Time())
        lines = drawn(view)

        assert len(lines) == 3
        assert "xxx…" in lines[1]

    def test_escapes_control_codes(self) -> None:
        """Control codes in the name of an object or a status are escaped."""
        view = StatusView(["exp_1"], now=Time())
        view.update(export("exp_1", "\x1b[2J[red]", exported_object="a\nb"))

        assert drawn(view)[1].split() == ["a", "b", "exp_1", "⠋", r"\x1b[2J[red]", "for", "0.0", "s"]


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "0.0 s"),
            (59.94, "59.9 s"),
            (60, "1 min 00 s"),
            (200.9, "3 min 20 s"),
            (3600, "1 h 00 min"),
            (7500, "2 h 05 min"),
            (4e6, "1,111 h 06 min"),
        ],
    )
    def test_is_short(self, seconds: float, text: str) -> None:
        """A duration has at most two units."""
        assert duration(seconds) == text


class TestStatusDisplay:
    async def test_live_on_a_terminal(self) -> None:
        """The table is redrawn, and no task or thread is left at the end."""
        screen = Screen()
        tasks, threads = asyncio.all_tasks(), threading.enumerate()
        view = StatusView(["exp_1"])
        async with StatusDisplay(view, StreamConsole(screen)) as display:
            await screen.shows("0 of 1 finished")
            display.update(export("exp_1", "IN_PROGRESS"))
            await screen.shows("IN_PROGRESS")
            display.give_up("exp_1", "timed out")
            assert threading.enumerate() == threads

        assert "timed out" in screen.getvalue()
        assert "exp_1: timed out" not in screen.getvalue()
        assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is back
        assert asyncio.all_tasks() == tasks

    async def test_ends_with_an_error(self) -> None:
        """After an error in the wait, the cursor is visible again."""
        screen = Screen()
        with pytest.raises(ZeroDivisionError):
            async with StatusDisplay(StatusView(["exp_1"]), StreamConsole(screen)):
                raise ZeroDivisionError

        assert screen.getvalue().endswith("\x1b[?25h")

    async def test_lines_above_the_table(self) -> None:
        """Text that is printed meanwhile stands above the table."""
        screen = Screen()
        console = StreamConsole(screen)
        async with StatusDisplay(StatusView(["exp_1"]), console):
            console.print_text("The quota is used up.")

        before, _, after = screen.getvalue().partition("The quota is used up.")
        assert "\x1b[2K" in before
        assert "0 of 1 finished" in after

    async def test_plain_lines_elsewhere(self) -> None:
        """Without a terminal, each change is a line, and nothing else is printed."""
        stream = io.StringIO()
        async with StatusDisplay(StatusView(["exp_1", "exp_2"]), StreamConsole(stream)) as display:
            for status in ("SCHEDULED", "IN_PROGRESS", "DONE"):
                display.update(export("exp_1", status))
            display.give_up("exp_2", "not found")

        assert stream.getvalue().splitlines() == [
            "exp_1 customer: SCHEDULED",
            "exp_1 customer: IN_PROGRESS",
            "exp_1 customer: DONE",
            "exp_2: not found",
        ]

    async def test_plain_lines_without_symbols(self) -> None:
        """A terminal whose encoding lacks the symbols of the table gets lines."""
        stream = AsciiScreen(io.BytesIO(), "ascii")
        async with StatusDisplay(StatusView(["exp_1"]), StreamConsole(stream)) as display:
            display.update(export("exp_1", "DONE"))
        stream.seek(0)

        assert stream.read() == "exp_1 customer: DONE\n"

    async def test_plain_lines_on_a_dumb_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A terminal that cannot move its cursor gets lines."""
        monkeypatch.setenv("TERM", "dumb")
        screen = Screen()
        async with StatusDisplay(StatusView(["exp_1"]), StreamConsole(screen)) as display:
            display.update(export("exp_1", "DONE"))

        assert screen.getvalue() == "exp_1 customer: DONE\n"


class AsciiScreen(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True
