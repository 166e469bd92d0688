"""The one place where errors become a line on stderr and an exit code."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

from ..errors import VoucherifyExportsError
from .exit_codes import ExitCode
from .interruption import INTERRUPTED
from .streams import StreamConsole


@contextmanager
def boundary() -> Generator[None]:
    """Print an error of the body as one line on stderr, and exit with its code."""
    try:
        yield
    except BrokenPipeError:  # the reader of stdout has closed it
        raise typer.Exit from None
    except (VoucherifyExportsError, OSError) as error:
        print_error(error)
        raise typer.Exit(ExitCode.from_error(error)) from None
    except KeyboardInterrupt as interrupt:
        StreamConsole(sys.stderr).print_text(str(interrupt) or INTERRUPTED, "yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def print_error(error: Exception) -> None:
    """Print an error as one line on stderr."""
    StreamConsole(sys.stderr).print_text(f"Error: {error}", "red")
