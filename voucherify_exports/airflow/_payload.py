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

EventPayload: TypeAlias = dict[str, Any]

NEED_NEW_EXPORT = (ExportFailedError, ExportNotFoundError)
"""After these there is nothing to wait for: only another export can help."""

PERMANENT = (AuthenticationError, PermissionDeniedError, BadRequestError, TypeError, ValueError)
"""These a retry would meet again; a `ConfigurationError` and a `TableError` are among the last."""


async def wait_for(
    client: ExportsClient,
    export_id: str,
    timeout: float | None,
    on_update: Callable[[Export], object] | None = None,
) -> EventPayload:
    """Wait, and tell how it ended, errors of the package included."""
    try:
        export = await client.wait_until_done(export_id, timeout=timeout, on_update=on_update)
    except VoucherifyExportsError as error:
        return error_payload(export_id, error)
    return {"status": "success", "export": without_token(export)}


def error_payload(export_id: str, error: VoucherifyExportsError) -> EventPayload:
    """The outcome that an error is."""
    return {"status": "error", "export_id": export_id, "error": type(error).__name__, "reason": str(error)}


def error_class(payload: EventPayload) -> type[Exception]:
    """The class of the error that an outcome tells of."""
    error: type[Exception] = getattr(errors, payload["error"])
    return error


def task_error(
    error: type[Exception], reason: str, *, permanent: tuple[type[Exception], ...]
) -> AirflowException:
    """What to raise in a task for an error: Airflow tries no more after one of the final kinds."""
    return (AirflowFailException if issubclass(error, permanent) else AirflowException)(reason)


def without_token(export: Export) -> dict[str, Any]:
    """The export's dict, all in plain JSON, with a result URL that has lost its query: the token in it."""
    wire: dict[str, Any] = json.loads(json.dumps(export.to_dict()))  # which makes strings of the enums
    if export.result:
        wire["result"] = {"url": export.result.url.partition("?")[0]}
    return wire
