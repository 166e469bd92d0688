"""A server for one large file, in its own process."""

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
    """The URL of the server, the size of the file in bytes, its digest, and a folder for downloads."""

    url: str
    size: int
    sha256: str
    folder: Path
    _control: Connection

    @property
    def file_url(self) -> str:
        return f"{self.url}/file"

    def ranges(self) -> list[int]:
        """The start offsets of the responses since the last call, in order."""
        self._control.send(None)
        return self._control.recv()


@contextmanager
def serve(size: int) -> Iterator[Served]:
    """Serve random bytes, from memory if the system has a file system for it."""
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


def _run(path: Path, etag: str, control: Connection) -> None:
    asyncio.run(_serve(path, etag, control))


async def _serve(path: Path, etag: str, control: Connection) -> None:
    """Respond without a framework, so that the server is not what the benchmark measures."""
    size, starts = path.stat().st_size, []

    def send_starts() -> None:
        control.recv()
        control.send(starts[:])
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
                requested = re.search(r"(?im)^range: bytes=(\d+)-", head)
                start = int(requested[1]) if requested else 0
                starts.append(start)
                content_range = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if requested else ""
                extra = f'ETag: "{etag}"\r\n{content_range}'
                writer.write(_head(206 if requested else 200, "text/plain", size - start, extra))
                with path.open("rb") as file:
                    await asyncio.get_running_loop().sendfile(writer.transport, file, start)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    asyncio.get_running_loop().add_reader(control.fileno(), send_starts)
    control.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _head(status: int, content_type: str, length: int, extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{extra}\r\n"
    ).encode()
