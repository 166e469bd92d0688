"""The exit codes of the command: which errors lead to each, and how each is described."""

from enum import IntEnum
from typing import Self

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


class ExitCode(IntEnum):
    """An exit code.

    `meaning` is its text in `--help` and in the documentation. `label` is what the live table shows for an
    export whose wait failed with it. `errors` are the exceptions that lead to it.
    """

    meaning: str
    label: str
    errors: tuple[type[Exception], ...]

    def __new__(cls, code: int, meaning: str, label: str = "", *errors: type[Exception]) -> Self:
        """Make a member from its row of the table below."""
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning, self.label, self.errors = meaning, label, errors
        return self

    DONE = 0, "done"
    EXPORT_FAILED = 1, "an export ended in ERROR", "", ExportFailedError
    USAGE = 2, "wrong usage", "", MissingExtraError  # and what Typer itself exits with
    CREDENTIALS = 3, "credentials", "refused", AuthenticationError, PermissionDeniedError, ConfigurationError
    NOT_FOUND = 4, "not found", "not found", ExportNotFoundError
    QUOTA = 5, "quota", "no quota", RateLimitedError, PlanLimitError
    TIMED_OUT = 6, "timed out", "timed out", WaitTimeoutError
    NETWORK = 7, "network or server", "failed", VoucherifyExportsError
    FILE = 8, "file or disk", "", DownloadError, TableError, OSError
    INTERRUPTED = 130, "interrupted"

    @classmethod
    def from_error(cls, error: VoucherifyExportsError | OSError) -> Self:
        """The code for an error: that of its class or, where the table has none, of its closest base."""
        codes = {kind: code for code in cls for kind in code.errors}
        return next(codes[kind] for kind in type(error).__mro__ if kind in codes)
