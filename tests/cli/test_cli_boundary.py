"""Errors become one line on stderr and an exit code."""

import pytest
from typer import Exit

from voucherify_exports import TransportError
from voucherify_exports.cli.boundary import boundary


class TestBoundary:
    def test_an_error_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The text of an error becomes one line without control codes."""
        with pytest.raises(Exit) as ended, boundary():
            raise TransportError("no answer:\n\x1b[2Jgateway\x07 " + "timed out " * 20)

        assert ended.value.exit_code == 7
        assert (
            capsys.readouterr().err
            == f"Error: no answer: \\x1b[2Jgateway\\x07 {'timed out ' * 20}".strip() + "\n"
        )

    def test_a_disk_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An error of the operating system is one line, too."""
        with pytest.raises(Exit) as ended, boundary():
            raise OSError(28, "No space left on device")

        assert ended.value.exit_code == 8
        assert capsys.readouterr().err == "Error: [Errno 28] No space left on device\n"

    @pytest.mark.parametrize(("text", "shown"), [((), "Interrupted."), (("It continues.",), "It continues.")])
    def test_an_interruption(
        self, text: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The text of a KeyboardInterrupt is printed, or a default one."""
        with pytest.raises(Exit) as ended, boundary():
            raise KeyboardInterrupt(*text)

        assert ended.value.exit_code == 130
        assert capsys.readouterr().err == f"{shown}\n"

    def test_another_exception_passes(self) -> None:
        """No other exception is caught."""
        with pytest.raises(ZeroDivisionError), boundary():
            raise ZeroDivisionError
