"""What the rate-limit headers allow, and when; the times are seconds of a monotonic clock.

Source of the limits: Voucherify, "API limits". They are the project's: other processes spend from the
same quota, which shows in what remains.
"""

import math

from ..errors import RateLimitedError
from .wire import moment

_MINUTE, _HOUR = 60.0, 3600.0  # the windows of all plans
_HOURLY = 100  # requests in the hour's window of a sandbox project; those of other plans are a minute's
_COUNTED = "api_calls"  # others are of a billing cycle, or of calls that are not made here
_LONGEST_HOLD = 60.0


class Quota:
    """The books of one client: what was allowed, what was sent, and when the next may be."""

    def __init__(self, poll_share: float) -> None:
        self._poll_share = poll_share
        self._closed_until = -math.inf
        self._nameless_refusals = 0
        self._learned = False
        self._limit: int | None = None
        self._remaining = 0
        self._window_began = self._window_ends = -math.inf
        self._is_guess = True
        self._resets_at = -math.inf
        self._direct_in_flight = 0
        self._polls_in_flight = 0
        self._polls_in_window = 0
        self._last_poll = -math.inf

    @property
    def remaining(self) -> int | None:
        """Requests left in the window, as the last answer said; `None` if none said so."""
        return None if self._limit is None else self._remaining

    def sent(self) -> None:
        """A direct call's request goes out."""
        self._direct_in_flight += 1

    def ended(self) -> None:
        """A direct call's request is over, well or not."""
        self._direct_in_flight -= 1

    def poll_sent(self, now: float) -> None:
        """A poll goes out."""
        self._polls_in_flight += 1
        self._polls_in_window += 1
        self._last_poll = now

    def poll_ended(self) -> None:
        """A poll is over, well or not."""
        self._polls_in_flight -= 1

    def answered(
        self,
        now: float,
        limit: int | None,
        remaining: int | None,
        reset_in: float | None,
        kind: str | None = None,
    ) -> None:
        """An answer came; `reset_in` is in how many seconds it says that the next window begins.

        The time may be missing, or no more than "now" while something remains. Then a window is
        taken for a minute, and for an hour when nothing was refilled after that.
        """
        self._learned = True
        if limit is None or remaining is None or kind not in {None, _COUNTED}:
            return
        if reset_in is not None and reset_in > 0:
            self._resets_at = now + reset_in
            if self._resets_at > self._window_ends + 1:  # the server's figures are whole seconds
                self._begin_window(now, self._resets_at)
            self._window_ends = max(self._window_ends, self._resets_at)
            self._is_guess = False
        elif self._limit is None or self._is_refilled(now, remaining):
            self._is_guess = self._limit is None
            self._begin_window(now, now + _MINUTE)
        elif now >= self._window_ends:
            self._is_guess = False
            self._window_ends = max(now, self._window_began + _HOUR)
        self._limit, self._remaining = limit, remaining

    def _is_refilled(self, now: float, remaining: int) -> bool:
        if now >= self._window_ends:
            return remaining >= self._remaining  # although at least one more was spent
        # Answers may overtake each other, but by no more than what is under way.
        return remaining > self._remaining + self._direct_in_flight + self._polls_in_flight

    def _begin_window(self, now: float, ends: float) -> None:
        self._window_began, self._window_ends = now, ends
        self._polls_in_window = self._polls_in_flight

    def accepted(self) -> None:
        """An answer was no refusal."""
        self._nameless_refusals = 0

    def refused(self, now: float, delay: float | None) -> None:
        """A 429 came; without a delay that it names, the client holds for longer each time."""
        if delay is None:
            self._nameless_refusals += 1
            delay = min(2.0 ** (self._nameless_refusals - 1), _LONGEST_HOLD)
        self._closed_until = max(self._closed_until, now + delay)
        self._learned = False  # so that one poll goes ahead afterwards, and not all at once

    def opens_at(self, now: float) -> float:
        """When anything may be sent: `now`, or later."""
        spent = self._limit is not None and self._remaining == 0
        return max(now, self._closed_until, self._resets_at if spent else now)

    def poll_at(self, now: float) -> float:
        """When the next poll may be sent: `now`, or later; infinity until an answer brings news.

        Polling takes its share of a window's limit, and at any moment its share of what remains,
        evenly over the time that remains.
        """
        opens = self.opens_at(now)
        if opens > now:
            return opens
        if not self._learned or (self._limit is not None and now >= self._window_ends):
            # One goes ahead and learns what the others may spend.
            return math.inf if self._polls_in_flight else now
        if self._limit is None:
            return now
        allowed = self._polls_allowed(self._limit)
        if allowed < 1:
            return self._window_ends
        if not self._polls_in_window:
            return now
        return max(now, self._last_poll + (self._window_ends - self._last_poll) / (allowed + 1))

    def _polls_allowed(self, limit: int) -> float:
        share = self._poll_share * limit
        if self._is_guess and limit <= _HOURLY:
            share /= 2  # of what may have to last for an hour
        of_window = max(1.0, share) - self._polls_in_window
        in_flight = self._direct_in_flight + self._polls_in_flight
        of_rest = self._poll_share * (self._remaining - in_flight)
        untouched = self._remaining == limit and not in_flight
        return min(of_window, max(1.0, of_rest) if untouched else of_rest)


def spent_error(request: str, delay: float, wall: float) -> RateLimitedError:
    """The error of a request that is not even sent, since it would be refused for `delay` seconds more."""
    error = RateLimitedError(
        f"{request}: not sent, since the project's quota is spent for another {delay:.0f} s", status=429
    )
    error.retry_at = moment(wall + delay)
    return error
