"""The rate limit and its headers."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox


@pytest.fixture
async def sandbox(clock):
    async with Sandbox(clock=clock, rate_limit=(3, 60)) as running:
        yield running


async def ask(http, path="/v1/exports"):
    async with http.get(path) as answer:
        await answer.read()
        limits = {
            name.removeprefix("X-Rate-Limit-"): value
            for name, value in answer.headers.items()
            if name.startswith(("X-Rate", "Retry"))
        }
        return answer.status, limits


class TestQuota:
    async def test_headers(self, http, clock):
        """Every response has the limit, what remains of it, and the end of the window in whole seconds."""
        clock.now = 1000.5
        expected = {"Limit": "3", "Remaining": "2", "Retry": "1061", "Type": "api_calls"}
        assert await ask(http) == (200, expected)
        clock.now = 1001
        assert await ask(http, "/nothing") == (404, expected | {"Remaining": "1"})

    async def test_wrong_keys_count(self, sandbox):
        """A refused request counts like any other."""
        async with ClientSession(sandbox.url) as http:
            status, limits = await ask(http)
        assert (status, limits["Remaining"]) == (401, "2")

    async def test_spent(self, http, clock):
        """When the window is used up, requests are refused until it ends."""
        clock.now = 1000.0
        for _ in range(3):
            await ask(http)
        clock.now = 1009.5
        status, limits = await ask(http)
        assert (status, limits["Remaining"], limits["Retry"]) == (429, "0", "1060")
        assert limits["Retry-After"] == "51"
        clock.now = 1059.99
        assert (await ask(http))[1]["Retry-After"] == "1"
        clock.now = 1060.0
        assert (await ask(http))[1] == {"Limit": "3", "Remaining": "2", "Retry": "1120", "Type": "api_calls"}

    async def test_body(self, http):
        """The error has the documented body, which has no key."""
        for _ in range(3):
            await ask(http)
        async with http.get("/v1/exports") as answer:
            assert await answer.json() == {
                "code": 429,
                "message": "Too many requests hit the API too quickly.",
            }

    async def test_downloads_are_free(self, sandbox, http):
        """A download does not count and has no rate-limit headers."""
        export_id = sandbox.add_export("order", created_at=0)
        async with http.get(f"/v1/exports/{export_id}") as answer:
            url = (await answer.json())["result"]["url"]
        async with ClientSession() as other, other.get(url) as answer:
            assert answer.status == 200
            assert "X-Rate-Limit-Limit" not in answer.headers
        assert (await ask(http))[1]["Remaining"] == "1"

    async def test_faults_count(self, sandbox, http):
        """A response with a fault counts as well, even when nothing remains."""
        sandbox.fail(times=4, status=503)
        answers = [await ask(http) for _ in range(4)]
        assert [status for status, _ in answers] == [503] * 4
        assert [limits["Remaining"] for _, limits in answers] == ["2", "1", "0", "0"]

    async def test_headers_left_out(self, sandbox, http):
        """A fault can remove headers."""
        sandbox.fail(headers={"x-rate-limit-retry": None, "X-Rate-Limit-Type": None})
        assert await ask(http) == (200, {"Limit": "3", "Remaining": "2"})

    async def test_none(self):
        """Without a limit there are no rate-limit headers."""
        async with Sandbox() as sandbox, ClientSession(sandbox.url) as http:
            assert await ask(http) == (401, {})
