import math

import pytest
from virtual import EPOCH

from voucherify_exports._api.quota import Quota, spent_error


def told(quota: Quota, now: float, limit: int, remaining: int, reset_in: float | None = None) -> None:
    quota.answered(now, limit, remaining, reset_in)


def poll(quota: Quota, now: float, limit: int, remaining: int, reset_in: float | None = None) -> None:
    quota.poll_sent(now)
    told(quota, now, limit, remaining, reset_in)
    quota.poll_ended()


class TestAnybody:
    def test_may_send_while_nothing_is_known(self) -> None:
        """A fresh client sends at once."""
        assert Quota(0.5).opens_at(7) == 7

    @pytest.mark.parametrize("remaining", [1, 50, 100])
    def test_may_send_while_anything_remains(self, remaining: int) -> None:
        """Direct calls are never delayed before the quota is spent."""
        quota = Quota(0.5)
        told(quota, 0, 100, remaining, 60)

        assert quota.opens_at(1) == 1

    def test_waits_for_the_reset_when_all_is_spent(self) -> None:
        """Nothing remains, and the answer said until when."""
        quota = Quota(0.5)
        told(quota, 0, 100, 0, 60)

        assert quota.opens_at(1) == 60
        assert quota.opens_at(61) == 61

    def test_does_not_wait_for_a_reset_that_nobody_named(self) -> None:
        """Without a time, or with one in the past, only a refusal can tell."""
        quota = Quota(0.5)
        told(quota, 0, 100, 0)
        assert quota.opens_at(1) == 1
        told(quota, 1, 100, 0, -30)
        assert quota.opens_at(1) == 1

    def test_waits_as_long_as_a_refusal_says(self) -> None:
        """Not capped, and not shortened by a later refusal that names less."""
        quota = Quota(0.5)
        quota.refused(10, 3600)
        quota.refused(11, 5)

        assert quota.opens_at(12) == 3610
        assert quota.poll_at(12) == 3610

    def test_holds_for_longer_each_time_when_refusals_name_nothing(self) -> None:
        """1, 2, 4 … and at most 60 seconds; an answer that is no refusal starts anew."""
        quota = Quota(0.5)
        holds = []
        for _ in range(8):
            quota.refused(0, None)
            holds.append(quota.opens_at(0))
        assert holds == [1, 2, 4, 8, 16, 32, 60, 60]

        quota.accepted()
        quota.refused(1000, None)
        assert quota.opens_at(1000) == 1001


class TestPolling:
    def test_one_goes_ahead(self) -> None:
        """Until an answer came, one poll at a time finds out what is allowed."""
        quota = Quota(0.5)
        assert quota.poll_at(0) == 0
        quota.poll_sent(0)
        assert quota.poll_at(0) == math.inf
        quota.poll_ended()
        assert quota.poll_at(0) == 0

    def test_one_goes_ahead_after_a_refusal(self) -> None:
        """Polls do not all rush when the gate opens."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.refused(1, 60)
        assert quota.poll_at(61) == 61
        quota.poll_sent(61)
        assert quota.poll_at(61) == math.inf

    def test_is_free_without_headers(self) -> None:
        """A server that names no limit leaves it to the policy."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.poll_sent(0)

        assert quota.poll_at(0) == 0

    @pytest.mark.parametrize("kind", ["api_calls_cycle", "bulk_api_calls", "webhook_calls"])
    def test_is_not_paced_by_what_is_counted_otherwise(self, kind: str) -> None:
        """A month's 100,000 calls, or calls of another kind, say nothing about this minute."""
        quota = Quota(0.5)
        quota.poll_sent(0)
        quota.answered(0, 100_000, 5, 2_000_000, kind)
        quota.poll_ended()

        assert quota.poll_at(0) == 0
        assert quota.opens_at(0) == 0

    def test_keeps_to_its_share_of_the_window(self) -> None:
        """Half of 100 a minute is 50, one every 1.2 seconds."""
        quota, now, sent = Quota(0.5), 0.0, 0
        while now < 60:
            sent += 1
            poll(quota, now, 100, 100 - sent, 60 - now)
            now = quota.poll_at(now)

        assert sent == 50

    def test_takes_half_of_what_others_leave(self) -> None:
        """Spending of other processes shows in what remains, and slows polling down."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        undisturbed = quota.poll_at(0)
        told(quota, 0, 100, 10, 60)

        assert undisturbed == pytest.approx(60 / 50)
        assert quota.poll_at(0) == pytest.approx(60 / 6)

    @pytest.mark.parametrize("remaining", [0, 1])
    def test_leaves_the_last_ones_to_others(self, remaining: int) -> None:
        """Less than one of the share is none, until the window ends."""
        quota = Quota(0.5)
        poll(quota, 0, 100, remaining, 60)

        assert quota.poll_at(1) == 60

    def test_counts_what_is_under_way(self) -> None:
        """Requests whose answers are yet to come are spent already."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 4, 60)
        assert quota.poll_at(0) < 60
        for _ in range(3):
            quota.sent()
        assert quota.poll_at(0) == 60
        for _ in range(3):
            quota.ended()
        assert quota.poll_at(0) < 60

    def test_starts_a_window_where_the_last_one_ended(self) -> None:
        """After the reset one poll goes ahead, and its answer tells."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 0, 60)
        assert quota.poll_at(60) == 60
        poll(quota, 60, 100, 99, 60)
        assert quota.poll_at(60) == pytest.approx(60 + 60 / 50)

    def test_assumes_a_minute_where_no_reset_is_named(self) -> None:
        """With a limit but no time, or only "now", the share is spread over a minute."""
        quota = Quota(0.5)
        poll(quota, 0, 2000, 1999, 0)
        assert quota.poll_at(0) == pytest.approx(60 / 1000)
        told(quota, 30, 2000, 1990, None)
        assert quota.poll_at(30) == 30

    def test_is_careful_with_what_may_be_an_hours(self) -> None:
        """100 requests and no time: half of the share, since a sandbox project has them for an hour."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 0)

        assert quota.poll_at(0) == pytest.approx(60 / 25)

    @pytest.mark.parametrize("refilled", [99, 90])
    def test_a_refill_after_a_minute_makes_it_a_minute(self, refilled: int) -> None:
        """One poll goes ahead when the minute is over; more remains than before: a new window."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        assert quota.poll_at(60) == 60
        quota.poll_sent(60)
        assert quota.poll_at(60) == math.inf
        told(quota, 60, 100, refilled)
        quota.poll_ended()

        assert 60 < quota.poll_at(60) <= 62

    def test_no_refill_after_a_minute_makes_it_an_hour(self) -> None:
        """Less remains than before: what is left must last."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        poll(quota, 60, 100, 89)

        assert 120 < quota.poll_at(60) < 200

    def test_a_refill_in_between_is_noticed(self) -> None:
        """More than before, and more than overtaking answers explain: the window is another."""
        quota = Quota(0.5)
        for spent in range(25):
            poll(quota, 0, 100, 99 - spent)
        assert quota.poll_at(30) == 60
        told(quota, 30, 100, 99)

        assert quota.poll_at(30) == 30

    def test_answers_that_overtake_each_other_are_no_refill(self) -> None:
        """With requests under way, a little more than before is nothing new."""
        quota = Quota(0.5)
        for spent in range(25):
            poll(quota, 0, 100, 99 - spent)
        quota.sent()
        told(quota, 30, 100, 76)

        assert quota.poll_at(30) == 60

    def test_follows_a_limit_that_grows(self) -> None:
        """A plan upgrade is used from the next answer on."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        told(quota, 0, 2000, 1999, 60)

        assert quota.poll_at(0) == pytest.approx(60 / 1000)

    def test_notices_a_window_that_began_early(self) -> None:
        """A reset later than the one known begins a new window."""
        quota = Quota(0.5)
        for _ in range(50):
            poll(quota, 10, 100, 50, 20)
        assert quota.poll_at(10) == 30
        told(quota, 25, 100, 99, 60)
        assert quota.poll_at(25) == 25

    def test_a_limit_of_one_can_be_used(self) -> None:
        """Half of one is rounded up where nobody else has spent anything."""
        quota = Quota(0.5)
        told(quota, 0, 1, 1, 60)
        assert quota.poll_at(0) == 0
        poll(quota, 0, 1, 0, 60)
        assert quota.poll_at(0) == 60
        assert quota.poll_at(60) == 60


class TestSpentError:
    def test_says_until_when(self) -> None:
        """The error of a request that was not sent names the request and the time."""
        error = spent_error("GET /v1/exports/exp_1", 90, EPOCH)

        assert str(error) == (
            "GET /v1/exports/exp_1: not sent, since the project's quota is spent for another 90 s"
        )
        assert error.status == 429
        assert error.retry_at is not None
        assert error.retry_at.timestamp() == EPOCH + 90
