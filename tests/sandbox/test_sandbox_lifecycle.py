"""Starting, stopping, keys, and the recorded requests."""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import asynccontextmanager, closing
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from attrs.exceptions import FrozenInstanceError

from voucherify_exports import sandbox as package
from voucherify_exports.sandbox import Sandbox


def keys(sandbox):
    return {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}


@asynccontextmanager
async def connection(sandbox, target=None):
    """Connect and send a request without waiting for the response."""
    address = urlsplit(sandbox.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    if target:
        head = "".join(f"{name}: {value}\r\n" for name, value in keys(sandbox).items())
        writer.write(f"GET {target} HTTP/1.1\r\nHost: sandbox\r\n{head}\r\n".encode())
    yield reader
    writer.close()


async def arrived(sandbox, number):
    while len(sandbox.requests) < number:
        await asyncio.sleep(0)


async def rest_of(reader):
    """Return the bytes until the connection ends, also by a reset."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


class TestStart:
    async def test_runs_on_a_free_port(self):
        """Two sandboxes run side by side, each on a port of its own."""
        async with Sandbox() as one, Sandbox() as other:
            assert one.url.startswith("http://127.0.0.1:")
            assert one.url != other.url

    async def test_runs_on_ipv6(self):
        """An IPv6 address is in brackets in the URL."""
        async with Sandbox(host="::1") as sandbox, ClientSession(headers=keys(sandbox)) as http:
            assert sandbox.url.startswith("http://[::1]:")
            async with http.get(f"{sandbox.url}/v1/exports") as answer:
                assert answer.status == 200

    async def test_runs_again(self):
        """A sandbox can be entered again, and still has its exports."""
        sandbox = Sandbox()
        async with sandbox:
            export_id = sandbox.add_export("order")
        async with sandbox, ClientSession(sandbox.url, headers=keys(sandbox)) as http:
            assert (await http.get(f"/v1/exports/{export_id}")).status == 200

    def test_has_no_url_before_it_runs(self):
        """The error for reading the URL too early says what to do."""
        with pytest.raises(RuntimeError, match="async with"):
            _ = Sandbox().url

    def test_takes_exports_before_it_runs(self):
        """An export can be added before the server is started."""
        assert Sandbox().add_export("order").startswith("exp_")

    async def test_port_taken(self):
        """The error for a port in use is raised unchanged."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken, pytest.raises(OSError, match="in use"):
            await Sandbox(port=taken.getsockname()[1]).__aenter__()


class TestEnd:
    async def test_refuses_afterwards(self):
        """The port is closed after the sandbox stops."""
        async with Sandbox() as sandbox:
            pass
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", urlsplit(sandbox.url).port)

    async def test_hanging_answer(self):
        """A response that never comes does not delay the stop."""
        before = asyncio.all_tasks()
        async with Sandbox() as sandbox, connection(sandbox, "/v1/exports") as reader:
            sandbox.fail(delay=math.inf)
            await arrived(sandbox, 1)
            await sandbox.__aexit__()
            assert asyncio.all_tasks() == before
            assert await rest_of(reader) == b""

    async def test_idle_connection(self):
        """An idle connection is closed."""
        before = asyncio.all_tasks()
        async with Sandbox() as sandbox, ClientSession(headers=keys(sandbox)) as http:
            async with http.get(f"{sandbox.url}/v1/exports") as answer:
                assert answer.status == 200
            await sandbox.__aexit__()
            assert asyncio.all_tasks() == before

    async def test_unread_download(self):
        """A file that is not read to its end is given up."""
        before = asyncio.all_tasks()
        async with Sandbox() as sandbox, ClientSession(headers=keys(sandbox)) as http:
            export_id = sandbox.add_export("voucher", rows=10**9, created_at=0)
            async with http.get(f"{sandbox.url}/v1/exports/{export_id}") as answer:
                url = urlsplit((await answer.json())["result"]["url"])
            async with connection(sandbox, f"{url.path}?{url.query}") as reader:
                await reader.readuntil(b"Voucher Type")
                await sandbox.__aexit__()
                assert asyncio.all_tasks() == before

    @pytest.mark.parametrize("turns", range(4))
    async def test_connection_being_accepted(self, turns):
        """A connection that arrives while the sandbox stops is closed as well."""
        before = asyncio.all_tasks()
        async with Sandbox() as sandbox, connection(sandbox) as reader:
            for _ in range(turns):
                await asyncio.sleep(0)
            await sandbox.__aexit__()
            assert asyncio.all_tasks() == before
            assert await rest_of(reader) == b""

    async def test_client_gone(self):
        """A handler ends when its client disconnects."""
        before = asyncio.all_tasks()
        async with Sandbox() as sandbox:
            async with connection(sandbox, "/v1/exports"):
                sandbox.fail(delay=math.inf)
                await arrived(sandbox, 1)
            while asyncio.all_tasks() != before:
                await asyncio.sleep(0)


class TestKeys:
    def test_follow_from_the_seed(self):
        """Keys are generated when none are given, and are equal for equal seeds."""
        one, same, other = Sandbox(seed=1), Sandbox(seed=1), Sandbox(seed=2)
        assert (one.app_id, one.app_token) == (same.app_id, same.app_token)
        assert len({one.app_id, one.app_token, other.app_id, other.app_token}) == 4

    def test_given(self):
        """Given keys are used."""
        sandbox = Sandbox(app_id="me", app_token="secret")
        assert (sandbox.app_id, sandbox.app_token) == ("me", "secret")

    @pytest.mark.parametrize("wrong", [{"X-App-Id": "x"}, {"X-App-Token": "x"}])
    async def test_wrong(self, http, wrong):
        """A wrong key is refused with the documented body."""
        async with http.get("/v1/exports", headers=wrong) as answer:
            assert answer.status == 401
            assert await answer.json() == {"code": 401, "message": "Unauthorized", "key": "unauthorized"}

    async def test_missing(self, sandbox):
        """A request without keys is refused."""
        async with ClientSession() as http, http.get(f"{sandbox.url}/v1/exports") as answer:
            assert answer.status == 401


class TestRoutes:
    async def test_unknown_path(self, http):
        """An unknown path is a 404 in JSON."""
        async with http.get("/v1/nothing") as answer:
            body = await answer.json()
            assert (answer.status, body["code"], body["key"]) == (404, 404, "not_found")

    async def test_wrong_method(self, http):
        """A wrong method is a 405 in JSON that lists the allowed ones."""
        async with http.put("/v1/exports") as answer:
            body = await answer.json()
            assert (answer.status, body["code"], body["key"]) == (405, 405, "method_not_allowed")
            assert answer.headers["Allow"] == "GET, POST"

    async def test_date(self, http, clock):
        """The Date header has the sandbox's time."""
        clock.now = 1_600_000_000.9
        async with http.get("/v1/exports") as answer:
            assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == 1_600_000_000


class TestRequests:
    async def test_everything_is_recorded(self, sandbox, http, clock):
        """A recorded request has its method, path, time and the status of the response."""
        async with http.post("/v1/exports?a=1&b=%C3%A9", json="{", headers={"X-Mine": "yes"}):
            pass
        [request] = sandbox.requests
        assert (request.method, request.path, request.status) == ("POST", "/v1/exports", 400)
        assert request.query == {"a": "1", "b": "é"}
        assert request.headers["x-mine"] == "yes"
        assert (request.body, request.at) == (b'"{"', clock.now)

    async def test_ids_are_decoded(self, sandbox, http):
        """A path is recorded decoded, and an id with unusual characters finds its export."""
        sandbox.add_export("order", id="ex port é?")
        async with http.get("/v1/exports/ex port é%3F") as answer:
            assert (await answer.json())["id"] == "ex port é?"
        assert sandbox.requests[0].path == "/v1/exports/ex port é?"
        assert sandbox.requests[0].export_id == "ex port é?"

    async def test_frozen(self, sandbox, http):
        """A recorded request is immutable."""
        async with http.get("/v1/exports"):
            pass
        with pytest.raises(FrozenInstanceError):
            sandbox.requests[0].status = 500


class TestPackage:
    def test_public_names(self):
        """`__all__` lists all public names, and each can be imported."""
        assert all(hasattr(package, name) for name in package.__all__)
        assert package.__all__ == sorted(package.__all__)
