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
from .hook import client_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

# All that a connection says: one that was changed is another one, and gets a client of its own.
_Said: TypeAlias = tuple[str | int | None, ...]


@define
class _Shared:
    client: ExportsClient
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Said, _Shared]] = WeakKeyDictionary()


def _log_apart(event: Event) -> None:
    """Log what concerns all triggers as the triggerer's, not in the task log of the one that came first."""
    Context().run(log_event, event)


@asynccontextmanager
async def shared_client(connection: "Connection") -> AsyncGenerator[ExportsClient]:
    """A client of this connection, shared with whoever uses it now, and closed by the last of them."""
    here = _shared.setdefault(asyncio.get_running_loop(), {})
    said = (
        connection.host,
        connection.port,
        connection.schema,
        connection.login,
        connection.password,
        connection.extra,
    )
    # Nothing is awaited between finding a client and counting its user, nor between the last
    # user's leaving and forgetting the client, so that none is taken that is being closed.
    if said not in here:
        here[said] = _Shared(client_of(connection, on_event=_log_apart))
    shared = here[said]
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del here[said]
            await shared.client.close()
