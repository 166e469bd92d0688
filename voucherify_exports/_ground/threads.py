"""Work that blocks, in threads, which outlive no call."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[[], _Result], undo: Callable[[_Result], object] | None = None) -> _Result:
    """Do work in a thread; see `wait_for_thread`."""
    return await wait_for_thread(asyncio.get_running_loop().run_in_executor(None, work), undo)


async def wait_for_thread(
    work: asyncio.Future[_Result], undo: Callable[[_Result], object] | None = None
) -> _Result:
    """Await work in a thread, to its end even when cancelled: nobody else may touch its file before."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await _wait_done(work)
        if work.exception() is None and undo is not None:
            undo(work.result())
        raise


async def in_stoppable_thread(work: Callable[[Callable[[int], None]], _Result]) -> _Result:
    """Do work in a thread that calls what it is given, and is stopped there when the caller is cancelled."""
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
        future.exception()  # seen, by nobody else
        raise


class _StoppedError(Exception):
    """Nobody waits for the work any more."""


async def _wait_done(work: asyncio.Future[Any]) -> None:
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
