"""The commands of the documentation, as a reader would type them."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from cli_process import environment

from voucherify_exports import Sandbox

ROOT = Path(__file__).parents[2]
TEXT = "".join(ROOT.joinpath(name).read_text() for name in ("README.md", "docs/command-line.md"))
BLOCKS = [
    block
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", TEXT, re.DOTALL)
    if "exports sandbox" not in block and "-m venv" not in block  # those are run by themselves
]


@pytest.mark.parametrize("block", BLOCKS)
async def test_blocks(block: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each block of commands succeeds in a shell, and says what a console block shows."""
    command = tmp_path / "bin" / "voucherify-exports"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m voucherify_exports "$@"\n')
    command.chmod(0o755)
    typed = re.findall(r"^\$ (.*)", block, re.MULTILINE)
    own = environment(sandbox)
    own["PATH"] = f"{command.parent}:{own['PATH']}"
    shell = await asyncio.create_subprocess_shell(
        "\n".join(typed) or block, cwd=tmp_path, env=own, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await shell.communicate()

    assert shell.returncode == 0, said
    if typed:
        shown = [line for line in block.splitlines() if not line.startswith("$ ")]
        assert [pattern(line) for line in said.decode().splitlines()] == [pattern(line) for line in shown]


def pattern(line: str) -> str:
    """A line without what chance decides."""
    line = re.sub(r"127\.0\.0\.1:\d+|\d+(\.\d+)+", "…", line)
    return re.sub(r"exp_\w+|app_id=\w+…", "…", line)
