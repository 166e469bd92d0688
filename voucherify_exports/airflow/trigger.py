"""What waits in a triggerer."""

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
    """Fires once, when an export is finished or cannot be waited for any more.

    `deadline`, aware, bounds the wait: a moment rather than a duration, so that a triggerer that takes over
    from a dead one keeps it. One last look is taken when it has passed.

    The payload is `{"status": "success", "export": {…}}`, with the export as the API has it, but for the
    token in its result URL, which Airflow would log and store; or `{"status": "error", "export_id": …,
    "error": …, "reason": …}`, where `error` names a class of `voucherify_exports.errors`.
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
        """What it takes to make the trigger again, in another process."""
        return "voucherify_exports.airflow.VoucherifyExportTrigger", {
            "export_id": self.export_id,
            "voucherify_conn_id": self.voucherify_conn_id,
            "deadline": self.deadline,
        }

    async def run(self) -> AsyncGenerator[TriggerEvent]:
        """Wait, and yield the one event."""
        # The client is let go of first: a generator may be left where it yields.
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
    # Called in the context of the one who waits, and so in the log of its task.
    _logger.info("Export %s (%s): %s", export.id, export.exported_object, export.status)
