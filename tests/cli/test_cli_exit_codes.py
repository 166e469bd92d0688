"""The table of exit codes: errors, `--help` and the documentation."""

import re
from pathlib import Path

import pytest
from cli_process import Invoke
from samples import wire

from voucherify_exports import (
    ApiError,
    ClientClosedError,
    ConfigurationError,
    CreateUncertainError,
    DownloadError,
    Export,
    ExportFailedError,
    InvalidResponseError,
    MissingExtraError,
    TableError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from voucherify_exports.cli.exit_codes import ExitCode

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"

BY_STATUS = {400: 7, 401: 3, 402: 5, 403: 3, 404: 4, 408: 7, 409: 7, 418: 7, 423: 7, 429: 5, 500: 7, 503: 7}

OTHERS = [
    (ExportFailedError(Export.from_dict(wire(status="ERROR", result=None))), 1),
    (ConfigurationError("app_id is missing"), 3),
    (WaitTimeoutError("exp_1", elapsed=2.0, polls=1), 6),
    (TransportError("no answer"), 7),
    (CreateUncertainError("no answer"), 7),
    (InvalidResponseError("not an export", problem="no id"), 7),
    (ClientClosedError(), 7),
    (MissingExtraError("needs pyarrow"), 2),
    (DownloadError("cut short"), 8),
    (TableError("line 2 is too long"), 8),
    (PermissionError(13, "Permission denied"), 8),
    (TimeoutError("timed out"), 8),
]


def every_class(base: type[VoucherifyExportsError]) -> set[type[VoucherifyExportsError]]:
    return {base}.union(*(every_class(kind) for kind in base.__subclasses__()))


class TestExitCode:
    @pytest.mark.parametrize(("status", "code"), BY_STATUS.items())
    def test_of_a_response(self, status: int, code: int) -> None:
        """Each HTTP status has the documented exit code."""
        assert ExitCode.from_error(ApiError.for_status(status)("no", status=status)) == code

    @pytest.mark.parametrize(("error", "code"), OTHERS, ids=lambda value: type(value).__name__)
    def test_of_other_errors(self, error: VoucherifyExportsError | OSError, code: int) -> None:
        """Each other error has an exit code; a `TimeoutError` of the system is not that of a wait."""
        assert ExitCode.from_error(error) == code

    def test_every_class_is_tested(self) -> None:
        """The tables above name every error of the package except the two bases."""
        tested = {ApiError.for_status(status) for status in BY_STATUS} | {type(error) for error, _ in OTHERS}

        assert every_class(VoucherifyExportsError) <= tested | {VoucherifyExportsError, ApiError}


class TestTexts:
    def test_of_the_documentation(self) -> None:
        """The page has the same codes with the same meanings."""
        rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)

        assert [(int(code), meaning.replace("`", "")) for code, meaning in rows] == [
            (code, code.meaning) for code in ExitCode
        ]

    async def test_of_the_help(self, invoke: Invoke) -> None:
        """`--help` lists each code with its meaning."""
        words = " ".join((await invoke("--help")).stdout.split())

        assert ", ".join(f"{code:d} {code.meaning}" for code in ExitCode) in words

    def test_labels_fit_into_the_table(self) -> None:
        """No label is longer than the longest status, for which the live table has room."""
        assert max(len(code.label) for code in ExitCode) <= len("IN_PROGRESS")
