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
    formatted: dict[str, Any] = shell.display_formatter.format(value)[0]
    return formatted.get("text/html")


def rows(text: str | None) -> list[list[str]]:
    assert text is not None
    cells = [row.split("</td>") for row in text.split("<tr>")[2:]]
    return [[cell.partition(">")[2] for cell in row if cell.startswith("<td")] for row in cells]


class TestTable:
    def test_all_text_is_escaped(self) -> None:
        """All text is escaped, so that none is taken for HTML."""
        shown = table(["<a>"], [["<script>", 'x"&y']], "<b>")
        assert "<caption>&lt;b&gt;</caption>" in shown
        assert ROW.format("&lt;script&gt;") + ROW.format("x&quot;&amp;y") in shown
        assert "<script>" not in shown


class TestExport:
    def test_is_a_table(self, shell: InteractiveShell) -> None:
        """An export is displayed as a small table without its result URL."""
        shown = html(shell, DONE)
        assert rows(shown) == [[ID, "customer", "DONE", "2022-01-13 09:03:18 UTC", "ready"]]
        assert "http" not in str(shown)
        assert rows(html(shell, Export.from_dict(running())))[0][2:] == [
            "IN_PROGRESS",
            "2022-01-13 09:03:18 UTC",
            "",
        ]

    def test_the_repr_is_short(self) -> None:
        """The repr is one line without the result URL."""
        assert repr(DONE) == (
            f"Export(id='{ID}', status=DONE, exported_object=customer,"
            " created_at=2022-01-13 09:03:18.293000+00:00, result=ExportResult(…))"
        )
        assert repr(FAILED).endswith("result=None)")


class TestLists:
    def test_results_of_gather(self, shell: InteractiveShell) -> None:
        """Exports and errors are rows in their order, counted by status, and no token is shown."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        lost = TransportError("no response", attempts=5)
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

    def test_outcomes_of_wait_many(self, shell: InteractiveShell) -> None:
        """The outcomes of `wait_many` are rows as well."""
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

    def test_a_long_list(self, shell: InteractiveShell) -> None:
        """The first hundred are shown, and all are counted."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        shown = html(shell, [DONE] * 250)
        assert len(rows(shown)) == 101
        assert rows(shown)[100][0] == "… and 150 more"
        assert "250 exports: 250 DONE" in str(shown)

    @pytest.mark.parametrize("value", [[], [1, 2], [DONE, 1], [KeyError("x")], (DONE,), "text"])
    def test_other_lists_are_unchanged(self, shell: InteractiveShell, value: object) -> None:
        """Lists of anything else are displayed as before."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        assert html(shell, value) is None

    def test_unloading_the_extension(self, shell: InteractiveShell) -> None:
        """After it is unloaded, lists are displayed as before; unloading it twice is allowed."""
        shell.run_line_magic("load_ext", "voucherify_exports")
        assert html(shell, [DONE])
        shell.run_line_magic("unload_ext", "voucherify_exports")
        shell.run_line_magic("unload_ext", "voucherify_exports")
        assert html(shell, [DONE]) is None


def test_the_import_does_not_load_ipython() -> None:
    """Importing the package does not import IPython."""
    code = "import sys, voucherify_exports; print('IPython' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=25)
    assert run.stdout.strip() == "False"
