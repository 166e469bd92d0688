"""The rate limit: a number of requests per fixed window, which starts with its first request."""

from __future__ import annotations

from math import ceil

from attrs import define


@define
class RateLimitWindow:
    """Allows `limit` requests per window of `seconds`; times are in epoch seconds."""

    limit: int
    seconds: float
    _spent: int = 0
    _ends_at: float = float("-inf")

    def spend(self, now: float) -> bool:
        """Count a request, and return whether the window allows it."""
        self._roll(now)
        allowed = self._spent < self.limit
        self._spent += allowed
        return allowed

    def left(self, now: float) -> int:
        """Return how many requests the window has left; between two windows, the whole limit."""
        return self.limit if now >= self._ends_at else self.limit - self._spent

    def ends_at(self, now: float) -> float | None:
        """Return when the window ends, or None between two windows."""
        return None if now >= self._ends_at else self._ends_at

    def headers(self, now: float, *, refused: bool) -> dict[str, str]:
        """Return the rate-limit headers of an answer given now."""
        self._roll(now)
        headers = {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(self.left(now)),
            "X-Rate-Limit-Retry": str(ceil(self._ends_at)),
            "X-Rate-Limit-Type": "api_calls",
        }
        if refused:
            headers["Retry-After"] = str(max(1, ceil(self._ends_at - now)))
        return headers

    def _roll(self, now: float) -> None:
        if now >= self._ends_at:
            self._spent, self._ends_at = 0, now + self.seconds
