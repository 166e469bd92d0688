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
from .._api.wire import Response, error_from
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
from .resume import Identity, begin_of, range_headers

_GZIP = 16 + zlib.MAX_WBITS
_UNPACKED = 1024 * 1024  # bytes at once
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
_MOST_RENEWALS = 2  # of the result URL, for one answer
_NO_FILES = {"text/html", "application/xhtml+xml", "application/json"}
_ERROR_BODY = 16 * 1024  # bytes that are read of what is no file


@frozen(kw_only=True)
class Source:
    """Where the files of one client come from."""

    transport: Transport
    trust: Trust
    base_url: URL
    get_export: Callable[[str], Awaitable[Export]]
    retry: RetryPolicy
    max_quota_wait: float
    clock: Clock
    emit: EventHook

    async def finished(self, export: str | Export) -> Export:
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
class File:
    """The file of one export, over as many requests as it takes; `target` is where it is to be kept."""

    _source: Source
    _export: Export
    target: Path | None = None
    identity: Identity = field(init=False, factory=Identity)
    is_same: bool = field(init=False, default=False)  # as what came before, for certain
    offset: int = field(init=False, default=0)  # bytes that came

    @property
    def export_id(self) -> str:
        """Whose file it is."""
        return self._export.id

    def error(self, problem: str) -> DownloadError:
        """What is raised when the file does not arrive, or cannot be kept."""
        size = "" if self.identity.size is None else f" of {self.identity.size}"
        at = "" if self.target is None else f" at {self.target}"
        return DownloadError(
            f"The file of export {self.export_id} did not arrive{at}: {problem}"
            f" ({self.offset}{size} bytes came)",
            bytes_received=self.offset,
            path=self.target,
        )

    def complete(self, began: float) -> None:
        """Tell that the file is whole and where it is to be."""
        elapsed = self._source.clock.monotonic() - began
        self._source.emit(DownloadCompleted(export_id=self.export_id, received=self.offset, elapsed=elapsed))

    async def pieces(self, offset: int, identity: Identity) -> AsyncGenerator[tuple[int, bytes]]:
        """The bytes from an offset on, each piece with its own; an empty one tells where an answer begins."""
        self.offset, self.identity = offset, identity
        furthest, failures = offset, 0  # in a row that brought nothing new
        while True:
            try:
                async with aclosing(self._attempt(failures + 1)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except (ApiError, TransportError, InvalidResponseError) as error:
                failures = 1 if self.offset > furthest else failures + 1
                furthest = max(furthest, self.offset)
                delay = self._delay(error, failures)
                if delay is None:
                    raise self.error(str(error)) from error
                self._source.emit(
                    DownloadInterrupted(
                        export_id=self.export_id, received=self.offset, delay=delay, error=str(error)
                    )
                )
            await self._source.transport.pause(delay)

    def _delay(self, error: Exception, failures: int) -> float | None:
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
        async with self._answer(attempt) as response:
            is_gzip = self._begin(response)
            yield self.offset, b""
            raw = self._raw(response, attempt)
            async with aclosing(self._unpacked(raw) if is_gzip else raw) as pieces:
                async for piece in pieces:
                    at, self.offset = self.offset, self.offset + len(piece)
                    if self.identity.size is not None and self.offset > self.identity.size:
                        raise self._spoilt(f"more than the announced {self.identity.size} bytes came")
                    yield at, piece
        if self.identity.size is not None and self.offset < self.identity.size:
            raise _invalid("the body ended too early")

    def _begin(self, response: aiohttp.ClientResponse) -> bool:
        """Go on where the answer does, and say whether its body is packed."""
        try:
            begin = begin_of(response.status, response.headers, self.offset, self.identity)
        except ValueError as error:
            raise self._spoilt(f"the answer is {error}") from None
        self.is_same = begin.identity == self.identity and begin.identity.validator is not None
        self.offset, self.identity = begin.offset, begin.identity
        self._source.emit(
            DownloadStarted(export_id=self.export_id, received=self.offset, size=self.identity.size)
        )
        return begin.is_gzip

    def _spoilt(self, problem: str) -> InvalidResponseError:
        """What came is not to be relied on: another attempt begins at the start."""
        self.offset, self.identity = 0, Identity()
        return _invalid(problem)

    async def _raw(self, response: aiohttp.ClientResponse, attempt: int) -> AsyncGenerator[bytes]:
        while piece := await self._source.transport.read(response, attempt):
            yield piece

    async def _unpacked(self, raw: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The content of a gzip body, of one or more members."""
        unpacker = zlib.decompressobj(_GZIP)
        async with aclosing(raw):
            async for packed in raw:
                is_drained = False
                while packed or not is_drained:
                    if unpacker.eof and packed:
                        unpacker = zlib.decompressobj(_GZIP)
                    try:
                        piece = unpacker.decompress(packed, _UNPACKED)
                    except zlib.error as error:
                        raise self._spoilt(f"the gzip body is damaged: {error}") from None
                    packed, is_drained = unpacker.unused_data or unpacker.unconsumed_tail, not piece
                    if piece:
                        yield piece
        if not unpacker.eof:
            raise self._spoilt("the gzip body ended too early")

    @asynccontextmanager
    async def _answer(self, attempt: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """An answer with a body of the file, asked for with a fresh URL where the token has expired."""
        response = await self._follow(attempt)
        for _ in range(_MOST_RENEWALS):
            if response.status != 401:
                break
            response.close()
            self._export = await self._source.finished(self.export_id)
            response = await self._follow(attempt)
        try:
            await self._check(response, attempt)
            yield response
        finally:
            response.close()

    async def _follow(self, attempt: int) -> aiohttp.ClientResponse:
        """Follow redirects by hand: the credentials go no further than to the first stranger."""
        transport, url, is_trusted = self._source.transport, self._result_url(), True
        headers = {"Accept-Encoding": "identity", **range_headers(self.offset, self.identity)}
        for _ in range(1 + _MOST_REDIRECTS):
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
                raise self.error(f"it was redirected, and {error}") from None
        raise self.error(f"it was redirected more than {_MOST_REDIRECTS} times")

    def _result_url(self) -> URL:
        try:
            url = parse_url(str(self._export.result_url))
            return next_url(self._source.base_url, str(url))
        except ValueError as error:
            raise self.error(f"its result URL is refused: {error}") from None

    async def _check(self, response: aiohttp.ClientResponse, attempt: int) -> None:
        """Raise an error for what is no file."""
        if response.status in {200, 206}:
            if response.content_type in _NO_FILES:
                raise self.error(f"{response.url.host} answered with {response.content_type} instead")
        elif response.status == 416:
            raise self._spoilt("the server has no such part")
        elif response.status < 400:
            raise self.error(f"{response.url.host} answered {response.status}")
        else:
            body = b""
            while len(body) < _ERROR_BODY and (piece := await self._source.transport.read(response, attempt)):
                body += piece
            request = f"GET {response.url.with_query(None)}"
            received = Response(request, response.status, response.headers, body, self._source.clock.wall())
            raise error_from(received, self._source.transport.redact)


def _invalid(problem: str) -> InvalidResponseError:
    return InvalidResponseError(problem, problem=problem)
