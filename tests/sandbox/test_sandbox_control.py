"""The control API, and who can use it."""

from __future__ import annotations

import json
from math import inf

import pytest
from aiohttp import ClientSession
from raw import exchange

from voucherify_exports.sandbox import Sandbox
from voucherify_exports.sandbox._control.control import Control
from voucherify_exports.sandbox._http.requests import SandboxRequest


async def ask(sandbox, method, path, body=None, **options):
    url = f"{sandbox.url}/_sandbox/{path}"
    async with ClientSession() as http, http.request(method, url, json=body, **options) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text()


async def state_of(sandbox):
    return (await ask(sandbox, "GET", "state"))[1]


class TestState:
    async def test_empty(self, sandbox, clock):
        """The state has the addresses, the keys and the time of the sandbox."""
        assert await state_of(sandbox) == {
            "url": sandbox.url,
            "download_url": sandbox.url,
            "app_id": sandbox.app_id,
            "app_token": sandbox.app_token,
            "now": clock.now,
            "exports": [],
            "faults": [],
            "quota": None,
            "requests": [],
            "requests_total": 0,
        }

    async def test_exports(self, sandbox, clock):
        """The state lists each export, newest first, with its status and when that changes."""
        start = clock.now
        first, second = sandbox.add_export("order"), sandbox.add_export("voucher", rows=7)
        history = []
        for seconds in (0, 10, 20):
            clock.now += seconds
            newest, oldest = (await state_of(sandbox))["exports"]
            assert (newest["id"], oldest["id"]) == (second, first)
            history.append((newest["status"], newest["changes_at"]))
        assert history == [("SCHEDULED", start + 10), ("IN_PROGRESS", start + 30), ("DONE", None)]
        assert (newest["exported_object"], newest["rows"], newest["created_at"]) == ("voucher", 7, start)

    async def test_requests_and_quota(self, clock):
        """The state lists the latest API requests, with the quota that each left."""
        async with Sandbox(clock=clock, rate_limit=(200, 60)) as sandbox, ClientSession(sandbox.url) as http:
            assert (await state_of(sandbox))["quota"] == {"limit": 200, "left": 200, "ends_at": None}
            for number in range(101):
                async with http.get(f"/v1/exports/{number}"):
                    pass
            state = await state_of(sandbox)
            assert state["quota"] == {"limit": 200, "left": 99, "ends_at": clock.now + 60}
            assert (state["requests_total"], len(state["requests"])) == (101, 100)
            assert state["requests"][0] == {
                "at": clock.now,
                "method": "GET",
                "path": "/v1/exports/100",
                "is_download": False,
                "status": 401,
                "quota_left": 99,
            }
            assert "app-token" not in json.dumps(state["requests"]).lower()

    async def test_faults(self, sandbox):
        """The state lists the pending faults with the options that were set, in JSON."""
        sandbox.fail(path="/v1/exports", delay=inf, times=None)
        sandbox.fail(body={"a": [1]}, headers={"Date": None}, probability=0.5, extra=b"x", edit=dict.copy)
        first, second = (await state_of(sandbox))["faults"]
        assert first == {"times": None, "path": "/v1/exports", "delay": "inf"}
        assert second.pop("edit").startswith("<method 'copy'")
        assert second == {
            "times": 1,
            "body": {"a": [1]},
            "headers": {"Date": None},
            "probability": 0.5,
            "extra": "b'x'",
        }


class TestExports:
    async def test_added_and_ended(self, sandbox):
        """An export can be added, finished, failed and deleted."""
        options = {"exported_object": "order", "rows": 3, "fields": ["id"], "created_at": 1.5, "id": "ex/p é"}
        assert await ask(sandbox, "POST", "exports", options) == (201, {"id": "ex/p é"})
        assert (await state_of(sandbox))["exports"][0]["created_at"] == 1.5
        _, made = await ask(sandbox, "POST", "exports", {"exported_object": "voucher", "outcome": "ERROR"})
        assert await ask(sandbox, "POST", f"exports/{made['id']}/finish") == (204, "")
        assert (await state_of(sandbox))["exports"][0]["status"] == "DONE"
        await ask(sandbox, "POST", f"exports/{made['id']}/finish", {"outcome": "ERROR"})
        assert (await state_of(sandbox))["exports"][0]["status"] == "ERROR"
        assert await ask(sandbox, "POST", "exports/ex%2Fp%20é/delete") == (204, "")
        assert [export["id"] for export in (await state_of(sandbox))["exports"]] == [made["id"]]

    @pytest.mark.parametrize(
        ("options", "details"),
        [
            ({"exported_object": "coupon"}, "exported_object must be one of voucher,"),
            ({"exported_object": 1}, "Property .exported_object cannot be 1"),
            ({}, "exported_object"),
            ({"exported_object": "order", "rows": "3"}, 'Property .rows cannot be "3"'),
            ({"exported_object": "order", "rows": True}, "Property .rows cannot be true"),
            ({"exported_object": "order", "rows": -1}, "rows"),
            ({"exported_object": "order", "rows": 2**33}, "rows"),
            ({"exported_object": "order", "fields": ["nonsense"]}, "no field 'nonsense'"),
            ({"exported_object": "order", "fields": [1]}, "fields"),
            (
                {"exported_object": "order", "created_at": 1e300},
                "created_at must be in epoch seconds, not 1e+300",
            ),
            ({"exported_object": "order", "outcome": "MAYBE"}, "outcome"),
            (
                {"exported_object": "order", "color": "red"},
                "unknown property .color; known are exported_object, ",
            ),
            ([], "Body should be object"),
        ],
    )
    async def test_refused(self, sandbox, options, details):
        """An invalid value is refused with an error that names it."""
        status, body = await ask(sandbox, "POST", "exports", options)
        assert (status, body["code"], body["key"]) == (400, 400, "invalid_payload")
        assert details in body["details"]
        assert (await state_of(sandbox))["exports"] == []

    async def test_not_json(self, sandbox):
        """A body that is not JSON is refused."""
        status, body = await ask(sandbox, "POST", "faults", data=b"{")
        assert (status, body["details"]) == (400, "Body should be valid JSON")

    @pytest.mark.parametrize("path", ["exports/nothing/finish", "exports/nothing/delete"])
    async def test_unknown(self, sandbox, path):
        """An export that does not exist is a 404."""
        status, body = await ask(sandbox, "POST", path)
        assert (status, body["key"], body["resource_id"]) == (404, "not_found", "nothing")


class TestFaults:
    async def test_injected(self, sandbox, http):
        """A fault can be injected, and applies to the next matching request."""
        fault = {"path": "/v1/exports", "status": 503, "headers": {"Retry-After": "7", "Date": None}}
        assert await ask(sandbox, "POST", "faults", fault) == (201, {"faults": [{"times": 1, **fault}]})
        async with http.get("/v1/exports") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
        assert (await state_of(sandbox))["faults"] == []

    async def test_for_ever(self, sandbox, http):
        """A fault whose `times` is null applies until it is cleared."""
        await ask(sandbox, "POST", "faults", {"times": None, "body": [1], "extra": "é", "garble": False})
        for _ in range(2):
            async with http.get("/v1/exports") as answer:
                assert await answer.json() == [1]
        assert await ask(sandbox, "POST", "faults/clear") == (204, "")
        async with http.get("/v1/exports") as answer:
            assert (await answer.json())["total"] == 0

    @pytest.mark.parametrize(
        ("options", "details"),
        [
            ({"status": 99}, "status"),
            ({"status": "503"}, "status"),
            ({"times": 0}, "times"),
            ({"times": 1.0}, "times"),
            ({"probability": 0}, "probability"),
            ({"truncate": 1}, "truncate"),
            ({"headers": {"A": 1}}, "headers"),
            ({"headers": {"A": "b\r\nc: d"}}, "headers"),
            ({"redirect": "http://x\r\n"}, "redirect"),
            ({"edit": "dict.clear"}, "edit"),
        ],
    )
    async def test_refused(self, sandbox, options, details):
        """An invalid option is refused with an error that names it."""
        status, body = await ask(sandbox, "POST", "faults", options)
        assert status == 400
        assert details in body["details"]
        assert (await state_of(sandbox))["faults"] == []

    async def test_never_of_its_own(self, sandbox):
        """Faults do not apply to requests under `/_sandbox/`, and these are not recorded."""
        sandbox.fail(times=None, reset="before")
        assert (await ask(sandbox, "GET", "state"))[0] == 200
        assert sandbox.requests == []


class TestClear:
    @pytest.mark.parametrize("what", ["exports", "faults", "requests"])
    async def test_one(self, sandbox, http, what):
        """Exports, faults and requests can be cleared separately."""
        sandbox.add_export("order")
        sandbox.fail(method="PUT")
        async with http.get("/v1/exports"):
            pass
        assert await ask(sandbox, "POST", f"{what}/clear") == (204, "")
        state = await state_of(sandbox)
        assert {name: len(state[name]) for name in ("exports", "faults", "requests")} == {
            name: int(name != what) for name in ("exports", "faults", "requests")
        }


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "status"), [("GET", "nothing", 404), ("PUT", "state", 405), ("GET", "faults", 405)]
    )
    async def test_unknown(self, sandbox, method, path, status):
        """An unknown path is a 404, a wrong method a 405."""
        assert (await ask(sandbox, method, path))[0] == status

    async def test_not_of_the_files(self):
        """The host of the files does not serve the control API."""
        async with (
            Sandbox(download_host="127.0.0.2") as sandbox,
            ClientSession() as http,
            http.get(f"{sandbox.download_url}/_sandbox/state") as answer,
        ):
            assert answer.status == 401


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Host": "localhost:1234"}, 200),
            ({"Host": "[::1]:1234"}, 200),
            ({"Host": "127.0.0.1"}, 200),
            ({"Host": "sandbox.example"}, 403),
            ({"Host": "127.0.0.1.example:80"}, 403),
            ({"Host": "10.0.0.1:80"}, 403),
            ({"Host": "localhost:1234", "Origin": "http://localhost:1234"}, 200),
            ({"Host": "localhost:1234", "Origin": "http://localhost:5678"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "none"}, 200),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ],
    )
    async def test_headers(self, sandbox, headers, status):
        """Neither a page of another site nor a foreign host name can read the state."""
        assert (await ask(sandbox, "GET", "state", headers=headers))[0] == status

    async def test_another_site_changes_nothing(self, sandbox):
        """A form of another site is refused, also as a navigation."""
        headers = {"Origin": "http://evil.example", "Sec-Fetch-Dest": "document"}
        form = {"exported_object": "order"}
        assert (await ask(sandbox, "POST", "exports", data=form, headers=headers))[0] == 403
        assert (await state_of(sandbox))["exports"] == []

    async def test_no_host(self, sandbox):
        """A request without a host is refused."""
        received, _ = await exchange(f"{sandbox.url}/_sandbox/state", Host="")
        assert received.startswith(b"HTTP/1.1 403")

    @pytest.mark.parametrize(
        ("peer", "status"),
        [
            ("127.0.0.1", 200),
            ("::1", 200),
            ("::ffff:127.0.0.1", 200),
            ("192.168.1.7", 403),
            ("::ffff:192.168.1.7", 403),
            (None, 403),
        ],
    )
    async def test_peer(self, sandbox, peer, status):
        """Whatever its headers, a request must come from this machine."""
        request = SandboxRequest(
            method="GET",
            path="/_sandbox/state",
            query={},
            headers={"Host": "localhost"},
            body=b"",
            at=0,
        )
        assert Control(sandbox).answer(request, peer).status == status
