"""Print the CPU time of `get_export`, compared in pairs with a GET by aiohttp and `json.loads`."""

import asyncio
import json
import multiprocessing
import statistics
import time
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection

import aiohttp
from samples import ID, wire

from voucherify_exports import ExportsClient, log_event


async def serve(port: Connection) -> None:
    """Respond with bytes that were made before, so that the server costs little CPU time."""
    body = json.dumps(wire()).encode()
    responses = cycle(
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            f"X-Rate-Limit-Limit: 100000\r\nX-Rate-Limit-Remaining: {remaining}\r\n"
            f"X-Rate-Limit-Retry: 1767225660\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for remaining in range(99999, 98000, -1)
    )

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(next(responses))
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

    async def with_aiohttp(session: aiohttp.ClientSession) -> None:
        for _ in range(requests):
            async with session.get(f"{url}/v1/exports/{ID}", headers=headers) as response:
                json.loads(await response.read())

    async def with_client(client: ExportsClient) -> None:
        for _ in range(requests):
            await client.get_export(ID)

    ratios = []
    async with (
        aiohttp.ClientSession() as session,
        ExportsClient("app-id", "app-token", base_url=url, on_event=log_event) as client,
    ):
        calls = [partial(with_aiohttp, session), partial(with_client, client)]
        for _ in range(rounds):
            cpu_times = {}
            for call in calls:
                before = time.process_time()
                await call()
                cpu_times[call.func] = time.process_time() - before
            ratios.append(cpu_times[with_client] / cpu_times[with_aiohttp])
            calls.reverse()  # so that neither is always measured first
    return ratios


def main() -> None:
    server_end, client_end = multiprocessing.Pipe()
    server = multiprocessing.Process(target=run_server, args=[server_end], daemon=True)
    server.start()
    ratios = asyncio.run(measure(client_end.recv()))[2:]
    server.terminate()
    lower, median, upper = statistics.quantiles(ratios, n=4)
    print(
        f"get_export: {median:.3f} x the CPU time of aiohttp and json.loads"
        f" (of {len(ratios)} pairs, half are from {lower:.3f} to {upper:.3f})"
    )


if __name__ == "__main__":
    main()
