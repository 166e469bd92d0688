"""When the rate-limit headers allow a request; all times are seconds of a monotonic clock.

The limits are the project's: other processes spend from the same quota, which shows in what remains.
Source of the limits: Voucherify, "API limits". docs/internals.md derives the formula of `poll_at`.
"""

import math

from ..errors import RateLimitedError
from .wire import moment

_MINUTE, _HOUR = 60.0, 3600.0  # the windows of all plans
_HOURLY = 100  # requests per hour of a sandbox project; the limits of other plans are per minute
_COUNTED = "api_calls"  # other kinds count a billing cycle, or calls that this client does not make
_LONGEST_PAUSE = 60.0


class Quota:
    """The limits of one client: what the headers said, what was sent since, and when more may be sent.

    `_learned` is false until a response came, and after a 429: then one poll is sent ahead of the others.
    """

    def __init__(self, poll_share: float) -> None:
        self._poll_share = poll_share
        self._closed_until = -math.inf
        self._unnamed_refusals = 0
        self._learned = False
        self._limit: int | None = None
        self._remaining = 0
        self._window_start = self._window_end = -math.inf
        self._is_guess = True
        self._resets_at = -math.inf
        self._direct_in_flight = 0
        self._polls_in_flight = 0
        self._polls_in_window = 0
        self._last_poll = -math.inf

    @property
    def remaining(self) -> int | None:
        """Requests left in the window, by the last response; `None` if no response said so."""
        return None if self._limit is None else self._remaining

    def sent(self) -> None:
        """A direct call sends a request."""
        self._direct_in_flight += 1

    def ended(self) -> None:
        """A request of a direct call ended, successfully or not."""
        self._direct_in_flight -= 1

    def poll_sent(self, now: float) -> None:
        """A poll is sent."""
        self._polls_in_flight += 1
        self._polls_in_window += 1
        self._last_poll = now

    def poll_ended(self) -> None:
        """A poll ended, successfully or not."""
        self._polls_in_flight -= 1

    def answered(
        self,
        now: float,
        limit: int | None,
        remaining: int | None,
        reset_in: float | None,
        kind: str | None = None,
    ) -> None:
        """A response came, by which the next window starts in `reset_in` seconds.

        The time may be missing, or be no later than now while requests remain. Then the window is assumed
        to last a minute, and an hour once a minute has brought no new requests.
        """
        self._learned = True
        if limit is None or remaining is None or kind not in {None, _COUNTED}:
            return
        if reset_in is not None and reset_in > 0:
            self._resets_at = now + reset_in
            if self._resets_at > self._window_end + 1:  # the server sends whole seconds
                self._start_window(now, self._resets_at)
            self._window_end = max(self._window_end, self._resets_at)
            self._is_guess = False
        elif self._limit is None or self._is_refilled(now, remaining):
            self._is_guess = self._limit is None
            self._start_window(now, now + _MINUTE)
        elif now >= self._window_end:
            self._is_guess = False
            self._window_end = max(now, self._window_start + _HOUR)
        self._limit, self._remaining = limit, remaining

    def _is_refilled(self, now: float, remaining: int) -> bool:
        if now >= self._window_end:
            return remaining >= self._remaining  # although at least one more was sent
        # Responses may overtake each other, by no more than the requests under way.
        return remaining > self._remaining + self._direct_in_flight + self._polls_in_flight

    def _start_window(self, now: float, ends: float) -> None:
        self._window_start, self._window_end = now, ends
        self._polls_in_window = self._polls_in_flight

    def accepted(self) -> None:
        """A response was not a 429."""
        self._unnamed_refusals = 0

    def refused(self, now: float, delay: float | None) -> None:
        """A 429 came; if it named no delay, the client pauses, each time for longer."""
        if delay is None:
            self._unnamed_refusals += 1
            delay = min(2.0 ** (self._unnamed_refusals - 1), _LONGEST_PAUSE)
        self._closed_until = max(self._closed_until, now + delay)
        self._learned = False  # so that one poll is sent first, not all at once

    def opens_at(self, now: float) -> float:
        """When the next request may be sent: `now` or later."""
        spent = self._limit is not None and self._remaining == 0
        return max(now, self._closed_until, self._resets_at if spent else now)

    def poll_at(self, now: float) -> float:
        """When the next poll may be sent: `now` or later; infinity if only a response can tell.

        Polling takes its share of a window's limit and, at any moment, its share of what remains, spread
        evenly over the time that remains.
        """
        opens = self.opens_at(now)
        if opens > now:
            return opens
        if not self._learned or (self._limit is not None and now >= self._window_end):
            # One is sent ahead, to learn what the others may spend.
            return math.inf if self._polls_in_flight else now
        if self._limit is None:
            return now
        allowed = self._polls_allowed(self._limit)
        if allowed < 1:
            return self._window_end
        if not self._polls_in_window:
            return now
        return max(now, self._last_poll + (self._window_end - self._last_poll) / (allowed + 1))

    def _polls_allowed(self, limit: int) -> float:
        share = self._poll_share * limit
        if self._is_guess and limit <= _HOURLY:
            share /= 2  # the limit may have to last for an hour
        of_window = max(1.0, share) - self._polls_in_window
        in_flight = self._direct_in_flight + self._polls_in_flight
        of_rest = self._poll_share * (self._remaining - in_flight)
        untouched = self._remaining == limit and not in_flight
        return min(of_window, max(1.0, of_rest) if untouched else of_rest)


def spent_error(request: str, delay: float, wall: float) -> RateLimitedError:
    """The error of a request that is not sent, since it would be refused for another `delay` seconds."""
    return RateLimitedError(
        f"{request}: not sent, since the project's quota is spent for another {delay:.0f} s",
        retry_at=moment(wall + delay),
    )
