"""Print what `get_export` costs beside a GET with bare aiohttp and `json.loads`: CPU time, in pairs."""

import asyncio
import json
import multiprocessing
import statistics
import time
from functools import partial
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


async def measure(port: int, rounds: int = 120, requests: int = 100) -> list[float]:
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
        calls = [partial(bare, session), partial(ours, client)]
        for _ in range(rounds):
            spent = {}
            for call in calls:
                before = time.process_time()
                await call()
                spent[call.func] = time.process_time() - before
            ratios.append(spent[ours] / spent[bare])
            calls.reverse()  # neither always has the better place
    return ratios


def main() -> None:
    theirs, ours = multiprocessing.Pipe()
    server = multiprocessing.Process(target=run_server, args=[theirs], daemon=True)
    server.start()
    ratios = asyncio.run(measure(ours.recv()))[2:]
    server.terminate()
    lower, median, upper = statistics.quantiles(ratios, n=4)
    print(
        f"get_export / bare aiohttp and json.loads: {median:.3f} x the CPU time"
        f" (half of {len(ratios)} pairs from {lower:.3f} to {upper:.3f})"
    )


if __name__ == "__main__":
    main()
