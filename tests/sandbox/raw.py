"""HTTP read as bytes, where a client would correct or reject it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


async def exchange(url, method="GET", body="", **headers):
    """Return the bytes received, and whether the connection was reset."""
    address = urlsplit(url)
    target = f"{address.path or '/'}?{address.query}" if address.query else address.path
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
    headers = {"Host": address.netloc, **headers}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode())
    received = b""
    try:
        while chunk := await reader.read(65536):
            received += chunk
    except ConnectionResetError:
        return received, True
    finally:
        writer.close()
    return received, False


async def raw_get(url, **headers):
    """Return the status, the headers in lower case, and the body with its chunks joined."""
    received, _ = await exchange(url, **headers)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return int(status.split()[1]), headers, body


def unchunked(body):
    """Return the content of chunks, also of a body that breaks off."""
    content = b""
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        content += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return content
