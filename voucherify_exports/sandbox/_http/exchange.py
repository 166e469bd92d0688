"""Between aiohttp and values: read requests, send answers, and break responses as a fault requires."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from aiohttp import web

from .requests import SandboxRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from .answers import Answer
    from .faults import Fault

    Sleep = Callable[[float], Awaitable[None]]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_INVERTED = bytes(range(255, -1, -1))


async def read_request(http: web.BaseRequest, now: float, *, at_download_host: bool) -> SandboxRequest:
    """Read a request and its whole body."""
    return SandboxRequest(
        method=http.method,
        path=http.path,
        query=dict(http.query),
        headers=http.headers,
        body=await http.read(),
        at=now,
        at_download_host=at_download_host,
    )


async def send(http: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Return the answer as a response for aiohttp to send; one in chunks has been sent by then."""
    if answer.chunks is None:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.encoded())
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(http)
    with suppress(ConnectionResetError):  # a client may stop reading
        for chunk in answer.chunks:
            await response.write(chunk)
            # With a fast reader, the write never waits, and other requests would starve.
            await asyncio.sleep(0)
        await response.write_eof()
    return response


async def send_broken(
    http: web.BaseRequest, answer: Answer, fault: Fault, sleep: Sleep
) -> web.StreamResponse:
    """Send an answer as the fault requires, and close the connection."""
    # Never None: a handler is cancelled when its connection is lost.
    transport = cast("asyncio.Transport", http.transport)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.force_close()
    if fault.reset == "headers":
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    elif fault.reset != "before":
        with suppress(ConnectionResetError):
            await _send_body(http, response, answer, fault, sleep)
    if fault.reset is not None:
        # Closed, not aborted: what was written is sent first.
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.close()
    elif fault.truncate:
        transport.close()
    else:
        transport.write(fault.extra)
    return response


async def _send_body(
    http: web.BaseRequest, response: web.StreamResponse, answer: Answer, fault: Fault, sleep: Sleep
) -> None:
    chunks = answer.chunks
    if chunks is None:
        content = answer.encoded()
        response.headers.setdefault("Content-Length", str(len(content)))
        chunks = iter([content])
    await response.prepare(http)
    for chunk, is_affected in _split(chunks, fault.after):
        if is_affected and (fault.reset or fault.truncate):
            return
        if is_affected and fault.pause is not None:
            await sleep(fault.pause)
        await response.write(chunk.translate(_INVERTED) if is_affected and fault.garble else chunk)
        await asyncio.sleep(0)
    if not (fault.reset or fault.truncate):
        await response.write_eof()


def _split(chunks: Iterator[bytes], after: int | None) -> Iterator[tuple[bytes, bool]]:
    """Split chunks after `after` bytes, or in half of the first; yield parts, and whether past it."""
    for chunk in chunks:
        if after is None:
            after = len(chunk) // 2
        if after:
            yield chunk[:after], False
        if len(chunk) > after:
            yield chunk[after:], True
        after = max(0, after - len(chunk))
