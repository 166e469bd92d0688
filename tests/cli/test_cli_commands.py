"""`get` and `wait`: what they print where, and what they exit with."""

import json
import math
from typing import Any

import pytest
from cli_process import Invoke
from samples import ID, RESULT_URL, running, wire

from voucherify_exports import ExportsClient, Sandbox

FAULTS: dict[str, tuple[dict[str, Any], int]] = {
    "credentials": ({"status": 401}, 3),
    "permission": ({"status": 403}, 3),
    "not found": ({"status": 404}, 4),
    "plan": ({"status": 402}, 5),
    "rate limit": ({"status": 429, "headers": {"Retry-After": "86400"}}, 5),
    "html": ({"body": "<html>"}, 7),
    "teapot": ({"status": 418}, 7),
}


async def url_of(sandbox: Sandbox, export_id: str) -> str:
    """A result URL up to its token, which changes from answer to answer."""
    async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
        export = await client.get_export(export_id)
    return str(export.result_url).partition("=")[0] + "="


class TestGet:
    async def test_says_what_is_known(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The human form has a line for each fact, and the result URL unbroken."""
        sandbox.fail(body=wire(user_id="user_1", archived=[True]))
        finished = await invoke("get", ID)

        assert finished.stdout.splitlines() == [
            f"id               {ID}",
            "object           customer",
            "status           DONE",
            "created          2022-01-13 09:03:18 UTC",
            "channel          API",
            "user             user_1",
            "fields           name, id, email, source_id, created_at",
            'filters          {"junction": "and"}',
            'response_format  "CSV"',
            "archived         [true]",
            f"result           {RESULT_URL}",
        ]
        assert (finished.exit_code, finished.stderr) == (0, "")

    @pytest.mark.parametrize(("status", "result"), [("IN_PROGRESS", "not yet"), ("ERROR", "none")])
    async def test_says_that_there_is_no_result(
        self, invoke: Invoke, sandbox: Sandbox, status: str, result: str
    ) -> None:
        """An export without a file is shown as well, and is no failure of the command."""
        sandbox.fail(body=running(status, parameters=..., channel=None))
        finished = await invoke("get", ID)

        assert finished.stdout.splitlines()[-1] == f"result   {result}"
        assert finished.exit_code == 0

    async def test_shows_no_control_code_of_others(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """What a server sends cannot steer the terminal."""
        sandbox.fail(body=wire(channel="\x1b[2J\nstatus DONE", **{"\x1b]0;": "x"}))
        finished = await invoke("get", ID)

        assert "\x1b" not in finished.stdout
        assert r"\x1b[2J status DONE" in finished.stdout

    async def test_json_is_the_apis(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` gives the object back as it came, token and unknown properties included."""
        sent = wire(archived=True, channel="Łódź\x9b")
        sandbox.fail(body=sent)
        finished = await invoke("get", ID, "--json")

        assert json.loads(finished.stdout) == sent
        assert finished.stdout.isascii()

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_exit_codes(self, invoke: Invoke, sandbox: Sandbox, fault: str) -> None:
        """Each kind of failure is one line on stderr, nothing on stdout, and a code of its own."""
        answer, code = FAULTS[fault]
        sandbox.fail(times=None, **answer)
        finished = await invoke("get", "exp_1")

        assert finished.exit_code == code
        assert finished.stdout == ""
        assert finished.stderr.splitlines()[-1].startswith("Error: GET /v1/exports/exp_1: ")
        assert len(finished.stderr.splitlines()) == (2 if fault == "rate limit" else 1)

    async def test_no_answer(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A server that does not speak TLS is a failure of the network."""
        finished = await invoke("get", "exp_1", "--base-url", sandbox.url.replace("http:", "https:"))

        assert finished.exit_code == 7
        assert finished.stderr.splitlines()[-1].startswith("Error: GET /v1/exports/exp_1: TLS failed")


class TestWait:
    async def test_prints_the_urls_in_order(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The result URLs are alone on stdout, one a line, in the order of the ids, each once."""
        ids = [sandbox.add_export(kind) for kind in ("customer", "order", "voucher")]
        finished = await invoke("wait", ids[2], ids[0], ids[1], ids[0])

        lines = finished.stdout.splitlines()
        assert [line.partition("=")[0] + "=" for line in lines] == [
            await url_of(sandbox, ids[place]) for place in (2, 0, 1)
        ]
        assert sorted(finished.stderr.splitlines()) == sorted(
            f"{ids[place]} {kind}: DONE" for place, kind in enumerate(("customer", "order", "voucher"))
        )
        assert finished.exit_code == 0

    async def test_one_failure_spoils_no_other(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """What is DONE is printed all the same; each failure has its line, and the worst one the code."""
        done, failed = sandbox.add_export("customer"), sandbox.add_export("order", outcome="ERROR")
        finished = await invoke("wait", failed, "exp_nope", done)

        assert len(finished.stdout.splitlines()) == 1
        assert f"/{done}?token=" in finished.stdout
        lines = finished.stderr.splitlines()
        assert {f"{failed} order: ERROR", "exp_nope: not found", f"{done} customer: DONE"} == set(lines[:3])
        assert sum(line.startswith(f"Error: Export {failed} (order) ended in ERROR") for line in lines) == 1
        assert sum(line.startswith("Error: GET /v1/exports/exp_nope: 404") for line in lines) == 1
        assert len(lines) == 5
        assert finished.exit_code == 4

    async def test_an_export_in_error(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """An export that ends in ERROR alone is exit code 1."""
        assert (await invoke("wait", sandbox.add_export("order", outcome="ERROR"))).exit_code == 1

    async def test_timeout(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """When the time is over, the last status is told."""
        sandbox.fail(times=None, body=running())
        finished = await invoke("wait", ID, "--timeout", "0")

        assert finished.exit_code == 6
        first, second, last = finished.stderr.splitlines()
        assert (first, second) == (f"{ID} customer: IN_PROGRESS", f"{ID}: timed out")
        assert last.startswith(f"Error: Export {ID} was still IN_PROGRESS after 0.0 s")

    @pytest.mark.parametrize("fault", ["credentials", "permission", "plan"])
    async def test_what_concerns_all_is_said_once(self, invoke: Invoke, sandbox: Sandbox, fault: str) -> None:
        """A failure of the credentials or the plan is not repeated for each export."""
        answer, code = FAULTS[fault]
        sandbox.fail(times=None, **answer)
        finished = await invoke("wait", "exp_1", "exp_2", "exp_3")

        assert finished.exit_code == code
        assert sum(line.startswith("Error: ") for line in finished.stderr.splitlines()) == 1

    async def test_spent_quota(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A quota that is spent for longer than the wait may take is told at once, and once."""
        sandbox.fail(times=None, status=429, headers={"Retry-After": "86400"})
        finished = await invoke("wait", "exp_1", "exp_2", "exp_3")

        lines = finished.stderr.splitlines()
        assert finished.exit_code == 5
        assert (
            sum(line.startswith("The project's quota is spent: nothing is sent before ") for line in lines)
            == 1
        )
        assert sum(line.startswith("Error: ") for line in lines) == 1

    async def test_an_unknown_status_is_no_end(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A status that this version does not know is told, with the package's own warning of it."""
        sandbox.fail(times=None, body=running("ON_HOLD_IN_CLI"))
        finished = await invoke("wait", ID, "--timeout", "0")

        assert finished.stderr.splitlines()[:2] == [
            "Voucherify sent an unknown ExportStatus: 'ON_HOLD_IN_CLI'",
            f"{ID} customer: ON_HOLD_IN_CLI",
        ]


class TestUsage:
    @pytest.mark.parametrize(
        "args",
        [
            ["get"],
            ["get", "a", "b"],
            ["get", "exp/1"],
            ["get", ""],
            ["get", "x" * 1000],
            ["wait"],
            ["wait", "exp_1", ".."],
            ["wait", "exp_1", "--timeout", "-1"],
            ["wait", "exp_1", "--timeout", "nan"],
            ["wait", "exp_1", "--timeout", "soon"],
            ["nothing"],
        ],
        ids=" ".join,
    )
    async def test_what_cannot_be_right(self, invoke: Invoke, sandbox: Sandbox, args: list[str]) -> None:
        """Wrong arguments are exit code 2 and told on stderr alone; nothing is sent for them."""
        finished = await invoke(*args)

        assert finished.exit_code == 2
        assert finished.stdout == ""
        assert "─ Error ─" in finished.stderr
        assert "exp_1: " not in finished.stderr
        assert "Error: " not in finished.stderr
        assert not sandbox.requests

    @pytest.mark.parametrize("option", ["--app-token", "--token", "--auth"])
    @pytest.mark.parametrize("command", ["get", "wait"])
    async def test_no_option_takes_a_secret(self, invoke: Invoke, command: str, option: str) -> None:
        """Options can be read in the list of processes."""
        finished = await invoke(command, "exp_1", option, "secret")

        assert finished.exit_code == 2
        assert "No such option" in finished.stderr

    async def test_a_wait_without_end(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--timeout inf` is allowed."""
        finished = await invoke("wait", sandbox.add_export("order"), "--timeout", str(math.inf))

        assert finished.exit_code == 0

    async def test_help_says_the_exit_codes(self, invoke: Invoke) -> None:
        """`--help` lists the commands and the exit codes."""
        finished = await invoke("--help")

        words = " ".join(finished.stdout.split())
        assert all(command in words for command in ("demo", "get", "wait", "VOUCHERIFY_APP_TOKEN"))
        assert "5 quota, 6 timed out, 7 network or server" in words

    async def test_without_a_command(self, invoke: Invoke) -> None:
        """The bare command shows its help."""
        assert "Usage:" in (await invoke()).output


class TestWhere:
    @pytest.mark.parametrize("name", ["VOUCHERIFY_APP_ID", "VOUCHERIFY_APP_TOKEN"])
    async def test_missing_credentials_are_named(self, invoke: Invoke, name: str) -> None:
        """What the environment lacks is told by name."""
        finished = await invoke("get", "exp_1", **{name: ""})

        assert finished.exit_code == 3
        assert finished.stderr == (
            f"Error: keys are missing: set {name} in the environment or in .env;"
            " to look around without any: voucherify-exports demo\n"
        )

    async def test_base_url_wins_over_the_environment(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--base-url` leads elsewhere than VOUCHERIFY_BASE_URL."""
        async with Sandbox(app_id=sandbox.app_id, app_token=sandbox.app_token) as other:
            export_id = other.add_export("order")
            finished = await invoke("get", export_id, "--base-url", other.url)

        assert finished.exit_code == 0
        assert not sandbox.requests

    async def test_cluster_wins_over_the_environment(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--cluster` is heard though VOUCHERIFY_BASE_URL is set; one that cannot be is refused."""
        finished = await invoke("wait", "exp_1", "--cluster", "us1/api")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: cluster 'us1/api' is not like")
        assert not sandbox.requests

    async def test_plain_http_is_refused(self, invoke: Invoke) -> None:
        """Credentials never travel in the clear."""
        finished = await invoke("get", "exp_1", "--base-url", "http://api.example.com")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: base_url must be https for the host 'api.example.com'")


class TestSecrets:
    @pytest.mark.parametrize("command", ["get", "wait"])
    @pytest.mark.parametrize("status", [200, 401, 404, 418])
    async def test_no_error_shows_one(
        self, invoke: Invoke, sandbox: Sandbox, command: str, status: int
    ) -> None:
        """Whatever a careless server quotes, no line of ours holds a credential or a download token."""
        quoted = f"{sandbox.app_id} {sandbox.app_token} {RESULT_URL}"
        body = {"message": quoted, "details": quoted, "id": quoted}
        sandbox.fail(times=None, status=status, body=body)
        timeout = ["--timeout", "0"] if command == "wait" else []
        finished = await invoke(command, "exp_1", *timeout)

        assert finished.exit_code not in {0, 2}
        assert finished.stderr.startswith(("Error: ", "exp_1: "))
        for secret in (sandbox.app_id, sandbox.app_token, "DOWNLOAD-SECRET"):
            assert secret not in finished.output
