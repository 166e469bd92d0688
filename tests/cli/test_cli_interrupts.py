"""Ctrl-C, and pipes whose reader has gone."""

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from cli_process import FORCING, environment, finish, run, start, terminal

from voucherify_exports import Sandbox


@pytest.fixture
async def slow() -> AsyncIterator[Sandbox]:
    """A sandbox whose exports stay IN_PROGRESS."""
    async with Sandbox(scheduled_for=0, in_progress_for=3600) as sandbox:
        yield sandbox


class TestInterrupts:
    async def test_wait(self, slow: Sandbox) -> None:
        """SIGINT ends only the wait: finished URLs are printed, and the command that waits for the rest."""
        pending, done = slow.add_export("order"), slow.add_export("customer")
        slow.finish(done)
        process = await start("wait", pending, done, env=environment(slow))
        assert process.stderr is not None
        async with asyncio.timeout(20):
            lines = {await process.stderr.readline() for _ in range(2)}
        process.send_signal(signal.SIGINT)
        finished = await finish(process)

        assert lines == {f"{pending} order: IN_PROGRESS\n".encode(), f"{done} customer: DONE\n".encode()}
        assert finished.code == 130
        assert f"/{done}?token=".encode() in finished.out
        assert finished.err.decode() == (
            "Interrupted. 1 export continues at Voucherify. To wait again:"
            f" voucherify-exports wait {pending}\n"
        )

    async def test_ctrl_c_on_a_terminal(self, slow: Sandbox) -> None:
        """After Ctrl-C the cursor is visible, and the printed command has the same options."""
        pending = slow.add_export("order")
        async with terminal("wait", pending, "--base-url", slow.url, env=environment(slow)) as screen:
            await screen.shows("IN_PROGRESS")
            screen.press(b"\x03")
            code = await screen.finish()

        assert code == 130
        assert f"voucherify-exports wait --base-url {slow.url} {pending}" in screen.text
        assert "Traceback" not in screen.text
        assert screen.written.rfind(b"\x1b[?25h") > screen.written.rfind(b"\x1b[?25l")

    async def test_get(self, slow: Sandbox) -> None:
        """A single request can be interrupted."""
        slow.fail(delay=math.inf)
        process = await start("get", "exp_1", env=environment(slow))
        while not slow.requests:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        finished = await finish(process)

        assert (finished.code, finished.out, finished.err) == (130, b"", b"Interrupted.\n")


class TestClosedPipes:
    @pytest.mark.parametrize("command", ["get", "wait"])
    @pytest.mark.parametrize("outcome", ["DONE", "ERROR"])
    async def test_stdout(self, sandbox: Sandbox, command: str, outcome: Literal["DONE", "ERROR"]) -> None:
        """When stdout is closed, there is no error message, and the exit code is the same."""
        export_id = sandbox.add_export("order", outcome=outcome)
        reader, writer = os.pipe()
        os.close(reader)
        process = await start(command, export_id, env=environment(sandbox), stdout=writer)
        os.close(writer)
        finished = await finish(process)

        assert finished.code == (1 if (command, outcome) == ("wait", "ERROR") else 0)
        assert all(
            line.startswith((export_id.encode(), b"Error: Export")) for line in finished.err.splitlines()
        )

    async def test_stderr(self, sandbox: Sandbox) -> None:
        """When stderr is closed, the results are still printed."""
        done, failed = sandbox.add_export("order"), sandbox.add_export("order", outcome="ERROR")
        reader, writer = os.pipe()
        os.close(reader)
        process = await start("wait", failed, done, env=environment(sandbox), stderr=writer)
        os.close(writer)
        finished = await finish(process)

        assert finished.code == 1
        assert f"/{done}?token=".encode() in finished.out

    async def test_demo_into_head(self) -> None:
        """The demo ends when stdout is closed."""
        reader, writer = os.pipe()
        process = await start("demo", env=environment(), stdout=writer)
        os.close(writer)
        start_of_output = await asyncio.to_thread(os.read, reader, 13)
        os.close(reader)
        finished = await finish(process)

        assert start_of_output == b"Seven exports"
        assert (finished.code, finished.err) == (0, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("command", ["get", "wait"])
    async def test_a_full_disk(self, sandbox: Sandbox, command: str) -> None:
        """Results that cannot be written are an error of one line."""
        export_id = sandbox.add_export("order")
        full = os.open("/dev/full", os.O_WRONLY)
        process = await start(command, export_id, env=environment(sandbox), stdout=full)
        os.close(full)
        finished = await finish(process)

        assert finished.code == 8
        assert finished.err.splitlines()[-1] == b"Error: [Errno 28] No space left on device"
        assert len(finished.err.splitlines()) == (2 if command == "wait" else 1)


class TestNoControlCodes:
    async def test_in_a_pipe(self, sandbox: Sandbox) -> None:
        """In a pipe no command prints control codes, not even with variables that force them."""
        forcing = environment(sandbox, **FORCING)
        done, failed = sandbox.add_export("order"), sandbox.add_export("order", outcome="ERROR")
        for args in (["wait", done, failed, "exp_nope"], ["get", done], ["get", "exp_nope"]):
            finished = await run(*args, env=forcing)

            assert finished.err or finished.out
            assert b"\x1b" not in finished.out + finished.err
