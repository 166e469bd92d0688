"""One client, and so one watcher, for all triggers of an event loop that have the same connection."""

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

# All fields of a connection, so that a changed connection gets a client of its own.
_ConnectionKey: TypeAlias = tuple[str | int | None, ...]


@define
class _SharedClient:
    client: ExportsClient
    users: int = 0


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_ConnectionKey, _SharedClient]] = (
    WeakKeyDictionary()
)


def _log_outside_tasks(event: Event) -> None:
    """Log an event in the triggerer's log.

    Airflow chooses a log by the context, and the client's background tasks run in the context of the
    trigger that created the client. In an empty context no task's log is chosen.
    """
    Context().run(log_event, event)


@asynccontextmanager
async def shared_client(connection: "Connection") -> AsyncGenerator[ExportsClient]:
    """The client that all current users of this connection share; the last user closes it."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    key = (
        connection.host,
        connection.port,
        connection.schema,
        connection.login,
        connection.password,
        connection.extra,
    )
    # No `await` may stand between finding a client and counting its user, nor between the last user
    # leaving and the removal of the client. So no user gets a client that is being closed.
    if key not in clients:
        clients[key] = _SharedClient(make_client(connection, on_event=_log_outside_tasks))
    shared = clients[key]
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[key]
            await shared.client.close()
