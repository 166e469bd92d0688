"""The front door: one object through which everything is asked."""

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import aiohttp
from attrs import frozen
from yarl import URL

from ._api.creates import Creates, accepts_strict
from ._api.creates import ExportOptions as ExportOptions  # for the package
from ._api.endpoints import Api, Polls, check_list, each_export
from ._api.quota import Quota
from ._api.settings import check_base_url, check_range, choose_auth, cluster_url
from ._api.transport import Transport
from ._api.trust import Trust
from ._api.wire import export_path
from ._files.download import Downloads, Progress
from ._files.remote import Source
from ._ground.clock import Clock, SystemClock
from ._ground.threads import in_thread
from ._waiting.watcher import Watcher
from .auth import Auth
from .errors import ClientClosedError, ConfigurationError, ExportFailedError, VoucherifyExportsError
from .events import EventHook, log_event
from .models import Export, ExportPage
from .polling import PollPolicy, RetryPolicy
from .tables import check_target, to_arrow, to_pandas, to_polars
from .tables._columns import Names
from .tables._convert import CSV, CellOptions, check_extra, format_of
from .tables._fetched import Conversions, Convert

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_Result = TypeVar("_Result")


@frozen
class WaitOutcome:
    """How one wait of `wait_many` ended: with the export, with an error, or, in ERROR, with both."""

    export_id: str
    export: Export | None = None
    error: VoucherifyExportsError | None = None


class ExportsClient(Creates):
    """The exports of one Voucherify project, for asyncio.

    >>> async with ExportsClient(app_id, app_token) as client:
    ...     export = await client.wait_until_done("exp_CGnCVltmWjI9V1pGlnunw2Nf")

    Give the two keys of the project, or `auth`. One client serves any number of concurrent calls in
    one event loop, and makes its session at the first of them.

    - `cluster`: `api` (Europe), `us1.api` or `as1.api`; `base_url` wins over it, and must be https
      unless its host is a loopback one.
    - `session`: an `aiohttp.ClientSession` of your own, which is used and never closed.
    - `request_timeout`: seconds for one request, from connecting to the end of the body.
    - `retry`: how often a direct call tries again after a transient fault.
    - `poll`: how often one waiter looks at its export. `poll_share`: what polling may take of the
      rate limit, above 0 and at most 1; the rest is for others.
    - `max_quota_wait`: seconds that a direct call may wait for the rate limit to reset.
    - `max_connections`: requests under way at the same time, and files that are downloaded.
    - `trusted_hosts`: bare names of more hosts that may see the credentials when a file is downloaded;
      the API's own and those of Voucherify's always may, all others never.
    - `on_event`: called with each event instead of logging it, see `voucherify_exports.events`.
    - `clock`: time itself, for tests.

    Raises `ConfigurationError` for what cannot be right, before anything is sent.
    """

    def __init__(
        self,
        app_id: str | None = None,
        app_token: str | None = None,
        *,
        cluster: str = "api",
        base_url: str | URL | None = None,
        auth: Auth | None = None,
        session: aiohttp.ClientSession | None = None,
        request_timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        poll: PollPolicy = PollPolicy(),  # noqa: B008 - frozen
        poll_share: float = 0.5,
        max_quota_wait: float = 120.0,
        max_connections: int = 20,
        trusted_hosts: Iterable[str] = (),
        on_event: EventHook | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._auth = choose_auth(app_id, app_token, auth)
        self._base_url = check_base_url(cluster_url(cluster) if base_url is None else base_url)
        check_range("request_timeout", request_timeout, above=0)
        check_range("poll_share", poll_share, above=0, most=1)
        check_range("max_connections", max_connections, above=0)
        check_range("max_quota_wait", max_quota_wait, least=0)
        trust = Trust.of(self._base_url, trusted_hosts)
        self._poll = poll
        self._closed = False
        emit = on_event or log_event
        clock = clock or SystemClock()
        quota = Quota(poll_share)
        self._transport = Transport(
            self._base_url,
            self._auth,
            session=session,
            request_timeout=request_timeout,
            retry=retry,
            quota=quota,
            max_quota_wait=max_quota_wait,
            max_connections=max_connections,
            clock=clock,
            emit=emit,
        )
        self._api = Api(self._transport)
        source = Source(
            transport=self._transport,
            trust=trust,
            base_url=self._base_url,
            get_export=self._api.get,
            retry=retry,
            max_quota_wait=max_quota_wait,
            clock=clock,
            emit=emit,
        )
        self._downloads = Downloads(source, max_connections)
        self._conversions = Conversions(source, self._downloads)
        self._watcher = Watcher(Polls(self._transport), quota, clock, emit)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """A client from `VOUCHERIFY_APP_ID`, `_APP_TOKEN`, `_CLUSTER` and `_BASE_URL`.

        `overrides` are arguments of the class and win. `ConfigurationError` names what is missing.
        """
        names = ["cluster", "base_url"]
        if "auth" not in overrides:
            names += ["app_id", "app_token"]
        found = {name: os.environ.get(f"VOUCHERIFY_{name.upper()}") for name in names}
        options: dict[str, Any] = {name: value for name, value in found.items() if value} | overrides
        missing = [f"VOUCHERIFY_{name.upper()}" for name in names[2:] if name not in options]
        if missing:
            raise ConfigurationError(f"not set in the environment: {' and '.join(missing)}")
        return cls(**options)

    def __repr__(self) -> str:
        return f"<ExportsClient {self._base_url} {self._auth!r}>"

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client: every call and every wait that is pending raises `ClientClosedError`."""
        self._closed = True
        try:
            await self._watcher.close()
        finally:
            await self._transport.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError

    async def get_export(self, export_id: str) -> Export:
        """One export as it is now: exactly one GET when nothing fails.

        Raises `ExportNotFoundError`, `AuthenticationError` and the like for what Voucherify answers,
        `TransportError` when no answer came in all attempts, `InvalidResponseError` for an answer
        that is no export, `RateLimitedError` when the quota is spent for longer than `max_quota_wait`.
        """
        return await self._api.get(export_id)

    async def list_page(
        self, page: int = 1, *, order: str = "-created_at", page_size: int = 100
    ) -> ExportPage:
        """One page of the project's exports, and how many there are in all; a page past the end is empty.

        `page` is 1 to 100, `page_size` 1 to 100 exports, `order` one of `-created_at` (the newest
        first), `created_at`, `-status` and `status`; `ValueError` for others.
        Source: Voucherify API reference, "List exports".
        """
        check_list(page, order, page_size)
        return await self._api.list_page(page, order=order, page_size=page_size)

    async def list_exports(
        self, *, order: str = "-created_at", page_size: int = 100
    ) -> AsyncGenerator[Export]:
        """Each export of the project once, a request for each page; see `list_page` for the arguments.

        New exports shift the pages while they are read: none is shown twice. Deleted ones shift them
        back: with `order="-created_at"` none is passed over. The list has 100 pages, so it shows the
        first 10,000 exports of its order, or fewer with a smaller `page_size`.

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
        """Delete an export and its file for good; `ExportNotFoundError` when there is none."""
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

        `timeout` bounds the whole wait in seconds, `None` does not; the last look is taken when it is
        over, and given a second. `on_update` is called with the export at each change of its status,
        the first sight and the last change included. A fault on the way is no news and never the end.

        Raises `ExportFailedError` when the export ends in ERROR (with `raise_on_error=False` it is
        returned), `WaitTimeoutError` when the time is over, `ExportNotFoundError` when there is no
        such export (any more), `AuthenticationError` or `PermissionDeniedError` for the credentials,
        `RateLimitedError` at once when the quota is spent for longer than the wait may take.

        Cancelling the wait ends this wait alone, and nothing at Voucherify.
        """
        export_id, seen = _check_wanted(export)
        _check_timeout(timeout)
        self._check_open()
        if seen is None or not _is_at_end(seen):
            seen = await self._watcher.wait(export_id, seen, timeout, poll or self._poll, on_update)
        if seen.is_failed and raise_on_error:
            raise ExportFailedError(seen)
        return seen

    async def wait_many(
        self,
        exports: Iterable[str | Export],
        *,
        timeout: float | None = 1800.0,
        poll: PollPolicy | None = None,
    ) -> AsyncGenerator[WaitOutcome]:
        """Wait for many exports, and take each as it finishes: one `WaitOutcome` for each that is given.

        `timeout` is in seconds, for each of them, and `None` for no bound. One failure never ends the
        others. Leaving the loop early ends the waits that are left; close the iterator
        (`contextlib.aclosing`) to have that done at once.

        >>> async for outcome in client.wait_many(ids):
        ...     print(outcome.export_id, outcome.error or outcome.export)
        """
        wanted = [_check_wanted(export) for export in exports]
        _check_timeout(timeout)
        self._check_open()
        pending: list[tuple[str, Export | None]] = []
        for export_id, seen in wanted:
            if seen is not None and _is_at_end(seen):
                yield _outcome(export_id, seen)
            else:
                pending.append((export_id, seen))
        async with aclosing(self._watcher.wait_many(pending, timeout, poll or self._poll)) as outcomes:
            async for export_id, outcome in outcomes:
                yield _outcome(export_id, outcome)

    async def stream(self, export: str | Export) -> AsyncGenerator[bytes]:
        """The bytes of a finished export's file, each once and in order, in pieces of any size.

        Memory stays flat: what is not taken is not fetched. Errors are those of `download`; a stream
        that was interrupted cannot begin anew, unless the server proves that the file is the same.

        >>> async for piece in client.stream(export):
        ...     digest.update(piece)
        """
        _check_wanted(export)
        self._check_open()
        async with aclosing(self._downloads.stream(export)) as pieces:
            async for piece in pieces:
                yield piece

    async def download(
        self,
        export: str | Export,
        path: str | os.PathLike[str],
        *,
        on_progress: Progress | None = None,
        resume: bool = True,
    ) -> Path:
        """Download the file of a finished export, and return its path.

        The bytes are gathered in `path` + `.part`, which takes the place of `path` in one step when it
        is whole. An interrupted download goes on where it stopped as long as the server proves that the
        file is the same; with `resume` also one that an earlier call or process left there.
        `on_progress(received, total)` is called with bytes, `None` for a total that is not known.

        Raises `DownloadError` when the file did not arrive or cannot be kept, with the reason as its
        cause, `ExportFailedError` for an export in ERROR, and what `get_export` raises.
        """
        _check_wanted(export)
        self._check_open()
        target = Path(path)
        await self._downloads.to_file(export, target, on_progress=on_progress, resume=resume)
        return target

    async def rows(self, export: str | Export, *, names: Names = "field") -> AsyncGenerator[dict[str, str]]:
        """Each row of a finished export's file as a dict of texts, `""` for an empty cell.

        `names` calls the columns as the fields of the API (`"field"`) or as the file does (`"header"`), see
        `voucherify_exports.tables`. Memory stays flat. Errors are those of `stream`, and `TableError` for a
        file that is no table.

        >>> async for row in client.rows(export):
        ...     print(row["voucher_code"], row["result"])
        """
        _check_wanted(export)
        self._check_open()
        async with aclosing(self._conversions.rows(export, names)) as rows:
            async for row in rows:
                yield row

    async def to_arrow(self, export: str | Export, **options: Unpack[CellOptions]) -> "pa.Table":
        """A finished export's file as a `pyarrow.Table`; needs the extra `arrow`.

        The options are those of `voucherify_exports.tables`: `names`, `strict`, `json`. The file is kept in
        the folder for temporary files meanwhile. Errors are those of `download`, `TableError` for a file
        that is no table, and `MissingExtraError` before anything is sent.
        """
        return await self._converted("arrow", export, to_arrow, options)

    async def to_pandas(self, export: str | Export, **options: Unpack[CellOptions]) -> "pd.DataFrame":
        """A finished export's file as a `pandas.DataFrame`; as `to_arrow`, with the extra `pandas`."""
        return await self._converted("pandas", export, to_pandas, options)

    async def to_polars(self, export: str | Export, **options: Unpack[CellOptions]) -> "pl.DataFrame":
        """A finished export's file as a `polars.DataFrame`; as `to_arrow`, with the extra `polars`."""
        return await self._converted("polars", export, to_polars, options)

    async def _converted(
        self, extra: str, export: str | Export, convert: Convert[_Result], options: CellOptions
    ) -> _Result:
        _check_wanted(export)
        self._check_open()
        await in_thread(partial(check_extra, extra))  # which imports
        return await self._conversions.table(export, convert, options)

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
        """Create an export, wait for it, download its file, and write it as the suffix of the path says.

        That is `.csv` for the file as it is, or `.parquet`, `.arrow` or `.jsonl`, for which `cells` holds
        the options of `to_arrow`. The other arguments are those of `create_export`, `wait_until_done` and
        `download`, and so are the errors; `ValueError` for another suffix, `MissingExtraError`, and
        `DownloadError` for a place where no file can be, come before anything is created.
        """
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
        """Download the file of a finished export, and write it as the suffix of the path says.

        This is the last step of `export_to`, for an export that is there already.
        """
        _check_wanted(export)
        self._check_open()
        target = Path(path)
        await in_thread(partial(check_target, target))
        if format_of(target) == CSV:
            return await self.download(export, target, on_progress=on_progress)
        return await self._conversions.file(export, target, cells or {}, on_progress=on_progress)


def _check_wanted(export: str | Export) -> tuple[str, Export | None]:
    seen = export if isinstance(export, Export) else None
    export_id = export.id if isinstance(export, Export) else export
    export_path(export_id)
    return export_id, seen


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None:
        check_range("timeout", timeout, least=0)


def _is_at_end(export: Export) -> bool:
    """Whether there is nothing more to wait for; DONE without a result is not yet the end."""
    return export.is_failed or (export.is_done and export.result_url is not None)


def _outcome(export_id: str, outcome: Export | BaseException) -> WaitOutcome:
    if isinstance(outcome, Export):
        return WaitOutcome(export_id, outcome, ExportFailedError(outcome) if outcome.is_failed else None)
    if isinstance(outcome, VoucherifyExportsError):
        return WaitOutcome(export_id, None, outcome)
    raise outcome
