"""`get` and `wait`: output, exit codes, wrong usage, and secrets."""

import json
import math
from typing import Any

import pytest
from cli_process import Invoke
from samples import ID, RESULT_URL, running, wire

from voucherify_exports import ExportsClient, Sandbox
from voucherify_exports.cli.options import poll_policy

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
    """A result URL up to its token, which differs in each response."""
    async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
        export = await client.get_export(export_id)
    return str(export.result_url).partition("=")[0] + "="


class TestGet:
    async def test_shows_an_export(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Each property has a line; the result URL is not wrapped."""
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
    async def test_an_export_without_a_result(
        self, invoke: Invoke, sandbox: Sandbox, status: str, result: str
    ) -> None:
        """An export without a file is shown, too, with exit code 0."""
        sandbox.fail(body=running(status, parameters=..., channel=None))
        finished = await invoke("get", ID)

        assert finished.stdout.splitlines()[-1] == f"result   {result}"
        assert finished.exit_code == 0

    async def test_shows_no_control_code(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Control codes in a response are escaped."""
        sandbox.fail(body=wire(channel="\x1b[2J\nstatus DONE", **{"\x1b]0;": "x"}))
        finished = await invoke("get", ID)

        assert "\x1b" not in finished.stdout
        assert r"\x1b[2J status DONE" in finished.stdout

    async def test_json_is_the_apis(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` prints the object as the API sent it, with its token and unknown properties."""
        sent = wire(archived=True, channel="Łódź\x9b")
        sandbox.fail(body=sent)
        finished = await invoke("get", ID, "--json")

        assert json.loads(finished.stdout) == sent
        assert finished.stdout.isascii()

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_exit_codes(self, invoke: Invoke, sandbox: Sandbox, fault: str) -> None:
        """Each kind of failure has its exit code, an error line on stderr, and nothing on stdout."""
        response, code = FAULTS[fault]
        sandbox.fail(times=None, **response)
        finished = await invoke("get", "exp_1")

        assert finished.exit_code == code
        assert finished.stdout == ""
        assert finished.stderr.splitlines()[-1].startswith("Error: GET /v1/exports/exp_1: ")
        assert len(finished.stderr.splitlines()) == (2 if fault == "rate limit" else 1)

    async def test_no_response(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A server without TLS at an https URL is a network error."""
        finished = await invoke("get", "exp_1", "--base-url", sandbox.url.replace("http:", "https:"))

        assert finished.exit_code == 7
        assert finished.stderr.splitlines()[-1].startswith("Error: GET /v1/exports/exp_1: TLS failed")


class TestWait:
    async def test_prints_the_urls_in_order(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Stdout has only the result URLs, one a line, in the order of the ids, each once."""
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

    async def test_one_failure_ends_no_other_wait(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """URLs of DONE exports are printed; each failure has a line; the highest exit code counts."""
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
        """If all that fails is an export that ended in ERROR, the exit code is 1."""
        assert (await invoke("wait", sandbox.add_export("order", outcome="ERROR"))).exit_code == 1

    async def test_timeout(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """After the timeout, the last status is reported."""
        sandbox.fail(times=None, body=running())
        finished = await invoke("wait", ID, "--timeout", "0")

        assert finished.exit_code == 6
        first, second, last = finished.stderr.splitlines()
        assert (first, second) == (f"{ID} customer: IN_PROGRESS", f"{ID}: timed out")
        assert last.startswith(f"Error: Export {ID} was still IN_PROGRESS after 0.0 s")

    @pytest.mark.parametrize("fault", ["credentials", "permission", "plan"])
    async def test_a_failure_of_the_project_is_reported_once(
        self, invoke: Invoke, sandbox: Sandbox, fault: str
    ) -> None:
        """An error of the credentials or the plan is not repeated for each export."""
        response, code = FAULTS[fault]
        sandbox.fail(times=None, **response)
        finished = await invoke("wait", "exp_1", "exp_2", "exp_3")

        assert finished.exit_code == code
        assert sum(line.startswith("Error: ") for line in finished.stderr.splitlines()) == 1

    async def test_exhausted_quota(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A quota that stays exhausted beyond the timeout is reported at once, and once."""
        sandbox.fail(times=None, status=429, headers={"Retry-After": "86400"})
        finished = await invoke("wait", "exp_1", "exp_2", "exp_3")

        lines = finished.stderr.splitlines()
        assert finished.exit_code == 5
        assert sum(line.startswith("The quota is used up; no request is sent before ") for line in lines) == 1
        assert sum(line.startswith("Error: ") for line in lines) == 1

    async def test_an_unknown_status_is_not_final(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """An unknown status is printed, after the warning that the package logs."""
        sandbox.fail(times=None, body=running("ON_HOLD_IN_CLI"))
        finished = await invoke("wait", ID, "--timeout", "0")

        assert finished.stderr.splitlines()[:2] == [
            "Voucherify sent an unknown ExportStatus: 'ON_HOLD_IN_CLI'",
            f"{ID} customer: ON_HOLD_IN_CLI",
        ]


class TestInterval:
    @pytest.mark.parametrize("command", [["wait", ID], ["run", "order", "-o", "orders.csv"]], ids=" ".join)
    async def test_polls_at_this_interval(self, invoke: Invoke, sandbox: Sandbox, command: list[str]) -> None:
        """`--interval` replaces the policy, whose pauses would be 2, 4, 8 … seconds."""
        sandbox.fail(times=None, method="POST", body=running("SCHEDULED"))
        sandbox.fail(times=None, method="GET", body=running())

        finished = await invoke(*command, "--interval", "0.05", "--timeout", "0.5")

        assert finished.exit_code == 6
        polls = [request for request in sandbox.requests if request.method == "GET"]
        assert 4 <= len(polls) <= 12

    async def test_without_it(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """By default there is a poll at the start and one at the deadline."""
        sandbox.fail(times=None, body=running())

        assert (await invoke("wait", ID, "--timeout", "0.3")).exit_code == 6
        assert len(sandbox.requests) == 2

    def test_the_policy(self) -> None:
        """Each pause is the interval, without variation."""
        policy = poll_policy(5)
        assert policy is not None
        assert [policy.delay(polls) for polls in (1, 2, 10)] == [5, 5, 5]


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
            ["wait", "exp_1", "--interval", "0"],
            ["wait", "exp_1", "--interval", "-1"],
            ["wait", "exp_1", "--interval", "nan"],
            ["wait", "exp_1", "--interval", "inf"],
            ["wait", "exp_1", "--interval", "soon"],
            ["run", "order", "-o", "orders.csv", "--interval", "0"],
            ["nothing"],
        ],
        ids=" ".join,
    )
    async def test_wrong_arguments(self, invoke: Invoke, sandbox: Sandbox, args: list[str]) -> None:
        """Wrong arguments are reported on stderr with exit code 2; no request is sent."""
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
        """The list of processes shows options, so no option takes the token."""
        finished = await invoke(command, "exp_1", option, "secret")

        assert finished.exit_code == 2
        assert "No such option" in finished.stderr

    async def test_a_wait_without_timeout(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--timeout inf` is allowed."""
        finished = await invoke("wait", sandbox.add_export("order"), "--timeout", str(math.inf))

        assert finished.exit_code == 0

    async def test_help(self, invoke: Invoke) -> None:
        """`--help` lists the commands and the variables."""
        finished = await invoke("--help")

        words = " ".join(finished.stdout.split())
        assert all(command in words for command in ("demo", "get", "wait", "VOUCHERIFY_APP_TOKEN"))

    async def test_without_a_command(self, invoke: Invoke) -> None:
        """Without a command, the help is shown."""
        assert "Usage:" in (await invoke()).output


class TestProject:
    @pytest.mark.parametrize("name", ["VOUCHERIFY_APP_ID", "VOUCHERIFY_APP_TOKEN"])
    async def test_missing_credentials_are_named(self, invoke: Invoke, name: str) -> None:
        """The error names the variable that is missing."""
        finished = await invoke("get", "exp_1", **{name: ""})

        assert finished.exit_code == 3
        assert finished.stderr == (
            f"Error: credentials are missing: set {name} in the environment or in .env;"
            " the demo needs none: voucherify-exports demo\n"
        )

    async def test_base_url_wins_over_the_environment(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--base-url` takes precedence over VOUCHERIFY_BASE_URL."""
        async with Sandbox(app_id=sandbox.app_id, app_token=sandbox.app_token) as other:
            export_id = other.add_export("order")
            finished = await invoke("get", export_id, "--base-url", other.url)

        assert finished.exit_code == 0
        assert not sandbox.requests

    async def test_cluster_wins_over_the_environment(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--cluster` takes precedence over VOUCHERIFY_BASE_URL; an invalid one is an error."""
        finished = await invoke("wait", "exp_1", "--cluster", "us1/api")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: cluster 'us1/api' is not like")
        assert not sandbox.requests

    async def test_plain_http_is_refused(self, invoke: Invoke) -> None:
        """Credentials are never sent unencrypted to another host."""
        finished = await invoke("get", "exp_1", "--base-url", "http://api.example.com")

        assert finished.exit_code == 3
        assert finished.stderr.startswith("Error: base_url must be https for the host 'api.example.com'")


class TestSecrets:
    @pytest.mark.parametrize("command", ["get", "wait"])
    @pytest.mark.parametrize("status", [200, 401, 404, 418])
    async def test_no_error_shows_one(
        self, invoke: Invoke, sandbox: Sandbox, command: str, status: int
    ) -> None:
        """No output holds a credential or a download token, even if the response quotes them."""
        quoted = f"{sandbox.app_id} {sandbox.app_token} {RESULT_URL}"
        body = {"message": quoted, "details": quoted, "id": quoted}
        sandbox.fail(times=None, status=status, body=body)
        timeout = ["--timeout", "0"] if command == "wait" else []
        finished = await invoke(command, "exp_1", *timeout)

        assert finished.exit_code not in {0, 2}
        assert finished.stderr.startswith(("Error: ", "exp_1: "))
        for secret in (sandbox.app_id, sandbox.app_token, "DOWNLOAD-SECRET"):
            assert secret not in finished.output
