"""The files of exports, as a stream of bytes or in a file on disk."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from attrs import define, field

from .._ground.clock import Clock
from .._ground.threads import in_thread, to_its_end
from ..models import Export
from .part import Part, check_place, problem_of
from .remote import File, Source
from .resume import Identity

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes that are on disk, and how many there will be, `None` if that is not known."""

_Result = TypeVar("_Result")

_BLOCK = 2 * 1024 * 1024  # bytes that are written at once
_LONGEST = 0.5  # seconds that bytes are kept before they are written


class Downloads:
    """The downloads of one client: any number of streams, and of files so many at the same time."""

    def __init__(self, source: Source, max_connections: int) -> None:
        self._source = source
        self._slots = asyncio.Semaphore(max_connections)

    async def stream(self, export: str | Export) -> AsyncGenerator[bytes]:
        """The bytes of an export's file, each once, in pieces of any size."""
        began = self._source.clock.monotonic()
        file = File(self._source, await self._source.finished(export))
        shown = 0
        async with aclosing(file.pieces(0, Identity())) as pieces:
            async for offset, piece in pieces:
                if offset < shown and not file.is_same:
                    raise file.error("the server began anew, perhaps with another file")
                if offset + len(piece) > shown:
                    yield piece[shown - offset :] if offset < shown else piece
                    shown = offset + len(piece)
        file.complete(began)

    async def to_file(
        self, export: str | Export, target: Path, *, on_progress: Progress | None, resume: bool
    ) -> None:
        """Download to a part beside the target, which takes its place when it is whole."""
        began = self._source.clock.monotonic()
        await in_thread(partial(check_place, target))
        finished = await self._source.finished(export)
        async with self._slots:
            file = File(self._source, finished, target)
            part = await _on_disk(file, partial(Part.open, target), undo=Part.leave)
            try:
                await self._fill(part, file, on_progress, resume=resume)
                await _on_disk(file, part.finish)
            finally:
                await in_thread(partial(part.leave, keep=resume))
        file.complete(began)

    async def _fill(self, part: Part, file: File, on_progress: Progress | None, *, resume: bool) -> None:
        begun = await _on_disk(file, partial(part.begun, file.export_id)) if resume else (0, Identity())
        writer = _Writer(part, file, on_progress, self._source.clock, begun[0])
        try:
            async with aclosing(file.pieces(*begun)) as pieces:
                async for offset, piece in pieces:
                    if piece:
                        await writer.add(piece)
                    else:
                        writer.begin(offset)
        finally:
            await writer.flush()
            await writer.settle()


@define(eq=False)
class _Writer:
    """Writes in large blocks, the next of which gathers meanwhile; a kill loses no more than both."""

    _part: Part
    _file: File
    _on_progress: Progress | None
    _clock: Clock
    _written: int
    _pieces: list[bytes] = field(init=False, factory=list[bytes])
    _size: int = field(init=False, default=0)
    _flushed_at: float = field(init=False, default=0.0)
    _is_anew: bool = field(init=False, default=False)
    _writing: asyncio.Future[None] | None = field(init=False, default=None)
    _writing_size: int = field(init=False, default=0)

    def begin(self, offset: int) -> None:
        """An answer begins, perhaps anew. It is read on at once: aiohttp drops what waits at a fault."""
        if offset == 0:
            self._pieces, self._size, self._is_anew = [], 0, True
        self._flushed_at = self._clock.monotonic()
        self._report(offset)

    async def add(self, piece: bytes) -> None:
        """Take what is next."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= _BLOCK or self._clock.monotonic() - self._flushed_at >= _LONGEST:
            await self.flush()

    async def flush(self) -> None:
        """Begin to write what is there."""
        await self.settle()
        if self._pieces or self._is_anew:
            work = partial(self._write, self._pieces, self._file.identity if self._is_anew else None)
            self._writing = asyncio.get_running_loop().run_in_executor(None, work)
            self._writing_size = self._size
            self._written = 0 if self._is_anew else self._written
            self._pieces, self._size, self._is_anew = [], 0, False
            self._flushed_at = self._clock.monotonic()

    def _write(self, pieces: Sequence[bytes], identity: Identity | None) -> None:
        if identity is not None:
            self._part.restart(self._file.export_id, identity)
        self._part.write(pieces)

    async def settle(self) -> None:
        """Wait until what is being written is on disk."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            with _disk_faults(self._file):
                await to_its_end(writing)
            self._written += self._writing_size
            if self._writing_size and not self._is_anew:
                self._report(self._written)

    def _report(self, received: int) -> None:
        if self._on_progress is not None:
            self._on_progress(received, self._file.identity.size)


async def _on_disk(
    file: File, work: Callable[[], _Result], undo: Callable[[_Result], object] | None = None
) -> _Result:
    with _disk_faults(file):
        return await in_thread(work, undo)


@contextmanager
def _disk_faults(file: File) -> Generator[None]:
    """Tell what is wrong with the disk."""
    try:
        yield
    except OSError as fault:
        raise file.error(problem_of(fault)) from fault
