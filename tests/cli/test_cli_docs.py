"""The shell commands of the documentation, as a reader would type them."""

import asyncio
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from importlib.metadata import metadata
from pathlib import Path

import pytest
from cli_process import environment

from voucherify_exports import Sandbox

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
BLOCKS = [
    pytest.param(language, block, id=f"{page.stem}-{number}")
    for page in sorted(PAGES)
    for number, (language, block) in enumerate(
        re.findall(r"^ *```(\S*)\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]
SHELL = {"sh", "console"}
RUN_BY_OTHERS = {"python", "py", "{eval-rst}", "{toctree}", "{include} ../CHANGELOG.md"}
DRAWINGS = {"text"}  # of docs/internals.md, whose map tests/test_house.py checks


def blocks(*, serve: bool, install: bool) -> list[object]:
    """The blocks for a shell of one kind."""
    return [
        block
        for block in BLOCKS
        if block.values[0] in SHELL
        and serve is str(block.values[1]).startswith("$ voucherify-exports sandbox")
        and install is bool(re.search(r"\bpip install\b", str(block.values[1])))
    ]


@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_each_block_is_tested(language: str, block: str) -> None:
    """Each block is of a kind that some test runs: here, in `nox -s docs` or `airflow`, or by Sphinx."""
    assert language in SHELL | RUN_BY_OTHERS | DRAWINGS, block


@pytest.fixture
def shell(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that has the command."""
    command = tmp_path / "bin" / "voucherify-exports"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m voucherify_exports "$@"\n')
    command.chmod(0o755)
    own = environment(sandbox)
    own["PATH"] = f"{command.parent}:{own['PATH']}"
    return own


@pytest.mark.parametrize(("language", "block"), blocks(serve=False, install=False))
async def test_commands(language: str, block: str, shell: dict[str, str], tmp_path: Path) -> None:
    """Each block of commands succeeds in a shell, and prints what a console block shows."""
    if "curl " in block and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    typed = re.findall(r"^\$ (.*)", block, re.MULTILINE) if language == "console" else [block]
    process = await asyncio.create_subprocess_shell(
        "\n".join(typed), cwd=tmp_path, env=shell, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output
    if language == "console":
        assert [pattern(line) for line in output.decode().splitlines()] == shown(block)


@pytest.mark.parametrize(("language", "block"), blocks(serve=True, install=False))
async def test_servers(language: str, block: str, shell: dict[str, str], tmp_path: Path) -> None:
    """A command that serves until Ctrl-C prints what its block shows; 8080 becomes a free port."""
    command = block.splitlines()[0].removeprefix("$ ").replace("--port 8080", "--port 0")
    process = await asyncio.create_subprocess_shell(
        f"exec {command}", cwd=tmp_path, env=shell, stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        output = [(await process.stdout.readline()).decode().rstrip("\n") for _ in shown(block)]
    process.send_signal(signal.SIGINT)
    await process.communicate()

    assert [pattern(line) for line in output] == shown(block)
    assert process.returncode == 0


@pytest.mark.parametrize(("language", "block"), blocks(serve=False, install=True))
def test_installations(language: str, block: str) -> None:
    """An install command installs this package, with extras that exist; it is not run here."""
    extras = {
        name
        for names in re.findall(r"(?:voucherify-exports|\.)\[(.*?)\]", block)
        for name in names.split(",")
    }

    assert re.search(r"install (-q )?('?voucherify-exports|'?\.|nox)", block)
    assert extras <= set(metadata("voucherify-exports").get_all("Provides-Extra"))


def shown(block: str) -> list[str]:
    return [pattern(line) for line in block.splitlines() if not line.startswith("$ ")]


def pattern(line: str) -> str:
    """A line without ports, versions, times, ids and credentials."""
    line = re.sub(r"127\.0\.0\.1:\d+|\d+(\.\d+)+", "…", line)
    return re.sub(r"exp_\w+|app_id=\w+…|(?<=VOUCHERIFY_APP_ID=)\S+|(?<=_TOKEN=)\S+", "…", line)
