"""From errors to exit codes."""

import pytest
from typer import Exit

from voucherify_exports import TransportError
from voucherify_exports.cli.boundary import boundary


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
