"""What is made of a client's events."""

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
from voucherify_exports.cli.reporter import Listener, warnings_shown_by


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


class TestCost:
    def test_counts_requests(self) -> None:
        """Each request counts, answered or not; other events do not."""
        listener = Listener(lambda text: None)
        costs = [listener.cost]
        for event in (
            completed(),
            FAILED,
            WaitEnded(export_id="exp_1", outcome="DONE", elapsed=1.0, polls=1),
        ):
            listener(event)
            costs.append(listener.cost)

        assert costs == ["0 requests", "1 request", "2 requests", "2 requests"]

    def test_knows_the_quota(self) -> None:
        """What the last answer that spoke of it said is left of the quota."""
        listener = Listener(lambda text: None)
        for event in (
            completed(limit=2000, remaining=1999),
            completed(limit=2000, remaining=1000),
            completed(),
        ):
            listener(event)

        assert listener.cost == "3 requests · quota left: 1,000 of 2,000"
        assert listener.quota == RateLimit(limit=2000, remaining=1000)

    def test_half_a_quota_is_none(self) -> None:
        """A limit without what remains tells nothing."""
        listener = Listener(lambda text: None)
        listener(completed(limit=2000))

        assert listener.cost == "1 request"

    def test_says_when_it_looks_again(self) -> None:
        """The time to the next look passes, and is gone with the last wait."""
        time = [100.0]
        listener = Listener(lambda text: None, now=lambda: time[0])
        costs: list[str] = []
        for next_due in (12.0, None):
            listener(RoundCompleted(requests=1, seen=1, pending=1, remaining=None, next_due=next_due))
            for time[0] in (100.0, 108.0, 116.0):
                costs.append(listener.cost)

        waiting = [f"0 requests · next in {seconds} s" for seconds in (12, 4, 0)]
        assert costs == [*waiting, *["0 requests"] * 3]


class TestTrouble:
    def test_is_said_once_with_its_end(self) -> None:
        """An outage of many requests is two lines: when it begins and when it is over."""
        said: list[str] = []
        listener = Listener(said.append)
        for event in (
            completed(),
            FAILED,
            FAILED,
            completed(503),
            completed(404),
            completed(),
            completed(502),
        ):
            listener(event)

        assert said == [
            "No usable answer: refused",
            "Voucherify answers again.",
            "No usable answer: GET /v1/exports: 502",
        ]


class TestQuotaSpent:
    def test_is_said_once_for_each_end(self) -> None:
        """Several requests that are refused at the same time are one line."""
        said: list[str] = []
        listener = Listener(said.append)
        for microsecond, minute in ((1, 0), (900, 0), (0, 1)):
            until = datetime(2026, 8, 1, 12, minute, 30, microsecond).astimezone(UTC)
            listener(QuotaExhausted(delay=30.0, retry_at=until))

        assert said == [
            "The project's quota is spent: nothing is sent before 2026-08-01 12:00:30.",
            "The project's quota is spent: nothing is sent before 2026-08-01 12:01:30.",
        ]

    def test_for_ever(self) -> None:
        """A time that no calendar holds is told all the same."""
        said: list[str] = []
        Listener(said.append)(QuotaExhausted(delay=1e15, retry_at=None))

        assert said == ["The project's quota is spent: nothing is sent before the year 10000."]


class TestLog:
    def test_warnings_are_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The package's warnings are said by what is in charge of the screen, its chatter is not."""
        said: list[str] = []
        logger = logging.getLogger("voucherify_exports")
        with warnings_shown_by(said.append):
            logger.warning("unknown %s", "status")
            logger.info("chatter")

        assert said == ["unknown status"]
        assert capsys.readouterr().err == ""
        assert logger.handlers == []

    def test_columns_are_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        """So is a column that is not what it should be, without the line of code that found it."""
        said: list[str] = []
        with warnings_shown_by(said.append):
            warnings.warn("the column stays text", ColumnWarning, stacklevel=1)

        assert said == ["the column stays text"]
        assert capsys.readouterr().err == ""
        with pytest.warns(ColumnWarning):
            warnings.warn("the column stays text", ColumnWarning, stacklevel=1)


class TestFiles:
    def test_a_file_that_breaks_off_is_said_once(self) -> None:
        """However often it does; another file is another matter."""
        said: list[str] = []
        listener = Listener(said.append)
        for export_id, received in (("exp_1", 1000), ("exp_1", 2000), ("exp_2", 3000)):
            listener(
                DownloadInterrupted(export_id=export_id, received=received, delay=1.0, error="it was reset")
            )

        assert said == [
            "The file broke off after 1,000 bytes, and is asked for again: it was reset",
            "The file broke off after 3,000 bytes, and is asked for again: it was reset",
        ]
