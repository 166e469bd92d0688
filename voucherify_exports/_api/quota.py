"""When the rate-limit headers allow a request; all times are seconds of a monotonic clock.

The limits are the project's: other processes spend from the same quota, which shows in what remains.
A newer response overrules an older one: a header that is wrong once does no harm after the next response.
Source of the limits: Voucherify, "API limits". docs/internals.md derives the formula of `poll_at`.
"""

import math

from ..errors import RateLimitedError
from .wire import moment

PATIENCE = 5.0
"""Seconds after which a request without a response no longer delays others."""

_MINUTE, _HOUR = 60.0, 3600.0  # the windows of all plans
_HOURLY = 100  # requests per hour of a sandbox project; the limits of other plans are per minute
_COUNTED = "api_calls"  # other kinds count a billing cycle, or calls that this client does not make
_LONGEST_PAUSE = 60.0
_TOLERANCE = 2.0  # seconds
_SPARE = 0.25  # of the share of polling: while polls use less than this, quota is plentiful


class Quota:
    """The limits of one client: what the headers said, what was sent since, and when more may be sent.

    `_learned` is false until a response came, and after a 429: then one poll is sent ahead of the others.
    `_named_until`: a response named this as the time of the next allowed request. `_paused_until` is the
    end of a pause that no response named. `_is_named`: a response named the end of the window.
    """

    def __init__(self, poll_share: float) -> None:
        self._poll_share = poll_share
        self._refused_until = -math.inf
        self._spent_until = -math.inf
        self._paused_until = -math.inf
        self._unnamed_refusals = 0
        self._learned = False
        self._limit: int | None = None
        self._remaining = 0
        self._window_start = self._window_end = -math.inf
        self._is_guess = True
        self._is_named = False
        self._direct_in_flight = 0
        self._polls_in_flight = 0
        self._polls_in_window = 0
        self._last_poll = -math.inf

    @property
    def remaining(self) -> int | None:
        """Requests left in the window, by the last response; `None` if no response said so."""
        return None if self._limit is None else self._remaining

    @property
    def _in_flight(self) -> int:
        return self._direct_in_flight + self._polls_in_flight

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
        if kind not in {None, _COUNTED}:
            return
        if limit is None or remaining is None:
            if now >= self._window_end:
                self._limit = None  # the headers have ceased
            return
        if reset_in is not None and reset_in > 0:
            remaining = self._see_named_window(now, now + reset_in, remaining)
        elif (
            self._is_named
            and now < self._window_end
            and limit == self._limit
            and not self._is_refilled(now, remaining)
        ):
            return  # it is from before the present window, and was overtaken
        else:
            self._see_unnamed_window(now, remaining)
        self._limit, self._remaining = limit, remaining

    def _see_named_window(self, now: float, end: float, remaining: int) -> int:
        """The window ends at `end`; returns what remains of it.

        The named ends of one window differ: the server sends whole seconds, and clocks are compared.
        """
        is_refilled = remaining > self._remaining + self._in_flight
        if end > self._window_end + _TOLERANCE and (is_refilled or now >= self._window_end - _TOLERANCE):
            self._start_window(now)
        else:
            if abs(end - self._window_end) <= _TOLERANCE:
                end = max(end, self._window_end)
            if not is_refilled:
                remaining = min(remaining, self._remaining)  # responses may overtake each other
        self._window_end = end
        self._is_guess, self._is_named = False, True
        self._spent_until = end if remaining == 0 else -math.inf
        return remaining

    def _see_unnamed_window(self, now: float, remaining: int) -> None:
        if self._limit is None or self._is_refilled(now, remaining):
            self._is_guess = self._limit is None
            self._start_window(now)
            self._window_end = now + _MINUTE
        elif now >= self._window_end:
            self._is_guess = False
            self._window_end = max(now, self._window_start + _HOUR)
        self._is_named = False
        self._spent_until = -math.inf

    def _is_refilled(self, now: float, remaining: int) -> bool:
        if now >= self._window_end:
            return remaining >= self._remaining  # although at least one more was sent
        # Responses may overtake each other, by no more than the requests under way.
        return remaining > self._remaining + self._in_flight

    def _start_window(self, now: float) -> None:
        self._window_start = now
        self._polls_in_window = self._polls_in_flight

    def accepted(self) -> None:
        """A response was not a 429."""
        self._unnamed_refusals = 0

    def refused(self, now: float, delay: float | None) -> None:
        """A 429 came; if it named no delay, the client pauses, each time for longer."""
        if delay is None:
            self._unnamed_refusals += 1
            pause = min(2.0 ** (self._unnamed_refusals - 1), _LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, now + pause)
        else:
            self._refused_until = max(self._refused_until, now + delay)
        self._learned = False  # so that one poll is sent first, not all at once

    def named_opening(self, now: float) -> float:
        """When the next request may be sent by what the responses named: `now` or later."""
        return max(now, self._refused_until, self._spent_until)

    def opens_at(self, now: float) -> float:
        """When the next request may be sent: `now` or later."""
        return max(self.named_opening(now), self._paused_until)

    def poll_at(self, now: float, *, is_spare: bool = False) -> float:
        """When the next poll may be sent: `now` or later.

        Polling takes its share of a window's limit and, at any moment, its share of what remains, spread
        evenly over the time that remains. With `is_spare`, when one may be sent that the policies do not
        require: infinity unless the headers show that quota is plentiful.
        """
        if is_spare and self._limit is None:
            return math.inf
        opens = self.opens_at(now)
        if opens > now:
            return opens
        if not self._learned or (self._limit is not None and now >= self._window_end):
            # One is sent ahead, to learn what the others may spend, unless it takes too long.
            return max(now, self._last_poll + PATIENCE) if self._polls_in_flight else now
        if self._limit is None:
            return now
        allowed = self._polls_allowed(self._limit, self._poll_share * (_SPARE if is_spare else 1))
        if allowed < 1:
            return self._window_end
        if not self._polls_in_window:
            return now
        return max(now, self._last_poll + (self._window_end - self._last_poll) / (allowed + 1))

    def allows_last_poll(self, now: float) -> bool:
        """Whether a poll may be sent without which a wait would end unheard.

        The share of polling does not count, and a pause that no response named does not delay it. But only
        one poll is under way during such a pause.
        """
        if self.named_opening(now) > now or (self._paused_until > now and self._polls_in_flight):
            return False
        is_known = self._limit is not None and now < self._window_end
        return not is_known or self._remaining > self._in_flight

    def is_paused(self, now: float) -> bool:
        """Whether a 429 that named no time is the only reason not to send a request."""
        return self._paused_until > self.named_opening(now)

    def _polls_allowed(self, limit: int, share: float) -> float:
        of_limit = share * limit
        if self._is_guess and limit <= _HOURLY:
            of_limit /= 2  # the limit may have to last for an hour
        of_window = max(1.0, of_limit) - self._polls_in_window
        of_rest = share * (self._remaining - self._in_flight)
        untouched = self._remaining == limit and not self._in_flight
        return min(of_window, max(1.0, of_rest) if untouched else of_rest)

    def held_back_by(self, now: float, wall: float) -> str:
        """Why no poll is sent now, for an error."""
        opens = self.named_opening(now)
        if opens > now:
            return f"the project's quota is spent until {_time_of(wall + opens - now)}"
        if self._paused_until > now:
            return "Voucherify refused a request (429) and named no time for the next one"
        if not self._learned or self._limit is None or now >= self._window_end:
            return "an earlier poll has no response yet"
        next_poll = _time_of(wall + self.poll_at(now) - now)
        return f"the share of the quota that polling may use allows the next poll at {next_poll}"


def _time_of(unix_time: float) -> str:
    time = moment(unix_time)
    return "a later time" if time is None else f"{time:%H:%M:%S} UTC"


def spent_error(request: str, delay: float, wall: float) -> RateLimitedError:
    """The error of a request that is not sent, since it would be refused for another `delay` seconds."""
    return RateLimitedError(
        f"{request}: not sent, since the project's quota is spent for another {delay:.0f} s",
        retry_at=moment(wall + delay),
    )
