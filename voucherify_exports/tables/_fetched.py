"""The files of exports as rows and tables, as they are fetched or after that."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, Unpack

from .._files.download import Downloads, Progress
from .._files.part import problem_of
from .._files.remote import Source
from .._ground.threads import in_thread, stoppable
from ..errors import DownloadError, TableError
from ..models import Export
from ._columns import Names, Origin, RowMaker
from ._convert import CellOptions, TableOptions, convert
from ._csv import Reader

_Result = TypeVar("_Result")
_Table = TypeVar("_Table", covariant=True)


class Convert(Protocol[_Table]):
    """Makes a table of a file."""

    def __call__(self, source: Path, /, **options: Unpack[TableOptions]) -> _Table: ...


class Conversions:
    """What the files of one client become."""

    def __init__(self, source: Source, downloads: Downloads) -> None:
        self._source = source
        self._downloads = downloads

    async def rows(self, export: str | Export, names: Names) -> AsyncGenerator[dict[str, str]]:
        """Each row, while the file is fetched."""
        finished = await self._source.finished(export)
        reader, rows = Reader(), RowMaker(Origin.of(finished), names)
        async with aclosing(self._downloads.stream(finished)) as pieces:
            with _told(finished):
                async for piece in pieces:
                    for row in rows.of(reader.feed(piece)):
                        yield row
                for row in rows.of(reader.end()):
                    yield row

    async def table(self, export: str | Export, convert: Convert[_Result], options: CellOptions) -> _Result:
        """The whole table, from a file that is kept in the folder for temporary files meanwhile."""
        finished = await self._source.finished(export)
        async with self._fetched(finished) as path:
            return await self._converted(finished, path, convert, options)

    async def file(
        self, export: str | Export, target: Path, options: CellOptions, on_progress: Progress | None
    ) -> Path:
        """A file of another format, made of one that is kept beside it meanwhile."""
        finished = await self._source.finished(export)

        def write(source: Path, /, **options: Unpack[TableOptions]) -> Path:
            return convert(source, target, **options)

        async with self._fetched(finished, target, on_progress) as path:
            return await self._converted(finished, path, write, options, target)

    @asynccontextmanager
    async def _fetched(
        self, export: Export, target: Path | None = None, on_progress: Progress | None = None
    ) -> AsyncGenerator[Path]:
        beside = {"prefix": f".{target.name}.", "dir": target.parent} if target else {"prefix": "export-"}
        remove = partial(shutil.rmtree, ignore_errors=True)
        with _disk_faults(export, target):
            folder = await in_thread(partial(tempfile.mkdtemp, **beside), undo=remove)
        try:
            path = Path(folder, "export.csv")
            await self._downloads.to_file(export, path, on_progress=on_progress, resume=False)
            yield path
        finally:
            await in_thread(partial(remove, folder))

    async def _converted(
        self,
        export: Export,
        path: Path,
        convert: Convert[_Result],
        options: CellOptions,
        target: Path | None = None,
    ) -> _Result:
        with _told(export), _disk_faults(export, target):
            return await stoppable(lambda check: convert(path, export=export, on_progress=check, **options))


@contextmanager
def _told(export: Export) -> Generator[None]:
    """Tell of which export a file is no table."""
    try:
        yield
    except TableError as error:
        raise TableError(
            f"Export {export.id}: {error}", line=error.line, column=error.column, value=error.value
        ) from None


@contextmanager
def _disk_faults(export: Export, path: Path | None) -> Generator[None]:
    """Tell what is wrong with the disk."""
    try:
        yield
    except OSError as fault:
        raise DownloadError(
            f"The file of export {export.id} cannot be kept: {problem_of(fault)}", path=path
        ) from fault
