"""The documentation of Airflow runs: the code blocks of its page, and the examples in docstrings."""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from doctest import DocTestFinder
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest
from threaded import EXAMPLES, connection_to

from voucherify_exports import Sandbox, airflow

PAGE = (EXAMPLES.parent / "airflow.md").read_text()
BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_block_runs(block: str) -> None:
    """Each code block is a file of DAGs, which only declares tasks when it is executed."""
    names: dict[str, Any] = {}

    exec(compile(block, "airflow.md", "exec"), names)

    assert "voucherify_exports.airflow" in block


def test_the_example_is_the_file() -> None:
    """The nightly DAG on the page is the file in docs/examples, word for word."""
    assert (EXAMPLES / "voucherify_nightly.py").read_text() in BLOCKS


def test_the_reference_has_the_signatures() -> None:
    """The signatures, written by hand since the site is built without Airflow, are the real ones."""
    reference = EXAMPLES.parent.joinpath("reference/airflow.md").read_text()
    written = dict(re.findall(r"autoclass:: (\w+)(\(.*\))", reference))

    assert written.keys() == {*airflow.__all__}
    for name, shown in written.items():
        parameters = inspect.signature(getattr(airflow, name)).parameters.values()
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
        assert shown == str(inspect.Signature(bare))


def examples() -> Iterator[Any]:
    for module in ("", ".hook"):
        for test in DocTestFinder(exclude_empty=True).find(
            import_module(f"voucherify_exports.airflow{module}")
        ):
            if test.examples:
                yield pytest.param([example.source for example in test.examples], id=test.name)


@pytest.mark.parametrize("sources", [*examples()])
def test_each_docstring_runs(sources: list[str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples run as in `python -m asyncio`, or as in a shell where they have no await."""
    monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_SHOP", connection_to(sandbox))
    sandbox.add_export("order", id="exp_CGnCVltmWjI9V1pGlnunw2Nf")
    names = {name: getattr(airflow, name) for name in airflow.__all__}
    for source in sources:
        code = compile(source, "<docstring>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(FunctionType(code, names)())
        else:
            exec(code, names)
