"""From a result URL to the bytes of a file, over as many requests as needed."""

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp
from attrs import define, field, frozen
from yarl import URL

from .._api.calls import is_transient
from .._api.settings import Settings
from .._api.transport import Transport
from .._api.trust import next_url, parse_url
from .._api.wire import Response, error_from
from ..errors import (
    ApiError,
    DownloadError,
    ExportFailedError,
    InvalidResponseError,
    RateLimitedError,
    TransportError,
)
from ..events import DownloadCompleted, DownloadInterrupted, DownloadStarted
from ..models import Export
from .resume import Identity, ResponseStart, range_headers

# Rules of a download
#
# request   The result URL, with `Accept-Encoding: identity`. Once some bytes and a validator are known, the
#           rest is requested with `Range` and `If-Range`; without a validator, the whole file.
# redirect  Up to five are followed. Credentials are sent as long as each URL of the chain is trusted.
# 401       The export is fetched again for a new result URL, at most twice for one attempt.
# file      A response is a file if its status is 200 or 206 and its type is not HTML, XHTML or JSON. A 200
#           starts at byte 0; its body may be gzip. A 206 starts at the requested offset and reaches the end
#           of the file; the size, and the validator if the response has one, are the same as before.
# retry     After transient errors, invalid responses and a 429, from the byte after the last one received.
#           The wait for a 429 is at most `max_quota_wait`. Only attempts in a row without new bytes count
#           towards `retry.attempts`: a download continues as long as it makes progress.
# restart   The next attempt starts at byte 0, without a range, after a 416, another range than requested, an
#           unrequested encoding, more bytes than announced, or an invalid gzip body.
# end       A body that ends before the announced size is retried from there. Without a size, the end of the
#           body is the end of the file.
# fail      Everything else ends the download at once: other statuses and types, refused URLs.

_GZIP_WBITS = 16 + zlib.MAX_WBITS  # zlib expects a gzip header if 16 is added
_DECOMPRESSED_CHUNK = 1024 * 1024  # bytes at most, however well a body is compressed
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_MAX_URL_RENEWALS = 2  # for one attempt
_NOT_CSV_TYPES = {"text/html", "application/xhtml+xml", "application/json"}
_MAX_ERROR_BODY = 16 * 1024  # bytes that are read of an error response


@frozen
class RemoteFiles:
    """Where the files of one client come from."""

    settings: Settings
    transport: Transport
    get_export: Callable[[str], Awaitable[Export]]

    async def get_finished(self, export: str | Export) -> Export:
        """The export with its result URL; it is fetched if only its id is given, or if it has none yet."""
        if isinstance(export, str) or export.result_url is None:
            export = await self.get_export(export if isinstance(export, str) else export.id)
        if export.is_failed:
            raise ExportFailedError(export)
        if export.result_url is None:
            raise DownloadError(
                f"Export {export.id} is {export.status} and has no file yet; call wait_until_done() first"
            )
        return export


@define(eq=False)
class RemoteFile:
    """The file of one export; `target` is the path that it is downloaded to, `None` for a stream."""

    _remote: RemoteFiles
    _export: Export
    target: Path | None = None
    identity: Identity = field(init=False, factory=Identity)
    is_unchanged: bool = field(init=False, default=False)  # the latest response proved it by its validator
    offset: int = field(init=False, default=0)  # of the next byte

    @property
    def _settings(self) -> Settings:
        return self._remote.settings

    @property
    def export_id(self) -> str:
        """The id of the export."""
        return self._export.id

    def make_error(self, problem: str) -> DownloadError:
        """The error to raise for a download that failed."""
        size = "" if self.identity.size is None else f" of {self.identity.size}"
        to = "" if self.target is None else f" to {self.target}"
        return DownloadError(
            f"Downloading export {self.export_id}{to} failed after {self.offset}{size} bytes: {problem}",
            bytes_received=self.offset,
            path=self.target,
        )

    def report_completed(self, started_at: float) -> None:
        """Emit that the file is complete; `started_at` is monotonic time."""
        elapsed = self._settings.clock.monotonic() - started_at
        self._settings.on_event(
            DownloadCompleted(export_id=self.export_id, received=self.offset, elapsed=elapsed)
        )

    async def read(self, offset: int, identity: Identity) -> AsyncGenerator[tuple[int, bytes]]:
        """Yield the bytes from a resume point, each chunk with its offset.

        An empty chunk marks the start of a response, whose offset is 0 when the download restarts.
        """
        self.offset, self.identity = offset, identity
        furthest, failures = offset, 0  # failed attempts in a row that received no new bytes
        progress_at = self._settings.clock.monotonic()
        while True:
            try:
                async with aclosing(self._attempt(failures + 1)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except (ApiError, TransportError, InvalidResponseError) as error:
                now = self._settings.clock.monotonic()
                if self.offset > furthest:
                    furthest, failures, progress_at = self.offset, 0, now
                failures += 1
                delay = self._choose_delay(error, failures, now - progress_at)
                if delay is None:
                    raise self.make_error(str(error)) from error
                self._settings.on_event(
                    DownloadInterrupted(
                        export_id=self.export_id, received=self.offset, delay=delay, error=str(error)
                    )
                )
            await self._remote.transport.pause(delay)

    def _choose_delay(self, error: Exception, failures: int, elapsed: float) -> float | None:
        """Seconds until the next attempt; `None` to give up."""
        if failures >= self._settings.retry.attempts:
            return None
        if isinstance(error, RateLimitedError) and error.retry_at is not None:
            delay = max(0.0, error.retry_at.timestamp() - self._settings.clock.wall())
            return delay if delay <= self._settings.max_quota_wait else None
        if isinstance(error, InvalidResponseError) or is_transient(error):
            return self._settings.retry.delay(failures, error, elapsed)
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
                        raise self._discard(f"received more than the announced {self.identity.size} bytes")
                    yield at, chunk
        if self.identity.size is not None and self.offset < self.identity.size:
            raise _invalid("the body ended too early")

    def _start_response(self, response: aiohttp.ClientResponse) -> bool:
        """Continue at the offset of a response, and return whether its body is gzip."""
        try:
            start = ResponseStart.from_headers(response.status, response.headers, self.offset, self.identity)
        except ValueError as error:
            raise self._discard(str(error)) from None
        self.is_unchanged = start.identity == self.identity and start.identity.validator is not None
        self.offset, self.identity = start.offset, start.identity
        self._settings.on_event(
            DownloadStarted(export_id=self.export_id, received=self.offset, size=self.identity.size)
        )
        return start.is_gzip

    def _discard(self, problem: str) -> InvalidResponseError:
        """Discard what was received, so that the next attempt restarts; returns the error to raise."""
        self.offset, self.identity = 0, Identity()
        return _invalid(problem)

    async def _read_body(self, response: aiohttp.ClientResponse, attempt: int) -> AsyncGenerator[bytes]:
        while chunk := await self._remote.transport.read(response, attempt):
            yield chunk

    async def _decompress(self, raw: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Decompress a gzip body, which has one or more members."""
        decompressor = zlib.decompressobj(_GZIP_WBITS)
        async with aclosing(raw):
            async for compressed in raw:
                is_drained = False  # zlib may hold back output even when it has consumed all input
                while compressed or not is_drained:
                    if decompressor.eof and compressed:
                        decompressor = zlib.decompressobj(_GZIP_WBITS)
                    try:
                        chunk = decompressor.decompress(compressed, _DECOMPRESSED_CHUNK)
                    except zlib.error as error:
                        raise self._discard(f"the gzip body is damaged: {error}") from None
                    compressed = decompressor.unused_data or decompressor.unconsumed_tail
                    is_drained = not chunk
                    if chunk:
                        yield chunk
        if not decompressor.eof:
            raise self._discard("the gzip body ended too early")

    @asynccontextmanager
    async def _open_response(self, attempt: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Open a response with a file, at a new result URL if the download token has expired."""
        response = await self._follow_redirects(attempt)
        for _ in range(_MAX_URL_RENEWALS):
            if response.status != 401:
                break
            response.close()
            self._export = await self._remote.get_finished(self.export_id)
            response = await self._follow_redirects(attempt)
        try:
            await self._check_response(response, attempt)
            yield response
        finally:
            response.close()

    async def _follow_redirects(self, attempt: int) -> aiohttp.ClientResponse:
        """Request the file and follow redirects, without credentials from the first untrusted host on."""
        transport, url, is_trusted = self._remote.transport, self._parse_result_url(), True
        headers = {"Accept-Encoding": "identity", **range_headers(self.offset, self.identity)}
        for _ in range(1 + _MAX_REDIRECTS):
            is_trusted = is_trusted and self._settings.trust.allows(url)
            credentials: Mapping[str, str] = await transport.credentials() if is_trusted else {}
            response = await transport.open(url, {**headers, **credentials}, attempt)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            try:
                url = next_url(url, location)
            except ValueError as error:
                raise self.make_error(f"its redirect is refused: {error}") from None
        raise self.make_error(f"it was redirected more than {_MAX_REDIRECTS} times")

    def _parse_result_url(self) -> URL:
        try:
            url = parse_url(str(self._export.result_url))
            return next_url(self._settings.url, str(url))
        except ValueError as error:
            raise self.make_error(f"its result URL is refused: {error}") from None

    async def _check_response(self, response: aiohttp.ClientResponse, attempt: int) -> None:
        """Raise an error if a response is not a file."""
        if response.status in {200, 206}:
            if response.content_type in _NOT_CSV_TYPES:
                raise self.make_error(
                    f"{response.url.host} returned {response.content_type} instead of a CSV file"
                )
        elif response.status == 416:
            raise self._discard("the server does not have the requested range")
        elif response.status < 400:
            raise self.make_error(f"{response.url.host} returned status {response.status} without a file")
        else:
            body = b""
            while len(body) < _MAX_ERROR_BODY and (
                chunk := await self._remote.transport.read(response, attempt)
            ):
                body += chunk
            request = f"GET {response.url.with_query(None)}"
            received = Response(request, response.status, response.headers, body, self._settings.clock.wall())
            raise error_from(received, self._remote.transport.redact)


def _invalid(problem: str) -> InvalidResponseError:
    return InvalidResponseError(problem, problem=problem)
