"""The one place where errors become a line on stderr and an exit code."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadError,
    ExportFailedError,
    ExportNotFoundError,
    MissingExtraError,
    PermissionDeniedError,
    PlanLimitError,
    RateLimitedError,
    TableError,
    VoucherifyExportsError,
    WaitTimeoutError,
)
from .streams import StreamConsole

INTERRUPTED = 130

# The first that fits counts; 0 is done, and 2 is also Typer's own for wrong usage.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ExportFailedError, 1),
    (AuthenticationError, 3),
    (PermissionDeniedError, 3),
    (MissingExtraError, 2),
    (ConfigurationError, 3),
    (ExportNotFoundError, 4),
    (RateLimitedError, 5),
    (PlanLimitError, 5),
    (WaitTimeoutError, 6),
    (DownloadError, 8),
    (TableError, 8),
    (VoucherifyExportsError, 7),
    (OSError, 8),
)


def exit_code(error: VoucherifyExportsError | OSError) -> int:
    """What the command exits with for an error."""
    return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))


@contextmanager
def boundary() -> Generator[None]:
    """Turn what went wrong into one line on stderr, and exit."""
    try:
        yield
    except BrokenPipeError:  # the reader has seen enough
        raise typer.Exit from None
    except (VoucherifyExportsError, OSError) as error:
        complain(error)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt as interrupt:
        StreamConsole(sys.stderr).say(str(interrupt) or "Interrupted.", "yellow")
        raise typer.Exit(INTERRUPTED) from None


def complain(error: Exception) -> None:
    """Say what went wrong, on one line."""
    StreamConsole(sys.stderr).say(f"Error: {error}", "red")
