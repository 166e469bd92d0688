"""From a result URL to the bytes of a file: redirected, renewed, resumed and verified."""

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp
from attrs import define, field, frozen
from yarl import URL

from .._api.calls import is_transient
from .._api.transport import Transport
from .._api.trust import Trust, next_url, parse_url
from .._api.wire import Answer, error_from
from .._ground.clock import Clock
from ..errors import (
    ApiError,
    DownloadError,
    ExportFailedError,
    InvalidResponseError,
    RateLimitedError,
    TransportError,
)
from ..events import DownloadCompleted, DownloadInterrupted, DownloadStarted, EventHook
from ..models import Export
from ..polling import RetryPolicy
from .resume import Identity, ResponseStart, range_headers

_GZIP_WBITS = 16 + zlib.MAX_WBITS
_DECOMPRESSED_CHUNK = 1024 * 1024  # bytes at once
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_MAX_URL_RENEWALS = 2  # of the result URL, for one answer
_NOT_CSV_TYPES = {"text/html", "application/xhtml+xml", "application/json"}
_MAX_ERROR_BODY = 16 * 1024  # bytes that are read of what is no file


@frozen(kw_only=True)
class RemoteFiles:
    """Where the files of one client come from."""

    transport: Transport
    trust: Trust
    base_url: URL
    get_export: Callable[[str], Awaitable[Export]]
    retry: RetryPolicy
    max_quota_wait: float
    clock: Clock
    emit: EventHook

    async def get_finished(self, export: str | Export) -> Export:
        """The export with its result URL, asked for where that is not at hand."""
        if isinstance(export, str) or export.result_url is None:
            export = await self.get_export(export if isinstance(export, str) else export.id)
        if export.is_failed:
            raise ExportFailedError(export)
        if export.result_url is None:
            raise DownloadError(
                f"Export {export.id} is {export.status} and has no file yet: await wait_until_done() first"
            )
        return export


@define(eq=False)
class RemoteFile:
    """The file of one export, over as many requests as it takes; `target` is where it is to be kept."""

    _source: RemoteFiles
    _export: Export
    target: Path | None = None
    identity: Identity = field(init=False, factory=Identity)
    is_unchanged: bool = field(init=False, default=False)  # as what came before, for certain
    offset: int = field(init=False, default=0)  # bytes that came

    @property
    def export_id(self) -> str:
        """Whose file it is."""
        return self._export.id

    def make_error(self, problem: str) -> DownloadError:
        """What is raised when the file does not arrive, or cannot be kept."""
        size = "" if self.identity.size is None else f" of {self.identity.size}"
        at = "" if self.target is None else f" at {self.target}"
        return DownloadError(
            f"The file of export {self.export_id} did not arrive{at}: {problem}"
            f" ({self.offset}{size} bytes came)",
            bytes_received=self.offset,
            path=self.target,
        )

    def report_completed(self, started_at: float) -> None:
        """Tell that the file is whole and where it is to be."""
        elapsed = self._source.clock.monotonic() - started_at
        self._source.emit(DownloadCompleted(export_id=self.export_id, received=self.offset, elapsed=elapsed))

    async def read(self, offset: int, identity: Identity) -> AsyncGenerator[tuple[int, bytes]]:
        """The bytes from an offset on, each chunk with its own; an empty one tells where an answer begins."""
        self.offset, self.identity = offset, identity
        furthest, failures = offset, 0  # in a row that brought nothing new
        while True:
            try:
                async with aclosing(self._attempt(failures + 1)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except (ApiError, TransportError, InvalidResponseError) as error:
                failures = 1 if self.offset > furthest else failures + 1
                furthest = max(furthest, self.offset)
                delay = self._choose_delay(error, failures)
                if delay is None:
                    raise self.make_error(str(error)) from error
                self._source.emit(
                    DownloadInterrupted(
                        export_id=self.export_id, received=self.offset, delay=delay, error=str(error)
                    )
                )
            await self._source.transport.pause(delay)

    def _choose_delay(self, error: Exception, failures: int) -> float | None:
        """Seconds until another attempt; `None` if there is to be none."""
        if failures >= self._source.retry.attempts:
            return None
        if isinstance(error, RateLimitedError) and error.retry_at is not None:
            delay = max(0.0, error.retry_at.timestamp() - self._source.clock.wall())
            return delay if delay <= self._source.max_quota_wait else None
        if isinstance(error, InvalidResponseError) or is_transient(error):
            return self._source.retry.delay(failures, error)
        return None

    async def _attempt(self, attempt: int) -> AsyncGenerator[tuple[int, bytes]]:
        async with self._open_response(attempt) as response:
            is_gzip = self._start_response(response)
            yield self.offset, b""
            raw = self._read_body(response, attempt)
            async with aclosing(self._decompress(raw) if is_gzip else raw) as chunks:
                async for chunk in chunks:
                    at, self.offset = self.offset, self.offset + len(chunk)
                    if self.identity.size is not None and self.offset > self.identity.size:
                        raise self._discard(f"more than the announced {self.identity.size} bytes came")
                    yield at, chunk
        if self.identity.size is not None and self.offset < self.identity.size:
            raise _invalid("the body ended too early")

    def _start_response(self, response: aiohttp.ClientResponse) -> bool:
        """Go on where the answer does, and say whether its body is packed."""
        try:
            start = ResponseStart.from_headers(response.status, response.headers, self.offset, self.identity)
        except ValueError as error:
            raise self._discard(f"the answer is {error}") from None
        self.is_unchanged = start.identity == self.identity and start.identity.validator is not None
        self.offset, self.identity = start.offset, start.identity
        self._source.emit(
            DownloadStarted(export_id=self.export_id, received=self.offset, size=self.identity.size)
        )
        return start.is_gzip

    def _discard(self, problem: str) -> InvalidResponseError:
        """What came is not to be relied on: another attempt begins at the start."""
        self.offset, self.identity = 0, Identity()
        return _invalid(problem)

    async def _read_body(self, response: aiohttp.ClientResponse, attempt: int) -> AsyncGenerator[bytes]:
        while chunk := await self._source.transport.read(response, attempt):
            yield chunk

    async def _decompress(self, raw: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The content of a gzip body, of one or more members."""
        unpacker = zlib.decompressobj(_GZIP_WBITS)
        async with aclosing(raw):
            async for packed in raw:
                is_drained = False
                while packed or not is_drained:
                    if unpacker.eof and packed:
                        unpacker = zlib.decompressobj(_GZIP_WBITS)
                    try:
                        chunk = unpacker.decompress(packed, _DECOMPRESSED_CHUNK)
                    except zlib.error as error:
                        raise self._discard(f"the gzip body is damaged: {error}") from None
                    packed, is_drained = unpacker.unused_data or unpacker.unconsumed_tail, not chunk
                    if chunk:
                        yield chunk
        if not unpacker.eof:
            raise self._discard("the gzip body ended too early")

    @asynccontextmanager
    async def _open_response(self, attempt: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """An answer with a body of the file, asked for with a fresh URL where the token has expired."""
        response = await self._follow_redirects(attempt)
        for _ in range(_MAX_URL_RENEWALS):
            if response.status != 401:
                break
            response.close()
            self._export = await self._source.get_finished(self.export_id)
            response = await self._follow_redirects(attempt)
        try:
            await self._check_response(response, attempt)
            yield response
        finally:
            response.close()

    async def _follow_redirects(self, attempt: int) -> aiohttp.ClientResponse:
        """Follow redirects by hand: the credentials go no further than to the first stranger."""
        transport, url, is_trusted = self._source.transport, self._parse_result_url(), True
        headers = {"Accept-Encoding": "identity", **range_headers(self.offset, self.identity)}
        for _ in range(1 + _MAX_REDIRECTS):
            is_trusted = is_trusted and self._source.trust.allows(url)
            credentials: Mapping[str, str] = await transport.credentials() if is_trusted else {}
            response = await transport.open(url, {**headers, **credentials}, attempt)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            try:
                url = next_url(url, location)
            except ValueError as error:
                raise self.make_error(f"it was redirected, and {error}") from None
        raise self.make_error(f"it was redirected more than {_MAX_REDIRECTS} times")

    def _parse_result_url(self) -> URL:
        try:
            url = parse_url(str(self._export.result_url))
            return next_url(self._source.base_url, str(url))
        except ValueError as error:
            raise self.make_error(f"its result URL is refused: {error}") from None

    async def _check_response(self, response: aiohttp.ClientResponse, attempt: int) -> None:
        """Raise an error for what is no file."""
        if response.status in {200, 206}:
            if response.content_type in _NOT_CSV_TYPES:
                raise self.make_error(f"{response.url.host} answered with {response.content_type} instead")
        elif response.status == 416:
            raise self._discard("the server has no such part")
        elif response.status < 400:
            raise self.make_error(f"{response.url.host} answered {response.status}")
        else:
            body = b""
            while len(body) < _MAX_ERROR_BODY and (
                chunk := await self._source.transport.read(response, attempt)
            ):
                body += chunk
            request = f"GET {response.url.with_query(None)}"
            answer = Answer(request, response.status, response.headers, body, self._source.clock.wall())
            raise error_from(answer, self._source.transport.redact)


def _invalid(problem: str) -> InvalidResponseError:
    return InvalidResponseError(problem, problem=problem)
