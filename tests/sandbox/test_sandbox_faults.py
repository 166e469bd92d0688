"""Faults: which requests they apply to, and what they do."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from raw import exchange

from voucherify_exports.sandbox import Fault, Sandbox


async def ask(http, path="/v1/exports", method="GET", **options):
    async with http.request(method, path, **options) as answer:
        return answer.status, await answer.text()


async def raw_answer(sandbox, method="GET", target="/v1/exports", body=""):
    """Return the bytes received, and whether the connection was reset."""
    keys = {"X_App_Id": sandbox.app_id, "X_App_Token": sandbox.app_token}
    return await exchange(sandbox.url + target, method, body, **keys)


class TestMatching:
    @pytest.mark.parametrize(
        ("match", "met"),
        [
            ({}, [1, 1, 1, 1]),
            ({"method": "POST"}, [0, 0, 1, 0]),
            ({"path": "/v1/exports"}, [1, 0, 1, 0]),
            ({"path": "/v1/exports/"}, [0, 1, 0, 1]),
            ({"path": "/v1/exports/*_a"}, [0, 1, 0, 0]),
            ({"export_id": "exp_b"}, [0, 0, 0, 1]),
            ({"export_id": "exp_b", "method": "POST"}, [0, 0, 0, 0]),
            ({"download": False}, [1, 1, 1, 0]),
            ({"download": True}, [0, 0, 0, 1]),
        ],
    )
    async def test_requests(self, sandbox, http, match, met):
        """A fault applies to the requests that match, and to no others."""
        sandbox.fail(**match, times=None, status=599)
        answers = [
            await ask(http, "/v1/exports"),
            await ask(http, "/v1/exports/exp_a"),
            await ask(http, "/v1/exports", "POST"),
            await ask(http, "/v1/exports/exp_b?token=x"),
        ]
        assert [status == 599 for status, _ in answers] == [bool(hit) for hit in met]

    async def test_times(self, sandbox, http):
        """A fault applies as often as its `times`; the one added first applies first."""
        sandbox.fail(status=500, times=2)
        sandbox.fail(status=502)
        sandbox.fail(status=504, times=None, method="DELETE")
        assert [(await ask(http))[0] for _ in range(4)] == [500, 500, 502, 200]
        assert [(await ask(http, method="DELETE"))[0] for _ in range(4)] == [504] * 4

    @pytest.mark.parametrize(
        "options",
        [
            *({"times": 0}, {"status": 99}, {"reset": "never"}, {"delay": -1}, {"lag": -1}),
            *({"probability": 0}, {"probability": 1.1}, {"repeat_entry": -1}, {"drop_entry": -1}),
        ],
    )
    def test_mistakes(self, sandbox, options):
        """An invalid value is a ValueError that names the option."""
        with pytest.raises(ValueError, match=next(iter(options))):
            sandbox.fail(**options)


class TestProbability:
    async def test_seeded(self):
        """A fault with a probability applies to about that share of requests, and equally for equal seeds."""

        async def met(seed):
            async with Sandbox(seed=seed) as sandbox, ClientSession(sandbox.url) as http:
                sandbox.fail(probability=0.2, times=None, status=503)
                return [(await ask(http))[0] == 503 for _ in range(400)]

        first = await met(1)
        assert 50 < sum(first) < 110
        assert await met(1) == first
        assert await met(2) != first

    async def test_times(self, sandbox, http):
        """Only requests that the fault applies to count; the others get the next fault."""
        sandbox.fail(probability=0.5, times=3, status=503)
        sandbox.fail(times=None, status=502)
        answers = [(await ask(http))[0] for _ in range(50)]
        assert (answers.count(503), answers.count(502)) == (3, 47)
        assert 503 in answers[1:]


class TestList:
    @pytest.mark.parametrize(
        ("options", "numbers"),
        [
            ({"repeat_entry": 0}, [2, 2, 1, 0]),
            ({"repeat_entry": 2}, [2, 1, 0, 0]),
            ({"drop_entry": 1}, [2, 0]),
            ({"repeat_entry": 1, "drop_entry": 0}, [1, 1, 0]),
            ({"repeat_entry": 7, "drop_entry": 7}, [2, 1, 0]),
        ],
    )
    async def test_entries(self, sandbox, http, options, numbers):
        """An entry of the list can be repeated or missing; other responses stay the same."""
        ids = [sandbox.add_export("order") for _ in range(3)]
        sandbox.fail(**options, times=2)
        assert ids[0] in (await ask(http, f"/v1/exports/{ids[0]}"))[1]
        listed = json.loads((await ask(http))[1])
        assert [export["id"] for export in listed["exports"]] == [ids[number] for number in numbers]
        assert listed["total"] == 3

    async def test_lag(self, sandbox, http, clock):
        """A list can show an earlier state: without new exports, and with old statuses."""
        first = sandbox.add_export("order")
        clock.now += 10
        sandbox.add_export("voucher")
        sandbox.fail(path="/v1/exports", lag=5)
        listed = json.loads((await ask(http))[1])
        assert [(export["id"], export["status"]) for export in listed["exports"]] == [(first, "SCHEDULED")]
        assert listed["total"] == 1
        listed = json.loads((await ask(http))[1])
        assert [export["status"] for export in listed["exports"]] == ["SCHEDULED", "IN_PROGRESS"]

    async def test_lag_is_for_reading(self, sandbox, http, clock):
        """With `lag`, an export is still created now."""
        sandbox.fail(lag=1000, times=None)
        _, text = await ask(http, method="POST", json={"exported_object": "order"})
        assert json.loads(text)["created_at"] == "2023-11-14T22:13:20.000Z"


class TestAnswer:
    @pytest.mark.parametrize(
        ("options", "status", "text", "content_type"),
        [
            ({"status": 503}, 503, '{"code": 503, "message": "Service Unavailable"}', "application/json"),
            ({"status": 599}, 599, '{"code": 599, "message": "Unknown error"}', "application/json"),
            (
                {"status": 429},
                429,
                '{"code": 429, "message": "Too many requests hit the API too quickly."}',
                "application/json",
            ),
            ({"status": 200}, 200, "", "application/json"),
            ({"status": 502, "body": ""}, 502, "", "application/json"),
            ({"status": 502, "body": "<h1>é", "content_type": "text/html"}, 502, "<h1>é", "text/html"),
            ({"body": b'{"id"'}, 200, '{"id"', "application/json"),
            ({"body": []}, 200, "[]", "application/json"),
            ({"body": {"id": 1}}, 200, '{"id": 1}', "application/json"),
        ],
    )
    async def test_replaced(self, sandbox, http, options, status, text, content_type):
        """A status and a body replace the normal response."""
        sandbox.fail(**options)
        async with http.get("/v1/exports") as answer:
            assert (answer.status, answer.content_type) == (status, content_type)
            assert await answer.text(encoding="utf-8") == text
            assert "Date" in answer.headers

    async def test_no_effect(self, sandbox, http):
        """A request whose response is replaced has no effect."""
        sandbox.fail(status=500)
        await ask(http, "/v1/exports", "POST", json={"exported_object": "order"})
        assert '"total": 0' in (await ask(http))[1]

    async def test_unknown_key_is_no_way_out(self, sandbox, http):
        """A fault applies before authentication."""
        sandbox.fail(status=500)
        assert (await ask(http, headers={"X-App-Id": "x"}))[0] == 500

    async def test_large_body(self, sandbox, http):
        """A body can have any size."""
        sandbox.fail(body=b" " * 20_000_000)
        async with http.get("/v1/exports") as answer:
            assert len(await answer.read()) == 20_000_000

    async def test_headers(self, sandbox, http):
        """Headers are added or replaced, in any case."""
        sandbox.fail(
            headers={"Retry-After": "7", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}, content_type="text/x"
        )
        async with http.get("/v1/exports") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (200, "7")
            assert answer.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]
            assert answer.headers.getall("Content-Type") == ["text/x"]

    async def test_redirect(self, sandbox, http):
        """A redirect needs no body."""
        sandbox.fail(status=302, headers={"Location": "http://elsewhere.example/"})
        async with http.get("/v1/exports", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "http://elsewhere.example/")


class TestEdit:
    async def test_edited(self, sandbox, http):
        """The edit changes the response, and the export stays the same."""

        def edit(export):
            export["parameters"]["order"] = ""
            return export | {"status": "PAUSED"}

        export_id = sandbox.add_export("order")
        sandbox.fail(edit=edit)
        async with http.get(f"/v1/exports/{export_id}") as answer:
            export = await answer.json()
        assert (export["status"], export["parameters"]) == ("PAUSED", {"order": ""})
        async with http.get(f"/v1/exports/{export_id}") as answer:
            export = await answer.json()
        assert (export["status"], export["parameters"]) == ("SCHEDULED", {})

    async def test_anything(self, sandbox, http):
        """An edit can return anything that JSON can hold."""
        sandbox.fail(edit=lambda answer: answer["exports"])
        assert await ask(http) == (200, "[]")

    async def test_errors_and_files_stay(self, sandbox, http, clock):
        """Errors and files are not edited."""
        sandbox.fail(edit=dict.clear, times=None)
        assert (await ask(http, "/v1/exports/exp_x"))[0] == 404
        sandbox.add_export("order", id="exp_1", created_at=0)
        assert '"code"' in (await ask(http, "/v1/exports/exp_1?token=x"))[1]


class TestReset:
    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("before", rb""),
            ("headers", rb"HTTP/1.1 200 OK\r\n[^\n]+"),
            ("body", rb'HTTP/1.1 200 OK\r\n.+\r\n\r\n\{"object": "list", [^}]*'),
        ],
    )
    async def test_where(self, sandbox, where, expected):
        """The connection is reset before the response, in its headers, or in its body."""
        sandbox.fail(reset=where)
        received, was_reset = await raw_answer(sandbox)
        assert was_reset
        assert re.fullmatch(expected, received, re.DOTALL)
        assert [request.status for request in sandbox.requests] == [None]

    async def test_announced_length(self, sandbox):
        """Half of the announced body is received."""
        sandbox.fail(reset="body", status=200, body="0123456789")
        received, _ = await raw_answer(sandbox)
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"Content-Length: 10" in head
        assert body == b"01234"

    @pytest.mark.parametrize("where", ["before", "headers", "body"])
    async def test_request_has_its_effect(self, sandbox, http, where):
        """A request whose response is lost has its effect."""
        sandbox.fail(reset=where)
        _, was_reset = await raw_answer(sandbox, "POST", body='{"exported_object": "order"}')
        assert was_reset
        assert '"total": 1' in (await ask(http))[1]

    async def test_download(self, sandbox, http):
        """A download breaks off halfway."""
        export_id = sandbox.add_export("order", created_at=0)
        async with http.get(f"/v1/exports/{export_id}") as answer:
            url = urlsplit((await answer.json())["result"]["url"])
        sandbox.fail(reset="body", download=True)
        received, was_reset = await raw_answer(sandbox, target=f"{url.path}?{url.query}")
        assert was_reset
        assert b"ID,Source Id,Status\n" in received

    async def test_empty_body(self, sandbox):
        """A response without a body can be broken as well."""
        sandbox.add_export("order", id="exp_1")
        sandbox.fail(reset="body")
        received, was_reset = await raw_answer(sandbox, "DELETE", "/v1/exports/exp_1")
        assert was_reset
        assert received.startswith(b"HTTP/1.1 204")


class TestDelay:
    async def test_waits(self, sandbox, http):
        """The normal response is sent after the delay."""
        loop = asyncio.get_running_loop()
        sandbox.fail(delay=0.05)
        began = loop.time()
        assert (await ask(http))[0] == 200
        assert loop.time() - began >= 0.049

    async def test_reset_after_delay(self, sandbox):
        """A delay and a reset can be combined."""
        sandbox.fail(delay=0.01, reset="before")
        assert await raw_answer(sandbox) == (b"", True)

    async def test_others_do_not_wait(self, sandbox, http):
        """A slow response does not delay others."""
        sandbox.fail(delay=float("inf"), method="DELETE")
        slow = asyncio.create_task(ask(http, method="DELETE"))
        while not sandbox.requests:
            await asyncio.sleep(0)
        assert (await ask(http))[0] == 200
        assert sandbox.requests[0].status is None
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow


class TestFault:
    async def test_added(self, sandbox, http):
        """A fault can be made first and added later."""
        fault = Fault.from_json('{"status": 503, "times": 2, "headers": {"Retry-After": "7", "Date": null}}')
        assert fault == Fault(status=503, times=2, headers={"Retry-After": "7", "Date": None})
        sandbox.add_fault(fault)
        assert [(await ask(http))[0] for _ in range(3)] == [503, 503, 200]

    def test_parameters(self):
        """`fail` has the parameters of `Fault` with their defaults, and no others."""
        parameters = inspect.signature(Sandbox.fail).parameters
        assert [*parameters.values()][1:] == [*inspect.signature(Fault).parameters.values()]
        assert parameters["times"].default == 1
        with pytest.raises(TypeError, match="sttus"):
            Sandbox().fail(sttus=503)

    @pytest.mark.parametrize(
        "option", [name for name in inspect.signature(Fault).parameters if name != "body"]
    )
    def test_types(self, option):
        """The type of each option except `body` is checked."""
        with pytest.raises(ValueError, match=f"^{option} must be "):
            Fault(**{option: object()})

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("503", "a fault must be a JSON object, not 503"),
            ("{", "a fault must be a JSON object: Expecting"),
            ("[" * 100_000, "a fault must be a JSON object: "),
            ('{"sttus": 503}', "unknown option 'sttus' of a fault; known are method, path"),
            ('{"edit": "dict.clear"}', "unknown option 'edit'"),
            ('{"delay": null}', "delay cannot be null"),
            ('{"extra": 5}', "extra must be bytes, or text in JSON, not 5"),
            ('{"headers": {"A": 1}}', "headers must be an object of printable texts"),
        ],
    )
    def test_not_a_fault(self, text, problem):
        """Invalid JSON and invalid options are a ValueError that says what is wrong."""
        with pytest.raises(ValueError, match=re.escape(problem)):
            Fault.from_json(text)


@pytest.mark.parametrize(
    "options",
    [
        {"lag": float("inf")},
        {"body": {"a": {1, 2}}},
        {"body": [b"bytes"]},
        {"headers": {"Bad Name:": "x"}},
        {"headers": {"": "x"}},
        {"headers": {7: "x"}},
    ],
    ids=str,
)
def test_what_could_not_be_sent_is_refused(options):
    """A value that would fail only while the response is sent is a ValueError at once."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Fault(**options)
