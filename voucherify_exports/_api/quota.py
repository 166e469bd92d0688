"""When the rate-limit headers allow a request; all times are seconds of a monotonic clock.

The limits are the project's: other processes spend from the same quota, which shows in what remains.
A newer response overrules an older one: a header that is wrong once does no harm after the next response.
Source of the limits: Voucherify, "API limits". docs/internals.md derives the formula of `poll_at`.
"""

import math

from attrs import define

from ..errors import RateLimitedError
from .wire import moment

PATIENCE = 5.0
"""Seconds after which a request without a response no longer delays others."""

_MINUTE, _HOUR = 60.0, 3600.0  # the windows of all plans
_HOURLY = 100  # requests per hour of a sandbox project; the limits of other plans are per minute
_COUNTED = "api_calls"  # other kinds count a billing cycle, or calls that this client does not make
_LONGEST_PAUSE = 60.0
_TOLERANCE = 2.0  # seconds; servers name whole ones, and two clocks are compared
_SPARE = 0.25  # of the share of polling: while polls use less than this, quota is plentiful


@define
class _Window:
    """One window: what the headers say of it, and the `polls` of this client in it.

    `is_named`: a response named its end. `is_guess`: no earlier window shows how long it may be.
    """

    limit: int
    remaining: int
    start: float
    end: float
    polls: int
    is_named: bool
    is_guess: bool


class Quota:
    """The limits of one client: what the headers said, what was sent since, and when more may be sent.

    `_window` is `None` without headers. `_learned` is false until a response came, and after a 429: then one
    poll is sent ahead of the others. `_refused_until` is the time that a 429 named, and `_paused_until` the
    end of a pause that no response named.
    """

    def __init__(self, poll_share: float) -> None:
        self._poll_share = poll_share
        self._refused_until = -math.inf
        self._paused_until = -math.inf
        self._unnamed_refusals = 0
        self._learned = False
        self._window: _Window | None = None
        self._direct_in_flight = 0
        self._polls_in_flight = 0
        self._last_poll = -math.inf

    @property
    def remaining(self) -> int | None:
        """Requests left in the window, by the last response; `None` if no response said so."""
        return None if self._window is None else self._window.remaining

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
        self._last_poll = now
        if self._window is not None:
            self._window.polls += 1

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
        window = self._window
        if limit is None or remaining is None:
            if window is not None and now >= window.end:
                self._window = None  # the headers have ceased
        elif reset_in is not None and reset_in > 0:
            self._see_named_window(now, limit, remaining, now + reset_in)
        elif (
            window is None
            or not window.is_named
            or now >= window.end
            or limit != window.limit
            or self._is_refilled(window, remaining)
        ):
            self._see_unnamed_window(now, limit, remaining)
        # Otherwise it is from before the present window, and was overtaken.

    def _see_named_window(self, now: float, limit: int, remaining: int, end: float) -> None:
        window = self._window
        if window is None:
            self._start_window(now, limit, remaining, end, is_named=True)
            return
        is_refilled = self._is_refilled(window, remaining)
        if end > window.end + _TOLERANCE and (is_refilled or now >= window.end - _TOLERANCE):
            self._start_window(now, limit, remaining, end, is_named=True)
            return
        if abs(end - window.end) <= _TOLERANCE:
            end = max(end, window.end)
        if not is_refilled:
            remaining = min(remaining, window.remaining)
        window.limit, window.remaining, window.end = limit, remaining, end
        window.is_named, window.is_guess = True, False

    def _see_unnamed_window(self, now: float, limit: int, remaining: int) -> None:
        window = self._window
        if window is None or self._is_over(window, now, remaining):
            self._start_window(now, limit, remaining, now + _MINUTE, is_named=False)
            return
        if now >= window.end:
            window.end = window.start + _HOUR
            window.is_guess = False
        window.limit, window.remaining = limit, remaining

    def _is_over(self, window: _Window, now: float, remaining: int) -> bool:
        """Whether a response that names no time is from a later window."""
        if window.is_named or now >= window.start + _HOUR:
            return True  # its named end is past, or it is longer than any window
        if now >= window.end:
            return remaining >= window.remaining  # although at least one more was sent
        return self._is_refilled(window, remaining)

    def _is_refilled(self, window: _Window, remaining: int) -> bool:
        """Whether more is left than before; responses may overtake each other."""
        return remaining > window.remaining + self._in_flight

    def _start_window(self, now: float, limit: int, remaining: int, end: float, *, is_named: bool) -> None:
        is_guess = self._window is None and not is_named
        self._window = _Window(limit, remaining, now, end, self._polls_in_flight, is_named, is_guess)

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
        window = self._window
        if window is not None and window.is_named and window.remaining == 0:
            return max(now, self._refused_until, window.end)
        return max(now, self._refused_until)

    def opens_at(self, now: float) -> float:
        """When the next request may be sent: `now` or later."""
        return max(self.named_opening(now), self._paused_until)

    def poll_at(self, now: float, *, is_spare: bool = False) -> float:
        """When the next poll may be sent: `now` or later.

        Polling takes its share of a window's limit and, at any moment, its share of what remains, spread
        evenly over the time that remains. With `is_spare`, when one may be sent that the policies do not
        require: infinity unless the headers show that quota is plentiful.
        """
        window = self._window
        if is_spare and window is None:
            return math.inf
        opens = self.opens_at(now)
        if opens > now:
            return opens
        if not self._learned or (window is not None and now >= window.end):
            # One is sent ahead, to learn what the others may spend, unless it takes too long.
            return max(now, self._last_poll + PATIENCE) if self._polls_in_flight else now
        if window is None:
            return now
        allowed = self._polls_allowed(window, self._poll_share * (_SPARE if is_spare else 1))
        if allowed < 1:
            return window.end
        if not window.polls:
            return now
        return max(now, self._last_poll + (window.end - self._last_poll) / (allowed + 1))

    def allows_last_poll(self, now: float) -> bool:
        """Whether a poll may be sent without which a wait would end without any.

        The share of polling does not count, and a pause that no response named does not delay it. But only
        one poll is under way during such a pause.
        """
        if self.named_opening(now) > now or (self._paused_until > now and self._polls_in_flight):
            return False
        window = self._window
        return window is None or now >= window.end or window.remaining > self._in_flight

    def is_paused(self, now: float) -> bool:
        """Whether a 429 that named no time is the only reason not to send a request."""
        return self._paused_until > self.named_opening(now)

    def _polls_allowed(self, window: _Window, share: float) -> float:
        of_limit = share * window.limit
        if window.is_guess and window.limit <= _HOURLY:
            of_limit /= 2  # the limit may have to last for an hour
        of_window = max(1.0, of_limit) - window.polls
        of_rest = share * (window.remaining - self._in_flight)
        is_untouched = window.remaining == window.limit and not self._in_flight
        return of_window if is_untouched else min(of_window, of_rest)

    def held_back_by(self, now: float, wall: float) -> str:
        """Why no poll is sent now, for an error."""
        opens = self.named_opening(now)
        if opens > now:
            return f"the project's quota is spent until {_time_of(wall + opens - now)}"
        if self._paused_until > now:
            return "Voucherify refused a request (429) and named no time for the next one"
        if not self._learned or self._window is None or now >= self._window.end:
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
