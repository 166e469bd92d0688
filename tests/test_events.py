import logging
from datetime import UTC, datetime
from typing import get_args

import pytest

from voucherify_exports import (
    DownloadCompleted,
    DownloadInterrupted,
    DownloadStarted,
    Event,
    ExportStatus,
    QuotaExhausted,
    RateLimit,
    RequestCompleted,
    RequestFailed,
    RetryScheduled,
    RoundCompleted,
    StatusChanged,
    WaitEnded,
    log_event,
)
from voucherify_exports.events import is_wanted

EVENTS: dict[Event, int] = {
    RequestCompleted(
        method="GET", path="/v1/exports/exp_1", status=200, attempt=1, elapsed=0.1, rate_limit=RateLimit()
    ): logging.DEBUG,
    RequestFailed(
        method="GET", path="/v1/exports/exp_1", attempt=1, elapsed=0.1, error="reset"
    ): logging.INFO,
    RetryScheduled(method="GET", path="/v1/exports/exp_1", attempt=1, delay=2, error="reset"): logging.INFO,
    QuotaExhausted(delay=60, retry_at=datetime(2026, 1, 1, tzinfo=UTC)): logging.WARNING,
    StatusChanged(export_id="exp_1", previous=None, status=ExportStatus.DONE): logging.INFO,
    RoundCompleted(requests=1, seen=100, pending=40, remaining=99, next_due=1.2): logging.DEBUG,
    WaitEnded(export_id="exp_1", outcome="DONE", elapsed=2, polls=3): logging.INFO,
    DownloadStarted(export_id="exp_1", received=0, size=100): logging.INFO,
    DownloadInterrupted(export_id="exp_1", received=50, delay=1, error="reset"): logging.WARNING,
    DownloadCompleted(export_id="exp_1", received=100, elapsed=2): logging.INFO,
}


class TestLogEvent:
    @pytest.mark.parametrize(("event", "level"), EVENTS.items(), ids=lambda value: type(value).__name__)
    def test_logs_at_the_level_of_the_event(
        self, event: Event, level: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each event is one record of the package's logger, with the figures of the event."""
        with caplog.at_level(logging.DEBUG, "voucherify_exports"):
            log_event(event)

        [record] = caplog.records
        assert (record.name, record.levelno) == ("voucherify_exports", level)
        assert record.getMessage() == str(event)
        assert type(event).__name__ in record.getMessage()

    def test_knows_every_event(self) -> None:
        """These tests cover every type of event."""
        assert {type(event) for event in EVENTS} == set(get_args(Event))


class TestIsWanted:
    @pytest.mark.parametrize(("event", "level"), EVENTS.items(), ids=lambda value: type(value).__name__)
    def test_depends_on_the_level_of_the_logger(
        self, event: Event, level: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """`log_event` wants the events that the logger's level lets through, other hooks want all."""
        with caplog.at_level(level, "voucherify_exports"):
            assert is_wanted(type(event), log_event)
        with caplog.at_level(level + 1, "voucherify_exports"):
            assert not is_wanted(type(event), log_event)
            assert is_wanted(type(event), print)
