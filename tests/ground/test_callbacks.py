import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from samples import ID

from voucherify_exports import ExportsClient, Sandbox
from voucherify_exports._ground.callbacks import check_callback, check_returned
from voucherify_exports.tables import to_arrow

Connect = Callable[..., ExportsClient]


async def coroutine_function(*_: object) -> None: ...


async def asynchronous_generator(*_: object) -> AsyncIterator[None]:
    yield


def generator(*_: object) -> Iterator[None]:
    yield


class Methods:
    async def method(self, *_: object) -> None: ...

    @classmethod
    async def class_method(cls, *_: object) -> None: ...

    @staticmethod
    async def static_method(*_: object) -> None: ...


class AsyncCallable:
    async def __call__(self, *_: object) -> None: ...


class PlainCallable:
    def __call__(self, *_: object) -> None: ...


ASYNC: dict[str, Any] = {
    "function": coroutine_function,
    "generator": asynchronous_generator,
    "partial": functools.partial(coroutine_function, 1),
    "partial of a partial": functools.partial(functools.partial(coroutine_function), 1),
    "method": Methods().method,
    "class method": Methods.class_method,
    "static method": Methods.static_method,
    "object": AsyncCallable(),
    "partial of an object": functools.partial(AsyncCallable(), 1),
    "partial of a method": functools.partial(Methods().method),
    "mock": AsyncMock(),
}
PLAIN: dict[str, Any] = {
    "function": lambda *_: None,
    "builtin": print,
    "method": [].append,
    "partial": functools.partial(print, end=""),
    "object": PlainCallable(),
    "class": dict,
    "class with async instances": AsyncCallable,
    "mock": Mock(),
}


class TestCheckCallback:
    @pytest.mark.parametrize("callback", ASYNC.values(), ids=ASYNC)
    def test_refuses_what_is_async(self, callback: Any) -> None:
        """Whatever would return something to await is a TypeError that names the argument."""
        with pytest.raises(TypeError, match="on_x must be a plain function: an async one would never run"):
            check_callback("on_x", callback)

    def test_refuses_a_generator_function(self) -> None:
        """A call of a generator function runs nothing either."""
        with pytest.raises(TypeError, match="on_x must be a plain function: a generator would never run"):
            check_callback("on_x", generator)

    @pytest.mark.parametrize("callback", [3, "print", None, object(), []])
    def test_refuses_what_cannot_be_called(self, callback: object) -> None:
        """The error names the argument and the type."""
        with pytest.raises(TypeError, match=f"on_x must be a function, not {type(callback).__name__}"):
            check_callback("on_x", callback)

    @pytest.mark.parametrize("callback", PLAIN.values(), ids=PLAIN)
    def test_accepts_what_runs(self, callback: Any) -> None:
        """All that runs when it is called is accepted."""
        check_callback("on_x", callback)


class TestCheckReturned:
    @pytest.mark.filterwarnings("error")
    def test_closes_a_coroutine(self) -> None:
        """The coroutine is closed, so that Python does not warn about it."""
        with pytest.raises(TypeError, match="on_x must be a plain function: an async one"):
            check_returned("on_x", coroutine_function())

    async def test_accepts_everything_else(self) -> None:
        """A task runs by itself."""
        task = asyncio.create_task(coroutine_function())
        for returned in (None, 3, task):
            check_returned("on_x", returned)
        await task


class TestArguments:
    """Each argument that is a callback."""

    @pytest.mark.parametrize("wrong", [coroutine_function, 3])
    def test_on_event(self, wrong: Any) -> None:
        """The client is not created."""
        with pytest.raises(TypeError, match="on_event must be a"):
            ExportsClient("c70a6f00", "token", on_event=wrong)

    @pytest.mark.parametrize("wrong", [coroutine_function, 3])
    async def test_callbacks_of_calls(
        self, wrong: Any, connect: Connect, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """Nothing is sent, and `export_to` creates nothing."""
        client, path = connect(), tmp_path / "x.csv"
        calls: dict[Callable[..., Any], str] = {
            functools.partial(client.wait_until_done, ID): "on_update",
            functools.partial(client.export_to, path, "voucher"): "on_update on_progress",
            functools.partial(client.download, ID, path): "on_progress",
            functools.partial(client.save, ID, path): "on_progress",
        }
        for call, names in calls.items():
            for name in names.split():
                with pytest.raises(TypeError, match=f"{name} must be a"):
                    await call(**{name: wrong})
        assert sandbox.requests == []
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - a blocking call in a test

    @pytest.mark.filterwarnings("error")
    async def test_a_lambda_around_an_async_function(
        self, connect: Connect, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """`on_progress` that returns a coroutine is noticed when it is called."""
        export_id = sandbox.add_export("voucher")
        with pytest.raises(TypeError, match="on_progress must be a plain function"):
            await connect().download(
                export_id, tmp_path / "x.csv", on_progress=lambda *_: coroutine_function()
            )

    @pytest.mark.parametrize("wrong", [coroutine_function, lambda _: coroutine_function(), 3])
    def test_progress_of_tables(self, wrong: Any, tmp_path: Path) -> None:
        """The functions of `tables` refuse it in the same way."""
        source = tmp_path / "x.csv"
        source.write_text("Code\nA\n")
        with pytest.raises(TypeError, match="on_progress must be a"):
            to_arrow(source, on_progress=wrong)

    def test_edit_of_a_fault(self, sandbox: Sandbox) -> None:
        """The sandbox's own callback must be plain, too."""
        edit: Any = coroutine_function
        with pytest.raises(ValueError, match="edit must be a plain function"):
            sandbox.fail(edit=edit)
