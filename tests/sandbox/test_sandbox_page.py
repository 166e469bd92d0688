"""The page: what it shows, and what its buttons do."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox


class Forms(HTMLParser):
    """The forms of a page: where they lead, what they send, and the text of their buttons."""

    def __init__(self, html):
        super().__init__()
        self.found, self.open = [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        if tag == "form":
            self.found.append({"action": attrs["action"], "fields": {}, "text": ""})
        elif tag == "input":
            self.found[-1]["fields"][attrs["name"]] = attrs.get("value", "")
        elif tag == "select":
            self.found[-1]["fields"][attrs["name"]] = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "button":
            self.found[-1]["text"] = data


async def page(sandbox, path="/_sandbox/"):
    async with ClientSession(sandbox.url) as http, http.get(path) as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
        return await answer.text()


async def press(sandbox, text, **changed):
    """Press the first button with a text, as a browser does, and return the page that follows."""
    form = next(form for form in Forms(await page(sandbox)).found if form["text"] == text)
    headers = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
    async with (
        ClientSession(sandbox.url, headers=headers) as http,
        http.post(form["action"], data=form["fields"] | changed) as answer,
    ):
        assert [step.status for step in answer.history] == [303]
        assert str(answer.url) == f"{sandbox.url}/_sandbox/"
        return await answer.text()


def words(html):
    body = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


class TestShows:
    async def test_empty(self, sandbox):
        """A new sandbox shows its address and keys, and that nothing has happened."""
        text = words(await page(sandbox))
        assert f"API {sandbox.url}" in text
        assert f"X-App-Id {sandbox.app_id} · X-App-Token {sandbox.app_token}" in text
        for none in ("No export yet.", "No request yet.", "No rate limit.", "No pending faults."):
            assert none in text

    async def test_status_advances(self, sandbox, clock):
        """An export is shown with its status and the time until the next one."""
        export_id = sandbox.add_export("voucher", rows=1_000_000)
        clock.now += 4
        assert f"{export_id} voucher 1,000,000 2023-11-14 22:13:20 SCHEDULED 6 s" in words(
            await page(sandbox)
        )
        clock.now += 6
        assert "IN_PROGRESS 20 s Finish Fail Delete" in words(await page(sandbox))
        clock.now += 20
        assert "DONE Delete" in words(await page(sandbox))

    async def test_requests_and_quota(self, clock):
        """Requests are shown newest first, with the quota; a download does not change it."""
        async with Sandbox(clock=clock, rate_limit=(10, 60)) as sandbox, ClientSession(sandbox.url) as http:
            assert "Rate limit 10 of 10 requests left Pending faults" in words(await page(sandbox))
            for path in ("/v1/exports", "/v1/exports/exp_1?token=x"):
                async with http.get(path):
                    pass
            clock.now += 20
            text = words(await page(sandbox))
            assert "Rate limit 9 of 10 requests left, window ends in 40 s Pending faults" in text
            assert "Requests (2)" in text
            first, second = "GET /v1/exports/exp_1 (file) 401 9", "GET /v1/exports 401 9"
            assert 0 < text.index(first) < text.index(second)
            assert "token=x" not in text

    async def test_thirty_requests(self, sandbox, http):
        """The latest thirty requests are shown."""
        for number in range(31):
            async with http.get(f"/v1/exports/exp_{number}"):
                pass
        text = words(await page(sandbox))
        assert "Requests (31)" in text
        assert "exp_30 " in text
        assert "exp_0 " not in text

    async def test_hundred_exports(self, sandbox):
        """The latest hundred exports are shown, and all are counted."""
        for number in range(101):
            sandbox.add_export("order", id=f"exp_{number}")
        text = words(await page(sandbox))
        assert "Exports (101)" in text
        assert "exp_100 " in text
        assert "exp_0 " not in text

    async def test_faults(self, sandbox):
        """Pending faults are shown with their options."""
        sandbox.fail(path="/v1/<b>", status=503, times=None)
        assert "times=None, path=/v1/&lt;b&gt;, status=503" in await page(sandbox)

    async def test_escaped(self, sandbox, http):
        """Texts from outside are escaped everywhere."""
        nasty = "\"'><script>alert(1)</script>"
        sandbox.add_export("order", id=nasty)
        async with http.get("/v1/exports/%3Cscript%3E"):
            pass
        html = await page(sandbox)
        assert html.count("<script>") == 1
        assert len(Forms(html).found) == 5

    async def test_without_slash(self, sandbox):
        """The address works without the slash at its end."""
        assert await page(sandbox, "/_sandbox") == await page(sandbox)

    async def test_framed_by_nobody(self, sandbox):
        """No other page can show it in a frame."""
        async with ClientSession(sandbox.url) as http, http.get("/_sandbox/") as answer:
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


class TestButtons:
    async def test_add(self, sandbox):
        """An export is added with the chosen object, rows and outcome."""
        text = words(await press(sandbox, "Add export", exported_object="sku", rows="7", outcome="ERROR"))
        assert "Exports (1)" in text
        assert "sku 7" in text
        [export] = sandbox.state()["exports"]
        assert (export["exported_object"], export["rows"]) == ("sku", 7)

    @pytest.mark.parametrize(("text", "status"), [("Finish", "DONE"), ("Fail", "ERROR")])
    async def test_end(self, sandbox, text, status):
        """An export is finished or failed."""
        sandbox.add_export("order", id="ex/p é")
        assert f"{status} Delete" in words(await press(sandbox, text))

    async def test_delete(self, sandbox):
        """An export is deleted."""
        sandbox.add_export("order", id="ex/p é")
        assert "No export yet." in words(await press(sandbox, "Delete"))

    async def test_inject(self, sandbox, http):
        """A fault is injected; empty fields are not options of it."""
        html = await press(sandbox, "Inject fault", status="503", probability="0.5", path="/v1/*")
        assert "times=1, path=/v1/*, status=503, probability=0.5" in words(html)
        assert "No pending faults." in words(await press(sandbox, "Clear faults"))

    async def test_mistake(self, sandbox):
        """A value that is not a number is refused."""
        async with ClientSession(sandbox.url) as http:
            for fields in ({"status": "x"}, {"delay": "x"}, {"times": "0"}):
                async with http.post("/_sandbox/faults", data=fields) as answer:
                    body = await answer.json()
                assert answer.status == 400
                assert next(iter(fields)) in body["details"]
