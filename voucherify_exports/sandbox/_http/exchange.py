"""Between HTTP and values: requests come in, answers go out, whole or broken."""

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


async def received(http: web.BaseRequest, now: float, *, at_download_host: bool) -> SandboxRequest:
    """Read a request to its end."""
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
    """Send an answer, or return it ready to be sent."""
    if answer.chunks is None:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.encoded())
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(http)
    with suppress(ConnectionResetError):  # a client may have seen enough
        for chunk in answer.chunks:
            await response.write(chunk)
            # A fast reader never makes the write wait, and the others would starve.
            await asyncio.sleep(0)
        await response.write_eof()
    return response


async def send_broken(
    http: web.BaseRequest, answer: Answer, fault: Fault, sleep: Sleep
) -> web.StreamResponse:
    """Send an answer as the fault has it, and end the connection with it."""
    # A handler is cancelled as soon as its transport is gone.
    transport = cast("asyncio.Transport", http.transport)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.force_close()
    if fault.reset == "headers":
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    elif fault.reset != "before":
        with suppress(ConnectionResetError):
            await _send_spoilt(http, response, answer, fault, sleep)
    if fault.reset is not None:
        # Closed, not aborted: what has been written goes out first.
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.close()
    elif fault.truncate:
        transport.close()
    else:
        transport.write(fault.extra)
    return response


async def _send_spoilt(
    http: web.BaseRequest, response: web.StreamResponse, answer: Answer, fault: Fault, sleep: Sleep
) -> None:
    chunks = answer.chunks
    if chunks is None:
        content = answer.encoded()
        response.headers.setdefault("Content-Length", str(len(content)))
        chunks = iter([content])
    await response.prepare(http)
    for chunk, is_spoilt in _parted(chunks, fault.after):
        if is_spoilt and (fault.reset or fault.truncate):
            return
        if is_spoilt and fault.pause is not None:
            await sleep(fault.pause)
        await response.write(chunk.translate(_INVERTED) if is_spoilt and fault.garble else chunk)
        await asyncio.sleep(0)
    if not (fault.reset or fault.truncate):
        await response.write_eof()


def _parted(chunks: Iterator[bytes], after: int | None) -> Iterator[tuple[bytes, bool]]:
    """Yield the chunks, and whether each comes after so many bytes: None is half of the first."""
    for chunk in chunks:
        if after is None:
            after = len(chunk) // 2
        if after:
            yield chunk[:after], False
        if len(chunk) > after:
            yield chunk[after:], True
        after = max(0, after - len(chunk))
