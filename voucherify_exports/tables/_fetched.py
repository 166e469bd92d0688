"""Downloads of export files as rows, tables and files of other formats."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, Unpack

from .._files.download import Downloads, Progress
from .._files.part import os_errors_as
from .._files.remote import RemoteFiles
from .._ground.threads import in_stoppable_thread, in_thread
from ..errors import DownloadError, TableError
from ..models import Export
from ._columns import Names, Origin, RowBuilder
from ._convert import CellOptions, TableOptions, convert
from ._csv import CSVParser

_Result = TypeVar("_Result")
_Table = TypeVar("_Table", covariant=True)


class Convert(Protocol[_Table]):
    """A function that converts a CSV file."""

    def __call__(self, source: Path, /, **options: Unpack[TableOptions]) -> _Table: ...


class TableDownloads:
    """The downloads of one client that are converted."""

    def __init__(self, remote: RemoteFiles, downloads: Downloads) -> None:
        self._remote = remote
        self._downloads = downloads

    async def stream_rows(self, export: str | Export, names: Names) -> AsyncGenerator[dict[str, str]]:
        """Yield each row while the file is downloaded."""
        finished = await self._remote.get_finished(export)
        parser, rows = CSVParser(), RowBuilder(Origin.from_export(finished), names)
        async with aclosing(self._downloads.stream(finished)) as chunks:
            with _naming_export(finished):
                async for chunk in chunks:
                    for row in rows.build(parser.feed(chunk)):
                        yield row
                for row in rows.build(parser.finish()):
                    yield row

    async def to_table(
        self, export: str | Export, convert: Convert[_Result], options: CellOptions
    ) -> _Result:
        """Download to the temporary folder, and return what `convert` returns for the file."""
        finished = await self._remote.get_finished(export)
        async with self._download(finished) as path:
            return await self._convert(finished, path, convert, options)

    async def to_file(
        self, export: str | Export, target: Path, options: CellOptions, on_progress: Progress | None
    ) -> Path:
        """Download to a folder beside the target, and convert the file to the format of the target."""
        finished = await self._remote.get_finished(export)

        def write(source: Path, /, **options: Unpack[TableOptions]) -> Path:
            return convert(source, target, **options)

        async with self._download(finished, target, on_progress) as path:
            return await self._convert(finished, path, write, options, target)

    @asynccontextmanager
    async def _download(
        self, export: Export, target: Path | None = None, on_progress: Progress | None = None
    ) -> AsyncGenerator[Path]:
        beside = {"prefix": f".{target.name}.", "dir": target.parent} if target else {"prefix": "export-"}
        remove = partial(shutil.rmtree, ignore_errors=True)
        with os_errors_as(partial(_storage_error, export, target)):
            folder = await in_thread(partial(tempfile.mkdtemp, **beside), undo=remove)
        try:
            path = Path(folder, "export.csv")
            await self._downloads.to_file(export, path, on_progress=on_progress, resume=False)
            yield path
        finally:
            await in_thread(partial(remove, folder))

    async def _convert(
        self,
        export: Export,
        path: Path,
        convert: Convert[_Result],
        options: CellOptions,
        target: Path | None = None,
    ) -> _Result:
        with _naming_export(export), os_errors_as(partial(_storage_error, export, target)):
            return await in_stoppable_thread(
                lambda check: convert(path, export=export, on_progress=check, **options)
            )


@contextmanager
def _naming_export(export: Export) -> Generator[None]:
    """Add the id of the export to a `TableError`."""
    try:
        yield
    except TableError as error:
        raise TableError(
            f"Export {export.id}: {error}", line=error.line, column=error.column, value=error.value
        ) from None


def _storage_error(export: Export, path: Path | None, problem: str) -> DownloadError:
    place = "a temporary file" if path is None else path
    return DownloadError(f"Cannot write export {export.id} to {place}: {problem}", path=path)
