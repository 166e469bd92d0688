"""Credentials that are replaced while a client runs, once for all the requests that need it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Protocol
from urllib.parse import urlencode

from attrs import field, frozen

from .._ground.clock import Clock
from ..auth import OAuth, RenewableAuth
from ..errors import VoucherifyExportsError
from .wire import AccessToken

_MARGIN = (
    60.0  # seconds before its end at which a token is renewed, or a tenth of its lifetime if that is less
)


class ReplaceableCredentials(Protocol):
    """Where the transport gets the headers of a request; `attempt` is that of the request that needs them."""

    async def headers(self, attempt: int) -> Mapping[str, str]:
        """The headers to send now."""
        ...

    async def replace(self, refused: Mapping[str, str], attempt: int) -> Mapping[str, str]:
        """The headers to send after a 401 for these."""
        ...


class Renewal:
    """Renews credentials of the caller's own that were refused."""

    def __init__(self, auth: RenewableAuth, renewed: Callable[[], None]) -> None:
        self._auth = auth
        self._renewed = renewed
        self._lock = asyncio.Lock()

    async def headers(self, attempt: int) -> Mapping[str, str]:
        """The headers to send now."""
        return self._auth.headers()

    async def replace(self, refused: Mapping[str, str], attempt: int) -> Mapping[str, str]:
        """Renew them, unless another request did so since these headers were sent."""
        async with self._lock:
            if self._auth.headers() == refused:
                await self._auth.renew()
                self._renewed()
        return self._auth.headers()


@frozen
class _Held:
    token: str = field(repr=False)
    renew_at: float


class Tokens:
    """OAuth tokens: `fetch` posts a form to the API and returns its token.

    Requests that need a token at the same time share one fetch, and its error.
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

    def take_for_revocation(self) -> str | None:
        """The token to revoke, if tokens are to be revoked; it is not handed out again."""
        latest, self._latest = self._latest, None
        return latest.token if self._revokes and isinstance(latest, _Held) else None

    async def headers(self, attempt: int = 1) -> Mapping[str, str]:
        """The header with a token that is valid for now."""
        held = self._latest
        if not isinstance(held, _Held) or self._clock.monotonic() >= held.renew_at:
            held = await self._renew(attempt)
        return _header(held.token)

    async def replace(self, refused: Mapping[str, str], attempt: int = 1) -> Mapping[str, str]:
        """The header with another token than the refused one."""
        self.reject(refused)
        return await self.headers(attempt)

    def reject(self, refused: Mapping[str, str]) -> None:
        """Do not hand out the token of these headers again."""
        if isinstance(self._latest, _Held) and refused == _header(self._latest.token):
            self._latest = None

    async def _renew(self, attempt: int) -> _Held:
        """Fetch a token, or take the result of a fetch that another request started meanwhile."""
        fetches = self._fetches
        async with self._lock:
            latest = self._latest
            if fetches == self._fetches or latest is None:
                return await self._fetch_token(attempt)
        if isinstance(latest, _Held):
            return latest
        raise copy(latest)  # each caller gets a traceback of its own

    async def _fetch_token(self, attempt: int) -> _Held:
        started = self._clock.monotonic()
        try:
            token = await self._fetch(self._form, attempt)
        except VoucherifyExportsError as error:
            self._latest = copy(error)
            self._fetches += 1
            raise
        margin = min(_MARGIN, token.lifetime / 10)
        self._latest = held = _Held(token.token, started + token.lifetime - margin)
        self._fetches += 1
        return held


def _header(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
