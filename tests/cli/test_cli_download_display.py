"""How a file that arrives is shown."""

import io

from cli_process import Screen

from voucherify_exports.cli.download_display import Transfer
from voucherify_exports.cli.streams import StreamConsole


class Time:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestTransfer:
    def test_lines_now_and_then(self) -> None:
        """In a pipe, a line every ten seconds says how far it is."""
        stream, time = io.StringIO(), Time()
        with Transfer(StreamConsole(stream), now=time) as transfer:
            for received, total in ((1_000, 5_000_000), (2_000_000, 5_000_000), (3_000_000, None)):
                transfer(received, total)
                time.now += 10

        assert stream.getvalue() == "2.0 MB of 5.0 MB\n3.0 MB\n"

    def test_a_bar(self) -> None:
        """On a terminal there is a bar with bytes, rate and time left."""
        stream, time = Screen(), Time()
        with Transfer(StreamConsole(stream), now=time) as transfer:
            for received in (1_000_000, 2_000_000, 2_000_001):
                transfer(received, 4_000_000)
                time.now += 1

        shown = stream.getvalue()
        assert "50%" in shown
        assert "2.0/4.0 MB" in shown
        assert "1.0 MB/s" in shown
        assert "0:00:02" in shown
