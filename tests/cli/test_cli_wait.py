"""One run of `wait`, with a client that polls without a pause; and the texts after Ctrl-C."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import pytest
from samples import ID, running, wire

from voucherify_exports import ConfigurationError, ExportsClient, PollPolicy, Sandbox
from voucherify_exports.cli.interruption import wait_interrupted
from voucherify_exports.cli.status_display import StatusDisplay, StatusView
from voucherify_exports.cli.streams import StreamConsole
from voucherify_exports.cli.wait import WaitRun

Connect = Callable[..., ExportsClient]


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[ExportsClient]:
    return connect(poll=PollPolicy(initial=0.001, max=0.001))


def display_of(wait_run: WaitRun) -> tuple[StatusDisplay, io.StringIO]:
    stream = io.StringIO()
    return StatusDisplay(StatusView(wait_run.export_ids), StreamConsole(stream)), stream


class TestWaitRun:
    async def test_prints_each_change_once(self, client: ExportsClient, sandbox: Sandbox) -> None:
        """Each change of status is one line, however many polls there are."""
        wait_run = WaitRun([ID])
        display, stream = display_of(wait_run)
        sandbox.fail(times=2, body=running("SCHEDULED"))
        sandbox.fail(times=3, body=running())
        sandbox.fail(times=None, body=wire())
        await wait_run.run(client, display, 10)

        assert stream.getvalue().splitlines() == [
            f"{ID} customer: SCHEDULED",
            f"{ID} customer: IN_PROGRESS",
            f"{ID} customer: DONE",
        ]
        assert wait_run.urls == [wire()["result"]["url"]]
        assert wait_run.exit_code == 0

    async def test_an_invalid_id(self, client: ExportsClient) -> None:
        """An invalid id is raised, and no wait is left."""
        wait_run = WaitRun([ID, "exp/1"])
        display, _ = display_of(wait_run)
        with pytest.raises(ConfigurationError, match="exp/1"):
            await wait_run.run(client, display, 10)

        await client.close()


class TestInterrupted:
    async def test_while_exports_are_pending(self, client: ExportsClient, sandbox: Sandbox) -> None:
        """The printed command waits for the pending exports, with the same options."""
        done = sandbox.add_export("order")
        wait_run = WaitRun([done, "exp_$1", "exp_2"])
        display, stream = display_of(wait_run)
        for export_id in wait_run.export_ids[1:]:
            sandbox.fail(times=None, path=f"*/{export_id}", body=running(id=export_id))
        async with asyncio.timeout(10):
            running_wait = asyncio.create_task(wait_run.run(client, display, 10))
            while stream.getvalue().count("\n") < 3:
                await asyncio.sleep(0.001)
        running_wait.cancel()
        await asyncio.wait({running_wait})

        assert wait_interrupted(wait_run.pending, ["--cluster", "us1.api"]) == (
            "Interrupted. 2 exports continue at Voucherify. To wait again:"
            " voucherify-exports wait --cluster us1.api 'exp_$1' exp_2"
        )
        assert len(wait_run.urls) == 1

    def test_with_one_export(self) -> None:
        """The text is in the singular."""
        assert wait_interrupted(["exp_1"], []) == (
            "Interrupted. 1 export continues at Voucherify. To wait again: voucherify-exports wait exp_1"
        )

    def test_with_many_exports(self) -> None:
        """With more than ten ids, the command is not spelled out."""
        ids = [f"exp_{number}" for number in range(1000)]

        assert wait_interrupted(ids, []) == (
            "Interrupted. 1,000 exports continue at Voucherify. To wait again: run the same command"
        )

    def test_after_the_last_export(self) -> None:
        """When every export is finished, there is nothing to resume."""
        assert wait_interrupted([], []) == "Interrupted."
