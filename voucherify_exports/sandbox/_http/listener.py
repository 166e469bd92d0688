"""A listener on loopback that leaves no connection and no task behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_TURNS_TO_ACCEPT = 3  # of the event loop, until `connections` includes an accepted connection


@define
class Listener:
    """Serves requests to one address with one handler, from `start` to `stop`."""

    _host: str
    _port: int
    _web: web.Server = field(init=False)
    _listening: asyncio.Server = field(init=False)

    async def start(self, handler: Handler) -> str:
        """Start to listen, and return the base URL."""
        self._web = web.Server(handler, handler_cancellation=True, access_log=None)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._web, self._host, self._port, backlog=1024)
        host, port = self._listening.sockets[0].getsockname()[:2]
        if ip_address(host).is_unspecified:  # all addresses of this machine: loopback is one of them
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Accept no more connections, and break the open ones."""
        loop = asyncio.get_running_loop()
        # Closed only at the end: asyncio cannot finish accepting a connection of a closed listener.
        with suppress(NotImplementedError):
            for listening in self._listening.sockets:
                loop.remove_reader(listening.fileno())
        turns = 0
        while turns < _TURNS_TO_ACCEPT or self._web.connections:
            for connection in self._web.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)
            turns += 1
        self._listening.close()
