"""Output: results on stdout, everything else on stderr, control codes only on terminals."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.text import Text


class StreamConsole(Console):
    """A console on a stream; it is live and coloured only if the stream is a terminal."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        # Explicit, since FORCE_COLOR and similar variables make Rich treat a pipe as a terminal.
        terminal = stream.isatty()
        can_draw = terminal and not quiet and (stream.encoding or "utf-8").lower().startswith("utf")
        super().__init__(
            file=stream,
            force_terminal=terminal,
            force_interactive=None if can_draw else False,
            quiet=quiet,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def print_text(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Print one line of any length; after stderr was closed by its reader, print nothing."""
        try:
            self.print(Text(" " * indent + one_line(text), style), soft_wrap=True)
        except BrokenPipeError:
            if self.file is sys.stdout:
                raise
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Leave it to the caller; Rich would exit."""
        raise BrokenPipeError


def one_line(text: str) -> str:
    """The text on one line, with control characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in " ".join(text.split())
    )


def print_results(lines: Iterable[str]) -> None:
    """Print lines on stdout as they are; a reader that has closed stdout is not an error."""
    with suppress(BrokenPipeError):
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def print_line(line: str) -> None:
    """Print one line on stdout at once; raises `BrokenPipeError` if its reader has closed it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def discard_unwritable_output() -> None:
    """Redirect broken streams to the null device: Python would report an error when it flushes them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def escape_unencodable_output() -> None:
    r"""Make stdout write a character that its encoding lacks as `\u…`, as stderr does by default."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
