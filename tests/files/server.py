"""A server of one large file in a process of its own, and how the clients reach it."""

import asyncio
import hashlib
import json
import multiprocessing
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen
from samples import wire

BLOCK = 16 * 1024 * 1024
MEMORY = Path("/dev/shm")


@frozen
class Served:
    """Where the file is served, how long it is in bytes, its digest, and a folder to download to."""

    url: str
    size: int
    sha256: str
    folder: Path
    _asked: Connection

    @property
    def file_url(self) -> str:
        return f"{self.url}/file"

    def ranges(self) -> list[int]:
        """The first bytes of the answers since this was last asked, in order."""
        self._asked.send(None)
        return self._asked.recv()


@contextmanager
def serve(size: int) -> Iterator[Served]:
    """Serve random bytes, kept in memory where the system has a file system for it."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "served"
        sha256 = _fill(path, size)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(path, sha256, theirs), daemon=True
        )
        process.start()
        try:
            yield Served(f"http://127.0.0.1:{ours.recv()}", size, sha256, Path(folder), ours)
        finally:
            process.terminate()
            process.join()


def _fill(path: Path, size: int) -> str:
    source, digest = random.Random(size), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            block = source.randbytes(min(BLOCK, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _run(path: Path, etag: str, asked: Connection) -> None:
    asyncio.run(_serve(path, etag, asked))


async def _serve(path: Path, etag: str, asked: Connection) -> None:
    """Answer by hand: the server must not be what is measured."""
    size, starts = path.stat().st_size, []

    def tell() -> None:
        asked.recv()
        asked.send(starts[:])
        starts.clear()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                if not head.startswith("GET /file"):
                    host, port = writer.get_extra_info("sockname")
                    export = wire(status="DONE", result={"url": f"http://{host}:{port}/file"})
                    writer.write(_head(200, "application/json", len(body := json.dumps(export).encode())))
                    writer.write(body)
                    continue
                asks = re.search(r"(?im)^range: bytes=(\d+)-", head)
                start = int(asks[1]) if asks else 0
                starts.append(start)
                content_range = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if asks else ""
                extra = f'ETag: "{etag}"\r\n{content_range}'
                writer.write(_head(206 if asks else 200, "text/plain", size - start, extra))
                with path.open("rb") as file:
                    await asyncio.get_running_loop().sendfile(writer.transport, file, start)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    asyncio.get_running_loop().add_reader(asked.fileno(), tell)
    asked.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _head(status: int, content_type: str, length: int, extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{extra}\r\n"
    ).encode()
