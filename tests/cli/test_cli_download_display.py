"""The progress of a download."""

import io

from cli_process import Screen

from voucherify_exports.cli.download_display import DownloadDisplay
from voucherify_exports.cli.streams import StreamConsole


class Time:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestDownloadDisplay:
    def test_lines(self) -> None:
        """In a pipe there is a line every ten seconds."""
        stream, time = io.StringIO(), Time()
        with DownloadDisplay(StreamConsole(stream), now=time) as display:
            for received, total in ((1_000, 5_000_000), (2_000_000, 5_000_000), (3_000_000, None)):
                display.update(received, total)
                time.now += 10

        assert stream.getvalue() == "2.0 MB of 5.0 MB\n3.0 MB\n"

    def test_a_bar(self) -> None:
        """On a terminal there is a bar with bytes, rate and remaining time."""
        stream, time = Screen(), Time()
        with DownloadDisplay(StreamConsole(stream), now=time) as display:
            for received in (1_000_000, 2_000_000, 2_000_001):
                display.update(received, 4_000_000)
                time.now += 1

        shown = stream.getvalue()
        assert "50%" in shown
        assert "2.0/4.0 MB" in shown
        assert "1.0 MB/s" in shown
        assert "0:00:02" in shown
