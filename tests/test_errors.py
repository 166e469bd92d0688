import copy
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from samples import ID, running, wire

import voucherify_exports
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
    RateLimitedError,
    TableError,
    TransportError,
    VoucherifyExportsError,
    WaitTimeoutError,
)

ERROR_BODY = {
    "key": "not_found",
    "message": "Resource not found",
    "details": f"Cannot find export with id {ID}",
    "request_id": "v-0b029305af4524cf42",
    "resource_id": ID,
    "resource_type": "export",
}


def _rate_limited() -> RateLimitedError:
    error = RateLimitedError("refused", status=429)
    error.retry_at = datetime(2026, 1, 1, tzinfo=UTC)
    return error


ERRORS = [
    ConfigurationError("wrong"),
    *(ApiError.for_status(status)("refused", status=status, **ERROR_BODY) for status in range(400, 600)),
    _rate_limited(),
    TransportError("lost", attempts=3),
    CreateUncertainError("lost", attempts=1),
    InvalidResponseError("odd", problem="not JSON", excerpt="<html>"),
    ExportFailedError(Export.from_dict(running("ERROR"))),
    WaitTimeoutError(ID, elapsed=2.0, polls=3, last_export=Export.from_dict(running())),
    DownloadError("cut", bytes_received=7, path=Path("x.csv")),
    MissingExtraError("not installed"),
    TableError("odd", line=3, column="Value", value="x"),
    ClientClosedError(),
    ClientClosedError("other words"),
]


class TestTree:
    @pytest.mark.parametrize(
        ("name", "bases"),
        [
            ("ConfigurationError", ["VoucherifyExportsError", "ValueError"]),
            ("MissingExtraError", ["ConfigurationError", "ImportError"]),
            ("ApiError", ["VoucherifyExportsError"]),
            ("BadRequestError", ["ApiError"]),
            ("AuthenticationError", ["ApiError"]),
            ("PermissionDeniedError", ["ApiError"]),
            ("PlanLimitError", ["ApiError"]),
            ("ExportNotFoundError", ["ApiError", "LookupError"]),
            ("ConflictError", ["ApiError"]),
            ("RateLimitedError", ["ApiError"]),
            ("ServerError", ["ApiError"]),
            ("TransportError", ["VoucherifyExportsError"]),
            ("CreateUncertainError", ["TransportError"]),
            ("InvalidResponseError", ["VoucherifyExportsError"]),
            ("ExportFailedError", ["VoucherifyExportsError"]),
            ("WaitTimeoutError", ["VoucherifyExportsError", "TimeoutError"]),
            ("DownloadError", ["VoucherifyExportsError"]),
            ("TableError", ["VoucherifyExportsError", "ValueError"]),
            ("ClientClosedError", ["VoucherifyExportsError"]),
        ],
    )
    def test_is_as_documented(self, name: str, bases: list[str]) -> None:
        """The classes and their bases are those in the tree of the module's docstring."""
        error = getattr(voucherify_exports, name)

        assert [base.__name__ for base in error.__bases__] == bases
        assert issubclass(error, VoucherifyExportsError)
        assert name in (voucherify_exports.errors.__doc__ or "")

    @pytest.mark.parametrize("status", range(400, 600))
    def test_each_status_has_its_class(self, status: int) -> None:
        """Each HTTP error status has the class that the tree names for it."""
        names = {
            400: "BadRequestError",
            401: "AuthenticationError",
            402: "PlanLimitError",
            403: "PermissionDeniedError",
            404: "ExportNotFoundError",
            409: "ConflictError",
            423: "ConflictError",
            429: "RateLimitedError",
        }
        expected = names.get(status, "ApiError" if status < 500 else "ServerError")

        assert ApiError.for_status(status).__name__ == expected


class TestEveryError:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}")
    def test_survives_pickle_and_copy(self, error: VoucherifyExportsError) -> None:
        """Type, message and attributes stay the same."""
        for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(same) is type(error)
            assert str(same) == str(error)
            assert same.__dict__ == error.__dict__

    def test_keeps_its_notes(self) -> None:
        """Pickling keeps the notes that a caller added."""
        error = ClientClosedError()
        error.add_note("while shutting down")

        assert pickle.loads(pickle.dumps(error)).__notes__ == ["while shutting down"]


class TestMessages:
    def test_a_failed_export(self) -> None:
        """The message names the export and says what to do."""
        error = ExportFailedError(Export.from_dict(running("ERROR")))

        assert str(error) == (
            f"Export {ID} (customer) ended in ERROR. Voucherify gives no reason:"
            " check its fields and filters, and create it again"
        )
        assert error.export.is_failed

    def test_a_timeout(self) -> None:
        """The message says how long the wait took, and that the export can be waited for again."""
        error = WaitTimeoutError(
            ID,
            elapsed=2.04,
            polls=3,
            last_export=Export.from_dict(running()),
            last_error=TransportError("no route"),
        )

        assert str(error) == (
            f"Export {ID} was still IN_PROGRESS after 2.0 s and 3 polls."
            " It continues at Voucherify: wait for it again, or longer. The last error was: no route"
        )

    def test_a_timeout_without_a_response(self) -> None:
        """Without a response the message names no status."""
        error = WaitTimeoutError(ID, elapsed=1, polls=0)

        assert "could not be polled after 1.0 s and 0 polls" in str(error)

    def test_no_message_contains_the_download_token(self) -> None:
        """Neither the message nor the repr of an error shows the query of a result URL."""
        error = WaitTimeoutError(ID, elapsed=1, polls=1, last_export=Export.from_dict(wire()))

        assert "DOWNLOAD-SECRET" not in str(error) + repr(error) + repr(error.last_export)
