"""One client, and so one watcher, for all triggers with the same connection in an event loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from attrs import define

from ..client import ExportsClient
from ..events import Event, log_event
from .hook import make_client

if TYPE_CHECKING:
    from airflow.sdk import Connection

# All that a connection says: one that was changed is another one, and gets a client of its own.
_ConnectionKey: TypeAlias = tuple[str | int | None, ...]


@define
class _SharedClient:
    client: ExportsClient
    users: int = 0


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_ConnectionKey, _SharedClient]] = (
    WeakKeyDictionary()
)


def _log_apart(event: Event) -> None:
    """Log what concerns all triggers as the triggerer's, not in the task log of the one that came first."""
    Context().run(log_event, event)


@asynccontextmanager
async def shared_client(connection: "Connection") -> AsyncGenerator[ExportsClient]:
    """A client of this connection, shared with whoever uses it now, and closed by the last of them."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    key = (
        connection.host,
        connection.port,
        connection.schema,
        connection.login,
        connection.password,
        connection.extra,
    )
    # Nothing is awaited between finding a client and counting its user, nor between the last
    # user's leaving and forgetting the client, so that none is taken that is being closed.
    if key not in clients:
        clients[key] = _SharedClient(make_client(connection, on_event=_log_apart))
    shared = clients[key]
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[key]
            await shared.client.close()
