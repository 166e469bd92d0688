"""The bearer token of one client: fetched once for all who need it, kept, renewed in time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from urllib.parse import urlencode

from attrs import field, frozen

from .._ground.clock import Clock
from ..auth import OAuth
from ..errors import VoucherifyExportsError
from .calls import mark_unsent
from .wire import AccessToken

_MARGIN = 60.0  # seconds before it expires that a token is renewed, or a tenth of its life if that is less


@frozen
class _Held:
    token: str = field(repr=False)
    renew_at: float


class Tokens:
    """Hands out the header for a request; `fetch` posts a form to the API and returns its token.

    `attempt` is which one of the request this is that needs the token.
    """

    def __init__(
        self, auth: OAuth, fetch: Callable[[bytes, int], Awaitable[AccessToken]], clock: Clock
    ) -> None:
        self._form = urlencode({"grant_type": "client_credentials", "scope": auth.scope}).encode()
        self._revokes = auth.revoke_on_close
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._fetches = 0
        self._latest: _Held | VoucherifyExportsError | None = None

    def take(self) -> str | None:
        """The token to be revoked at the end, if that is wanted; it is not handed out again."""
        latest, self._latest = self._latest, None
        return latest.token if self._revokes and isinstance(latest, _Held) else None

    async def headers(self, attempt: int = 1) -> Mapping[str, str]:
        """The header with a token that is good for now."""
        held = self._latest
        if not isinstance(held, _Held) or self._clock.monotonic() >= held.renew_at:
            held = await self._renew(attempt)
        return _header(held.token)

    def reject(self, headers: Mapping[str, str]) -> None:
        """The API did not take these headers: their token is of no more use."""
        if isinstance(self._latest, _Held) and headers == _header(self._latest.token):
            self._latest = None

    async def _renew(self, attempt: int) -> _Held:
        """Fetch a token, or take the outcome of the fetch that somebody else began meanwhile."""
        fetches = self._fetches
        async with self._lock:
            latest = self._latest
            if fetches == self._fetches or latest is None:
                return await self._fetch_token(attempt)
        if isinstance(latest, _Held):
            return latest
        raise copy(latest)  # each caller's traceback is its own

    async def _fetch_token(self, attempt: int) -> _Held:
        asked = self._clock.monotonic()
        try:
            token = await self._fetch(self._form, attempt)
        except VoucherifyExportsError as error:
            mark_unsent(error)
            self._latest = copy(error)
            self._fetches += 1
            raise
        margin = min(_MARGIN, token.lifetime / 10)
        self._latest = held = _Held(token.token, asked + token.lifetime - margin)
        self._fetches += 1
        return held


def _header(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
