"""The task that waits for an export of somebody else's."""

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
    """Wait until an export is DONE, and return it as the API has it, but for the token in its result URL.

    - `export_id`: a template.
    - `timeout`: seconds, or a timedelta, after which the sensor fails; the default is Airflow's.
    - `deferrable`: wait in the triggerer. Otherwise a worker asks every `poke_interval` seconds, which costs
      a request each time.

    An export that ends in ERROR or does not exist fails the sensor for good, and so do wrong credentials.
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
        """Wait, in the triggerer or here."""
        if self.deferrable:
            deadline = datetime.now(UTC) + timedelta(seconds=self.timeout)
            trigger = VoucherifyExportTrigger(self.export_id, self.voucherify_conn_id, deadline)
            self.defer(trigger=trigger, method_name="execute_complete")
        return super().execute(context)

    def poke(self, context: "Context") -> PokeReturnValue:
        """Ask once."""
        try:
            hook = VoucherifyHook(self.voucherify_conn_id)
            export = hook.run(lambda client: client.get_export(self.export_id))
            if export.is_failed:
                raise ExportFailedError(export)
        except (VoucherifyExportsError, TypeError, ValueError) as error:
            raise task_error(type(error), str(error), permanent=_PERMANENT) from error
        return PokeReturnValue(export.is_done, without_token(export))

    def execute_complete(self, context: "Context", event: EventPayload) -> dict[str, Any]:
        """Go on when the trigger has fired."""
        if event["status"] == "success":
            export: dict[str, Any] = event["export"]
            return export
        error, reason = error_class(event), event["reason"]
        if error is WaitTimeoutError:
            raise AirflowSensorTimeout(reason)
        raise task_error(error, reason, permanent=_PERMANENT)


_PERMANENT = (*PERMANENT, *NEED_NEW_EXPORT)
