"""`sandbox`: its options, its output, and its end."""

import asyncio
import json
import re
import shlex
import signal
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from cli_process import Invoke, environment, finish, run, start, terminal

from voucherify_exports import Sandbox

SETTINGS = ["VOUCHERIFY_BASE_URL", "VOUCHERIFY_APP_ID", "VOUCHERIFY_APP_TOKEN"]


@asynccontextmanager
async def serving(*args: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """Run the command, and yield the variables that its line for the shell sets."""
    process = await start("sandbox", *args, env=environment())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        command, *settings = shlex.split(line)
        assert command == "export"
        yield process, dict(setting.split("=", 1) for setting in settings)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def http(settings: Mapping[str, str]) -> ClientSession:
    url, *keys = (settings[name] for name in SETTINGS)
    return ClientSession(url, headers=dict(zip(("X-App-Id", "X-App-Token"), keys, strict=True)))


class TestSandbox:
    async def test_its_line_for_the_shell(self) -> None:
        """With the printed variables, `wait` finds an export that was created over HTTP."""
        async with serving() as (process, settings):
            assert list(settings) == SETTINGS
            async with (
                http(settings) as session,
                session.post("/v1/exports", json={"exported_object": "order"}) as answer,
            ):
                export_id = (await answer.json())["id"]
            waited = await run("wait", export_id, env=environment(**settings))
            process.send_signal(signal.SIGTERM)
            ended = await finish(process)

        url = settings["VOUCHERIFY_BASE_URL"]
        assert waited.code == 0
        assert waited.out.startswith(f"{url}/v1/exports/{export_id}?".encode())
        assert (ended.code, ended.out) == (0, b"")
        assert ended.err.decode() == (
            f"The exports API runs at {url} until Ctrl-C. Its control page:\n"
            f"  {url}/_sandbox/\n"
            "To use it, run this line in the shell of a client program:\n"
        )

    async def test_options(self) -> None:
        """Credentials, port, rate limit and times are those of the options, quoted for the shell."""
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = reserved.getsockname()[1]
        args = ["--app-id", "it's me", "--app-token", "t", "--port", str(port), "--rate-limit", "3/60"]
        async with serving(*args, "--scheduled-for", "0", "--in-progress-for", "1.5-2") as (_, settings):
            assert settings == dict(zip(SETTINGS, (f"http://127.0.0.1:{port}", "it's me", "t"), strict=True))
            async with http(settings) as session:
                async with session.post("/v1/exports", json={"exported_object": "sku"}) as answer:
                    assert answer.headers["X-Rate-Limit-Limit"] == "3"
                async with session.get("/_sandbox/state") as answer:
                    state = await answer.json()

        (export,) = state["exports"]
        assert export["status"] == "IN_PROGRESS"
        assert 1.5 <= export["changes_at"] - export["created_at"] <= 2
        assert 59 < state["quota"]["ends_at"] - state["requests"][0]["at"] <= 60

    async def test_seed(self) -> None:
        """The seed determines the credentials."""
        expected = Sandbox(seed=7)
        async with serving("--seed", "7") as (_, settings):
            assert [settings[name] for name in SETTINGS[1:]] == [expected.app_id, expected.app_token]

    async def test_faults(self) -> None:
        """Faults apply from the first request on, in the order of the options."""
        faults = ({"status": 503}, {"body": {"a": 1}, "times": 2}, {"truncate": True, "extra": "more"})
        options = [option for fault in faults for option in ("--fail", json.dumps(fault))]
        async with serving(*options) as (_, settings), http(settings) as session:
            statuses = []
            for _ in range(3):
                async with session.get("/v1/exports") as answer:
                    statuses.append((answer.status, "a" in await answer.json()))
            async with session.get("/_sandbox/state") as answer:
                left = (await answer.json())["faults"]

        assert statuses == [(503, False), (200, True), (200, True)]
        assert len(left) == 1

    async def test_all_addresses(self) -> None:
        """A sandbox that listens on all addresses prints the one of loopback."""
        async with serving("--host", "0.0.0.0") as (_, settings), http(settings) as session:
            assert settings["VOUCHERIFY_BASE_URL"].startswith("http://127.0.0.1:")
            async with session.get("/_sandbox/") as page:
                assert page.status == 200


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_during_a_request(self, number: signal.Signals) -> None:
        """SIGINT and SIGTERM end it with exit code 0, even during a request."""
        async with serving() as (process, settings), http(settings) as session:
            await session.post("/_sandbox/faults", json={"pause": 3600, "after": 0})
            async with session.get("/v1/exports") as pausing:
                process.send_signal(number)
                ended = await finish(process)
                pausing.close()

        assert (ended.code, ended.out) == (0, b"")
        assert len(ended.err.splitlines()) == 3

    async def test_ctrl_c_on_a_terminal(self) -> None:
        """After Ctrl-C nothing is printed."""
        async with terminal("sandbox", env=environment(NO_COLOR="1")) as screen:
            await screen.shows("VOUCHERIFY_APP_TOKEN=")
            await screen.shows("\n")
            screen.press(b"\x03")
            code = await screen.finish()

        assert code == 0
        assert re.search(r"VOUCHERIFY_APP_TOKEN=\S+\s+\^?C?\s*$", screen.text)


class TestErrors:
    async def test_port_in_use(self) -> None:
        """A port in use is an error of one line that says what to do."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            finished = await run("sandbox", "--port", str(port), env=environment())

        assert (finished.code, finished.out) == (7, b"")
        assert finished.err.decode() == (
            f"Error: The sandbox cannot listen on 127.0.0.1, port {port}: Address already in use;"
            " choose another --host or --port\n"
        )

    async def test_no_such_host(self) -> None:
        """An unknown host is an error of one line, too."""
        finished = await run("sandbox", "--host", "nowhere.invalid", env=environment())

        (line,) = finished.err.decode().splitlines()
        assert (finished.code, finished.out) == (7, b"")
        assert line.startswith("Error: The sandbox cannot listen on nowhere.invalid, port 0: ")

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--rate-limit", "100"),
            ("--rate-limit", "0/60"),
            ("--scheduled-for", "soon"),
            ("--in-progress-for", "-1"),
        ],
    )
    async def test_invalid_values(self, invoke: Invoke, option: str, value: str) -> None:
        """An invalid value is wrong usage; the error names the option."""
        finished = await invoke("sandbox", f"{option}={value}")

        assert (finished.exit_code, finished.stdout) == (2, "")
        assert f"Invalid value for {option}: '{value}' is " in finished.stderr

    @pytest.mark.parametrize(
        ("fault", "problem"),
        [
            ("503", "a fault must be a JSON object, not 503"),
            ("{", "a fault must be a JSON object: Expecting"),
            ('{"sttus": 503}', "unknown option 'sttus' of a fault"),
            ('{"status": 1}', "status must be an integer from 200 to 599, not 1"),
        ],
    )
    async def test_invalid_faults(self, invoke: Invoke, fault: str, problem: str) -> None:
        """An invalid fault is reported before the sandbox starts."""
        finished = await invoke("sandbox", "--fail", fault)

        assert (finished.exit_code, finished.stdout) == (2, "")
        assert f"Invalid value for --fail: {problem}" in finished.stderr
