"""The client: every request starts at `ExportsClient`."""

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Never, Self, TypeVar, Unpack

from attrs import frozen

from ._api.creates import Creates, ExportOptions, accepts_strict
from ._api.endpoints import ApiPoller, Endpoints, check_list, each_export
from ._api.quota import Quota
from ._api.settings import ClientOptions, ClientSignature, Settings, check_options, check_policy
from ._api.transport import Transport
from ._api.wire import export_path
from ._files.download import Downloads, Progress
from ._files.remote import RemoteFiles
from ._ground.callbacks import check_callback
from ._ground.threads import in_thread
from ._waiting.waiter import has_ended
from ._waiting.watcher import Watcher
from .errors import ConfigurationError, ExportFailedError, VoucherifyExportsError, check_range
from .extras import check_extra
from .models import Export, ExportPage
from .polling import PollPolicy
from .tables import check_target, to_arrow, to_pandas, to_polars
from .tables._columns import Names, check_names
from .tables._convert import CSV, CellOptions, check_cells, format_of
from .tables._fetched import Convert, TableDownloads

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_Result = TypeVar("_Result")


@frozen
class WaitOutcome:
    """How one wait of `wait_many` ended: with the export, with an error, or, for status ERROR, with both."""

    export_id: str
    export: Export | None = None
    error: VoucherifyExportsError | None = None


class ExportsClient(Creates):
    """The asyncio client for the exports of one Voucherify project.

    >>> async with ExportsClient(app_id, app_token) as client:
    ...     export = await client.wait_until_done("exp_CGnCVltmWjI9V1pGlnunw2Nf")

    Give either the two keys of the project or `auth`. A client serves any number of concurrent calls in one
    event loop of one process, those of its first call, with which it opens its session. A call from
    elsewhere raises `RuntimeError`: create one client in each event loop, and in each process.

    - `cluster`: `api` (Europe), `us1.api` or `as1.api`. `base_url` wins over it; it must use https, except
      for a loopback host.
    - `auth`: `OAuth`, `BearerToken`, or an object of your own with the methods of `Auth`.
    - `session`: an `aiohttp.ClientSession` of your own. The client uses it and never closes it. Its connector
      may limit the connections further, 100 by default.
    - `request_timeout`: seconds for one request, from connecting to the end of the body.
    - `retry`: how often a direct call is retried after a transient failure.
    - `poll`: how often one waiter polls its export.
    - `poll_share`: the share of the rate limit that polling may use, above 0 and at most 1. Each wait gets
      one poll even beyond it.
    - `read_lag`: seconds after the creation of an export by this client during which a wait takes a 404 for
      an export that Voucherify does not find yet.
    - `max_quota_wait`: seconds that a direct call may wait for the rate limit to reset.
    - `max_connections`: how many direct calls, how many polls, and how many downloads to files may run at the
      same time: three bounds, so that none of them waits for another.
    - `trusted_hosts`: names of further hosts that may receive the credentials when a file is downloaded.
      The API's host and Voucherify's hosts always may.
    - `on_event`: a function that is called with each event, instead of logging it; see
      `voucherify_exports.events`.
    - `clock`: replaces the system's clock in tests.

    Raises `ConfigurationError` for an invalid option, before anything is sent.
    """

    __signature__ = ClientSignature()

    def __init__(
        self, app_id: str | None = None, app_token: str | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        check_options(options, ClientOptions)
        self._settings = settings = Settings(app_id=app_id, app_token=app_token, **options)
        quota = Quota(settings.poll_share)
        self._transport = Transport(settings, quota)
        poller = ApiPoller(self._transport)
        self._watcher = Watcher(poller, quota, settings.clock, settings.on_event, settings.read_lag)
        self._api = Endpoints(self._transport, on_created=self._watcher.note_created)
        remote = RemoteFiles(settings, self._transport, self._api.get)
        self._downloads = Downloads(remote)
        self._table_downloads = TableDownloads(remote, self._downloads)

    @classmethod
    def from_env(
        cls, app_id: str | None = None, app_token: str | None = None, **options: Unpack[ClientOptions]
    ) -> Self:
        """A client with the keys from `VOUCHERIFY_APP_ID` and `VOUCHERIFY_APP_TOKEN`.

        `VOUCHERIFY_CLUSTER` and `VOUCHERIFY_BASE_URL` say where the project is. All arguments are those of
        the class and win over the environment: with `auth`, the two keys are not read; with `cluster` or
        `base_url`, neither of their variables is.

        Raises `ConfigurationError` with the names of the variables that are missing.
        """
        if not options.keys() & {"cluster", "base_url"}:
            if cluster := _environment("VOUCHERIFY_CLUSTER"):
                options["cluster"] = cluster
            if base_url := _environment("VOUCHERIFY_BASE_URL"):
                options["base_url"] = base_url
        if options.get("auth") is None:
            app_id = _environment("VOUCHERIFY_APP_ID") if app_id is None else app_id
            app_token = _environment("VOUCHERIFY_APP_TOKEN") if app_token is None else app_token
            keys = {"VOUCHERIFY_APP_ID": app_id, "VOUCHERIFY_APP_TOKEN": app_token}
            if missing := [name for name, value in keys.items() if value is None]:
                raise ConfigurationError(f"not set in the environment: {' and '.join(missing)}")
        return cls(app_id, app_token, **options)

    def __repr__(self) -> str:
        return f"<ExportsClient {self._settings.url} {self._settings.credentials!r}>"

    def __reduce__(self) -> Never:
        raise TypeError("an ExportsClient cannot be pickled or copied: create one in each process")

    async def __aenter__(self) -> Self:
        self._transport.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client: every pending call and every pending wait raises `ClientClosedError`.

        Close it in its event loop, before that one ends.
        """
        self._transport.start_closing()
        try:
            await self._watcher.close()
        finally:
            await self._transport.close()

    async def get_export(self, export_id: str) -> Export:
        """The export as it is now: exactly one GET when nothing fails.

        Raises `ExportNotFoundError`, `AuthenticationError` and other `ApiError`s for the errors that
        Voucherify returns, `TransportError` when every attempt failed, `InvalidResponseError` for a
        response that is not an export, and `RateLimitedError` when the quota is spent for longer than
        `max_quota_wait`.
        """
        return await self._api.get(export_id)

    async def list_page(
        self, page: int = 1, *, order: str = "-created_at", page_size: int = 100
    ) -> ExportPage:
        """One page of the project's exports, and the total number of exports; a page past the end is empty.

        `page` is from 1 to 100 and `page_size` from 1 to 100 exports. `order` is `-created_at` (the newest
        first), `created_at`, `-status` or `status`. Raises `ValueError` for other values.
        Source: Voucherify API reference, "List exports".
        """
        check_list(page, order, page_size)
        return await self._api.list_page(page, order=order, page_size=page_size)

    async def list_exports(
        self, *, order: str = "-created_at", page_size: int = 100
    ) -> AsyncGenerator[Export]:
        """Each export of the project once, with one request per page; see `list_page` for the arguments.

        New exports shift the pages while they are read: no export is yielded twice. Deleted exports shift
        them back: with `order="-created_at"` no export is skipped. The list has 100 pages, which are the
        first 10,000 exports of the order, or fewer with a smaller `page_size`.

        >>> async for export in client.list_exports():
        ...     print(export.id, export.status)
        """
        check_list(1, order, page_size)
        exports = each_export(
            lambda page: self._api.list_page(page, order=order, page_size=page_size), page_size
        )
        async with aclosing(exports):
            async for export in exports:
                yield export

    async def delete_export(self, export_id: str) -> None:
        """Delete an export and its file permanently; raises `ExportNotFoundError` if it does not exist."""
        await self._api.delete(export_id)

    async def wait_until_done(
        self,
        export: str | Export,
        *,
        timeout: float | None = 1800.0,
        poll: PollPolicy | None = None,
        on_update: Callable[[Export], object] | None = None,
        raise_on_error: bool = True,
    ) -> Export:
        """Wait until an export is DONE, and return it with its result URL.

        `timeout` bounds the whole wait, in seconds; `None` means no bound. When it is over, one last poll is
        sent if the quota allows it, which may take a second. `on_update` is called with the export whenever
        its status changes, from the first status that a poll returns to the last. A transient failure never
        ends the wait.

        Raises `ExportFailedError` when the export ends in ERROR (with `raise_on_error=False`, it is
        returned), `WaitTimeoutError` when the time is over, `ExportNotFoundError` when the export does not
        exist or was deleted, `AuthenticationError` or `PermissionDeniedError` for the credentials,
        `TransportError` for what cannot pass by itself, such as a certificate that is refused, and
        `RateLimitedError` at once when the quota is spent for longer than the wait may last.

        Cancelling the wait ends only this wait. The export continues at Voucherify.
        """
        export_id, known = _check_export(export)
        _check_timeout(timeout)
        _check_poll(poll)
        _check_callback("on_update", on_update)
        self._transport.check_open()
        if known is None or not has_ended(known):
            waiter = self._watcher.attach(
                export_id, known, timeout, poll or self._settings.poll, on_update=on_update
            )
            try:
                # Not in a coroutine of the watcher: there may be thousands of waits, and so of its frames.
                while waiter.outcome is None:
                    await waiter.notified()
                    waiter.run_callbacks()
            finally:
                await self._watcher.detach([waiter])
            known = waiter.result()
        if known.is_failed and raise_on_error:
            raise ExportFailedError(known)
        return known

    async def wait_many(
        self,
        exports: Iterable[str | Export],
        *,
        timeout: float | None = 1800.0,
        poll: PollPolicy | None = None,
    ) -> AsyncGenerator[WaitOutcome]:
        """Wait for many exports, and yield one `WaitOutcome` for each as it finishes.

        Raises `TypeError` for one `str` instead of a list.

        `timeout` bounds each wait, in seconds; `None` means no bound. A wait that fails does not end the
        others. Only an exception of a wait strategy is raised, since the strategy is that of all. Leaving the
        loop early ends the waits that are left; close the iterator with `contextlib.aclosing` to end them at
        once.

        >>> async for outcome in client.wait_many(ids):
        ...     print(outcome.export_id, outcome.error or outcome.export)
        """
        if isinstance(exports, str):
            raise TypeError(f"exports must be a list of ids or exports: write [{exports!r}]")
        if not isinstance(exports, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # such as one Export
            raise TypeError(f"exports must be a list of ids or exports, not {type(exports).__name__}")
        wanted = [_check_export(export) for export in exports]
        _check_timeout(timeout)
        _check_poll(poll)
        self._transport.check_open()
        policy = poll or self._settings.poll
        async with aclosing(self._watcher.wait_many(wanted, timeout, policy)) as outcomes:
            async for export_id, outcome in outcomes:
                yield _outcome(export_id, outcome)

    async def stream(self, export: str | Export) -> AsyncGenerator[bytes]:
        """The bytes of a finished export's file, each once and in order, in chunks of any size.

        Memory use stays constant: chunks are fetched as they are consumed. The errors are those of
        `download`. An interrupted stream continues only if the server proves that the file is the same.

        >>> async for chunk in client.stream(export):
        ...     digest.update(chunk)
        """
        _check_export(export)
        self._transport.check_open()
        async with aclosing(self._downloads.stream(export)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def download(
        self,
        export: str | Export,
        path: str | os.PathLike[str],
        *,
        on_progress: Progress | None = None,
        resume: bool = True,
    ) -> Path:
        """Download the file of a finished export, and return its path.

        The bytes are written to `path` + `.part`, which replaces `path` in one step when it is complete. An
        interrupted download resumes where it stopped if the server proves that the file is the same; with
        `resume`, so does one that an earlier call or process left there. `on_progress(received, total)` is
        called with numbers of bytes; the total is `None` where it is unknown.

        Raises `DownloadError` when the file did not arrive or cannot be written, with the reason as its
        cause, `ExportFailedError` for an export in ERROR, and what `get_export` raises.
        """
        _check_export(export)
        _check_callback("on_progress", on_progress)
        self._transport.check_open()
        target = Path(path)
        await self._downloads.to_file(export, target, on_progress=on_progress, resume=resume)
        return target

    async def rows(self, export: str | Export, *, names: Names = "field") -> AsyncGenerator[dict[str, str]]:
        """Each row of a finished export's file as a dict of strings, `""` for an empty cell.

        With `names="field"` the columns are named like the API's fields, with `"header"` like the header of
        the file; see `voucherify_exports.tables`. Memory use stays constant. The errors are those of
        `stream`, and `TableError` for a file that is not a table.

        >>> async for row in client.rows(export):
        ...     print(row["voucher_code"], row["result"])
        """
        _check_export(export)
        check_names(names)
        self._transport.check_open()
        async with aclosing(self._table_downloads.stream_rows(export, names)) as rows:
            async for row in rows:
                yield row

    async def to_arrow(self, export: str | Export, **options: Unpack[CellOptions]) -> "pa.Table":
        """A finished export's file as a `pyarrow.Table`; needs the extra `arrow`.

        The options are those of `voucherify_exports.tables`: `names`, `strict`, `json`. The file is
        downloaded to the folder for temporary files first. The errors are those of `download`,
        `TableError` for a file that is not a table, and `MissingExtraError` before anything is sent.
        """
        return await self._converted("arrow", export, to_arrow, options)

    async def to_pandas(self, export: str | Export, **options: Unpack[CellOptions]) -> "pd.DataFrame":
        """A finished export's file as a `pandas.DataFrame`; like `to_arrow`, needs the extra `pandas`."""
        return await self._converted("pandas", export, to_pandas, options)

    async def to_polars(self, export: str | Export, **options: Unpack[CellOptions]) -> "pl.DataFrame":
        """A finished export's file as a `polars.DataFrame`; like `to_arrow`, needs the extra `polars`."""
        return await self._converted("polars", export, to_polars, options)

    async def _converted(
        self, extra: str, export: str | Export, convert: Convert[_Result], options: CellOptions
    ) -> _Result:
        _check_export(export)
        check_cells(options)
        self._transport.check_open()
        await in_thread(partial(check_extra, extra))  # it imports large packages
        return await self._table_downloads.to_table(export, convert, options)

    @accepts_strict
    async def export_to(
        self,
        path: str | os.PathLike[str],
        exported_object: str,
        *,
        campaign_id: str | None = None,
        timeout: float | None = 1800.0,
        poll: PollPolicy | None = None,
        on_update: Callable[[Export], object] | None = None,
        on_progress: Progress | None = None,
        cells: CellOptions | None = None,
        **options: Unpack[ExportOptions],
    ) -> Path:
        """Create an export, wait for it, download its file, and write it in the format of the path's suffix.

        The formats are `.csv` (the file as it is), `.parquet`, `.arrow` and `.jsonl`; for all but `.csv`,
        `cells` contains the options of `to_arrow`. The other arguments and the errors are those of
        `create_export`, `wait_until_done` and `download`. `ValueError` for another suffix,
        `MissingExtraError`, and `DownloadError` for a path that cannot be written are raised before anything
        is created.
        """
        _check_timeout(timeout)
        _check_poll(poll)
        _check_callback("on_update", on_update)
        _check_callback("on_progress", on_progress)
        check_cells(cells or {})
        self._transport.check_open()
        target = Path(path)
        await in_thread(partial(check_target, target))
        created = await self.create_export(exported_object, campaign_id=campaign_id, **options)
        done = await self.wait_until_done(created, timeout=timeout, poll=poll, on_update=on_update)
        return await self.save(done, target, cells=cells, on_progress=on_progress)

    async def save(
        self,
        export: str | Export,
        path: str | os.PathLike[str],
        *,
        cells: CellOptions | None = None,
        on_progress: Progress | None = None,
    ) -> Path:
        """Download the file of a finished export, and write it in the format of the path's suffix.

        This is the last step of `export_to`, for an export that exists already.
        """
        _check_export(export)
        _check_callback("on_progress", on_progress)
        check_cells(cells or {})
        self._transport.check_open()
        target = Path(path)
        await in_thread(partial(check_target, target))
        if format_of(target) == CSV:
            return await self.download(export, target, on_progress=on_progress)
        return await self._table_downloads.to_file(export, target, cells or {}, on_progress=on_progress)


def _environment(name: str) -> str | None:
    """A variable, `None` for an empty one."""
    return os.environ.get(name) or None


def _check_export(export: str | Export) -> tuple[str, Export | None]:
    known = export if isinstance(export, Export) else None
    export_id = export.id if isinstance(export, Export) else export
    export_path(export_id)
    return export_id, known


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None:
        check_range("timeout", timeout, least=0)


def _check_poll(poll: object) -> None:
    if poll is not None:
        check_policy("poll", poll, PollPolicy)


def _check_callback(name: str, callback: object) -> None:
    if callback is not None:
        check_callback(name, callback)


def _outcome(export_id: str, outcome: Export | BaseException) -> WaitOutcome:
    if isinstance(outcome, Export):
        return WaitOutcome(export_id, outcome, ExportFailedError(outcome) if outcome.is_failed else None)
    if isinstance(outcome, VoucherifyExportsError):
        return WaitOutcome(export_id, None, outcome)
    raise outcome
