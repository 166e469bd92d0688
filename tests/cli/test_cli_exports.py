"""`list`, `create`, `delete`, and the arguments and JSON of `wait`."""

import json
import os
from datetime import UTC, datetime

import pytest
from cli_process import Invoke, environment, finish, run, start, terminal

from voucherify_exports import ExportsClient, Sandbox


async def ids_of(sandbox: Sandbox) -> set[str]:
    """The ids of all exports."""
    async with ExportsClient(sandbox.app_id, sandbox.app_token, base_url=sandbox.url) as client:
        return {export.id async for export in client.list_exports()}


class TestList:
    async def test_shows_the_newest_first(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Each export has a line of at most 80 columns: id, object, status and time."""
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
        """`--status` and `--object` filter, and are repeatable."""
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
        """The newest 100 are searched, and a line says so; `--all` searches all."""
        ids = {sandbox.add_export("order") for _ in range(105)}
        newest = await invoke("list")
        everything = await invoke("list", "--all")

        assert len(newest.stdout.splitlines()) == 100
        assert newest.stderr == "Searched the newest 100 of 105 exports; --all searches them all.\n"
        assert {line.split()[0] for line in everything.stdout.splitlines()} == ids
        assert everything.stderr == ""

    async def test_json(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` prints the JSON of the API, a line for each."""
        export_id = sandbox.add_export("order")
        finished = await invoke("list", "--json")

        assert [json.loads(line)["id"] for line in finished.stdout.splitlines()] == [export_id]

    async def test_into_head(self, sandbox: Sandbox) -> None:
        """When stdout is closed, no further page is requested."""
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
        """Stdout has only the id, and the API received all options."""
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
        """`--json` prints the JSON of the API."""
        document = json.loads((await invoke("create", "order", "--json")).stdout)

        assert document["exported_object"] == "order"
        assert {document["id"]} == await ids_of(sandbox)

    @pytest.mark.parametrize(
        ("args", "advice"),
        [
            (("vouchers",), "--unchecked"),
            (("voucher", "--field", "cod"), "--unchecked"),
            (("voucher", "--order", "cod"), "--unchecked"),
            (("voucher", "--where", "cod is A"), "--unchecked"),
            (("voucher", "--where", "code like A"), "must be one of"),
        ],
    )
    async def test_a_typo(self, invoke: Invoke, sandbox: Sandbox, args: tuple[str, ...], advice: str) -> None:
        """A typo is wrong usage; the error says what to do, and no request is sent."""
        finished = await invoke("create", *args)

        assert finished.exit_code == 2
        assert "─ Error ─" in finished.stderr
        assert advice in finished.stderr
        assert "=False" not in finished.stderr
        assert not sandbox.requests

    async def test_unchecked(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--unchecked` leaves the check to Voucherify."""
        finished = await invoke("create", "voucher", "--field", "cod", "--unchecked")

        assert len(sandbox.requests) == 1
        assert finished.exit_code == 7
        assert "400" in finished.stderr


class TestDelete:
    async def test_without_confirmation(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--yes` deletes at once, with a line for each export."""
        ids = [sandbox.add_export("order") for _ in range(3)]
        finished = await invoke("delete", *ids[:2], "--yes")

        assert finished.stderr == "".join(f"{each}: deleted\n" for each in ids[:2])
        assert (finished.exit_code, finished.stdout) == (0, "")
        assert await ids_of(sandbox) == {ids[2]}

    async def test_without_a_terminal(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Without a terminal, `--yes` is required."""
        finished = await invoke("delete", "exp_1")

        assert finished.exit_code == 2
        assert "--yes deletes" in finished.stderr
        assert not sandbox.requests

    async def test_an_unknown_id(self, invoke: Invoke) -> None:
        """It is reported as not found."""
        assert (await invoke("delete", "exp_nope", "-y")).exit_code == 4

    @pytest.mark.parametrize(
        ("key", "code", "text"), [(b"y\n", 0, "deleted"), (b"n\n", 130, "Nothing was deleted.")]
    )
    @pytest.mark.parametrize("count", [1, 2])
    async def test_asks(self, sandbox: Sandbox, key: bytes, code: int, text: str, count: int) -> None:
        """On a terminal it asks for confirmation."""
        ids = [sandbox.add_export("order") for _ in range(count)]
        async with terminal("delete", *ids, env=environment(sandbox)) as screen:
            await screen.shows(
                f"Permanently delete {f'{ids[0]} and its file' if count == 1 else '2 exports'}? [y/N]"
            )
            screen.press(key)
            assert await screen.finish() == code

        assert text in screen.text
        assert await ids_of(sandbox) == (set() if code == 0 else set(ids))

    async def test_interrupted(self, sandbox: Sandbox) -> None:
        """Ctrl-C at the prompt deletes nothing."""
        export_id = sandbox.add_export("order")
        async with terminal("delete", export_id, env=environment(sandbox)) as screen:
            await screen.shows("[y/N]")
            assert await screen.interrupt() == 130

        assert "Interrupted." in screen.text
        assert await ids_of(sandbox) == {export_id}


class TestWait:
    async def test_ids_from_stdin(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Without arguments, the ids are read from stdin."""
        ids = [sandbox.add_export("order") for _ in range(2)]
        finished = await invoke("wait", stdin="\n".join(ids) + "\n")

        assert finished.exit_code == 0
        assert len(finished.stdout.splitlines()) == 2

    async def test_no_ids(self, invoke: Invoke) -> None:
        """No ids at all is wrong usage."""
        finished = await invoke("wait", stdin="\n")

        assert finished.exit_code == 2
        assert "give at least one id" in finished.stderr

    async def test_no_ids_on_a_terminal(self, sandbox: Sandbox) -> None:
        """On a terminal, the command does not wait for input."""
        async with terminal("wait", env=environment(sandbox)) as screen:
            assert await screen.finish() == 2

        assert "give at least one id" in screen.text

    async def test_json(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--json` prints a line for each id, in their order: the export, or the error."""
        done, failed = sandbox.add_export("order"), sandbox.add_export("sku", outcome="ERROR")
        finished = await invoke("wait", failed, done, "exp_nope", "--json")

        documents = [json.loads(line) for line in finished.stdout.splitlines()]
        assert [each["id"] for each in documents] == [failed, done, "exp_nope"]
        assert documents[1]["status"] == "DONE"
        assert "ERROR" in documents[0]["error"]
        assert finished.exit_code == 4

    async def test_the_output_of_create(self, sandbox: Sandbox) -> None:
        """`wait` takes the id that `create` prints."""
        created = await run("create", "order", env=environment(sandbox))
        finished = await run("wait", created.out.decode().strip(), env=environment(sandbox))

        assert finished.code == 0
        assert finished.out.startswith(sandbox.url.encode())
