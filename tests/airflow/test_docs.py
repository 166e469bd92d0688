"""The page of the documentation: its blocks run, and the large one is the file that another test runs."""

import re
from typing import Any

import pytest
from threaded import EXAMPLES

PAGE = (EXAMPLES.parent / "airflow.md").read_text()
BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_block_runs(block: str) -> None:
    """As a file of DAGs does, which only tells what is to be done."""
    names: dict[str, Any] = {}

    exec(compile(block, "airflow.md", "exec"), names)

    assert "voucherify_exports.airflow" in block


def test_the_example_is_the_file() -> None:
    """Word for word."""
    assert (EXAMPLES / "voucherify_nightly.py").read_text() in BLOCKS
