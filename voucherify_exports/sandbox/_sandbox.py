"""The sandbox: an emulator that listens on loopback.

Its packages, the lowest first: `_data` is the project whose rows are exported, `_http` has requests,
answers, files and faults, `_emulator` is the API itself, and `_control` drives it under `/_sandbox/`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from ._control.control import ROOT, Control
from ._data.draws import Draws
from ._emulator.api import EmulatedApi
from ._emulator.emulator import Emulator
from ._emulator.rate_limit import RateLimitWindow
from ._http.exchange import read_request, send, send_broken
from ._http.injection import PendingFaults, breaks_sending
from ._http.listener import Listener
from ._http.result_files import Serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from ._emulator.export_store import Seconds


class Sandbox(Emulator):
    """The exports API on loopback, running inside `async with`.

    An export is SCHEDULED for `scheduled_for` seconds, then IN_PROGRESS for `in_progress_for` seconds: a
    number, or a range from which each export draws its own. `rate_limit=(100, 60)` allows 100 requests per
    window of 60 seconds; downloads do not count. A result URL is valid for `token_ttl` seconds after the
    response that contained it, or permanently when that is None; an OAuth token for `oauth_ttl` seconds.
    `clock` returns the time in epoch seconds, and `sleep` waits for the given number of seconds when a fault
    delays a response: a test that replaces both can move time instead of waiting.

    The project has `rows` vouchers, `rows` customers and so on: an export that is created over HTTP contains
    these, less what its filters exclude. The API's host serves the files as well, unless `download_host` is
    another address of this machine, such as `127.0.0.2`: result URLs then lead to a free port there. A file
    has a length, an ETag, a date and, with `ranges`, supports ranges; one of more than 100,000 rows is sent
    in chunks, without length and ranges. With `gzip`, it is compressed for clients that accept that, and has
    no length or ranges either.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        download_host: str | None = None,
        app_id: str | None = None,
        app_token: str | None = None,
        seed: int = 0,
        scheduled_for: Seconds = 0.2,
        in_progress_for: Seconds = 0.5,
        rate_limit: tuple[int, float] | None = None,
        token_ttl: float | None = None,
        oauth_ttl: float = 900,
        rows: int = 100,
        ranges: bool = True,
        gzip: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        draws = Draws(f"{seed}/keys")
        api = EmulatedApi(
            app_id=draws.key() if app_id is None else app_id,
            app_token=draws.key() if app_token is None else app_token,
            seed=seed,
            rows=rows,
            scheduled_for=scheduled_for,
            in_progress_for=in_progress_for,
            token_ttl=token_ttl,
            oauth_ttl=oauth_ttl,
        )
        super().__init__(
            api,
            quota=RateLimitWindow(*rate_limit) if rate_limit else None,
            faults=PendingFaults(Draws(f"{seed}/faults")),
            serving=Serving(ranges=ranges, gzip=gzip),
            clock=clock,
        )
        self._listener = Listener(host, port)
        self._download_listener = None if download_host is None else Listener(download_host, 0)
        self._control = Control(self)
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as listening:
            self._url = await self._listener.start(partial(self._handle, at_download_host=False))
            self._api.download_url = self._url
            listening.push_async_callback(self._listener.stop)
            if self._download_listener is not None:
                downloads = partial(self._handle, at_download_host=True)
                self._api.download_url = await self._download_listener.start(downloads)
                listening.push_async_callback(self._download_listener.stop)
            self._listening = listening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._listening.aclose()

    async def _handle(self, http: web.BaseRequest, *, at_download_host: bool) -> web.StreamResponse:
        request = await read_request(http, self._clock(), at_download_host=at_download_host)
        if f"{request.path}/".startswith(f"{ROOT}/") and not at_download_host:
            return await send(http, self._control.answer(request, http.remote))
        answer, fault = await self._respond(request)
        if fault.delay is not None:
            await self._sleep(fault.delay)
        if breaks_sending(fault):
            return await send_broken(http, answer, fault, self._sleep)
        return await send(http, answer)
