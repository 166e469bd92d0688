"""Create an export once for a task instance, however often the task is tried.

Airflow clears the XComs of a task at each new try, so what a try leaves to the next is kept in the task state
store (Airflow 3.3): first what is about to be asked for and when, then the id of what was created.
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


class Creation:
    """What one task instance asks for: `request` is the body of the create, and the connection it goes to."""

    def __init__(self, store: "TaskStateStoreAccessor", request: Mapping[str, Any]) -> None:
        self._store = store
        self._request = request

    async def export_id(self, client: ExportsClient) -> str:
        """The id of this task instance's export, which is created when no earlier try did that."""
        state = self._stored_state()
        if "export_id" in state:
            return str(state["export_id"])
        export = None
        if state:
            export = await _find_created(client, self._request, datetime.fromisoformat(state["requested_at"]))
        if export is None:
            self._store_state(requested_at=datetime.now(UTC).isoformat())
            export = await client.create_export(
                self._request["exported_object"], **self._request.get("parameters", {}), strict=False
            )
        self._store_state(export_id=export.id)
        return export.id

    def forget(self) -> None:
        """Let whoever comes next create another export."""
        self._store.delete(_KEY)

    def _stored_state(self) -> Mapping[str, Any]:
        state = self._store.get(_KEY)
        return state if isinstance(state, dict) and state["request"] == self._request else {}

    def _store_state(self, **state: str) -> None:
        self._store.set(_KEY, {"request": dict(self._request), **state})


async def _find_created(
    client: ExportsClient, request: Mapping[str, Any], requested_at: datetime
) -> Export | None:
    """The export of a try that ended before it knew the id: one that was asked for alike since then.

    Another task's that was asked for alike is as good: it has the same content.
    """
    async for export in client.list_exports():
        if export.created_at < requested_at - _CLOCK_TOLERANCE:
            return None
        if _comparable(export.to_dict()) == _comparable(request) and not export.is_failed:
            return export
    return None


def _comparable(wire: Mapping[str, Any]) -> list[Any]:
    """What an export is made of, in a form that Voucherify's echo has in common with the request."""
    parameters: dict[str, Any] = wire.get("parameters") or {}
    filters: dict[str, Any] = {"junction": "and"} | (parameters.get("filters") or {})
    others = [parameters.get(name) or None for name in ("fields", "order", "campaign_id")]
    return [wire["exported_object"], filters, *others]
