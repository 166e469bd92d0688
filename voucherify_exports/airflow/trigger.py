"""The trigger: waits for an export in the triggerer."""

import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ..errors import VoucherifyExportsError
from ..models import Export
from ._clients import shared_client
from ._payload import EventPayload, error_payload, wait_for
from .hook import VoucherifyHook

_logger = logging.getLogger("voucherify_exports")


class VoucherifyExportTrigger(BaseTrigger):
    """Wait for an export, and fire once: when it is finished, or when the wait fails.

    `deadline` is an aware datetime, `None` for no limit. It is a point in time, so that it stays the same
    when another triggerer takes over the trigger. The last poll is sent when it has passed.

    The payload of the event is one of

    - `{"status": "success", "export": {…}}`: the export in the API's form, without the token in its result
      URL, since Airflow logs and stores payloads.
    - `{"status": "error", "export_id": …, "error": …, "reason": …}`: `error` is the name of a class in
      `voucherify_exports.errors`, `reason` its message.
    """

    def __init__(
        self,
        export_id: str,
        voucherify_conn_id: str = VoucherifyHook.default_conn_name,
        deadline: datetime | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.export_id = export_id
        self.voucherify_conn_id = voucherify_conn_id
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path and the arguments with which another process creates the trigger again."""
        return "voucherify_exports.airflow.VoucherifyExportTrigger", {
            "export_id": self.export_id,
            "voucherify_conn_id": self.voucherify_conn_id,
            "deadline": self.deadline,
        }

    async def run(self) -> AsyncGenerator[TriggerEvent]:
        """Wait, and yield the one event."""
        # The client is released before the yield, since Airflow may never resume the generator.
        yield TriggerEvent(await self._wait())  # type: ignore[no-untyped-call]  # as above

    async def _wait(self) -> EventPayload:
        try:
            connection = await VoucherifyHook.aget_connection(self.voucherify_conn_id)
            async with shared_client(connection) as client:
                return await wait_for(client, self.export_id, self._timeout(), _log_update)
        except AirflowNotFoundException as error:
            return error_payload(self.export_id, VoucherifyExportsError(str(error)))
        except VoucherifyExportsError as error:
            return error_payload(self.export_id, error)

    def _timeout(self) -> float | None:
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - datetime.now(UTC)).total_seconds())


def _log_update(export: Export) -> None:
    # The client calls this in the context of the trigger, so it is logged in that task's log.
    _logger.info("Export %s (%s): %s", export.id, export.exported_object, export.status)
