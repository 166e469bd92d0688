import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from samples import ID, running, wire

from voucherify_exports import (
    ApiError,
    Export,
    ExportFailedError,
    ExportNotFoundError,
    TransportError,
    WaitOutcome,
    WaitTimeoutError,
)
from voucherify_exports._ground.html import table

DONE = Export.from_dict(wire())
FAILED = Export.from_dict(wire(status="ERROR", result=None))
ROW = '<td style="text-align: left">{}</td>'


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell(history_length=0)
    shell.history_manager.enabled = False
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def html(shell: InteractiveShell, value: object) -> str | None:
    assert shell.display_formatter
    found: dict[str, Any] = shell.display_formatter.format(value)[0]
    return found.get("text/html")


def rows(text: str | None) -> list[list[str]]:
    assert text is not None
    cells = [row.split("</td>") for row in text.split("<tr>")[2:]]
    return [[cell.partition(">")[2] for cell in row if cell.startswith("<td")] for row in cells]


class TestTable:
    def test_everything_is_escaped(self) -> None:
        """No text is taken for HTML."""
        shown = table(["<a>"], [["<script>", 'x"&y']], "<b>")
        assert "<caption>&lt;b&gt;</caption>" in shown
        assert ROW.format("&lt;script&gt;") + ROW.format("x&quot;&amp;y") in shown
        assert "<script>" not in shown


class TestExport:
    def test_one(self, shell: InteractiveShell) -> None:
        """An export is a small table, without its URL."""
        shown = html(shell, DONE)
        assert rows(shown) == [[ID, "customer", "DONE", "2022-01-13 09:03:18 UTC", "ready"]]
        assert "http" not in str(shown)
        assert rows(html(shell, Export.from_dict(running())))[0][2:] == [
            "IN_PROGRESS",
            "2022-01-13 09:03:18 UTC",
            "",
        ]

    def test_its_repr_is_short(self) -> None:
        """One line, without the URL."""
        assert repr(DONE) == (
            f"Export(id='{ID}', status=DONE, exported_object=customer,"
            " created_at=2022-01-13 09:03:18.293000+00:00, result=ExportResult(…))"
        )
        assert repr(FAILED).endswith("result=None)")


class TestLists:
    def test_a_gather(self, shell: InteractiveShell) -> None:
        """Exports and errors are rows in their order, counted by status, and no token is shown."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        lost = TransportError("no answer", attempts=5)
        missing = ExportNotFoundError("There is no <such> export", status=404, resource_id="exp_2")
        late = WaitTimeoutError("exp_3", elapsed=1, polls=2)
        others = [ExportFailedError(FAILED), lost, missing, late, KeyError("secret")]
        shown = html(shell, [DONE, DONE, *others])
        assert [row[:3] for row in rows(shown)] == [
            [ID, "customer", "DONE"],
            [ID, "customer", "DONE"],
            [ID, "customer", "ERROR"],
            ["", "", "TransportError"],
            ["exp_2", "", "ExportNotFoundError"],
            ["exp_3", "", "WaitTimeoutError"],
            ["", "", "KeyError"],
        ]
        assert "There is no &lt;such&gt; export" in str(shown)
        assert "<caption>7 exports: 2 DONE, 1 ERROR, 1 TransportError" in str(shown)
        assert "secret" not in str(shown).lower()

    def test_outcomes(self, shell: InteractiveShell) -> None:
        """What `wait_many` gives is shown as well."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        outcomes = [
            WaitOutcome(ID, DONE),
            WaitOutcome("exp_2", None, ApiError("refused", status=418)),
            WaitOutcome("exp_3", FAILED, ExportFailedError(FAILED)),
            WaitOutcome("exp_4"),
        ]
        assert [(row[0], row[2]) for row in rows(html(shell, outcomes))] == [
            (ID, "DONE"),
            ("exp_2", "ApiError"),
            ("exp_3", "ERROR"),
            ("exp_4", ""),
        ]

    def test_many(self, shell: InteractiveShell) -> None:
        """A hundred are shown, and all counted."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        shown = html(shell, [DONE] * 250)
        assert len(rows(shown)) == 101
        assert rows(shown)[100][0] == "… and 150 more"
        assert "250 exports: 250 DONE" in str(shown)

    @pytest.mark.parametrize("value", [[], [1, 2], [DONE, 1], [KeyError("x")], (DONE,), "text"])
    def test_others_are_left_alone(self, shell: InteractiveShell, value: object) -> None:
        """Lists of anything else look as before."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        assert html(shell, value) is None

    def test_unloaded(self, shell: InteractiveShell) -> None:
        """Afterwards lists are lists again, also when it is undone twice."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        assert html(shell, [DONE])
        shell.run_line_magic("unload_ext", "voucherify_exports")
        shell.run_line_magic("unload_ext", "voucherify_exports")
        assert html(shell, [DONE]) is None


def test_the_import_is_light() -> None:
    """The package does not import IPython."""
    code = "import sys, voucherify_exports; print('IPython' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=25)
    assert run.stdout.strip() == "False"
