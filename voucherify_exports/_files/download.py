"""The files of exports, as a stream of bytes or in a file on disk."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from attrs import define, field

from .._ground.clock import Clock
from .._ground.threads import in_thread, wait_for_thread
from ..models import Export
from .part import Part, check_place, describe_os_error
from .remote import RemoteFile, RemoteFiles
from .resume import Identity

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the number of bytes on disk and the size of the file in bytes, `None` while it is unknown."""

_Result = TypeVar("_Result")

_BLOCK_SIZE = 2 * 1024 * 1024  # bytes that are written at once
_MAX_DELAY = 0.5  # seconds that bytes are kept before they are written


class Downloads:
    """The downloads of one client: any number of streams, and of files so many at the same time."""

    def __init__(self, source: RemoteFiles, max_connections: int) -> None:
        self._source = source
        self._slots = asyncio.Semaphore(max_connections)

    async def stream(self, export: str | Export) -> AsyncGenerator[bytes]:
        """The bytes of an export's file, each once, in chunks of any size."""
        started_at = self._source.clock.monotonic()
        file = RemoteFile(self._source, await self._source.get_finished(export))
        yielded = 0
        async with aclosing(file.read(0, Identity())) as chunks:
            async for offset, chunk in chunks:
                if offset < yielded and not file.is_unchanged:
                    raise file.make_error("the server began anew, perhaps with another file")
                if offset + len(chunk) > yielded:
                    yield chunk[yielded - offset :] if offset < yielded else chunk
                    yielded = offset + len(chunk)
        file.report_completed(started_at)

    async def to_file(
        self, export: str | Export, target: Path, *, on_progress: Progress | None, resume: bool
    ) -> None:
        """Download to a part beside the target, which takes its place when it is whole."""
        started_at = self._source.clock.monotonic()
        await in_thread(partial(check_place, target))
        finished = await self._source.get_finished(export)
        async with self._slots:
            file = RemoteFile(self._source, finished, target)
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
        offset, identity = (
            await _on_disk(file, partial(part.resume, file.export_id)) if resume else (0, Identity())
        )
        writer = _Writer(part, file, on_progress, self._source.clock, offset)
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
    """Writes in large blocks, the next of which gathers meanwhile; a kill loses no more than both."""

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
        """An answer begins, perhaps anew. It is read on at once: aiohttp drops what waits at a fault."""
        if offset == 0:
            self._chunks, self._size, self._must_restart = [], 0, True
        self._flushed_at = self._clock.monotonic()
        self._report(offset)

    async def add(self, chunk: bytes) -> None:
        """Take what is next."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= _BLOCK_SIZE or self._clock.monotonic() - self._flushed_at >= _MAX_DELAY:
            await self.flush()

    async def flush(self) -> None:
        """Begin to write what is there."""
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
        """Wait until what is being written is on disk."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            with _disk_faults(self._file):
                await wait_for_thread(writing)
            self._written += self._writing_size
            if self._writing_size and not self._must_restart:
                self._report(self._written)

    def _report(self, received: int) -> None:
        if self._on_progress is not None:
            self._on_progress(received, self._file.identity.size)


async def _on_disk(
    file: RemoteFile, work: Callable[[], _Result], undo: Callable[[_Result], object] | None = None
) -> _Result:
    with _disk_faults(file):
        return await in_thread(work, undo)


@contextmanager
def _disk_faults(file: RemoteFile) -> Generator[None]:
    """Tell what is wrong with the disk."""
    try:
        yield
    except OSError as fault:
        raise file.make_error(describe_os_error(fault)) from fault
