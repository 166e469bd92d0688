"""The sensor: a task that waits for an export that it did not create."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from ..errors import ExportFailedError, VoucherifyExportsError, WaitTimeoutError
from ._payload import NEED_NEW_EXPORT, PERMANENT, EventPayload, error_class, task_error, without_token
from .hook import VoucherifyHook
from .trigger import VoucherifyExportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class VoucherifyExportSensor(BaseSensorOperator):
    """Wait until an export is DONE, and return it in the API's form, without the token in its result URL.

    - `export_id`: the id of the export; a template.
    - `timeout`: how long to wait before the sensor fails, in seconds or as a timedelta (default: Airflow's).
    - `deferrable`: wait in the triggerer. With `False` a worker waits instead: it polls every `poke_interval`
      seconds, and each poll costs one request.

    The sensor fails permanently, without retries, when the export ends in ERROR or does not exist, or when
    the credentials are wrong.
    """

    template_fields = ("export_id", "voucherify_conn_id")

    def __init__(
        self,
        *,
        export_id: str,
        voucherify_conn_id: str = VoucherifyHook.default_conn_name,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.export_id = export_id
        self.voucherify_conn_id = voucherify_conn_id
        self.deferrable = deferrable

    def execute(self, context: "Context") -> Any:
        """Wait, in the triggerer or in this worker."""
        if self.deferrable:
            deadline = datetime.now(UTC) + timedelta(seconds=self.timeout)
            trigger = VoucherifyExportTrigger(self.export_id, self.voucherify_conn_id, deadline)
            self.defer(trigger=trigger, method_name="execute_complete")
        return super().execute(context)

    def poke(self, context: "Context") -> PokeReturnValue:
        """Poll once."""
        try:
            hook = VoucherifyHook(self.voucherify_conn_id)
            export = hook.run(lambda client: client.get_export(self.export_id))
            if export.is_failed:
                raise ExportFailedError(export)
        except (VoucherifyExportsError, TypeError, ValueError) as error:
            raise task_error(type(error), str(error), permanent=_PERMANENT) from error
        return PokeReturnValue(export.is_done, without_token(export))

    def execute_complete(self, context: "Context", event: EventPayload) -> dict[str, Any]:
        """Return the export, or raise the error, after the trigger has fired."""
        if event["status"] == "success":
            export: dict[str, Any] = event["export"]
            return export
        error, reason = error_class(event), event["reason"]
        if error is WaitTimeoutError:
            raise AirflowSensorTimeout(reason)
        raise task_error(error, reason, permanent=_PERMANENT)


_PERMANENT = (*PERMANENT, *NEED_NEW_EXPORT)
