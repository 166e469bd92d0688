"""`list`, `create` and `delete`, and what `wait` takes and gives besides."""

import json
import os
from datetime import UTC, datetime

import pytest
from cli_process import Invoke, environment, finish, run, start, terminal

from voucherify_exports import ExportsClient, Sandbox


async def ids_of(sandbox: Sandbox) -> set[str]:
    """The exports that are there."""
    async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
        return {export.id async for export in client.list_exports()}


class TestList:
    async def test_shows_the_newest_first(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """A line for each: id, object, status and time, within 80 columns."""
        old = sandbox.add_export("voucher_transactions", created_at=datetime(2026, 1, 1, 9, 5, tzinfo=UTC))
        new = sandbox.add_export("order", created_at=datetime(2026, 1, 2, tzinfo=UTC))
        sandbox.finish(old)
        finished = await invoke("list")

        first, second = finished.stdout.splitlines()
        assert first.split()[:2] == [new, "order"]
        assert second.split() == [old, "voucher_transactions", "DONE", "2026-01-01", "09:05"]
        assert len(second) <= 80
        assert (finished.exit_code, finished.stderr) == (0, "")

    async def test_filters(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--status` and `--object` choose, and can be given again."""
        done, failed, other = (
            sandbox.add_export("order"),
            sandbox.add_export("order", outcome="ERROR"),
            sandbox.add_export("sku"),
        )
        for export_id in (done, other):
            sandbox.finish(export_id)
        sandbox.finish(failed, "ERROR")

        async def listed(*args: str) -> set[str]:
            return {line.split()[0] for line in (await invoke("list", *args)).stdout.splitlines()}

        assert await listed("--status", "DONE") == {done, other}
        assert await listed("--status", "DONE", "--object", "order") == {done}
        assert await listed("--status", "DONE", "--status", "ERROR", "--object", "order") == {done, failed}

    async def test_all(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """It looks at the newest 100, and says so, or at all."""
        ids = {sandbox.add_export("order") for _ in range(105)}
        newest = await invoke("list")
        everything = await invoke("list", "--all")

        assert len(newest.stdout.splitlines()) == 100
        assert newest.stderr == "These are of the newest 100 of 105 exports: --all looks at all.\n"
        assert {line.split()[0] for line in everything.stdout.splitlines()} == ids
        assert everything.stderr == ""

    async def test_json(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` gives a line of the API's JSON for each."""
        export_id = sandbox.add_export("order")
        finished = await invoke("list", "--json")

        assert [json.loads(line)["id"] for line in finished.stdout.splitlines()] == [export_id]

    async def test_into_head(self, sandbox: Sandbox) -> None:
        """When nobody reads on, nothing more is asked for."""
        for _ in range(201):
            sandbox.add_export("order")
        reader, writer = os.pipe()
        os.close(reader)
        process = await start("list", "--all", env=environment(sandbox), stdout=writer)
        os.close(writer)
        finished = await finish(process)

        assert (finished.code, finished.err) == (0, b"")
        assert len(sandbox.requests) == 1


class TestCreate:
    async def test_prints_the_id(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The id alone is on stdout, and everything that was asked for arrived."""
        finished = await invoke(
            *("create", "voucher", "--field", "code", "--field", "value", "--order", "-created_at"),
            *("--where", "created_at after 2026-01-01", "--where", "code contains SUMMER"),
        )

        (export_id,) = await ids_of(sandbox)
        assert finished.stdout == f"{export_id}\n"
        assert (finished.exit_code, finished.stderr) == (0, "")
        async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
            parameters = (await client.get_export(export_id)).parameters
        assert parameters is not None
        assert (parameters.fields, parameters.order) == (("code", "value"), "-created_at")
        assert parameters.filters == {
            "junction": "and",
            "created_at": {"conditions": {"$after": ["2026-01-01"]}},
            "code": {"conditions": {"$contains": ["SUMMER"]}},
        }

    async def test_json(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` gives the API's."""
        told = json.loads((await invoke("create", "order", "--json")).stdout)

        assert told["exported_object"] == "order"
        assert {told["id"]} == await ids_of(sandbox)

    @pytest.mark.parametrize(
        "args",
        [
            ("vouchers",),
            ("voucher", "--field", "cod"),
            ("voucher", "--order", "cod"),
            ("voucher", "--where", "cod is A"),
            ("voucher", "--where", "code like A"),
        ],
    )
    async def test_what_is_not_known(self, invoke: Invoke, sandbox: Sandbox, args: tuple[str, ...]) -> None:
        """A slip is wrong usage, and nothing is sent."""
        finished = await invoke("create", *args)

        assert finished.exit_code == 2
        assert "─ Error ─" in finished.stderr
        assert "strict=" not in finished.stderr
        assert not sandbox.requests

    async def test_unchecked(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--unchecked` leaves it to Voucherify."""
        finished = await invoke("create", "voucher", "--field", "cod", "--unchecked")

        assert len(sandbox.requests) == 1
        assert finished.exit_code == 7
        assert "400" in finished.stderr


class TestDelete:
    async def test_without_asking(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--yes` deletes at once, and says so."""
        ids = [sandbox.add_export("order") for _ in range(3)]
        finished = await invoke("delete", *ids[:2], "--yes")

        assert finished.stderr == "".join(f"{each}: deleted\n" for each in ids[:2])
        assert (finished.exit_code, finished.stdout) == (0, "")
        assert await ids_of(sandbox) == {ids[2]}

    async def test_nobody_to_ask(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """In a script, `--yes` is needed."""
        finished = await invoke("delete", "exp_1")

        assert finished.exit_code == 2
        assert "--yes deletes without asking" in finished.stderr
        assert not sandbox.requests

    async def test_what_is_not_there(self, invoke: Invoke) -> None:
        """It is not found."""
        assert (await invoke("delete", "exp_nope", "-y")).exit_code == 4

    @pytest.mark.parametrize(
        ("key", "code", "said"), [(b"y\n", 0, "deleted"), (b"n\n", 130, "Nothing is deleted.")]
    )
    @pytest.mark.parametrize("count", [1, 2])
    async def test_asks(self, sandbox: Sandbox, key: bytes, code: int, said: str, count: int) -> None:
        """On a terminal it asks, and takes no for an answer."""
        ids = [sandbox.add_export("order") for _ in range(count)]
        async with terminal("delete", *ids, env=environment(sandbox)) as screen:
            await screen.shows(
                f"Delete {ids[0] if count == 1 else '2 exports'} with its file for good? [y/N]"
            )
            screen.press(key)
            assert await screen.finish() == code

        assert said in screen.text
        assert await ids_of(sandbox) == (set() if code == 0 else set(ids))

    async def test_interrupted(self, sandbox: Sandbox) -> None:
        """Ctrl-C instead of an answer deletes nothing."""
        export_id = sandbox.add_export("order")
        async with terminal("delete", export_id, env=environment(sandbox)) as screen:
            await screen.shows("[y/N]")
            assert await screen.interrupt() == 130

        assert "Interrupted." in screen.text
        assert await ids_of(sandbox) == {export_id}


class TestWait:
    async def test_ids_from_stdin(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Without ids they are read from stdin."""
        ids = [sandbox.add_export("order") for _ in range(2)]
        finished = await invoke("wait", stdin="\n".join(ids) + "\n")

        assert finished.exit_code == 0
        assert len(finished.stdout.splitlines()) == 2

    async def test_no_ids(self, invoke: Invoke) -> None:
        """None at all is wrong usage, on a terminal, too."""
        finished = await invoke("wait", stdin="\n")

        assert finished.exit_code == 2
        assert "name at least one export" in finished.stderr

    async def test_no_ids_on_a_terminal(self, sandbox: Sandbox) -> None:
        """A person is not left in front of a silent command."""
        async with terminal("wait", env=environment(sandbox)) as screen:
            assert await screen.finish() == 2

        assert "name at least one export" in screen.text

    async def test_json(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` has a line for each in the order of the ids: the export, or its error."""
        done, failed = sandbox.add_export("order"), sandbox.add_export("sku", outcome="ERROR")
        finished = await invoke("wait", failed, done, "exp_nope", "--json")

        told = [json.loads(line) for line in finished.stdout.splitlines()]
        assert [each["id"] for each in told] == [failed, done, "exp_nope"]
        assert told[1]["status"] == "DONE"
        assert "ERROR" in told[0]["error"]
        assert finished.exit_code == 4

    async def test_what_create_printed(self, sandbox: Sandbox) -> None:
        """`create` and `wait` go together."""
        created = await run("create", "order", env=environment(sandbox))
        finished = await run("wait", created.out.decode().strip(), env=environment(sandbox))

        assert finished.code == 0
        assert finished.out.startswith(sandbox.url.encode())
