"""`objects`, `fields`, and shell completion."""

import json
import re

import pytest
from cli_process import Invoke, environment, finish, start

from voucherify_exports import Sandbox
from voucherify_exports.catalog import CATALOG


class TestObjects:
    async def test_lists_them_all(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """Each object of the catalog has a line, and no request is sent."""
        finished = await invoke("objects")

        assert [line.split()[0] for line in finished.stdout.splitlines()] == list(CATALOG)
        assert not sandbox.requests

    async def test_as_json(self, invoke: Invoke) -> None:
        """`--json` has the number of fields by object, as many as `fields` lists."""
        counts = json.loads((await invoke("objects", "--json")).stdout)

        for name in ("publication", "sku"):
            document = json.loads((await invoke("fields", name, "--json")).stdout)
            assert counts[name] == len(document["fields"])


class TestFields:
    async def test_lists_them_all(self, invoke: Invoke) -> None:
        """A field has its type, its title, and a star if it is a default; orders and filters follow."""
        lines = (await invoke("fields", "voucher")).stdout.splitlines()

        assert lines[1].split() == ["code", "*", "text", "Code"]
        assert "metadata.…                      text" in lines
        assert lines[-2].startswith("orders: created_at, -created_at")
        assert "redemption_status" in lines[-1]

    @pytest.mark.parametrize("name", CATALOG)
    async def test_as_json(self, invoke: Invoke, name: str) -> None:
        """`--json` has the same for each object."""
        document = json.loads((await invoke("fields", name, "--json")).stdout)
        entry = CATALOG[name]

        assert document["exported_object"] == name
        assert [each["name"] for each in document["fields"]] == [
            known.name for known in entry.fields if known.selectable
        ]
        assert document["default_fields"] == list(entry.default_fields)
        assert len(document["filters"]) == len(entry.filters)

    async def test_an_unknown_object(self, invoke: Invoke) -> None:
        """An object that is not in the catalog is wrong usage."""
        finished = await invoke("fields", "vouchers")

        assert finished.exit_code == 2
        assert "unknown object 'vouchers'; known are voucher," in " ".join(
            finished.stderr.replace("│", " ").split()
        )


class TestCompletion:
    @pytest.mark.parametrize(
        ("shell", "typed", "offered"),
        [
            ("bash", "fields voucher", {"voucher", "voucher_transactions"}),
            ("bash", "run pub", {"publication"}),
            ("bash", "create redemption --field voucher_c", {"voucher_code"}),
            ("bash", "create --field voucher_c", set()),
            ("bash", "list --object s", {"sku"}),
            ("bash", "list --status DO", {"DONE"}),
            ("zsh", "create redemption --field voucher_c", {"voucher_code"}),
            ("fish", "create redemption --field voucher_c", {"voucher_code"}),
        ],
    )
    async def test_in_a_shell(self, shell: str, typed: str, offered: set[str]) -> None:
        """Objects, and the fields of the object on the command line, come from the catalog."""
        words = f"voucherify-exports {typed}"
        variables = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        if shell != "bash":
            variables = {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        own = environment(_VOUCHERIFY_EXPORTS_COMPLETE=f"complete_{shell}", **variables)
        finished = await finish(await start(env=own))

        out = finished.out.decode()
        assert set(re.findall(r'"(\w+)"', out) if shell == "zsh" else out.split()) == offered
