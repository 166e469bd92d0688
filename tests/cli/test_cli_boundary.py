"""From errors to exit codes."""

import pytest
from samples import wire
from typer import Exit

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
from voucherify_exports.cli.boundary import boundary, exit_code

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
    def test_of_what_voucherify_answers(self, status: int, code: int) -> None:
        """Each HTTP status has the exit code that the documentation says."""
        assert exit_code(ApiError.for_status(status)("no", status=status)) == code

    @pytest.mark.parametrize(("error", "code"), OTHERS, ids=lambda value: type(value).__name__)
    def test_of_the_rest(self, error: VoucherifyExportsError | OSError, code: int) -> None:
        """Every other error has its own as well, a timeout of the system being no timeout of a wait."""
        assert exit_code(error) == code

    def test_no_class_is_forgotten(self) -> None:
        """The two tables above name every error of the package but the two bases."""
        tested = {ApiError.for_status(status) for status in BY_STATUS} | {type(error) for error, _ in OTHERS}

        assert every_class(VoucherifyExportsError) <= tested | {VoucherifyExportsError, ApiError}


class TestBoundary:
    def test_an_error_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An error's text, however many lines it has and whatever they hold, is one harmless line."""
        with pytest.raises(Exit) as ended, boundary():
            raise TransportError("no answer:\n\x1b[2Jgateway\x07 " + "timed out " * 20)

        assert ended.value.exit_code == 7
        assert (
            capsys.readouterr().err
            == f"Error: no answer: \\x1b[2Jgateway\\x07 {'timed out ' * 20}".strip() + "\n"
        )

    def test_a_fault_of_the_disk(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What the system refuses is told in one line as well."""
        with pytest.raises(Exit) as ended, boundary():
            raise OSError(28, "No space left on device")

        assert ended.value.exit_code == 8
        assert capsys.readouterr().err == "Error: [Errno 28] No space left on device\n"

    @pytest.mark.parametrize(("said", "shown"), [((), "Interrupted."), (("It goes on.",), "It goes on.")])
    def test_an_interruption(
        self, said: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Ctrl-C is told, with what there is to know of it."""
        with pytest.raises(Exit) as ended, boundary():
            raise KeyboardInterrupt(*said)

        assert ended.value.exit_code == 130
        assert capsys.readouterr().err == f"{shown}\n"

    def test_a_mistake_of_ours_stays_visible(self) -> None:
        """No other exception is hidden."""
        with pytest.raises(ZeroDivisionError), boundary():
            raise ZeroDivisionError
