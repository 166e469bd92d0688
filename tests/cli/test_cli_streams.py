"""What is written to a stream, and how."""

import io
import sys

import pytest
from cli_process import FORCING, Screen
from hypothesis import given
from hypothesis import strategies as st

from voucherify_exports.cli.streams import (
    StreamConsole,
    one_line,
    print_results,
    spell_out_what_cannot_be_encoded,
)


class TestOneLine:
    @given(st.text(st.characters(exclude_categories=())))
    def test_is_one_harmless_line(self, text: str) -> None:
        """Any text whatever, lone surrogates included, becomes printable and encodable."""
        line = one_line(text)

        assert line.isprintable()
        assert line.encode().decode() == line

    @given(st.text(st.characters(categories=("L", "N", "P", "S"))))
    def test_leaves_words_alone(self, text: str) -> None:
        """What is printable is not touched."""
        assert one_line(text) == text

    def test_shows_what_it_changed(self) -> None:
        """A control code is spelled out, white space of any kind is one space."""
        assert one_line(" a\r\n\tb \x1b[31m\u202e ") == r"a b \x1b[31m\u202e"


class TestStreamConsole:
    def test_does_not_break_a_line(self) -> None:
        """A line longer than the screen is for the terminal to break."""
        stream = io.StringIO()
        StreamConsole(stream).say("x" * 500, "red")

        assert stream.getvalue() == "x" * 500 + "\n"

    def test_takes_nothing_for_markup(self) -> None:
        """Square brackets and colons are words like others."""
        stream = io.StringIO()
        console = StreamConsole(stream)
        console.say("[red]:smile:", indent=2)
        console.print("[red]:smile:")

        assert stream.getvalue() == "  [red]:smile:\n[red]:smile:\n"

    def test_results_that_nobody_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On stdout that is for the caller to judge; on stderr the rest is silence."""

        class Unread(io.StringIO):
            def write(self, text: str, /) -> int:
                raise BrokenPipeError

        stream = Unread()
        console = StreamConsole(stream)
        console.say("progress")
        assert console.quiet
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError):
            StreamConsole(stream).say("result")

    def test_colours_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal there are colours, unless NO_COLOR is set."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        coloured, plain = Screen(), Screen()
        StreamConsole(coloured).say("hello", "red")
        monkeypatch.setenv("NO_COLOR", "1")
        StreamConsole(plain).say("hello", "red")

        assert coloured.getvalue() == "\x1b[31mhello\x1b[0m\n"
        assert plain.getvalue() == "hello\n"

    def test_a_pipe_stays_a_pipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No variable makes it write control codes to what is no terminal."""
        for name, value in FORCING.items():
            monkeypatch.setenv(name, value)
        stream = io.StringIO()
        console = StreamConsole(stream)
        console.say("hello", "red")

        assert stream.getvalue() == "hello\n"
        assert not console.is_interactive


class TestSpellOut:
    def test_what_cannot_be_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A character that the encoding lacks is spelled out instead of being an error."""
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, "ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        spell_out_what_cannot_be_encoded()
        print_results(["Łukasz"])

        assert written.getvalue() == b"\\u0141ukasz\n"

    def test_a_stream_without_an_encoding_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stdout that was replaced by something simpler still takes results."""
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        spell_out_what_cannot_be_encoded()
        print_results(["Łukasz"])

        assert stream.getvalue() == "Łukasz\n"
