"""One run of `wait`, with a client that polls without a pause."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import pytest
from samples import ID, running, wire

from voucherify_exports import ConfigurationError, ExportsClient, PollPolicy, Sandbox
from voucherify_exports.cli.status_display import Progress, StatusView
from voucherify_exports.cli.streams import StreamConsole
from voucherify_exports.cli.wait import Wait

Connect = Callable[..., ExportsClient]


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[ExportsClient]:
    return connect(poll=PollPolicy(initial=0.001, max=0.001))


def progress_of(waiting: Wait) -> tuple[Progress, io.StringIO]:
    stream = io.StringIO()
    return Progress(StatusView(waiting.export_ids), StreamConsole(stream)), stream


class TestWait:
    async def test_tells_each_change_once(self, client: ExportsClient, sandbox: Sandbox) -> None:
        """One line for each change of status, however often it is looked at."""
        waiting = Wait([ID])
        progress, stream = progress_of(waiting)
        sandbox.fail(times=2, body=running("SCHEDULED"))
        sandbox.fail(times=3, body=running())
        sandbox.fail(times=None, body=wire())
        await waiting.run(client, progress, 10)

        assert stream.getvalue().splitlines() == [
            f"{ID} customer: SCHEDULED",
            f"{ID} customer: IN_PROGRESS",
            f"{ID} customer: DONE",
        ]
        assert waiting.urls == [wire()["result"]["url"]]
        assert waiting.exit_code == 0

    async def test_an_argument_that_cannot_be_right(self, client: ExportsClient) -> None:
        """It is for the caller to say so, and leaves no wait behind."""
        waiting = Wait([ID, "exp/1"])
        progress, _ = progress_of(waiting)
        with pytest.raises(ConfigurationError, match="exp/1"):
            await waiting.run(client, progress, 10)

        await client.close()


class TestHowToGoOn:
    async def test_names_what_is_pending(self, client: ExportsClient, sandbox: Sandbox) -> None:
        """After a cancellation, the command waits for what was not finished, with the same options."""
        done = sandbox.add_export("order")
        waiting = Wait([done, "exp_$1", "exp_2"])
        progress, stream = progress_of(waiting)
        for export_id in waiting.export_ids[1:]:
            sandbox.fail(times=None, path=f"*/{export_id}", body=running(id=export_id))
        async with asyncio.timeout(10):
            running_wait = asyncio.create_task(waiting.run(client, progress, 10))
            while stream.getvalue().count("\n") < 3:
                await asyncio.sleep(0.001)
        running_wait.cancel()
        await asyncio.wait({running_wait})

        assert waiting.how_to_go_on(["--cluster", "us1.api"]) == (
            "Interrupted. 2 exports go on at Voucherify; to wait again:"
            " voucherify-exports wait --cluster us1.api 'exp_$1' exp_2"
        )
        assert len(waiting.urls) == 1

    def test_one(self) -> None:
        """One export is not some exports."""
        assert Wait(["exp_1"]).how_to_go_on([]) == (
            "Interrupted. 1 export goes on at Voucherify; to wait again: voucherify-exports wait exp_1"
        )

    def test_many(self) -> None:
        """A screen full of ids helps nobody."""
        ids = [f"exp_{number}" for number in range(1000)]

        assert Wait(ids).how_to_go_on([]) == (
            "Interrupted. 1,000 exports go on at Voucherify; to wait again: run the same command"
        )
