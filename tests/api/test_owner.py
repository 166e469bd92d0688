import asyncio
import os
import threading
import traceback
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from samples import ID, wire

from voucherify_exports import ClientClosedError, Export, ExportsClient, PollPolicy, Sandbox
from voucherify_exports._api.owner import Owner

Connect = Callable[..., ExportsClient]
Use = Callable[[ExportsClient, Path], Awaitable[object]]

LOOP_RULE = "create one client in each event loop"
PROCESS_RULE = "create one client in each process"
KNOWN = Export.from_dict(wire())

USES: dict[str, Use] = {
    "aenter": lambda client, path: client.__aenter__(),
    "wait_many": lambda client, path: anext(client.wait_many([ID])),
    "close": lambda client, path: client.close(),
    "create": lambda client, path: client.create_export("voucher"),
    "create_member": lambda client, path: client.create_member_transactions_export("v_1"),
    "create_order": lambda client, path: client.create_order_export(),
    "delete": lambda client, path: client.delete_export(ID),
    "download": lambda client, path: client.download(ID, path / "x.csv"),
    "export_to": lambda client, path: client.export_to(path / "missing" / "x.csv", "voucher"),
    "get": lambda client, path: client.get_export(ID),
    "list": lambda client, path: anext(client.list_exports()),
    "list_page": lambda client, path: client.list_page(),
    "rows": lambda client, path: anext(client.rows(ID)),
    "save": lambda client, path: client.save(ID, path / "missing" / "x.csv"),
    "stream": lambda client, path: anext(client.stream(ID)),
    "to_arrow": lambda client, path: client.to_arrow(ID),
    "to_pandas": lambda client, path: client.to_pandas(ID),
    "to_polars": lambda client, path: client.to_polars(ID),
    "wait": lambda client, path: client.wait_until_done(ID),
    "wait_for_known": lambda client, path: client.wait_until_done(KNOWN),
}


@pytest.fixture(params=USES)
def use(request: pytest.FixtureRequest) -> Use:
    """Each public call of the client."""
    return USES[request.param]


def in_another_loop(work: Callable[[], Coroutine[Any, Any, object]]) -> Awaitable[object]:
    """Run a coroutine in an event loop of another thread."""
    return asyncio.to_thread(lambda: asyncio.run(work()))


class TestSecondLoop:
    async def test_each_call_is_refused(
        self, use: Use, connect: Connect, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """A call in the loop of another thread raises RuntimeError at once, and sends nothing."""
        sandbox.add_export("voucher", id=ID)
        client = connect()
        await client.get_export(ID)

        async def call() -> None:
            async with asyncio.timeout(5):
                await use(client, tmp_path)

        with pytest.raises(RuntimeError, match=LOOP_RULE):
            await in_another_loop(call)
        assert len(sandbox.requests) == 1
        assert (await client.get_export(ID)).id == ID

    async def test_pending_calls_of_the_owner_are_unharmed(self, connect: Connect, tmp_path: Path) -> None:
        """A wait and a queued call of the first loop end as if nobody had called from elsewhere."""
        async with Sandbox(scheduled_for=0, in_progress_for=60) as sandbox:
            export_id = sandbox.add_export("voucher")
            client = connect(
                base_url=sandbox.url,
                app_id=sandbox.app_id,
                app_token=sandbox.app_token,
                poll=PollPolicy(initial=0.01, max=0.02),
                max_connections=1,
            )
            wait = asyncio.create_task(client.wait_until_done(export_id))
            sandbox.fail(delay=0.1, path="/v1/exports", method="GET")
            calls = [asyncio.create_task(client.list_page()) for _ in range(2)]
            await asyncio.sleep(0.02)

            for use in USES.values():
                with pytest.raises(RuntimeError, match=LOOP_RULE):
                    await in_another_loop(partial(_awaited, use(client, tmp_path)))

            assert [page.total for page in await asyncio.gather(*calls)] == [1, 1]
            sandbox.finish(export_id)
            assert (await wait).is_done

    async def test_a_closed_client(self, connect: Connect) -> None:
        """A client that is closed is reported as closed everywhere, and closing it again does nothing."""
        client = connect()
        await client.list_page()
        await client.close()

        with pytest.raises(ClientClosedError):
            await in_another_loop(client.list_page)
        await in_another_loop(client.close)

    async def test_the_first_call_decides(self, sandbox: Sandbox) -> None:
        """A client belongs to the loop of its first call, or of its `async with`, wherever it was created."""
        client = await asyncio.to_thread(
            lambda: ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url)
        )
        async with client:
            with pytest.raises(RuntimeError, match=LOOP_RULE):
                await in_another_loop(client.list_page)
            await client.list_page()


class TestRunTwice:
    def test_a_call_in_the_second_run(self, use: Use, tmp_path: Path) -> None:
        """The error says that the loop of the client is closed, also for `close`."""
        client = ExportsClient("c70a6f00", "token", base_url="http://127.0.0.1:1")
        asyncio.run(_awaited(client.__aenter__()))

        with pytest.raises(RuntimeError, match=f"another event loop, which is closed: {LOOP_RULE}"):
            asyncio.run(_awaited(use(client, tmp_path)))

    def test_with_a_wait_under_way_in_the_first_run(self) -> None:
        """A wait that the end of the first run cancelled is no obstacle to the message."""
        client: list[ExportsClient] = []

        async def first_run() -> None:
            async with Sandbox(scheduled_for=60) as sandbox:
                client.append(ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url))
                wait = asyncio.create_task(client[0].wait_until_done(sandbox.add_export("voucher")))
                while not sandbox.requests:
                    await asyncio.sleep(0.001)
                assert not wait.done()
                assert client[0]._transport._session is not None
                await client[0]._transport._session.close()  # else it warns when it is collected

        asyncio.run(first_run())
        with pytest.raises(RuntimeError, match=f"which is closed: {LOOP_RULE}"):
            asyncio.run(_awaited(client[0].wait_until_done(ID, timeout=1)))


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


def in_child(work: Callable[[], object]) -> str:
    """What work in a forked process raises, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The threads of the test run are no part of what the child does.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            try:
                result = f"returned {work()!r}"
            except Exception as error:  # noqa: BLE001 - whatever it raises is the result
                result = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            os.write(writing, result.encode()[:4000])
        finally:
            os._exit(0)  # nothing of the parent may be cleaned up here: they share what they had open
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestFork:
    async def test_each_call_in_the_child_is_refused(
        self, use: Use, connect: Connect, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """A call in a forked process raises RuntimeError, and the parent's connection still serves it."""
        sandbox.add_export("voucher", id=ID)
        client = connect()
        await client.get_export(ID)

        in_loop_of_its_own = in_child(lambda: asyncio.run(_awaited(use(client, tmp_path))))
        in_the_loop_that_was_forked = in_child(lambda: _step(use(client, tmp_path)))

        for text in (in_loop_of_its_own, in_the_loop_that_was_forked):
            assert text.startswith("RuntimeError: this ExportsClient belongs to process")
            assert f"{PROCESS_RULE}\n" in text
        async with asyncio.timeout(5):
            assert (await client.get_export(ID)).id == ID
        assert len(sandbox.requests) == 2

    def test_a_client_that_was_not_used_before_the_fork(self) -> None:
        """A client without a call yet belongs to the process of its first call."""
        client = ExportsClient("c70a6f00", "token", base_url="http://127.0.0.1:1")

        text = in_child(lambda: asyncio.run(_awaited(client.wait_until_done(KNOWN))))

        assert text.startswith("returned")
        assert asyncio.run(_awaited(client.wait_until_done(KNOWN))) is KNOWN


def _step(awaitable: Any) -> None:
    """Take the first step of a coroutine without a loop, as the child of a fork in a coroutine does."""
    awaitable.__await__().send(None)


class TestOwner:
    async def test_another_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names both processes."""
        owner = Owner()
        owner.check()
        pid = os.getpid()

        monkeypatch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(
            RuntimeError, match=f"belongs to process {pid}, and this is process 1: {PROCESS_RULE}"
        ):
            owner.check()

    def test_a_loop_at_the_same_address(self) -> None:
        """A later loop is not taken for the first one, since the owner keeps that one alive."""
        owner = Owner()
        for number in range(20):
            with asyncio.Runner() as runner:
                if number:
                    with pytest.raises(RuntimeError, match=LOOP_RULE):
                        runner.run(_check(owner))
                else:
                    runner.run(_check(owner))

    def test_threads_of_one_loop(self) -> None:
        """The thread does not matter, but the loop that runs in it."""
        owner, loop, errors = Owner(), asyncio.new_event_loop(), list[BaseException]()

        def run() -> None:
            try:
                loop.run_until_complete(_check(owner))
            except RuntimeError as error:
                errors.append(error)

        for _ in range(2):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        loop.close()
        assert errors == []


async def _check(owner: Owner) -> None:
    owner.check()
