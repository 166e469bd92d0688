import math

import pytest
from virtual import EPOCH

from voucherify_exports._api.quota import PATIENCE, Quota, spent_error


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
    @pytest.mark.parametrize("now", [-7, 7])
    def test_are_allowed_before_any_response(self, now: float) -> None:
        """Before any response a call is sent at once. The clock may start anywhere, also below zero."""
        assert Quota(0.5).opens_at(now) == now

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

    def test_wait_for_a_reset_within_a_second(self) -> None:
        """A reset is a time in the future, however near."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 0.5)

        assert quota.opens_at(0) == 0.5

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

    def test_wait_for_a_refusal_beyond_the_reset(self) -> None:
        """Of the reset of a spent quota and the time of a refusal, the later one counts."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 60)
        quota.refused(1, 90)

        assert quota.opens_at(1) == 91

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
        assert quota.poll_at(0) == PATIENCE
        quota.poll_ended()
        assert quota.poll_at(0) == 0

    def test_a_poll_without_a_response_delays_the_next_ones_for_some_seconds(self) -> None:
        """The first request, and the first of a window, may hang: the others do not wait for its end."""
        quota = Quota(0.5)
        quota.poll_sent(0)
        assert quota.poll_at(3) == PATIENCE
        quota.poll_sent(PATIENCE)
        assert quota.poll_at(PATIENCE) == 2 * PATIENCE
        assert quota.poll_at(60) == 60

    def test_one_poll_at_a_time_after_a_refusal(self) -> None:
        """After the delay of a refusal, one poll is sent first."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.refused(1, 60)
        assert quota.poll_at(61) == 61
        quota.poll_sent(61)
        assert quota.poll_at(61) == 61 + PATIENCE

    def test_is_not_paced_without_headers(self) -> None:
        """Without a limit in the response, only the policy paces polls."""
        quota = Quota(0.5)
        quota.answered(0, None, None, None)
        quota.poll_sent(0)

        assert quota.poll_at(0) == 0

    @pytest.mark.parametrize(("limit", "remaining"), [(100, None), (None, 0)])
    def test_is_not_paced_by_half_of_the_headers(self, limit: int | None, remaining: int | None) -> None:
        """A response with only one of the two numbers is one without headers."""
        quota = Quota(0.5)
        quota.poll_sent(0)
        quota.answered(0, limit, remaining, 60)
        quota.poll_ended()

        assert quota.poll_at(0) == quota.opens_at(0) == 0

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
        due_without_others = quota.poll_at(0)
        assert due_without_others < 60
        for _ in range(3):
            quota.sent()
        assert quota.poll_at(0) == 60
        for _ in range(3):
            quota.ended()
        assert quota.poll_at(0) == due_without_others

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

    def test_takes_all_of_the_share_if_the_limit_is_too_high_for_an_hour(self) -> None:
        """A limit of more than 100 is for a minute."""
        quota = Quota(0.5)
        poll(quota, 0, 101, 100, 0)

        assert quota.poll_at(0) == pytest.approx(60 / 50.5)

    @pytest.mark.parametrize("refilled", [99, 90])
    def test_a_refill_after_a_minute(self, refilled: int) -> None:
        """If more remains after a minute than before, the window is a minute."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        assert quota.poll_at(60) == 60
        quota.poll_sent(60)
        assert quota.poll_at(60) == 60 + PATIENCE
        report_headers(quota, 60, 100, refilled)
        quota.poll_ended()

        assert 60 < quota.poll_at(60) <= 62

    def test_no_refill_after_a_minute(self) -> None:
        """If less remains after a minute than before, the window is an hour."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 90)
        poll(quota, 60, 100, 89)

        assert 120 < quota.poll_at(60) < 200

    def test_the_end_of_an_assumed_hour(self) -> None:
        """The hour starts with the first response, and after it a new window has started for certain."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 50)
        poll(quota, 60, 100, 1)
        assert quota.poll_at(60) == 3_600
        report_headers(quota, 3_599, 100, 1)
        assert quota.poll_at(3_599) == 3_600
        report_headers(quota, 3_600, 100, 0)

        assert quota.poll_at(3_600) == 3_660

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

    def test_a_lower_limit(self) -> None:
        """A lower limit is used from the next response on, also in a window whose end is assumed."""
        quota = Quota(0.5)
        poll(quota, 0, 400, 399)
        report_headers(quota, 0, 200, 180)

        assert quota.poll_at(0) == pytest.approx(60 / 91)
        report_headers(quota, 0, 120, 119)
        assert quota.poll_at(0) == pytest.approx(60 / 60)

    def test_a_window_that_started_early(self) -> None:
        """A reset later than the known one starts a new window."""
        quota = Quota(0.5)
        for _ in range(50):
            poll(quota, 10, 100, 50, 20)
        assert quota.poll_at(10) == 30
        report_headers(quota, 25, 100, 99, 60)
        assert quota.poll_at(25) == 25

    def test_the_first_poll_of_a_window(self) -> None:
        """The interval is between polls of one window: the first of the next one is sent at once."""
        quota = Quota(0.5)
        poll(quota, 50, 4, 3, 10)
        report_headers(quota, 61, 4, 3, 59)

        assert quota.poll_at(61) == 61

    def test_a_limit_of_three(self) -> None:
        """Half of three is one poll, since two would be more than the share."""
        quota = Quota(0.5)
        poll(quota, 0, 3, 2, 60)

        assert quota.poll_at(0) == 60

    def test_a_limit_of_one_for_somebody_else(self) -> None:
        """The only request of a window is not for a poll if a direct call is under way."""
        quota = Quota(0.5)
        report_headers(quota, 0, 1, 1, 60)
        quota.sent()

        assert quota.poll_at(0) == 60

    def test_a_limit_of_one(self) -> None:
        """Half of one is rounded up if nobody else has spent anything."""
        quota = Quota(0.5)
        report_headers(quota, 0, 1, 1, 60)
        assert quota.poll_at(0) == 0
        poll(quota, 0, 1, 0, 60)
        assert quota.poll_at(0) == 60
        assert quota.poll_at(60) == 60


class TestNewerResponses:
    """What a newer response says replaces what an older one said."""

    def test_a_window_that_ends_sooner(self) -> None:
        """A time that was too far away does no harm after the next response."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 3_000)
        assert quota.poll_at(0) == pytest.approx(3_000 / 50)
        poll(quota, 2, 100, 98, 58)

        assert quota.poll_at(2) == pytest.approx(2 + 58 / 49)

    def test_a_window_that_ends_a_little_later(self) -> None:
        """An end that is more than two seconds later is that of another window if more requests are left."""
        quota = Quota(0.5)
        for _ in range(50):
            poll(quota, 10, 100, 50, 20)
        report_headers(quota, 12, 100, 99, 20.1)

        assert quota.poll_at(12) == 12

    def test_a_window_that_ends_a_little_sooner(self) -> None:
        """An end that is more than two seconds sooner replaces the known one."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 60)
        report_headers(quota, 1, 100, 0, 56.5)

        assert quota.opens_at(1) == 57.5

    def test_a_quota_that_is_not_spent(self) -> None:
        """A response with requests left ends the delay of an earlier one without any."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 3_000)
        assert quota.opens_at(1) == 3_000
        report_headers(quota, 1, 100, 50, 59)

        assert quota.opens_at(1) == 1

    def test_a_response_from_before_the_window(self) -> None:
        """A response that was overtaken by the first one of a new window is ignored."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 1, 60)
        poll(quota, 60, 100, 99, 60)
        report_headers(quota, 61, 100, 0, -1)

        assert quota.remaining == 99
        assert quota.opens_at(61) == 61

    @pytest.mark.parametrize("shift", [-1, 0, 1])
    def test_responses_that_overtake_each_other(self, shift: int) -> None:
        """In one window, the smallest number that the requests under way allow is the newest."""
        quota = Quota(0.5)
        for _ in range(3):
            quota.sent()
        report_headers(quota, 0, 100, 10, 60)
        report_headers(quota, 1, 100, 13, 59 + shift)
        assert quota.remaining == 10
        report_headers(quota, 1, 100, 14, 59 + shift)
        assert quota.remaining == 14

    def test_ends_that_differ_by_seconds(self) -> None:
        """The named ends of one window differ with the clocks, which must not count as new windows."""
        quota, sent = Quota(0.5), 0
        for now in (step / 10 for step in range(600)):
            if quota.poll_at(now) <= now:
                sent += 1
                poll(quota, now, 100, 100 - sent, 60 - now + (1.9 if sent % 2 else 0))

        assert sent <= 50

    def test_an_end_that_moves(self) -> None:
        """An end that is much later in the middle of a window is believed, and the polls still count."""
        quota = Quota(0.5)
        for _ in range(10):
            poll(quota, 0, 100, 90, 60)
        poll(quota, 1, 100, 89, 3_000)

        assert quota.poll_at(1) == pytest.approx(1 + 3_000 / 40)

    @pytest.mark.parametrize(("limit", "remaining"), [(2_000, 1_990), (100, 100)])
    def test_no_end_after_one_was_named(self, limit: int, remaining: int) -> None:
        """Another limit, or more requests left, shows that a response is newer than the named window."""
        quota = Quota(0.5)
        quota.answered(0, 100, 0, 3_500)
        assert quota.opens_at(1) == 3_500
        quota.answered(1, limit, remaining, None)

        assert quota.opens_at(1) == 1
        assert quota.remaining == remaining

    @pytest.mark.parametrize(("shift", "end"), [(-1, 60), (0, 60), (1, 61)])
    def test_ends_that_differ_by_a_second(self, shift: int, end: float) -> None:
        """Ends are named in whole seconds, so the later one is certain."""
        quota = Quota(0.5)
        report_headers(quota, 0, 100, 0, 60)
        report_headers(quota, 1, 100, 0, 59 + shift)

        assert quota.opens_at(1) == end

    def test_a_spent_window_stays_spent(self) -> None:
        """A response that was overtaken does not open a spent window again."""
        quota = Quota(0.5)
        quota.sent()
        report_headers(quota, 0, 100, 0, 60)
        report_headers(quota, 1, 100, 1, 59)

        assert quota.opens_at(1) == 60

    def test_headers_that_cease(self) -> None:
        """If responses no longer have the headers, only the policies pace polls after the window."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 1, 60)
        quota.answered(30, None, None, None)
        assert quota.poll_at(30) == 60
        quota.answered(60, None, None, None)

        assert quota.remaining is None
        assert quota.poll_at(60) == 60
        quota.poll_sent(60)
        assert quota.poll_at(60) == 60

    def test_a_time_after_responses_without_one(self) -> None:
        """The end of a window that a response names replaces the one that was assumed."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 0)
        poll(quota, 1, 100, 98, 3_599)
        assert quota.poll_at(1) == pytest.approx(1 + 3_599 / 49)

    def test_a_time_that_confirms_the_assumed_one(self) -> None:
        """If the assumed minute is the window, all of the share is used, and the end of it is certain."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 0)
        report_headers(quota, 0, 100, 99, 60)
        assert quota.poll_at(0) == pytest.approx(60 / 50)
        report_headers(quota, 1, 100, 0, 59)
        assert quota.opens_at(1) == 60

    def test_responses_without_a_time_after_the_end(self) -> None:
        """After the window that a response named, the next one is assumed to last a minute again."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 0, 60)
        poll(quota, 60, 100, 99, 0)
        assert quota.opens_at(60) == 60
        assert quota.poll_at(60) == pytest.approx(60 + 60 / 50)

    def test_fewer_requests_after_the_end(self) -> None:
        """The next window has started, even if others have spent more of it than of the one before."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        poll(quota, 60, 100, 0, 0)
        assert quota.opens_at(60) == 60
        assert quota.poll_at(60) == 120


class TestUnnamedRefusals:
    def test_have_no_named_end(self) -> None:
        """The client's own pause delays requests, but no response named its end."""
        quota = Quota(0.5)
        quota.refused(10, None)

        assert quota.opens_at(10) == quota.poll_at(10) == 11
        assert quota.named_opening(10) == 10
        assert quota.is_paused(10)
        assert not quota.is_paused(11)

    def test_with_a_named_end_that_is_later(self) -> None:
        """The later of the two counts."""
        quota = Quota(0.5)
        quota.refused(10, None)
        quota.refused(10, 5)

        assert quota.opens_at(10) == quota.named_opening(10) == 15
        assert not quota.is_paused(10)

    def test_do_not_shorten_each_other(self) -> None:
        """A pause that restarts does not end before the one before."""
        quota = Quota(0.5)
        for _ in range(3):
            quota.refused(0, None)
        quota.accepted()
        quota.refused(1, None)

        assert quota.opens_at(1) == 4


class TestSparePolls:
    def test_are_a_quarter_of_the_share(self) -> None:
        """Beyond the policies, polls may use 12.5 of the 50 requests that polling may use in a minute."""
        quota, now, sent = Quota(0.5), 0.0, 0
        while now < 60:
            sent += 1
            poll(quota, now, 100, 100 - sent, 60 - now)
            now = quota.poll_at(now, is_spare=True)

        assert sent == 12

    def test_need_the_headers(self) -> None:
        """Without headers the policies alone decide."""
        quota = Quota(0.5)
        assert quota.poll_at(0, is_spare=True) == math.inf
        quota.answered(0, None, None, None)
        assert quota.poll_at(0, is_spare=True) == math.inf

    def test_wait_as_other_polls_do(self) -> None:
        """A spent quota and the end of a window delay them as well."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        quota.refused(1, 30)
        assert quota.poll_at(1, is_spare=True) == 31


class TestLastPolls:
    def test_do_not_count_the_share(self) -> None:
        """A wait that would end without a poll gets one while any request is left."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 1, 60)
        assert quota.poll_at(1) == 60
        assert quota.allows_last_poll(1)
        quota.poll_sent(1)
        assert not quota.allows_last_poll(1)

    def test_are_allowed_while_nothing_is_known(self) -> None:
        """Before any response, and after the end of a window, they are allowed."""
        quota = Quota(0.5)
        assert quota.allows_last_poll(0)
        quota.poll_sent(0)
        assert quota.allows_last_poll(0)
        poll(quota, 0, 100, 0, 60)
        assert not quota.allows_last_poll(59)
        assert quota.allows_last_poll(60)

    def test_wait_for_a_time_that_a_response_named(self) -> None:
        """Before that time nothing is sent."""
        quota = Quota(0.5)
        quota.refused(0, 30)
        assert not quota.allows_last_poll(29)
        assert quota.allows_last_poll(30)

    def test_are_one_at_a_time_after_an_unnamed_refusal(self) -> None:
        """The client's own pause does not delay them, unless one is under way."""
        quota = Quota(0.5)
        quota.refused(0, None)
        assert quota.allows_last_poll(0.5)
        quota.poll_sent(0.5)
        assert not quota.allows_last_poll(0.5)
        assert quota.allows_last_poll(1)


class TestHeldBackBy:
    def test_a_spent_quota(self) -> None:
        """The reason has the time at which requests are allowed again."""
        quota = Quota(0.5)
        quota.refused(100, 90)
        assert quota.held_back_by(100, EPOCH) == "the project's quota is spent until 00:01:30 UTC"
        assert quota.held_back_by(100, 253402300799.0) == ("the project's quota is spent until a later time")

    def test_a_pause(self) -> None:
        """A 429 that names no time is a reason of its own."""
        quota = Quota(0.5)
        quota.refused(0, None)
        assert "named no time" in quota.held_back_by(0.5, EPOCH)
        assert "named no time" not in quota.held_back_by(1, EPOCH)

    def test_a_poll_that_has_no_response(self) -> None:
        """Before the first response, the poll that is under way is the reason."""
        quota = Quota(0.5)
        quota.poll_sent(0)
        assert "no response yet" in quota.held_back_by(1, EPOCH)
        quota.answered(1, None, None, None)
        assert "no response yet" in quota.held_back_by(1, EPOCH)
        report_headers(quota, 1, 100, 99, 60)
        assert "no response yet" in quota.held_back_by(61, EPOCH)

    def test_a_poll_that_has_no_response_after_a_refusal(self) -> None:
        """After a 429 one poll is sent ahead, whatever was known before."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 60)
        quota.refused(1, 5)
        quota.poll_sent(6)
        assert "no response yet" in quota.held_back_by(7, EPOCH)

    def test_the_share(self) -> None:
        """The reason has the time of the next poll."""
        quota = Quota(0.5)
        poll(quota, 0, 100, 99, 3_600)
        assert quota.held_back_by(2, EPOCH + 2) == (
            "the share of the quota that polling may use allows the next poll at 00:01:12 UTC"
        )


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
