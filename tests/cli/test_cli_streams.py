"""Text on stdout and stderr."""

import io
import sys

import pytest
from cli_process import FORCING, Screen
from hypothesis import given
from hypothesis import strategies as st

from voucherify_exports.cli.streams import (
    StreamConsole,
    escape_unencodable_output,
    one_line,
    print_results,
)


class TestOneLine:
    @given(st.text(st.characters(exclude_categories=())))
    def test_is_one_line(self, text: str) -> None:
        """Any text, even with lone surrogates, becomes printable and encodable."""
        line = one_line(text)

        assert line.isprintable()
        assert line.encode().decode() == line

    @given(st.text(st.characters(categories=("L", "N", "P", "S"))))
    def test_leaves_printable_text_alone(self, text: str) -> None:
        """Printable text without spaces is unchanged."""
        assert one_line(text) == text

    def test_escapes_control_codes(self) -> None:
        """A control code is escaped; white space becomes one space."""
        assert one_line(" a\r\n\tb \x1b[31m\u202e ") == r"a b \x1b[31m\u202e"


class TestStreamConsole:
    def test_does_not_wrap(self) -> None:
        """A line longer than the screen is not wrapped."""
        stream = io.StringIO()
        StreamConsole(stream).print_text("x" * 500, "red")

        assert stream.getvalue() == "x" * 500 + "\n"

    def test_has_no_markup(self) -> None:
        """Square brackets and colons are printed as they are."""
        stream = io.StringIO()
        console = StreamConsole(stream)
        console.print_text("[red]:smile:", indent=2)
        console.print("[red]:smile:")

        assert stream.getvalue() == "  [red]:smile:\n[red]:smile:\n"

    def test_a_closed_pipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A closed stdout raises `BrokenPipeError`; after a closed stderr nothing more is printed."""

        class Closed(io.StringIO):
            def write(self, text: str, /) -> int:
                raise BrokenPipeError

        stream = Closed()
        console = StreamConsole(stream)
        console.print_text("progress")
        assert console.quiet
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError):
            StreamConsole(stream).print_text("result")

    def test_colours_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A terminal gets colours, unless NO_COLOR is set."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        coloured, plain = Screen(), Screen()
        StreamConsole(coloured).print_text("hello", "red")
        monkeypatch.setenv("NO_COLOR", "1")
        StreamConsole(plain).print_text("hello", "red")

        assert coloured.getvalue() == "\x1b[31mhello\x1b[0m\n"
        assert plain.getvalue() == "hello\n"

    def test_a_pipe_stays_a_pipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No variable makes it print control codes to a stream that is not a terminal."""
        for name, value in FORCING.items():
            monkeypatch.setenv(name, value)
        stream = io.StringIO()
        console = StreamConsole(stream)
        console.print_text("hello", "red")

        assert stream.getvalue() == "hello\n"
        assert not console.is_interactive


class TestEscape:
    def test_a_character_that_cannot_be_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A character that the encoding lacks is escaped; it is not an error."""
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, "ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        escape_unencodable_output()
        print_results(["Łukasz"])

        assert written.getvalue() == b"\\u0141ukasz\n"

    def test_a_stream_without_an_encoding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A replaced stdout that cannot be reconfigured still gets results."""
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        escape_unencodable_output()
        print_results(["Łukasz"])

        assert stream.getvalue() == "Łukasz\n"
