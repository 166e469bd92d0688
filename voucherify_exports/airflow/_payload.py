"""The payload of a trigger's event: the result of a wait as plain JSON.

Airflow logs and stores payloads, so they hold no secret.
"""

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
"""Errors after which waiting again is pointless: the task needs another export."""

PERMANENT = (AuthenticationError, PermissionDeniedError, BadRequestError, TypeError, ValueError)
"""Errors that a retry would repeat; `ConfigurationError` and `TableError` are subclasses of `ValueError`."""


async def wait_for(
    client: ExportsClient,
    export_id: str,
    timeout: float | None,
    on_update: Callable[[Export], object] | None = None,
) -> EventPayload:
    """Wait for an export, and return the payload for its result or for an error of the package."""
    try:
        export = await client.wait_until_done(export_id, timeout=timeout, on_update=on_update)
    except VoucherifyExportsError as error:
        return error_payload(export_id, error)
    return {"status": "success", "export": without_token(export)}


def error_payload(export_id: str, error: VoucherifyExportsError) -> EventPayload:
    """The payload for an error."""
    return {"status": "error", "export_id": export_id, "error": type(error).__name__, "reason": str(error)}


def error_class(payload: EventPayload) -> type[Exception]:
    """The class of the error that a payload reports."""
    error: type[Exception] = getattr(errors, payload["error"])
    return error


def task_error(
    error: type[Exception], reason: str, *, permanent: tuple[type[Exception], ...]
) -> AirflowException:
    """The exception for a task to raise: Airflow does not retry after the permanent errors."""
    return (AirflowFailException if issubclass(error, permanent) else AirflowException)(reason)


def without_token(export: Export) -> dict[str, Any]:
    """The export in the API's form as plain JSON; the result URL has no query, which holds the token."""
    wire: dict[str, Any] = json.loads(json.dumps(export.to_dict()))  # converts enums to strings
    if export.result:
        wire["result"] = {"url": export.result.url.partition("?")[0]}
    return wire
