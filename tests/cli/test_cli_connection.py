"""Credentials from options, the environment, `.env` and a prompt."""

from pathlib import Path

import pytest
from cli_process import Invoke, environment, terminal

from voucherify_exports import Sandbox

NONE = {"VOUCHERIFY_APP_ID": "", "VOUCHERIFY_APP_TOKEN": "", "VOUCHERIFY_BASE_URL": ""}


def dotenv_of(sandbox: Sandbox) -> str:
    return (
        f"VOUCHERIFY_APP_ID={sandbox.app_id}\nexport VOUCHERIFY_APP_TOKEN='{sandbox.app_token}'\n"
        f"VOUCHERIFY_BASE_URL={sandbox.url}\nOTHER=$HOME\n"
    )


class TestDotenv:
    async def test_names_the_project(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Settings that the environment does not have come from `.env` in the working directory."""
        Path(".env").write_text(dotenv_of(sandbox))
        finished = await invoke("get", sandbox.add_export("order"), **NONE)

        assert (finished.exit_code, finished.stderr) == (0, "")

    async def test_the_environment_wins(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The environment takes precedence for each credential, and for cluster and URL together."""
        Path(".env").write_text("VOUCHERIFY_APP_TOKEN=other\nVOUCHERIFY_CLUSTER=us1.api\n")
        finished = await invoke("get", sandbox.add_export("order"))

        assert finished.exit_code == 0

    async def test_an_unreadable_file(self, invoke: Invoke) -> None:
        """An unreadable `.env` is an error."""
        Path(".env").write_bytes(b"VOUCHERIFY_APP_ID=\xff\n")
        finished = await invoke("get", "exp_1")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: cannot read .env: ")


class TestOptions:
    async def test_the_credentials(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--app-id` and `--app-token-file` take precedence over the environment."""
        Path("token").write_text(f"{sandbox.app_token}\n")
        wrong = {"VOUCHERIFY_APP_ID": "wrong", "VOUCHERIFY_APP_TOKEN": "wrong"}
        options = ["--app-id", sandbox.app_id, "--app-token-file", "token"]
        finished = await invoke("get", sandbox.add_export("order"), *options, **wrong)

        assert (finished.exit_code, finished.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (None, "cannot read the app token from token: No such file or directory"),
            (b"\xff", "cannot read the app token from token: it is not ASCII"),
            (b"\n", "the app token file token is empty"),
        ],
    )
    async def test_a_file_without_token(self, invoke: Invoke, content: bytes | None, problem: str) -> None:
        """The error has the reason."""
        if content is not None:
            Path("token").write_bytes(content)
        finished = await invoke("get", "exp_1", "--app-token-file", "token")

        assert (finished.exit_code, finished.stderr) == (3, f"Error: {problem}\n")

    async def test_quiet(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--quiet` prints only results and errors."""
        done, failed = sandbox.add_export("order"), sandbox.add_export("order", outcome="ERROR")
        finished = await invoke("wait", done, failed, "-q")

        assert finished.exit_code == 1
        assert len(finished.stdout.splitlines()) == 1
        assert [line.partition(" ")[0] for line in finished.stderr.splitlines()] == ["Error:"]


class TestPrompts:
    async def test_prompts_for_credentials(self, sandbox: Sandbox) -> None:
        """On a terminal, missing credentials are prompted for, and the token is not echoed."""
        own = environment(VOUCHERIFY_BASE_URL=sandbox.url)
        async with terminal("get", sandbox.add_export("order"), env=own) as screen:
            await screen.shows("App id: ")
            screen.press(f"{sandbox.app_id}\n".encode())
            await screen.shows("App token: ")
            screen.press(f"{sandbox.app_token}\n".encode())
            code = await screen.finish()

        assert code == 0
        assert "status" in screen.text
        assert sandbox.app_token not in screen.text

    async def test_interrupted(self, sandbox: Sandbox) -> None:
        """Ctrl-C at a prompt interrupts the command."""
        async with terminal("get", "exp_1", env=environment(sandbox, VOUCHERIFY_APP_TOKEN="")) as screen:
            await screen.shows("App token: ")
            code = await screen.interrupt()

        assert code == 130
        assert "Interrupted." in screen.text
