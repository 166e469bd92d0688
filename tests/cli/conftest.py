"""Commands in the process of the tests, against the sandbox."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cli_process import Invoke
from typer.testing import CliRunner, Result

from voucherify_exports import Sandbox
from voucherify_exports.cli.app import app


@pytest.fixture
def invoke(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Run a command in a thread, since it starts an event loop; the environment names the sandbox."""
    monkeypatch.chdir(tmp_path)
    for name in ("app_id", "app_token"):
        monkeypatch.setenv(f"VOUCHERIFY_{name.upper()}", getattr(sandbox, name))
    monkeypatch.setenv("VOUCHERIFY_BASE_URL", sandbox.url)

    async def invoke(*args: str, stdin: str | None = None, **env: Any) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(args), input=stdin, env=env)

    return invoke
