"""The page in a real browser, if one is installed."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest
from aiohttp import ClientSession, web

from voucherify_exports.sandbox._http.listener import Listener

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Tab:
    """A tab, driven by the DevTools protocol."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0

    async def call(self, method, **params):
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while (answer := await self.socket.receive_json()).get("id") != self.number:
            pass
        return answer.get("result", {})

    async def run(self, script):
        """Run a script, wait for its promise, and return the value; None between two pages."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer.get("result", {}).get("value")

    async def open(self, url, text):
        """Go to a page and wait until it shows a text."""
        await self.call("Page.navigate", url=url)
        await self.shows(text)

    async def shows(self, text):
        """Wait until the page shows a text, in its main part if it has one."""
        shown = "(document.querySelector('main') ?? document.body)?.innerText"
        while text not in (await self.run(shown) or ""):
            pass


@pytest.fixture
async def tab(tmp_path):
    """A tab of a headless browser, which is closed after the test."""
    browser = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
        *(f"--user-data-dir={tmp_path}", "--no-first-run", "about:blank"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        port = None
        while port is None:
            line = await browser.stderr.readline()
            assert line, "the browser has ended"
            port = re.search(rb"DevTools listening on ws://127.0.0.1:(\d+)/", line)
        async with ClientSession(f"http://127.0.0.1:{int(port[1])}") as http:
            async with http.get("/json") as answer:
                target = next(target for target in await answer.json() if target["type"] == "page")
            async with http.ws_connect(target["webSocketDebuggerUrl"]) as socket:
                yield Tab(socket)
    finally:
        browser.kill()
        await browser.communicate()


class TestPage:
    async def test_refreshes(self, sandbox, clock, tab):
        """Without a reload, the page shows new statuses and new requests."""
        export_id = sandbox.add_export("order")
        await tab.open(f"{sandbox.url}/_sandbox/", "Exports")
        await tab.run("window.mark = 'the same page'")
        await tab.shows("SCHEDULED")
        clock.now += 30
        await tab.shows("DONE")
        async with ClientSession(sandbox.url) as http, http.get(f"/v1/exports/{export_id}"):
            pass
        await tab.shows(f"GET /v1/exports/{export_id}")
        assert await tab.run("window.mark") == "the same page"

    async def test_buttons(self, sandbox, tab):
        """Each button works, and the page is shown again."""
        await tab.open(f"{sandbox.url}/_sandbox/", "Exports")
        await tab.run("document.querySelector('[name=rows]').value = '12345'")
        for text, shown in (
            ("Add export", "12,345"),
            ("Finish", "DONE"),
            ("Delete", "No export yet."),
            ("Inject fault", "times=1"),
            ("Clear faults", "No pending faults."),
        ):
            press = f"[...document.querySelectorAll('button')].find(one => one.innerText == {text!r}).click()"
            await tab.run(press)
            await tab.shows(shown)

    async def test_another_site(self, sandbox, tab):
        """A page of another site can neither read the state nor add an export."""

        async def serve(_request):
            return web.Response(text="<p>another site</p>", content_type="text/html")

        other = Listener("127.0.0.3", 0)
        url = await other.start(serve)
        try:
            await tab.open(url, "another site")
            state = f"{sandbox.url}/_sandbox/state"
            assert await tab.run(f"fetch('{state}').then(() => 'read', () => 'refused')") == "refused"
            await tab.run(
                "document.body.innerHTML = `<form method=post"
                f" action={sandbox.url}/_sandbox/exports><input name=exported_object value=order></form>`;"
                "document.querySelector('form').submit()"
            )
            await tab.shows("Forbidden")
        finally:
            await other.stop()
        assert sandbox.state()["exports"] == []
