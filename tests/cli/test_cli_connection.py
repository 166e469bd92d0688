"""Where the keys come from: options, the environment, `.env`, a person."""

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
        """What the environment lacks comes from `.env` in the working directory."""
        Path(".env").write_text(dotenv_of(sandbox))
        finished = await invoke("get", sandbox.add_export("order"), **NONE)

        assert (finished.exit_code, finished.stderr) == (0, "")

    async def test_the_environment_wins(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Each key, and the place as a whole."""
        Path(".env").write_text("VOUCHERIFY_APP_TOKEN=other\nVOUCHERIFY_CLUSTER=us1.api\n")
        finished = await invoke("get", sandbox.add_export("order"))

        assert finished.exit_code == 0

    async def test_that_cannot_be_read(self, invoke: Invoke) -> None:
        """It is told, rather than passed over."""
        Path(".env").write_bytes(b"VOUCHERIFY_APP_ID=\xff\n")
        finished = await invoke("get", "exp_1")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: .env cannot be read: ")


class TestOptions:
    async def test_the_keys(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--app-id` and `--app-token-file` win over the environment."""
        Path("token").write_text(f"{sandbox.app_token}\n")
        wrong = {"VOUCHERIFY_APP_ID": "wrong", "VOUCHERIFY_APP_TOKEN": "wrong"}
        keys = ["--app-id", sandbox.app_id, "--app-token-file", "token"]
        finished = await invoke("get", sandbox.add_export("order"), *keys, **wrong)

        assert (finished.exit_code, finished.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (None, "the app token cannot be read from token: No such file or directory"),
            (b"\xff", "the app token cannot be read from token: it is not ASCII"),
            (b"\n", "there is no app token in token"),
        ],
    )
    async def test_a_file_without_token(self, invoke: Invoke, content: bytes | None, problem: str) -> None:
        """It is told with the reason."""
        if content is not None:
            Path("token").write_bytes(content)
        finished = await invoke("get", "exp_1", "--app-token-file", "token")

        assert (finished.exit_code, finished.stderr) == (3, f"Error: {problem}\n")

    async def test_quiet(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--quiet` leaves the results, and the errors."""
        done, failed = sandbox.add_export("order"), sandbox.add_export("order", outcome="ERROR")
        finished = await invoke("wait", done, failed, "-q")

        assert finished.exit_code == 1
        assert len(finished.stdout.splitlines()) == 1
        assert [line.partition(" ")[0] for line in finished.stderr.splitlines()] == ["Error:"]


class TestQuestions:
    async def test_asks_for_the_keys(self, sandbox: Sandbox) -> None:
        """Who sits at a terminal is asked for what is missing, and the token is not shown."""
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
        """Ctrl-C instead of an answer is Ctrl-C."""
        async with terminal("get", "exp_1", env=environment(sandbox, VOUCHERIFY_APP_TOKEN="")) as screen:
            await screen.shows("App token: ")
            code = await screen.interrupt()

        assert code == 130
        assert "Interrupted." in screen.text
