import asyncio
import copy
import pickle
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from canned import Api
from samples import ID, running, wire
from yarl import URL

from voucherify_exports import (
    AppKeys,
    BearerToken,
    ClientClosedError,
    ConfigurationError,
    Export,
    ExportFailedError,
    ExportNotFoundError,
    ExportsClient,
    InvalidResponseError,
    PollPolicy,
    RetryPolicy,
    Sandbox,
    WaitEnded,
    WaitTimeoutError,
)

KEYS = ("c70a6f00-cf91", "3266b9f8-e246")
URL_OF_ID = f"https://api.voucherify.io/v1/exports/{ID}"
FAST = PollPolicy(initial=0.01, max=0.02)

Connect = Callable[..., ExportsClient]


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "url"),
        [
            ({}, "https://api.voucherify.io"),
            ({"cluster": "us1.api"}, "https://us1.api.voucherify.io"),
            ({"cluster": "as1.api", "base_url": "https://eu9.voucherify.io"}, "https://eu9.voucherify.io"),
            ({"base_url": URL("https://gateway.example/voucherify/")}, "https://gateway.example/voucherify"),
            ({"base_url": "http://localhost:8080"}, "http://localhost:8080"),
            ({"base_url": "http://127.9.9.9:8080"}, "http://127.9.9.9:8080"),
            ({"base_url": "http://[::1]:8080"}, "http://[::1]:8080"),
        ],
    )
    def test_the_base_url(self, options: dict[str, Any], url: str) -> None:
        """The cluster names the host, and a base URL wins over the cluster."""
        assert repr(ExportsClient(*KEYS, **options)) == f"<ExportsClient {url} AppKeys(app_id=c70a6f…)>"

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"base_url": "http://api.voucherify.io"}, "must be https"),
            ({"base_url": "http://localhost.evil.example"}, "must be https"),
            ({"base_url": "http://10.0.0.1"}, "must be https"),
            ({"base_url": "ftp://api.voucherify.io"}, "must be like 'https://api.voucherify.io'"),
            ({"base_url": "api.voucherify.io"}, "must be like"),
            ({"base_url": "https://"}, "base_url"),
            ({"base_url": "https://[api"}, "is not a URL"),
            (
                {"base_url": "https://user:s3cret@api.voucherify.io"},
                "must not contain a user",
            ),
            (
                {"base_url": "https://api.voucherify.io?token=s3cret"},
                "must not contain a user",
            ),
            (
                {"base_url": "https://api.voucherify.io#x"},
                "must not contain a user",
            ),
            ({"cluster": "evil.example/"}, "is not like 'api'"),
            ({"cluster": ""}, "is not like 'api'"),
            ({"request_timeout": 0}, "request_timeout cannot be 0"),
            ({"request_timeout": float("nan")}, "request_timeout cannot be nan"),
            ({"poll_share": 0}, "poll_share cannot be 0"),
            ({"poll_share": 1.5}, "poll_share cannot be 1.5"),
            ({"max_connections": 0}, "max_connections cannot be 0"),
            ({"max_quota_wait": -1}, "max_quota_wait cannot be -1"),
            ({"auth": BearerToken("abc")}, "not both"),
            ({"app_id": ""}, "app_id is empty"),
            ({"app_token": "a\nb"}, "app_token contains"),
            ({"app_token": None}, "app_token is missing"),
            ({"app_id": None}, "app_id is missing"),
        ],
    )
    def test_refuses_invalid_options(self, options: dict[str, Any], problem: str) -> None:
        """The error names the option and the problem, and does not show a secret in the value."""
        with pytest.raises(ConfigurationError, match=problem) as caught:
            ExportsClient(**{"app_id": KEYS[0], "app_token": KEYS[1]} | options)

        assert "s3cret" not in str(caught.value)

    def test_needs_no_running_loop(self) -> None:
        """A client can be created at import time."""
        assert "api.voucherify.io" in repr(ExportsClient(auth=AppKeys(*KEYS)))

    @pytest.mark.parametrize("wrong", [5, None, b"exp_1"])
    @pytest.mark.parametrize("call", ["get_export", "wait_until_done"])
    async def test_an_id_must_be_a_str(
        self, call: str, wrong: Any, connect: Connect, sandbox: Sandbox
    ) -> None:
        """Another type is a TypeError, and nothing is sent."""
        with pytest.raises(TypeError):
            await getattr(connect(), call)(wrong)
        assert sandbox.requests == []

    @pytest.mark.parametrize("wrong", ["", "..", "a/b", "a?b", "a#b", "a\n", "x" * 10**6])
    @pytest.mark.parametrize("call", ["get_export", "wait_until_done"])
    async def test_an_id_must_be_one_path_segment(
        self, call: str, wrong: str, connect: Connect, sandbox: Sandbox
    ) -> None:
        """An id that would lead to another path is refused, and nothing is sent."""
        with pytest.raises(ConfigurationError):
            await getattr(connect(), call)(wrong)
        assert sandbox.requests == []

    @pytest.mark.parametrize("wrong", [-1, float("nan")])
    async def test_a_timeout_must_not_be_negative(self, wrong: float, connect: Connect) -> None:
        """A negative or undefined timeout is a ConfigurationError."""
        with pytest.raises(ConfigurationError, match="timeout cannot be"):
            await connect().wait_until_done(ID, timeout=wrong)

    @pytest.mark.parametrize("wrong", [timedelta(seconds=5), "5"])
    async def test_a_timeout_must_be_a_number(self, wrong: Any, connect: Connect) -> None:
        """The error names the argument and the type."""
        with pytest.raises(TypeError, match=f"timeout must be a number, not {type(wrong).__name__}"):
            await connect().wait_until_done(ID, timeout=wrong)

    def test_connections_are_counted(self) -> None:
        """Half a connection is a TypeError."""
        options: dict[str, Any] = {"max_connections": 2.5}
        with pytest.raises(TypeError, match=r"max_connections must be an integer, not 2\.5"):
            ExportsClient(*KEYS, **options)

    @pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_a_client_cannot_be_duplicated(self, duplicate: Callable[[object], object]) -> None:
        """Neither pickle nor copy duplicates a client, whose token would travel along."""
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            duplicate(ExportsClient(*KEYS))


class TestFromEnv:
    def test_reads_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Credentials and cluster are read from their variables."""
        for name, value in {"APP_ID": KEYS[0], "APP_TOKEN": KEYS[1], "CLUSTER": "us1.api"}.items():
            monkeypatch.setenv(f"VOUCHERIFY_{name}", value)

        assert repr(ExportsClient.from_env()) == (
            "<ExportsClient https://us1.api.voucherify.io AppKeys(app_id=c70a6f…)>"
        )

    def test_an_argument_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An argument wins over its variable."""
        monkeypatch.setenv("VOUCHERIFY_BASE_URL", "https://env.example")

        client = ExportsClient.from_env(auth=BearerToken("abc"), base_url="https://given.example")

        assert repr(client) == "<ExportsClient https://given.example BearerToken()>"

    def test_an_explicit_empty_key_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An argument wins over the environment, also one that is wrong."""
        monkeypatch.setenv("VOUCHERIFY_APP_ID", KEYS[0])
        monkeypatch.setenv("VOUCHERIFY_APP_TOKEN", KEYS[1])

        with pytest.raises(ConfigurationError, match="app_id is empty"):
            ExportsClient.from_env(app_id="")

    def test_an_explicit_cluster_wins_over_both_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cluster or base URL that is given wins over both variables."""
        monkeypatch.setenv("VOUCHERIFY_BASE_URL", "https://env.example")
        monkeypatch.setenv("VOUCHERIFY_CLUSTER", "as1.api")

        by_cluster = ExportsClient.from_env(*KEYS, cluster="us1.api")
        by_url = ExportsClient.from_env(*KEYS, base_url="https://given.example")

        assert "https://us1.api.voucherify.io" in repr(by_cluster)
        assert "https://given.example" in repr(by_url)
        assert "https://env.example" in repr(ExportsClient.from_env(*KEYS))

    @pytest.mark.parametrize(
        ("given", "missing"),
        [
            ({}, "VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN"),
            ({"app_id": "c70a6f00"}, "VOUCHERIFY_APP_TOKEN"),
        ],
    )
    def test_names_the_missing_variables(
        self, given: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An empty variable is equivalent to a missing one."""
        monkeypatch.setenv("VOUCHERIFY_APP_TOKEN", "")

        with pytest.raises(ConfigurationError) as caught:
            ExportsClient.from_env(**given)
        assert str(caught.value) == f"not set in the environment: {missing}"


class TestGetExport:
    async def test_is_one_get_with_both_headers(self, api: Api) -> None:
        """The request is the documented one, and the export is the one in the response."""
        api.get(URL_OF_ID, payload=wire())
        async with ExportsClient(*KEYS) as client:
            assert await client.get_export(ID) == Export.from_dict(wire())

        [(call,)] = api.requests.values()
        sent = dict(call.kwargs["headers"])
        assert sent.pop("User-Agent").startswith("voucherify-exports/")
        assert sent == {"X-App-Id": KEYS[0], "X-App-Token": KEYS[1]}
        assert call.kwargs["allow_redirects"] is False

    async def test_over_a_real_socket(self, connect: Connect, sandbox: Sandbox) -> None:
        """The request arrives with its headers, and the export is the one that the sandbox has."""
        export_id = sandbox.add_export("customer")

        export = await connect().get_export(export_id)

        [request] = sandbox.requests
        assert (export.id, export.status, export.exported_object) == (export_id, "DONE", "customer")
        assert (request.method, request.path) == ("GET", f"/v1/exports/{export_id}")
        assert request.headers["User-Agent"].startswith("voucherify-exports/")

    async def test_another_export(self, connect: Connect, sandbox: Sandbox) -> None:
        """A response with another export is an InvalidResponseError, and no news for a wait."""
        export_id = sandbox.add_export("voucher")
        sandbox.fail(body=wire(id="exp_2"), times=2)
        client = connect()
        with pytest.raises(InvalidResponseError, match="it is the export 'exp_2'"):
            await client.get_export(export_id)
        assert (await client.wait_until_done(export_id)).id == export_id

    async def test_encodes_the_id(self, connect: Connect, sandbox: Sandbox) -> None:
        """An id with special characters arrives unchanged, and is not found."""
        with pytest.raises(ExportNotFoundError, match="404 · not_found") as caught:
            await connect().get_export("exp 1%2F&ż")

        assert caught.value.resource_id == "exp 1%2F&ż"

    async def test_a_bearer_token_is_sent_instead_of_the_keys(self, api: Api) -> None:
        """A bearer token is sent in its own header, without the headers of the keys."""
        api.get(URL_OF_ID, payload=wire())
        async with ExportsClient(auth=BearerToken("abc")) as client:
            await client.get_export(ID)

        [(call,)] = api.requests.values()
        assert call.kwargs["headers"]["Authorization"] == "Bearer abc"
        assert "X-App-Id" not in call.kwargs["headers"]

    @pytest.mark.parametrize(
        "body",
        [
            "<html>sign in</html>",
            '{"id": "exp_1", "sta',
            "[]",
            *(
                wire(**change)
                for change in ({"id": ...}, {"created_at": "soon"}, {"status": None}, {"result": []})
            ),
        ],
        ids=lambda body: str(body)[:20],
    )
    async def test_a_response_that_is_not_an_export(self, body: Any, api: Api) -> None:
        """The error names the request and the problem, and the request is not repeated."""
        api.get(URL_OF_ID, **({"body": body} if isinstance(body, str) else {"payload": body}))
        async with ExportsClient(*KEYS) as client:
            with pytest.raises(InvalidResponseError, match=f"GET /v1/exports/{ID}: unexpected response"):
                await client.get_export(ID)

        assert sum(len(calls) for calls in api.requests.values()) == 1

    async def test_a_body_that_is_too_large(self, connect: Connect, sandbox: Sandbox) -> None:
        """At most 16 MiB of a body are read."""
        sandbox.fail(body=b"[" + b" " * 20 * 1024 * 1024 + b"]")

        with pytest.raises(InvalidResponseError, match="more than 16777216 bytes"):
            await connect().get_export(ID)

    async def test_a_session_of_the_callers_is_used_and_left_open(self, sandbox: Sandbox) -> None:
        """A session that the caller passed is used, and the client does not close it."""
        export_id = sandbox.add_export("customer")
        async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
            async with ExportsClient(
                sandbox.app_id, sandbox.app_token, base_url=sandbox.url, session=session
            ) as client:
                await client.get_export(export_id)
            assert not session.closed

        assert sandbox.requests[0].headers["X-Mine"] == "yes"

    async def test_a_session_that_was_closed(self, connect: Connect) -> None:
        """A session that the caller has closed is reported as closed."""
        session = aiohttp.ClientSession()
        await session.close()

        with pytest.raises(ClientClosedError, match="session that was given to this client is closed"):
            await connect(session=session).get_export(ID)


class TestWaitUntilDone:
    async def test_polls_until_the_export_is_done(self, connect: Connect) -> None:
        """The statuses SCHEDULED, IN_PROGRESS and DONE are reported, over real sockets."""
        async with Sandbox(scheduled_for=0.03, in_progress_for=0.04) as sandbox:
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, poll=FAST
            )
            updates: list[str] = []
            export = await client.wait_until_done(
                sandbox.add_export("order"), on_update=lambda export: updates.append(export.status)
            )

        assert updates == ["SCHEDULED", "IN_PROGRESS", "DONE"]
        assert export.result_url is not None
        assert export.result_url.startswith(sandbox.url)

    async def test_500_waits_at_once(self, connect: Connect, sandbox: Sandbox) -> None:
        """`asyncio.gather` over 500 ids returns 500 exports, in order."""
        ids = [sandbox.add_export("voucher") for _ in range(500)]
        client = connect()

        exports = await asyncio.gather(
            *(client.wait_until_done(export_id, timeout=None) for export_id in ids)
        )

        assert [export.id for export in exports] == ids
        assert all(export.is_done for export in exports)

    async def test_a_failed_export_is_an_error(self, connect: Connect, sandbox: Sandbox) -> None:
        """ERROR raises an error that has the export, or returns the export with `raise_on_error=False`."""
        export_id = sandbox.add_export("customer", outcome="ERROR")
        client = connect()

        with pytest.raises(ExportFailedError, match=export_id) as caught:
            await client.wait_until_done(export_id)
        assert await client.wait_until_done(export_id, raise_on_error=False) == caught.value.export

    @pytest.mark.parametrize("status", ["DONE", "ERROR"])
    async def test_a_finished_export_costs_no_request(
        self, status: str, connect: Connect, sandbox: Sandbox
    ) -> None:
        """Waiting for a finished `Export` returns it and sends nothing."""
        known = Export.from_dict(wire(status=status))

        assert await connect().wait_until_done(known, raise_on_error=False) is known
        assert sandbox.requests == []

    @pytest.mark.parametrize("known", [running("SCHEDULED"), wire(result=None)])
    async def test_an_unfinished_export_is_polled(
        self, known: dict[str, Any], connect: Connect, sandbox: Sandbox
    ) -> None:
        """An `Export` is equivalent to its id, and DONE without a result is not finished."""
        sandbox.add_export("customer", id=ID)

        assert (await connect().wait_until_done(Export.from_dict(known))).result_url is not None

    async def test_an_export_that_is_deleted_during_the_wait(self, connect: Connect) -> None:
        """A 404 ends the wait."""
        async with Sandbox(scheduled_for=60) as sandbox:
            export_id = sandbox.add_export("customer")
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, poll=FAST
            )

            with pytest.raises(ExportNotFoundError, match=export_id):
                await client.wait_until_done(export_id, on_update=lambda _: sandbox.delete_export(export_id))

    async def test_a_new_export_that_is_not_found_yet(self, connect: Connect) -> None:
        """A 404 for an export that this client has just created does not end the wait."""
        async with Sandbox(scheduled_for=0.1) as sandbox:
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, poll=FAST
            )
            created = await client.create_export("customer")
            sandbox.fail(times=3, status=404)

            assert (await client.wait_until_done(created)).is_done
            assert [request.status for request in sandbox.requests][1:5] == [404, 404, 404, 200]

    @pytest.mark.parametrize("is_own", [True, False])
    async def test_a_new_export_that_does_not_exist(self, is_own: bool, connect: Connect) -> None:
        """Without `read_lag`, and for the export of another client, a 404 is the end."""
        async with Sandbox(scheduled_for=0.1) as sandbox:
            options = {"base_url": sandbox.url, "app_id": sandbox.app_id, "app_token": sandbox.app_token}
            client = connect(**options, poll=FAST, **({"read_lag": 0} if is_own else {}))
            created = await (client if is_own else connect(**options)).create_export("customer")
            sandbox.fail(times=1, status=404)

            with pytest.raises(ExportNotFoundError):
                await client.wait_until_done(created)

    async def test_a_last_poll_after_refusals_that_name_no_time(self, connect: Connect) -> None:
        """In the pause after such a refusal a wait gets its last poll at its deadline."""
        async with Sandbox(scheduled_for=0.3, in_progress_for=0.2) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            export_id = sandbox.add_export("customer")
            sandbox.fail(status=429)

            assert (await client.wait_until_done(export_id, timeout=0.8)).is_done
            assert [request.status for request in sandbox.requests] == [429, 200]

    async def test_the_deadline_bounds_a_request_that_hangs(self, connect: Connect, sandbox: Sandbox) -> None:
        """A wait ends at its timeout even if the server never responds."""
        sandbox.fail(times=None, delay=float("inf"))
        loop = asyncio.get_running_loop()
        started = loop.time()

        with pytest.raises(WaitTimeoutError):
            await connect().wait_until_done(ID, timeout=0.05)
        assert loop.time() - started < 1

    async def test_transient_failures_do_not_end_a_wait(self, connect: Connect, sandbox: Sandbox) -> None:
        """Polls that fail with resets, gateway errors or invalid bodies do not end a wait."""
        export_id = sandbox.add_export("customer")
        sandbox.fail(reset="before")
        sandbox.fail(reset="headers")
        sandbox.fail(reset="body")
        sandbox.fail(status=502, body=b"<html>", content_type="text/html")
        sandbox.fail(status=503, body=b"")
        sandbox.fail(body=b"<html>")
        sandbox.fail(body={"id": export_id})

        assert (await connect(poll=FAST).wait_until_done(export_id)).is_done
        assert len(sandbox.requests) == 8

    async def test_cancelling_one_of_many(self, connect: Connect) -> None:
        """`asyncio.timeout` around one of two waits for an export ends only that wait."""
        async with Sandbox(scheduled_for=0, in_progress_for=0.08) as sandbox:
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, poll=FAST
            )
            export_id = sandbox.add_export("customer")
            other = asyncio.create_task(client.wait_until_done(export_id))

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await client.wait_until_done(export_id)
            assert (await other).is_done


class TestWaitMany:
    async def test_each_wait_has_an_outcome(self, connect: Connect, sandbox: Sandbox) -> None:
        """Exports that are done, failed, unknown or finished before the wait have one outcome each."""
        done, failed = sandbox.add_export("customer"), sandbox.add_export("order", outcome="ERROR")
        known = Export.from_dict(wire(status="ERROR"))

        outcomes = {
            outcome.export_id: outcome
            async for outcome in connect().wait_many([done, known, "exp_unknown", failed], timeout=60)
        }

        assert next(iter(outcomes)) == known.id
        assert outcomes[done].error is None
        assert outcomes[done].export is not None
        assert outcomes[done].export.is_done
        assert isinstance(outcomes[failed].error, ExportFailedError)
        assert outcomes[failed].export == outcomes[failed].error.export
        assert isinstance(outcomes["exp_unknown"].error, ExportNotFoundError)
        assert outcomes["exp_unknown"].export is None
        assert isinstance(outcomes[known.id].error, ExportFailedError)
        assert len(outcomes) == 4
        assert pickle.loads(pickle.dumps(outcomes[done])) == outcomes[done]

    async def test_one_str_is_not_a_list(self, connect: Connect, sandbox: Sandbox) -> None:
        """One id is not taken for a list of letters."""
        outcomes: Any = connect().wait_many(ID)
        with pytest.raises(TypeError, match="exports must be a list of ids"):
            await anext(outcomes)
        assert sandbox.requests == []

    async def test_no_ids(self, connect: Connect) -> None:
        """Without ids there are no outcomes."""
        assert [outcome async for outcome in connect().wait_many([])] == []

    async def test_finished_exports_delay_no_other(self, connect: Connect, sandbox: Sandbox) -> None:
        """All waits start before the first outcome, also if some exports are finished already."""
        finished = Export.from_dict(wire())
        outcomes = connect().wait_many([finished, sandbox.add_export("customer")])
        async with aclosing(outcomes):
            assert (await anext(outcomes)).export is finished
            while not sandbox.requests:
                await asyncio.sleep(0.01)

    async def test_leaving_the_loop_ends_the_other_waits(self, connect: Connect, sandbox: Sandbox) -> None:
        """Leaving the loop by `break` leaves no task behind."""
        sandbox.add_export("customer", id="exp_0")
        sandbox.fail(times=None, path="/v1/exports/exp_1", delay=float("inf"))
        client = connect()

        async with aclosing(client.wait_many(["exp_0", "exp_1"], poll=FAST)) as outcomes:
            async for outcome in outcomes:
                assert outcome.export_id == "exp_0"
                break
        assert not [task for task in asyncio.all_tasks() if "voucherify" in task.get_name()]

    async def test_misuse_is_raised_before_anything_is_sent(self, connect: Connect, sandbox: Sandbox) -> None:
        """One invalid id is an error, and no wait is started."""
        with pytest.raises(ConfigurationError):
            await anext(connect().wait_many(["exp_1", "a/b"]))
        assert sandbox.requests == []

    async def test_a_closed_client(self, connect: Connect) -> None:
        """Closing the client is the outcome of each pending wait, and an error for each new one."""
        async with Sandbox(scheduled_for=60) as sandbox:
            client = connect(base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token)
            ids = [sandbox.add_export("customer") for _ in range(3)]
            asyncio.get_running_loop().call_later(
                0.02, lambda: closing.append(asyncio.ensure_future(client.close()))
            )
            closing: list[asyncio.Future[None]] = []

            outcomes = [outcome async for outcome in client.wait_many(ids)]

            await closing[0]
            assert [type(outcome.error) for outcome in outcomes] == [ClientClosedError] * 3
            with pytest.raises(ClientClosedError):
                await anext(client.wait_many(ids))

    async def test_a_hook_that_raises_is_not_an_outcome(self, connect: Connect, sandbox: Sandbox) -> None:
        """An exception of the caller's hook is raised and is not an outcome."""

        def fail(event: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await anext(connect(on_event=fail).wait_many([sandbox.add_export("customer")]))


class TestIdioms:
    async def test_gather_with_exceptions(self, connect: Connect, sandbox: Sandbox) -> None:
        """With `return_exceptions=True` each wait has its own result or exception, in order."""
        ids = [sandbox.add_export("voucher", outcome=outcome) for outcome in ("DONE", "ERROR", "DONE")]
        client = connect()

        outcomes = await asyncio.gather(
            *map(client.wait_until_done, [*ids, "exp_no"]), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes] == [
            Export,
            ExportFailedError,
            Export,
            ExportNotFoundError,
        ]

    async def test_task_group(self, connect: Connect, sandbox: Sandbox) -> None:
        """One failure cancels the other waits of its task group, and none outside it."""
        failing = sandbox.add_export("voucher", outcome="ERROR")
        async with Sandbox(scheduled_for=0, in_progress_for=0.05, app_id="a", app_token="b") as slow:
            client, other = connect(), connect(base_url=slow.url, app_id="a", app_token="b", poll=FAST)
            outside = asyncio.create_task(other.wait_until_done(slow.add_export("order")))
            inside: list[asyncio.Task[Export]] = []

            async def wait_for_both() -> None:
                async with asyncio.TaskGroup() as group:
                    inside.append(group.create_task(other.wait_until_done(slow.add_export("order"))))
                    group.create_task(client.wait_until_done(failing))

            with pytest.raises(ExceptionGroup) as caught:
                await wait_for_both()
            assert caught.group_contains(ExportFailedError)
            assert inside[0].cancelled()
            assert (await outside).is_done

    async def test_first_completed(self, connect: Connect) -> None:
        """`asyncio.wait` returns the first finished wait, and the others continue."""
        async with Sandbox(scheduled_for=0, in_progress_for=0.08) as sandbox:
            client = connect(
                base_url=sandbox.url, app_id=sandbox.app_id, app_token=sandbox.app_token, poll=FAST
            )
            slow, quick = sandbox.add_export("order"), sandbox.add_export("order")
            sandbox.finish(quick)
            tasks = {
                asyncio.create_task(client.wait_until_done(export_id), name=export_id)
                for export_id in (slow, quick)
            }
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

            assert {task.get_name() for task in done} == {quick}
            assert [(await task).id for task in pending] == [slow]


class TestClose:
    async def test_ends_all_pending_calls(self, connect: Connect, sandbox: Sandbox) -> None:
        """Waits, requests under way and delays before a retry all raise ClientClosedError."""
        sandbox.fail(times=None, path="/v1/exports/exp_hangs", delay=float("inf"))
        sandbox.fail(times=None, path="/v1/exports/exp_fails", status=503)
        client = connect(retry=RetryPolicy(wait=lambda _: 3600))
        calls = [
            asyncio.ensure_future(client.get_export("exp_hangs")),
            asyncio.ensure_future(client.get_export("exp_fails")),
            asyncio.ensure_future(client.wait_until_done("exp_hangs")),
        ]
        while len(sandbox.requests) < 3:
            await asyncio.sleep(0.001)

        await client.close()

        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3

    @pytest.mark.parametrize("steps", range(5))
    async def test_closing_twice_at_the_same_time(
        self, steps: int, connect: Connect, sandbox: Sandbox
    ) -> None:
        """Each call under way ends once, at whatever step of the first `close` the second one starts."""
        sandbox.fail(times=None, delay=float("inf"))
        client = connect()
        call = asyncio.ensure_future(client.get_export(ID))
        while not sandbox.requests:
            await asyncio.sleep(0.001)

        closing = asyncio.ensure_future(client.close())
        for _ in range(steps):
            await asyncio.sleep(0)
        await client.close()

        await closing
        with pytest.raises(ClientClosedError):
            await call

    async def test_ends_calls_on_a_session_that_stays_open(self, connect: Connect, sandbox: Sandbox) -> None:
        """A call on the caller's session ends, and the session stays open."""
        sandbox.fail(times=None, delay=float("inf"))
        async with aiohttp.ClientSession() as session:
            client = connect(session=session)
            call = asyncio.ensure_future(client.get_export(ID))
            while not sandbox.requests:
                await asyncio.sleep(0.001)
            await client.close()
            with pytest.raises(ClientClosedError):
                await call

    async def test_a_hook_that_raises_does_not_keep_the_session_open(
        self, connect: Connect, sandbox: Sandbox
    ) -> None:
        """The session is closed even if a hook raises while the waits end."""

        def fail(event: object) -> None:
            if isinstance(event, WaitEnded):
                raise ZeroDivisionError

        sandbox.fail(times=None, delay=float("inf"))
        client = connect(on_event=fail)
        wait = asyncio.ensure_future(client.wait_until_done(ID))
        while not sandbox.requests:
            await asyncio.sleep(0.001)
        with pytest.raises(ZeroDivisionError):
            await client.close()

        assert client._transport._session is not None
        assert client._transport._session.closed
        with pytest.raises(ClientClosedError):
            await wait

    async def test_a_close_that_is_cancelled(
        self, connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever it waits for, the session is closed."""
        client = connect()
        await client.list_page()
        session = client._transport._session
        monkeypatch.setattr(client._transport._timeouts, "end_all", asyncio.Event().wait)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})

        assert session is not None
        assert session.closed
        monkeypatch.undo()

    async def test_a_closed_client_refuses_calls(self, connect: Connect) -> None:
        """Each call on a closed client raises ClientClosedError, and closing it again does nothing."""
        client = connect()
        await client.close()
        await client.close()

        with pytest.raises(ClientClosedError, match="make a new ExportsClient"):
            await client.get_export(ID)
        with pytest.raises(ClientClosedError):
            await client.wait_until_done(ID)
        with pytest.raises(ClientClosedError):
            await client.wait_until_done(Export.from_dict(wire()))
        with pytest.raises(ClientClosedError):
            await client.__aenter__()

    async def test_cancelling_a_call(self, connect: Connect, sandbox: Sandbox) -> None:
        """Cancelling a call raises CancelledError."""
        sandbox.fail(times=None, delay=float("inf"))
        call = asyncio.ensure_future(connect().get_export(ID))
        while not sandbox.requests:
            await asyncio.sleep(0.001)
        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call


class TestPoller:
    async def test_lists_the_newest_exports(self, connect: Connect, sandbox: Sandbox) -> None:
        """The watcher's poller returns pages of a hundred whole exports, the newest first."""
        ids = [sandbox.add_export("voucher", created_at=1_700_000_000 + second) for second in range(103)]

        newest_page, next_page = [await connect()._watcher._poller.list_page(page) for page in (1, 2)]

        assert [export.id for export in (*newest_page.exports, *next_page.exports)] == ids[::-1]
        assert (len(newest_page.exports), newest_page.total, next_page.total) == (100, 103, 103)
