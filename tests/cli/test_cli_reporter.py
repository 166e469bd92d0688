"""What the reporter prints for the events of a client."""

import logging
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

from voucherify_exports import (
    ColumnWarning,
    DownloadInterrupted,
    QuotaExhausted,
    RateLimit,
    RequestCompleted,
    RequestFailed,
    RoundCompleted,
    WaitEnded,
)
from voucherify_exports.cli.reporter import Reporter, warnings_printed_by


def completed(status: int = 200, **rate_limit: Any) -> RequestCompleted:
    return RequestCompleted(
        method="GET",
        path="/v1/exports",
        status=status,
        attempt=1,
        elapsed=0.1,
        rate_limit=RateLimit(**rate_limit),
    )


FAILED = RequestFailed(method="GET", path="/v1/exports", attempt=1, elapsed=0.1, error="refused")


class TestSummary:
    def test_counts_requests(self) -> None:
        """Each request counts, whether it succeeded or failed; other events do not."""
        reporter = Reporter(lambda text: None)
        summaries = [reporter.summary]
        for event in (
            completed(),
            FAILED,
            WaitEnded(export_id="exp_1", outcome="DONE", elapsed=1.0, polls=1),
        ):
            reporter(event)
            summaries.append(reporter.summary)

        assert summaries == ["0 requests", "1 request", "2 requests", "2 requests"]

    def test_has_the_quota(self) -> None:
        """The quota is that of the last response that had one."""
        reporter = Reporter(lambda text: None)
        for event in (
            completed(limit=2000, remaining=1999),
            completed(limit=2000, remaining=1000),
            completed(),
        ):
            reporter(event)

        assert reporter.summary == "3 requests · quota left: 1,000 of 2,000"
        assert reporter.quota == RateLimit(limit=2000, remaining=1000)

    def test_an_incomplete_quota(self) -> None:
        """A limit without the remaining requests is not shown."""
        reporter = Reporter(lambda text: None)
        reporter(completed(limit=2000))

        assert reporter.summary == "1 request"

    def test_has_the_time_of_the_next_poll(self) -> None:
        """The time until the next poll counts down, and is gone after the last wait."""
        time = [100.0]
        reporter = Reporter(lambda text: None, now=lambda: time[0])
        summaries: list[str] = []
        for next_due in (12.0, None):
            reporter(RoundCompleted(requests=1, seen=1, pending=1, remaining=None, next_due=next_due))
            for time[0] in (100.0, 108.0, 116.0):
                summaries.append(reporter.summary)

        waiting = [f"0 requests · poll in {seconds} s" for seconds in (12, 4, 0)]
        assert summaries == [*waiting, *["0 requests"] * 3]


class TestFailures:
    def test_are_reported_once(self) -> None:
        """Several failures in a row are two lines: at the first failure, and after the last."""
        printed: list[str] = []
        reporter = Reporter(printed.append)
        for event in (
            completed(),
            FAILED,
            FAILED,
            completed(503),
            completed(404),
            completed(),
            completed(502),
        ):
            reporter(event)

        assert printed == [
            "Request failed: refused",
            "Requests succeed again.",
            "Request failed: GET /v1/exports: 502",
        ]


class TestPauses:
    def test_are_reported_once(self) -> None:
        """Several requests that are refused until the same second are one line."""
        printed: list[str] = []
        reporter = Reporter(printed.append)
        for microsecond, minute in ((1, 0), (900, 0), (0, 1)):
            until = datetime(2026, 8, 1, 12, minute, 30, microsecond).astimezone(UTC)
            reporter(QuotaExhausted(delay=30.0, retry_at=until))

        assert printed == [
            "The quota is used up; no request is sent before 2026-08-01 12:00:30.",
            "The quota is used up; no request is sent before 2026-08-01 12:01:30.",
        ]

    def test_beyond_the_calendar(self) -> None:
        """A time after the year 9999 is reported, too."""
        printed: list[str] = []
        Reporter(printed.append)(QuotaExhausted(delay=1e15, retry_at=None))

        assert printed == ["The quota is used up; no request is sent before the year 10000."]


class TestWarnings:
    def test_of_the_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Log records of the package are printed from WARNING upwards."""
        printed: list[str] = []
        logger = logging.getLogger("voucherify_exports")
        with warnings_printed_by(printed.append):
            logger.warning("unknown %s", "status")
            logger.info("details")

        assert printed == ["unknown status"]
        assert capsys.readouterr().err == ""
        assert logger.handlers == []

    def test_of_a_column(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A `ColumnWarning` is printed without the line of code that issued it."""
        printed: list[str] = []
        with warnings_printed_by(printed.append):
            warnings.warn("the column stays text", ColumnWarning, stacklevel=1)

        assert printed == ["the column stays text"]
        assert capsys.readouterr().err == ""
        with pytest.warns(ColumnWarning):
            warnings.warn("the column stays text", ColumnWarning, stacklevel=1)


class TestInterruptedDownloads:
    def test_are_reported_once(self) -> None:
        """Each download is reported once, however often it is interrupted."""
        printed: list[str] = []
        reporter = Reporter(printed.append)
        for export_id, received in (("exp_1", 1000), ("exp_1", 2000), ("exp_2", 3000)):
            reporter(DownloadInterrupted(export_id=export_id, received=received, delay=1.0, error="reset"))

        assert printed == [
            "Download interrupted after 1,000 bytes, resuming: reset",
            "Download interrupted after 3,000 bytes, resuming: reset",
        ]
