"""Where the words go: results to stdout, all else to stderr, control codes to terminals alone."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.text import Text


class StreamConsole(Console):
    """A console on a stream, which is live and coloured only where that is a terminal."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        # Said outright, since FORCE_COLOR and its like would have a pipe taken for a terminal.
        terminal = stream.isatty()
        drawable = terminal and not quiet and (stream.encoding or "utf-8").lower().startswith("utf")
        super().__init__(
            file=stream,
            force_terminal=terminal,
            force_interactive=None if drawable else False,
            quiet=quiet,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def say(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Print one line, however long it is; when nobody reads stderr any more, go on in silence."""
        try:
            self.print(Text(" " * indent + one_line(text), style), soft_wrap=True)
        except BrokenPipeError:
            if self.file is sys.stdout:
                raise
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Leave it to the caller, where Rich would exit."""
        raise BrokenPipeError


def one_line(text: str) -> str:
    """The text on one line, with whatever could steer a terminal spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in " ".join(text.split())
    )


def print_results(lines: Iterable[str]) -> None:
    """Print lines on stdout as they are; that nobody reads them is no error."""
    with suppress(BrokenPipeError):
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def print_line(line: str) -> None:
    """Print one line on stdout at once; `BrokenPipeError` when nobody reads any more."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def drop_what_cannot_be_written() -> None:
    """Lead broken streams nowhere, since Python would complain when it flushes them at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def spell_out_what_cannot_be_encoded() -> None:
    r"""Have stdout show a character that its encoding lacks as `\u…`, as stderr does anyway."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
