"""Failures that happen each time, over real sockets: certificates, TLS and proxies."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from samples import ID
from scripted import http
from tenacity import wait_none

from voucherify_exports import CreateUncertainError, Export, ExportsClient, RetryPolicy, TransportError

CERTIFICATE = Path(__file__).with_name("self_signed.pem")  # of localhost, valid until 2126
API = "https://api.voucherify.io"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Call = Callable[[ExportsClient], Awaitable[Export]]

CALLS: list[Call] = [
    lambda client: client.get_export(ID),
    lambda client: client.create_export("voucher"),
]


@pytest.fixture(params=CALLS, ids=["get", "create"])
def call(request: pytest.FixtureRequest) -> Call:
    """A call that may be repeated, and one that may not."""
    return request.param


@asynccontextmanager
async def serving(serve: Serve, **options: Any) -> AsyncGenerator[int]:
    """A server on a free port of this machine; each response ends its connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(url: str, **session: Any) -> AsyncGenerator[ExportsClient]:
    """A client with a session of its own, which makes two attempts."""
    retry = RetryPolicy(attempts=2, wait=wait_none())
    async with (
        aiohttp.ClientSession(**session) as given,
        ExportsClient("c70a6f00", "3266b9f8", base_url=url, session=given, retry=retry) as client,
    ):
        yield client


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cut the connection after the first bytes."""
    await reader.read(1)


class Server:
    """Responds to each request, and counts them."""

    def __init__(self, response: bytes) -> None:
        self.requests: list[bytes] = []
        self._response = response

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._response)
        await writer.drain()


def tls() -> dict[str, Any]:
    """Options of a server whose certificate nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return {"ssl": context}


class TestTLS:
    async def test_a_refused_certificate(self, call: Call) -> None:
        """A certificate of an unknown CA is permanent, and the error says what to do."""
        server = Server(http(200, b"{}"))
        async with (
            serving(server, **tls()) as port,
            connected(f"https://localhost:{port}") as client,
        ):
            with pytest.raises(TransportError, match="self-signed certificate") as caught:
                await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, True)
        assert caught.value.attempts == 1
        assert "pass a session that trusts the CA of the server, and check the system clock" in str(
            caught.value
        )
        assert server.requests == []

    async def test_a_trusted_certificate(self) -> None:
        """The session that the message recommends works."""
        server = Server(http(404, b"{}"))
        trusting = ssl.create_default_context(cafile=CERTIFICATE)
        async with (
            serving(server, **tls()) as port,
            connected(f"https://localhost:{port}", connector=aiohttp.TCPConnector(ssl=trusting)) as client,
        ):
            with pytest.raises(LookupError):
                await client.get_export(ID)

    async def test_another_fingerprint(self, call: Call) -> None:
        """A session that pins a certificate refuses another one each time."""
        pinned = aiohttp.Fingerprint(b"x" * 32)
        async with (
            serving(Server(b""), **tls()) as port,
            connected(f"https://localhost:{port}", connector=aiohttp.TCPConnector(ssl=pinned)) as client,
        ):
            with pytest.raises(TransportError, match=r"'127\.0\.0\.1' has another fingerprint") as caught:
                await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, True)

    async def test_a_server_without_tls(self, call: Call) -> None:
        """What is not TLS is permanent."""

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(http(400))
            await writer.drain()

        async with serving(plain) as port, connected(f"https://localhost:{port}") as client:
            with pytest.raises(TransportError, match=r"TLS failed: .*: check the address") as caught:
                await call(client)

        assert (caught.value.is_permanent, caught.value.attempts) == (True, 1)

    async def test_a_cut_handshake(self, call: Call) -> None:
        """A connection that ends during the handshake is transient, and nothing was sent on it."""
        async with serving(reset) as port, connected(f"https://localhost:{port}") as client:
            with pytest.raises(TransportError) as caught:
                await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, False)
        assert caught.value.attempts == 2


class TestProxy:
    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (407, "give the session the credentials of the proxy"),
            (403, "check which hosts the proxy permits"),
        ],
    )
    async def test_a_proxy_that_refuses(self, status: int, advice: str, call: Call) -> None:
        """A refused CONNECT is permanent, the create did not arrive, and the error says what to do."""
        proxy = Server(http(status))
        async with serving(proxy) as port, connected(API, proxy=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(
                TransportError, match=f"the proxy refused to connect: {status}.*{advice}"
            ) as caught:
                await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, True)
        assert [request.split()[0] for request in proxy.requests] == [b"CONNECT"]

    @pytest.mark.parametrize("status", [408, 429, 502, 503])
    async def test_a_proxy_that_fails(self, status: int, call: Call) -> None:
        """A busy proxy is transient: also a create is sent again, since it did not arrive."""
        proxy = Server(http(status))
        async with serving(proxy) as port, connected(API, proxy=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(TransportError, match=f"the proxy refused to connect: {status}") as caught:
                await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, False)
        assert len(proxy.requests) == caught.value.attempts == 2

    async def test_a_refused_certificate_behind_a_proxy(self, call: Call) -> None:
        """The handshake within a tunnel fails in the same way."""
        async with serving(Server(b""), **tls()) as port:

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                try:
                    async with asyncio.TaskGroup() as copying:
                        copying.create_task(_copy(reader, far_writer))
                        copying.create_task(_copy(far_reader, writer))
                finally:
                    far_writer.close()

            async with serving(tunnel) as proxy, connected(API, proxy=f"http://127.0.0.1:{proxy}") as client:
                with pytest.raises(TransportError, match="pass a session that trusts the CA") as caught:
                    await call(client)

        assert (type(caught.value), caught.value.is_permanent) == (TransportError, True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
    except ConnectionError:
        pass


class TestHiddenCause:
    async def test_a_create_that_was_refused(self) -> None:
        """A refused connection whose message quotes a secret is refused all the same: nothing arrived."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            retry = RetryPolicy(attempts=2, wait=wait_none())
            async with ExportsClient(
                "c70a6f00", f"127.0.0.1:{port}", base_url=f"http://127.0.0.1:{port}", retry=retry
            ) as client:
                with pytest.raises(TransportError) as caught:
                    await client.create_export("voucher")

        assert caught.value.__cause__ is None
        assert not isinstance(caught.value, CreateUncertainError)
        assert caught.value.attempts == 2

    async def test_a_refused_certificate(self) -> None:
        """A permanent failure stays permanent if its cause cannot be shown."""
        async with (
            serving(Server(b""), **tls()) as port,
            ExportsClient(
                "c70a6f00", "CERTIFICATE_VERIFY_FAILED", base_url=f"https://localhost:{port}"
            ) as client,
        ):
            with pytest.raises(TransportError) as caught:
                await client.get_export(ID)

        assert caught.value.__cause__ is None
        assert caught.value.is_permanent
        assert caught.value.attempts == 1
