"""Print what `get_export` costs beside a GET with bare aiohttp and `json.loads`: CPU time, in pairs."""

import asyncio
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import aiohttp
from samples import ID, wire

from voucherify_exports import ExportsClient, log_event


async def serve(port: Connection) -> None:
    """Answer every request with the same export, by hand: the server must not be what is measured."""
    body = json.dumps(wire()).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        "X-Rate-Limit-Limit: 100000\r\nX-Rate-Limit-Remaining: 99999\r\nX-Rate-Limit-Retry: 1767225660\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(head + body)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def run_server(port: Connection) -> None:
    asyncio.run(serve(port))


async def measure(port: int, rounds: int = 15, requests: int = 400) -> list[float]:
    url = f"http://127.0.0.1:{port}"
    headers = {"X-App-Id": "app-id", "X-App-Token": "app-token"}

    async def bare(session: aiohttp.ClientSession) -> None:
        for _ in range(requests):
            async with session.get(f"{url}/v1/exports/{ID}", headers=headers) as response:
                json.loads(await response.read())

    async def ours(client: ExportsClient) -> None:
        for _ in range(requests):
            await client.get_export(ID)

    ratios = []
    async with (
        aiohttp.ClientSession() as session,
        ExportsClient("app-id", "app-token", base_url=url, on_event=log_event) as client,
    ):
        for _ in range(rounds):
            first = time.process_time()
            await bare(session)
            second = time.process_time()
            await ours(client)
            third = time.process_time()
            ratios.append((third - second) / (second - first))
    return ratios


def main() -> None:
    theirs, ours = multiprocessing.Pipe()
    server = multiprocessing.Process(target=run_server, args=[theirs], daemon=True)
    server.start()
    ratios = sorted(asyncio.run(measure(ours.recv()))[1:])
    server.terminate()
    print(
        f"get_export / bare aiohttp and json.loads: {statistics.median(ratios):.3f} x the CPU time"
        f" ({ratios[0]:.3f} to {ratios[-1]:.3f} in {len(ratios)} pairs)"
    )


if __name__ == "__main__":
    main()
