"""A server that returns given responses, byte for byte, one for each request."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import define, field


@define
class Scripted:
    """The responses, the last of which is repeated, and the heads of the requests that arrived."""

    url: str
    answers: list[bytes]
    heads: list[str] = field(factory=list)

    def headers(self, number: int) -> dict[str, str]:
        """The headers of a request, with their names in lower case."""
        _, *lines = self.heads[number].strip().split("\r\n")
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes, host: str = "127.0.0.1") -> AsyncGenerator[Scripted]:
    """Serve on a free port of a loopback address; each response ends its connection."""
    script = Scripted("", list(answers))
    server = await asyncio.start_server(script.answer, host, 0)
    script.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield script


def http(status: int, body: bytes = b"", **headers: object) -> bytes:
    """A response with a Content-Length, unless `headers` sets another; underscores stand for dashes."""
    fields = {"Content-Length": len(body), "Content-Type": "text/csv", "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"HTTP/1.1 {status} Scripted\r\n{''.join(lines)}\r\n".encode() + body
