"""`doctor`: what it reports."""

import re
from importlib import util
from pathlib import Path

import pytest
from cli_process import Invoke

from voucherify_exports import Sandbox


def facts(stdout: str) -> dict[str, str]:
    """The text of each line, by its name."""
    pairs = (line.split(maxsplit=1) for line in stdout.splitlines())
    return {name: text for name, text in pairs}  # noqa: C416 - a list has no fixed length for mypy


class TestDoctor:
    async def test_everything_is_correct(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """There is a line for each check, after one request, and no secret."""
        sandbox.add_export("order")
        finished = await invoke("doctor")

        found = facts(finished.stdout)
        assert list(found) == ["installed", "extras", "project", "credentials", "response", "quota", "clock"]
        assert found["credentials"] == "app id from the environment, app token from the environment"
        assert found["extras"] == "all installed"
        assert re.fullmatch(r"after \d+\.\d\d s, credentials accepted; 1 export", found["response"])
        assert found["quota"] == "not reported by Voucherify"
        assert found["clock"] == "correct"
        assert (finished.exit_code, finished.stderr, len(sandbox.requests)) == (0, "", 1)
        assert sandbox.app_token not in finished.output

    async def test_quota(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The remaining requests are reported."""
        sandbox.fail(headers={"X-Rate-Limit-Limit": "100", "X-Rate-Limit-Remaining": "7"})

        assert facts((await invoke("doctor")).stdout)["quota"] == "7 of 100 requests left"

    @pytest.mark.parametrize(
        ("date", "text"),
        [
            (
                "Thu, 01 Jan 2026 00:00:00 GMT",
                r"[\d,]+ s ahead of Voucherify's: correct it, for instance with NTP",
            ),
            (
                "Fri, 01 Jan 2100 00:00:00 GMT",
                r"[\d,]+ s behind Voucherify's: correct it, for instance with NTP",
            ),
            ("yesterday", "unchecked: the response has no valid date"),
        ],
    )
    async def test_clock(self, invoke: Invoke, sandbox: Sandbox, date: str, text: str) -> None:
        """A wrong clock is reported, with the direction."""
        sandbox.fail(headers={"Date": date})

        assert re.fullmatch(text, facts((await invoke("doctor")).stdout)["clock"])

    async def test_extras(self, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
        """Missing extras are reported with the command that installs them."""
        monkeypatch.setattr(
            "voucherify_exports.extras.find_spec",
            lambda name: None if name in {"pandas", "polars"} else util.find_spec(name),
        )

        text = facts((await invoke("doctor")).stdout)["extras"]
        assert text == "some are missing: pip install 'voucherify-exports[pandas,polars]'"

    @pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 3), (503, 7)])
    async def test_a_failed_request(self, invoke: Invoke, sandbox: Sandbox, status: int, code: int) -> None:
        """Its error is the last line and sets the exit code; it is not retried."""
        sandbox.fail(status=status, times=None)
        finished = await invoke("doctor")

        assert finished.exit_code == code
        assert finished.stderr.splitlines()[-1].startswith(f"Error: GET /v1/exports: {status}")
        assert len(sandbox.requests) == 1

    async def test_no_response(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The line says what to check."""
        finished = await invoke("doctor", "--base-url", sandbox.url.replace("http:", "https:"))

        assert finished.exit_code == 7
        assert facts(finished.stdout)["response"].startswith("none: check the network, the proxy, ")

    async def test_origins_of_the_credentials(self, invoke: Invoke, sandbox: Sandbox, tmp_path: Path) -> None:
        """The source of each credential is reported: an old `.env` is a common mistake."""
        tmp_path.joinpath(".env").write_text(
            f"VOUCHERIFY_APP_ID={sandbox.app_id}\nVOUCHERIFY_APP_TOKEN=old\n"
        )
        tmp_path.joinpath("token").write_text(sandbox.app_token)
        finished = await invoke("doctor", "--app-token-file", "token", VOUCHERIFY_APP_ID="")
        text = facts(finished.stdout)["credentials"]
        assert text == "app id from .env, app token from --app-token-file"

        finished = await invoke("doctor", "--app-id", sandbox.app_id)
        assert facts(finished.stdout)["credentials"] == "app id from --app-id, app token from the environment"

    async def test_without_credentials(self, invoke: Invoke) -> None:
        """The installation is reported even so."""
        finished = await invoke("doctor", VOUCHERIFY_APP_ID="")

        assert finished.exit_code == 3
        assert finished.stdout.startswith("installed")
