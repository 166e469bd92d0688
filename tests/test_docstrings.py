"""The examples in docstrings run as if typed into `python -m asyncio`."""

import ast
import doctest
import hashlib
import importlib
import inspect
import io
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from test_house import MODULES

import voucherify_exports
from voucherify_exports import ExportsClient, Sandbox, catalog, tables

ID = "exp_CGnCVltmWjI9V1pGlnunw2Nf"


def examples() -> Iterator[Any]:
    """Each docstring of the package that contains examples."""
    for name in MODULES:
        for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
            if test.examples:
                yield pytest.param(test.examples, id=test.name)


@pytest.fixture
async def namespace(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The names that the examples use: a client, exports and files."""
    monkeypatch.chdir(tmp_path)
    sandbox.add_export("redemption", id=ID)
    Path("redemptions.csv").write_text("ID\nr_1\n")
    Path("vouchers.csv").write_text("Code,Loyalty Card Balance\n007,3\n")
    connect = partial(ExportsClient, base_url=sandbox.url)
    async with connect(sandbox.app_id, sandbox.app_token) as client:
        yield {
            **{name: getattr(voucherify_exports, name) for name in voucherify_exports.__all__},
            **{name: getattr(tables, name) for name in tables.__all__},
            **vars(catalog),
            "ExportsClient": connect,
            "app_id": sandbox.app_id,
            "app_token": sandbox.app_token,
            "client": client,
            "export": await client.get_export(ID),
            "ids": [ID],
            "digest": hashlib.sha256(),
        }


@pytest.mark.parametrize("typed", [*examples()])
async def test_runs(typed: list[doctest.Example], namespace: dict[str, Any]) -> None:
    """Each example runs, and prints the expected output if it shows one."""
    for example in typed:
        printed = await output(example.source, namespace)
        if example.want:
            flags = doctest.ELLIPSIS
            assert doctest.OutputChecker().check_output(example.want, printed, flags), printed


async def output(source: str, namespace: dict[str, Any]) -> str:
    """What a statement prints, the value of an expression, or its error as doctest writes it."""
    with redirect_stdout(io.StringIO()) as printed:
        try:
            code = compile(source, "<docstring>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & inspect.CO_COROUTINE:
                await FunctionType(code, namespace)()
            else:
                exec(code, namespace)
        except ValueError as error:  # an example may show one
            text = "".join(traceback.format_exception_only(error))
            return f"Traceback (most recent call last):\n{text}"
    return printed.getvalue()
