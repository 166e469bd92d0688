import math

import pytest
from virtual import EPOCH

from voucherify_exports._api.quota import Quota, spent_error


def report_headers(
    quota: Quota, now: float, limit: int, remaining: int, reset_in: float | None = None
) -> None:
    """Report the headers of a response."""
    quota.answered(now, limit, remaining, reset_in)


def poll(quota: Quota, now: float, limit: int, remaining: int, reset_in: float | None = None) -> None:
    """Send a poll, whose response has these headers."""
    quota.poll_sent(now)
    report_headers(quota, now, limit, remaining, reset_in)
    quota.poll_ended()


class TestDirectCalls:
    def test_are_allowed_before_any_response(self) -> None:
        """Before any response a call is sent at once."""
        assert Quota(0.5).opens_at(7) == 7

    @pytest.mark.parametrize("remaining", [1, 50, 100])
    def test_are_allowed_while_anything_remains(self, remaining: int) -> None:
        """Direct calls are not delayed before the quota is spent."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, remaining, 60)

        assert quota.opens_at(1) == 1

    def test_wait_for_the_reset_when_the_quota_is_spent(self) -> None:
        """If nothing remains, calls wait for the reset in the response."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 60)

        assert quota.opens_at(1) == 60
        assert quota.opens_at(61) == 61

    def test_do_not_wait_without_a_reset(self) -> None:
        """Without a reset, or with one in the past, calls are delayed only by a refusal."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0)
        assert quota.opens_at(1) == 1
        report_headers(quota, 1, 100, 0, -30)
        assert quota.opens_at(1) == 1

    def test_wait_until_the_time_of_a_refusal(self) -> None:
        """The delay of a refusal has no maximum, and a later refusal does not shorten it."""
        quota = Quota(0.5)
        quota.refused(10, 3600)
        quota.refused(11, 5)

        assert quota.opens_at(12) == 3610
        assert quota.poll_at(12) == 3610

    def test_refusals_without_a_time_delay_longer_each_time(self) -> None:
        """The delay is 1, 2, 4 … and at most 60 seconds, and restarts after an accepted request."""
        quota = Quota(0.5)
        opening_times = []
        for _ in range(8):
            quota.refused(0, None)
            opening_times.append(quota.opens_at(0))
        assert opening_times == [1, 2, 4, 8, 16, 32, 60, 60]

        quota.accepted()
        quota.refused(1000, None)
        assert quota.opens_at(1000) == 1001


class TestPolling:
    def test_one_poll_at_a_time_before_any_response(self) -> None:
        """Until a response arrives, one poll at a time finds out the quota."""
        quota = Quota(0.5)
        assert quota.poll_at(0) == 0
        quota.poll_sent(0)
        assert quota.poll_at(0) == math.inf
        quota.poll_ended()
        assert quota.poll_at(0) == 0

    def test_one_poll_at_a_time_after_a_refusal(self) -> None:
        """After the delay of a refusal, one poll is sent first."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.refused(1, 60)
        assert quota.poll_at(61) == 61
        quota.poll_sent(61)
        assert quota.poll_at(61) == math.inf

    def test_is_not_paced_without_headers(self) -> None:
        """Without a limit in the response, only the policy paces polls."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.poll_sent(0)

        assert quota.poll_at(0) == 0

    @pytest.mark.parametrize("kind", ["api_calls_cycle", "bulk_api_calls", "webhook_calls"])
    def test_is_not_paced_by_another_kind_of_quota(self, kind: str) -> None:
        """The quota of a month, or of another kind of call, does not pace polls."""
        quota = Quota(0.5)
        quota.poll_sent(0)
        quota.answered(0, 100_000, 5, 2_000_000, kind)
        quota.poll_ended()

        assert quota.poll_at(0) == 0
        assert quota.opens_at(0) == 0

    def test_keeps_to_its_share_of_the_window(self) -> None:
        """Half of 100 requests a minute is 50, one every 1.2 seconds."""
        quota, now, sent = Quota(0.5), 0.0, 0
        while now < 60:
            sent += 1
            poll(quota, now, 100, 100 - sent, 60 - now)
            now = quota.poll_at(now)

        assert sent == 50

    def test_takes_half_of_what_remains(self) -> None:
        """Requests of other processes reduce what remains, and so slow down polling."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        due_without_others = quota.poll_at(0)
        report_headers(quota, 0, 100, 10, 60)

        assert due_without_others == pytest.approx(60 / 50)
        assert quota.poll_at(0) == pytest.approx(60 / 6)

    @pytest.mark.parametrize("remaining", [0, 1])
    def test_leaves_the_last_requests_to_others(self, remaining: int) -> None:
        """If the share is less than one request, polls wait for the end of the window."""
        quota = Quota(0.5)
        poll(quota, 0, 100, remaining, 60)

        assert quota.poll_at(1) == 60

    def test_counts_requests_under_way(self) -> None:
        """Requests that have no response yet count as spent."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 4, 60)
        assert quota.poll_at(0) < 60
        for _ in range(3):
            quota.sent()
        assert quota.poll_at(0) == 60
        for _ in range(3):
            quota.ended()
        assert quota.poll_at(0) < 60

    def test_one_poll_at_a_time_after_the_reset(self) -> None:
        """After the reset one poll is sent first, and its response paces the next."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 0, 60)
        assert quota.poll_at(60) == 60
        poll(quota, 60, 100, 99, 60)
        assert quota.poll_at(60) == pytest.approx(60 + 60 / 50)

    def test_assumes_a_window_of_a_minute_without_a_reset(self) -> None:
        """Without a reset, or with a reset of now, the share is spread over a minute."""
        quota = Quota(0.5)
        poll(quota, 0, 2000, 1999, 0)
        assert quota.poll_at(0) == pytest.approx(60 / 1000)
        report_headers(quota, 30, 2000, 1990, None)
        assert quota.poll_at(30) == 30

    def test_takes_half_of_the_share_if_the_window_may_be_an_hour(self) -> None:
        """A limit of 100 without a reset may be that of a sandbox project, which is for an hour."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 0)

        assert quota.poll_at(0) == pytest.approx(60 / 25)

    @pytest.mark.parametrize("refilled", [99, 90])
    def test_a_refill_after_a_minute(self, refilled: int) -> None:
        """If more remains after a minute than before, the window is a minute."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        assert quota.poll_at(60) == 60
        quota.poll_sent(60)
        assert quota.poll_at(60) == math.inf
        report_headers(quota, 60, 100, refilled)
        quota.poll_ended()

        assert 60 < quota.poll_at(60) <= 62

    def test_no_refill_after_a_minute(self) -> None:
        """If less remains after a minute than before, the window is an hour."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        poll(quota, 60, 100, 89)

        assert 120 < quota.poll_at(60) < 200

    def test_a_refill_before_the_expected_reset(self) -> None:
        """If more remains than responses out of order explain, a new window has started."""
        quota = Quota(0.5)
        for spent in range(25):
            poll(quota, 0, 100, 99 - spent)
        assert quota.poll_at(30) == 60
        report_headers(quota, 30, 100, 99)

        assert quota.poll_at(30) == 30

    def test_responses_out_of_order_are_not_a_refill(self) -> None:
        """With requests under way, slightly more than before is not a new window."""
        quota = Quota(0.5)
        for spent in range(25):
            poll(quota, 0, 100, 99 - spent)
        quota.sent()
        report_headers(quota, 30, 100, 76)

        assert quota.poll_at(30) == 60

    def test_a_higher_limit(self) -> None:
        """A higher limit is used from the next response on."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        report_headers(quota, 0, 2000, 1999, 60)

        assert quota.poll_at(0) == pytest.approx(60 / 1000)

    def test_a_window_that_started_early(self) -> None:
        """A reset later than the known one starts a new window."""
        quota = Quota(0.5)
        for _ in range(50):
            poll(quota, 10, 100, 50, 20)
        assert quota.poll_at(10) == 30
        report_headers(quota, 25, 100, 99, 60)
        assert quota.poll_at(25) == 25

    def test_a_limit_of_one(self) -> None:
        """Half of one is rounded up if nobody else has spent anything."""
        quota = Quota(0.5)
        report_headers(quota, 0, 1, 1, 60)
        assert quota.poll_at(0) == 0
        poll(quota, 0, 1, 0, 60)
        assert quota.poll_at(0) == 60
        assert quota.poll_at(60) == 60


class TestSpentError:
    def test_names_the_request_and_the_time(self) -> None:
        """The error of a request that was not sent names the request and has the time of the reset."""
        error = spent_error("GET /v1/exports/exp_1", 90, EPOCH)

        assert str(error) == (
            "GET /v1/exports/exp_1: not sent, since the project's quota is spent for another 90 s"
        )
        assert error.status == 429
        assert error.retry_at is not None
        assert error.retry_at.timestamp() == EPOCH + 90
