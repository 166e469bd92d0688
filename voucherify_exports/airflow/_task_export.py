"""Create an export once for a task instance, however often Airflow retries the task.

Airflow clears the XComs of a task before each try, so the state is kept in the task state store: before the
create, the request and its time; after it, the id of the export.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..client import ExportsClient
from ..models import Export

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

_KEY = "voucherify_export"
_CLOCK_TOLERANCE = timedelta(minutes=1)


class TaskExport:
    """The export of one task instance.

    `request` identifies it: the body of the create, and the connection that sends it, as plain JSON. State
    that belongs to another request is ignored.
    """

    def __init__(self, store: "TaskStateStoreAccessor", request: Mapping[str, Any]) -> None:
        self._store = store
        self._request = request

    async def find_or_create(self, client: ExportsClient) -> str:
        """Return the id of this task instance's export; create it if no earlier try did."""
        state = self._stored_state()
        if "export_id" in state:
            return str(state["export_id"])
        export = None
        if "requested_at" in state:
            export = await _find_created(client, self._request, datetime.fromisoformat(state["requested_at"]))
        if export is None:
            self._store_state(requested_at=datetime.now(UTC).isoformat())
            export = await client.create_export(
                self._request["exported_object"], **self._request.get("parameters", {}), check_catalog=False
            )
        self._store_state(export_id=export.id)
        return export.id

    def forget(self) -> None:
        """Delete the state, so that the next try or run creates another export."""
        self._store.delete(_KEY)

    def _stored_state(self) -> Mapping[str, Any]:
        state = self._store.get(_KEY)
        return state if isinstance(state, dict) and state["request"] == self._request else {}

    def _store_state(self, **state: str) -> None:
        self._store.set(_KEY, {"request": dict(self._request), **state})


async def _find_created(
    client: ExportsClient, request: Mapping[str, Any], requested_at: datetime
) -> Export | None:
    """Find the export of a try that ended before it learned the id: same parameters, created since then.

    It may be the export of another task with the same parameters, which has the same content.
    """
    async for export in client.list_exports():
        if export.created_at < requested_at - _CLOCK_TOLERANCE:
            return None
        if _comparable(export.to_dict()) == _comparable(request) and not export.is_failed:
            return export
    return None


def _comparable(wire: Mapping[str, Any]) -> list[Any]:
    """The parameters of an export or a request, in one form: Voucherify writes empty ones in several ways."""
    parameters: dict[str, Any] = wire.get("parameters") or {}
    filters: dict[str, Any] = {"junction": "and"} | (parameters.get("filters") or {})
    others = [parameters.get(name) or None for name in ("fields", "order", "campaign_id")]
    return [wire["exported_object"], filters, *others]
