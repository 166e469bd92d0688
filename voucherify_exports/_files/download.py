"""Downloads of export files, as a stream of bytes or to a file on disk."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from attrs import define, field

from .._ground.callbacks import check_returned
from .._ground.clock import Clock
from .._ground.threads import in_thread, wait_for_thread
from ..models import Export
from .part import Part, check_place, os_errors_as
from .remote import RemoteFile, RemoteFiles
from .resume import Identity

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the number of bytes on disk and the size of the file in bytes, `None` while it is unknown."""

_Result = TypeVar("_Result")

_BLOCK_SIZE = 2 * 1024 * 1024  # bytes that are written at once
_WRITE_INTERVAL = 0.5  # seconds after which a smaller block is written


class Downloads:
    """The downloads of one client: any number of streams, and `max_connections` files at the same time."""

    def __init__(self, remote: RemoteFiles) -> None:
        self._remote = remote
        self._slots = asyncio.Semaphore(remote.settings.max_connections)

    async def stream(self, export: str | Export) -> AsyncGenerator[bytes]:
        """Yield the bytes of an export's file, each once, in chunks of any size."""
        started_at = self._remote.settings.clock.monotonic()
        file = RemoteFile(self._remote, await self._remote.get_finished(export))
        yielded = 0
        async with aclosing(file.read(0, Identity())) as chunks:
            async for offset, chunk in chunks:
                # Yielded bytes cannot be taken back: a restart must prove that they are still right.
                if offset < yielded and not file.is_unchanged:
                    raise file.make_error(
                        "the server sent the file from the start again, and it may have changed;"
                        " start a new stream"
                    )
                if offset + len(chunk) > yielded:
                    yield chunk[yielded - offset :] if offset < yielded else chunk
                    yielded = offset + len(chunk)
        file.report_completed(started_at)

    async def to_file(
        self, export: str | Export, target: Path, *, on_progress: Progress | None, resume: bool
    ) -> None:
        """Download to a part beside the target, and replace the target with it when it is whole."""
        started_at = self._remote.settings.clock.monotonic()
        await in_thread(partial(check_place, target))
        finished = await self._remote.get_finished(export)
        async with self._slots:
            file = RemoteFile(self._remote, finished, target)
            part = await _on_disk(file, partial(Part.open, target), undo=Part.close)
            try:
                await self._fill(part, file, on_progress, resume=resume)
                await _on_disk(file, part.finish)
            finally:
                await in_thread(partial(part.close, keep=resume))
        file.report_completed(started_at)

    async def _fill(
        self, part: Part, file: RemoteFile, on_progress: Progress | None, *, resume: bool
    ) -> None:
        offset, identity = 0, Identity()
        if resume:
            offset, identity = await _on_disk(file, partial(part.resume, file.export_id))
        writer = _Writer(part, file, on_progress, self._remote.settings.clock, offset)
        try:
            async with aclosing(file.read(offset, identity)) as chunks:
                async for start, chunk in chunks:
                    if chunk:
                        await writer.add(chunk)
                    else:
                        writer.start_response(start)
        finally:
            await writer.flush()
            await writer.wait_until_written()


@define(eq=False)
class _Writer:
    """Writes a block in a thread while it collects the next one; a killed process loses these two at most."""

    _part: Part
    _file: RemoteFile
    _on_progress: Progress | None
    _clock: Clock
    _written: int
    _chunks: list[bytes] = field(init=False, factory=list[bytes])
    _size: int = field(init=False, default=0)
    _flushed_at: float = field(init=False, default=0.0)
    _must_restart: bool = field(init=False, default=False)
    _writing: asyncio.Future[None] | None = field(init=False, default=None)
    _writing_size: int = field(init=False, default=0)

    def start_response(self, offset: int) -> None:
        """Prepare for a response that starts at this offset; 0 restarts the part at the next write."""
        # Nothing is awaited here, since aiohttp discards unread bytes when a connection fails.
        if offset == 0:
            self._chunks, self._size, self._must_restart = [], 0, True
        self._flushed_at = self._clock.monotonic()
        self._report(offset)

    async def add(self, chunk: bytes) -> None:
        """Collect a chunk, and start to write the block if it is large or old enough."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= _BLOCK_SIZE or self._clock.monotonic() - self._flushed_at >= _WRITE_INTERVAL:
            await self.flush()

    async def flush(self) -> None:
        """Start to write the block, after the one before it."""
        await self.wait_until_written()
        if self._chunks or self._must_restart:
            work = partial(self._write, self._chunks, self._file.identity if self._must_restart else None)
            self._writing = asyncio.get_running_loop().run_in_executor(None, work)
            self._writing_size = self._size
            self._written = 0 if self._must_restart else self._written
            self._chunks, self._size, self._must_restart = [], 0, False
            self._flushed_at = self._clock.monotonic()

    def _write(self, chunks: Sequence[bytes], identity: Identity | None) -> None:
        if identity is not None:
            self._part.restart(self._file.export_id, identity)
        self._part.write(chunks)

    async def wait_until_written(self) -> None:
        """Wait for the block that is being written, and report the progress."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            with os_errors_as(self._file.make_error):
                await wait_for_thread(writing)
            self._written += self._writing_size
            if self._writing_size and not self._must_restart:
                self._report(self._written)

    def _report(self, received: int) -> None:
        if self._on_progress is not None:
            check_returned("on_progress", self._on_progress(received, self._file.identity.size))


async def _on_disk(
    file: RemoteFile, work: Callable[[], _Result], undo: Callable[[_Result], object] | None = None
) -> _Result:
    with os_errors_as(file.make_error):
        return await in_thread(work, undo)
