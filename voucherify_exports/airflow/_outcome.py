"""How a wait ended, as a trigger tells it to the task: JSON that Airflow logs and stores, and no secret."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from .. import errors
from ..client import ExportsClient
from ..errors import (
    AuthenticationError,
    BadRequestError,
    ExportFailedError,
    ExportNotFoundError,
    PermissionDeniedError,
    VoucherifyExportsError,
)
from ..models import Export

Outcome: TypeAlias = dict[str, Any]

LOST = (ExportFailedError, ExportNotFoundError)
"""After these there is nothing to wait for: only another export can help."""

HOPELESS = (AuthenticationError, PermissionDeniedError, BadRequestError, TypeError, ValueError)
"""These a retry would meet again; a `ConfigurationError` and a `TableError` are among the last."""


async def outcome_of(
    client: ExportsClient,
    export_id: str,
    timeout: float | None,
    on_update: Callable[[Export], object] | None = None,
) -> Outcome:
    """Wait, and tell how it ended, errors of the package included."""
    try:
        export = await client.wait_until_done(export_id, timeout=timeout, on_update=on_update)
    except VoucherifyExportsError as error:
        return failure(export_id, error)
    return {"status": "success", "export": without_token(export)}


def failure(export_id: str, error: VoucherifyExportsError) -> Outcome:
    """The outcome that an error is."""
    return {"status": "error", "export_id": export_id, "error": type(error).__name__, "reason": str(error)}


def kind_of(outcome: Outcome) -> type[Exception]:
    """The class of the error that an outcome tells of."""
    kind: type[Exception] = getattr(errors, outcome["error"])
    return kind


def verdict(kind: type[Exception], reason: str, *, final: tuple[type[Exception], ...]) -> AirflowException:
    """What to raise in a task for an error: Airflow tries no more after one of the final kinds."""
    return (AirflowFailException if issubclass(kind, final) else AirflowException)(reason)


def without_token(export: Export) -> dict[str, Any]:
    """The export's dict, all in plain JSON, with a result URL that has lost its query: the token in it."""
    wire: dict[str, Any] = json.loads(json.dumps(export.to_dict()))  # which makes strings of the enums
    if export.result:
        wire["result"] = {"url": export.result.url.partition("?")[0]}
    return wire
