"""Credentials that are replaced while a client runs, once for all the requests that need it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from copy import copy
from typing import Protocol
from urllib.parse import urlencode

from attrs import field, frozen

from .._ground.clock import Clock
from ..auth import Auth, OAuth
from ..errors import AuthenticationError, VoucherifyExportsError
from .wire import AccessToken

# A token is renewed this many seconds before its end, or a tenth of its lifetime if that is less.
_MARGIN = 60.0


class ReplaceableCredentials(Protocol):
    """Where the transport gets the headers of a request; `attempt` is that of the request that needs them.

    `generation` counts the replacements so far: read before `headers`, it tells `replace` whether another
    request has replaced the credentials since.
    """

    @property
    def generation(self) -> int: ...

    async def headers(self, attempt: int) -> Mapping[str, str]:
        """The headers to send now."""
        ...

    async def replace(self, refused: Mapping[str, str], generation: int, attempt: int) -> Mapping[str, str]:
        """The headers to send after a 401 for these; `AuthenticationError` if there are none."""
        ...


class Renewal:
    """Renews credentials of the caller's own that were refused, once for all requests of a generation."""

    def __init__(self, auth: Auth, renew: Callable[[], Coroutine[None, None, None]]) -> None:
        self._auth = auth
        self._renew = renew
        self._lock = asyncio.Lock()
        self._failure: BaseException | None = None
        self.generation = 0

    async def headers(self, attempt: int) -> Mapping[str, str]:
        """The headers to send now; a copy, since the object may change its own."""
        return {**self._auth.headers()}

    async def replace(self, refused: Mapping[str, str], generation: int, attempt: int) -> Mapping[str, str]:
        """The headers after a renewal; those who waited for a renewal that failed share its failure."""
        async with self._lock:
            await self._renew_unless_later(generation)
        if self._failure is not None:
            kind = type(self._failure).__name__
            text = f"401: the credentials were refused, and renewing them failed ({kind})"
            raise AuthenticationError(text, status=401) from self._failure
        return {**self._auth.headers()}

    async def _renew_unless_later(self, generation: int) -> None:
        if generation == self.generation:
            # Whatever the caller's class raises, the 401 is the error. A cancellation passes through.
            (self._failure,) = await asyncio.gather(self._renew(), return_exceptions=True)
            self.generation += 1


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

    @property
    def generation(self) -> int:
        """The number of fetches."""
        return self._fetches

    async def replace(self, refused: Mapping[str, str], generation: int, attempt: int) -> Mapping[str, str]:
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
