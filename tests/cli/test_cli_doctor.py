"""`doctor`: what it finds."""

import re
from importlib import util
from pathlib import Path

import pytest
from cli_process import Invoke

from voucherify_exports import Sandbox


def facts(stdout: str) -> dict[str, str]:
    """What is said of each thing."""
    pairs = (line.split(maxsplit=1) for line in stdout.splitlines())
    return {name: said for name, said in pairs}  # noqa: C416 - a list has no fixed length for mypy


class TestDoctor:
    async def test_all_is_well(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A line for each thing, for one request, and nothing secret."""
        sandbox.add_export("order")
        finished = await invoke("doctor")

        found = facts(finished.stdout)
        assert list(found) == ["installed", "extras", "project", "keys", "answer", "quota", "clock"]
        assert found["keys"] == "app id from the environment, app token from the environment"
        assert found["extras"] == "all"
        assert re.fullmatch(r"in \d+\.\d\d s, the keys are right; 1 export", found["answer"])
        assert found["quota"] == "Voucherify does not tell"
        assert found["clock"] == "right"
        assert (finished.exit_code, finished.stderr, len(sandbox.requests)) == (0, "", 1)
        assert sandbox.app_token not in finished.output

    async def test_quota(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """What is left is told."""
        sandbox.fail(headers={"X-Rate-Limit-Limit": "100", "X-Rate-Limit-Remaining": "7"})

        assert facts((await invoke("doctor")).stdout)["quota"] == "7 of 100 requests left"

    @pytest.mark.parametrize(
        ("date", "said"),
        [
            (
                "Thu, 01 Jan 2026 00:00:00 GMT",
                r"[\d,]+ s ahead of Voucherify's: set it, or have it set by NTP",
            ),
            ("Fri, 01 Jan 2100 00:00:00 GMT", r"[\d,]+ s behind Voucherify's: set it, or have it set by NTP"),
            ("yesterday", "Voucherify does not tell the time"),
        ],
    )
    async def test_clock(self, invoke: Invoke, sandbox: Sandbox, date: str, said: str) -> None:
        """A clock that is wrong is told, with the direction."""
        sandbox.fail(headers={"Date": date})

        assert re.fullmatch(said, facts((await invoke("doctor")).stdout)["clock"])

    async def test_extras(self, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is not installed is told with how to get it."""
        monkeypatch.setattr(
            "voucherify_exports.extras.find_spec",
            lambda name: None if name in {"pandas", "polars"} else util.find_spec(name),
        )

        said = facts((await invoke("doctor")).stdout)["extras"]
        assert said == "not all: pip install 'voucherify-exports[pandas,polars]'"

    @pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 3), (503, 7)])
    async def test_what_is_wrong(self, invoke: Invoke, sandbox: Sandbox, status: int, code: int) -> None:
        """It is the last line, and the exit code; it is not tried again."""
        sandbox.fail(status=status, times=None)
        finished = await invoke("doctor")

        assert finished.exit_code == code
        assert finished.stderr.splitlines()[-1].startswith(f"Error: GET /v1/exports: {status}")
        assert len(sandbox.requests) == 1

    async def test_no_answer(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """One is told what to check."""
        finished = await invoke("doctor", "--base-url", sandbox.url.replace("http:", "https:"))

        assert finished.exit_code == 7
        assert facts(finished.stdout)["answer"].startswith("none: check the network, a proxy, ")

    async def test_where_the_keys_come_from(self, invoke: Invoke, sandbox: Sandbox, tmp_path: Path) -> None:
        """An old `.env` or a forgotten variable is often what is wrong."""
        tmp_path.joinpath(".env").write_text(
            f"VOUCHERIFY_APP_ID={sandbox.app_id}\nVOUCHERIFY_APP_TOKEN=old\n"
        )
        tmp_path.joinpath("token").write_text(sandbox.app_token)
        finished = await invoke("doctor", "--app-token-file", "token", VOUCHERIFY_APP_ID="")
        said = facts(finished.stdout)["keys"]
        assert said == "app id from .env, app token from --app-token-file"

        finished = await invoke("doctor", "--app-id", sandbox.app_id)
        assert facts(finished.stdout)["keys"] == "app id from --app-id, app token from the environment"

    async def test_without_keys(self, invoke: Invoke) -> None:
        """What is installed is told all the same."""
        finished = await invoke("doctor", VOUCHERIFY_APP_ID="")

        assert finished.exit_code == 3
        assert finished.stdout.startswith("installed")
