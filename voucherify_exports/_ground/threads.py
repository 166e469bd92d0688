"""Blocking work in threads, none of which continues after the call that started it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[[], _Result], undo: Callable[[_Result], object] | None = None) -> _Result:
    """Run blocking work in a thread; cancellation is as in `wait_for_thread`."""
    return await wait_for_thread(asyncio.get_running_loop().run_in_executor(None, work), undo)


async def wait_for_thread(
    work: asyncio.Future[_Result], undo: Callable[[_Result], object] | None = None
) -> _Result:
    """Wait for work in a thread, also when cancelled: its file must not be closed while it is in use.

    A cancelled call passes the result of the work to `undo` before it raises `CancelledError`.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await _wait_done(work)
        if work.exception() is None and undo is not None:
            undo(work.result())
        raise


async def in_stoppable_thread(work: Callable[[Callable[[int], None]], _Result]) -> _Result:
    """Run work in a thread and pass it a function to call now and then, which stops it on cancellation."""
    is_cancelled = threading.Event()

    def check(_rows: int) -> None:
        if is_cancelled.is_set():
            raise _StoppedError

    future = asyncio.get_running_loop().run_in_executor(None, work, check)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        is_cancelled.set()
        await _wait_done(future)
        future.exception()  # retrieved: asyncio logs an exception that nobody retrieves
        raise


class _StoppedError(Exception):
    """The caller of the work was cancelled."""


async def _wait_done(work: asyncio.Future[Any]) -> None:
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
