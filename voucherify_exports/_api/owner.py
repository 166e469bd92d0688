"""The event loop and the process that a client belongs to."""

import asyncio
import os


class Owner:
    """The event loop and the process of the first call of a client, which alone may use it.

    Sessions, locks and waits belong to one loop. In another loop they hang or raise errors of asyncio, and a
    forked process shares its sockets with its parent, so that one gets the responses of the other.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def check(self) -> None:
        """Raise `RuntimeError` in another event loop or process; the first call decides which one it is."""
        # Before anything of asyncio, which knows no running loop in a process that was forked in one.
        if self._loop is not None and os.getpid() != self._pid:
            raise RuntimeError(
                f"this ExportsClient belongs to process {self._pid}, and this is process {os.getpid()}:"
                " create one client in each process"
            )
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._pid = loop, os.getpid()
        elif loop is not self._loop:
            closed = ", which is closed" if self._loop.is_closed() else ""
            raise RuntimeError(
                f"this ExportsClient belongs to another event loop{closed}:"
                " create one client in each event loop, and close it there"
            )

    def release(self) -> None:
        """Forget the loop after the client was closed, so that it can be closed again anywhere."""
        self._loop = None
