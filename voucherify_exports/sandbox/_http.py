"""Between HTTP and values: requests come in, answers go out, whole or broken."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, cast

from aiohttp import web

from ._requests import SandboxRequest

if TYPE_CHECKING:
    from ._answers import Answer
    from ._faults import Reset

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def received(http: web.BaseRequest, now: float) -> SandboxRequest:
    """Read a request to its end."""
    return SandboxRequest(
        method=http.method,
        path=http.path,
        query=dict(http.query),
        headers=http.headers,
        body=await http.read(),
        at=now,
    )


async def send(http: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Send an answer, or return it ready to be sent."""
    if answer.chunks is None:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.encoded())
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(http)
    for chunk in answer.chunks:
        await response.write(chunk)
        # A fast reader never makes the write wait, and the others would starve.
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def send_broken(http: web.BaseRequest, answer: Answer, where: Reset) -> web.StreamResponse:
    """Send an answer up to a point and reset the connection there."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    # A handler is cancelled as soon as its transport is gone.
    transport = cast("asyncio.Transport", http.transport)
    if where == "headers":
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    elif where == "body":
        content = answer.encoded()
        response.content_length = len(content)
        await response.prepare(http)
        await response.write(content[: len(content) // 2])
    connection = cast("socket.socket", transport.get_extra_info("socket"))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    return response
