"""The operator: a task that creates an export and saves its file."""

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException

from ..catalog import check_parameters
from ..errors import VoucherifyExportsError
from ..filters import Filters, filters_to_wire
from ..tables import CellOptions, check_target
from ._payload import NEED_NEW_EXPORT, PERMANENT, EventPayload, error_class, task_error, wait_for
from ._task_export import TaskExport
from .hook import VoucherifyHook
from .trigger import VoucherifyExportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class VoucherifyExportOperator(BaseOperator):
    """Create an export, wait for it, save its file to `output_path`, and return that path.

    - `exported_object`, `fields`, `order`, `filters`, `campaign_id`, `check_catalog`: as for
      `ExportsClient.create_export`. All but the last are templates, including strings inside them. Write
      filters with templates in the API's JSON form.
    - `output_path`: a path on the worker, or a URL for `ObjectStoragePath`, such as
      `s3://aws_default@bucket/vouchers.parquet`; a template. The suffix selects the format: `.csv`,
      `.parquet`, `.arrow` or `.jsonl`. Missing folders are created. An existing file is replaced in one step.
    - `cells`: the options of `ExportsClient.to_arrow`, for all formats but `.csv`.
    - `timeout`: how long each try may wait, in seconds or as a timedelta; `None` for no limit.
    - `deferrable`: wait in the triggerer. With `False` the worker waits instead.
    - `strict`: deprecated alias of `check_catalog`.

    The export is created once. A retry continues with the export of the previous try, unless that export
    ended in ERROR or was deleted. If the task is killed, the export continues at Voucherify. The XCom
    `export_id` holds its id.

    Raises `AirflowFailException`, so that Airflow does not retry, for errors that a retry would repeat: wrong
    arguments, wrong credentials, or a file that is not a table. Airflow retries after other errors, as
    configured for the task.
    """

    template_fields = (
        "exported_object",
        "fields",
        "order",
        "filters",
        "campaign_id",
        "output_path",
        "voucherify_conn_id",
    )
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012  # as BaseOperator declares it

    def __init__(
        self,
        *,
        exported_object: str,
        output_path: str,
        fields: Sequence[str] | None = None,
        order: str | None = None,
        filters: Filters | Mapping[str, Any] | None = None,
        campaign_id: str | None = None,
        check_catalog: bool = True,
        cells: CellOptions | None = None,
        voucherify_conn_id: str = VoucherifyHook.default_conn_name,
        timeout: float | timedelta | None = 1800.0,
        deferrable: bool = True,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if strict is not None:
            if not check_catalog:
                raise TypeError("give check_catalog or its deprecated alias strict, not both")
            # Airflow's decorator of __init__ adds its own frames to the stack level.
            warnings.warn(
                "strict is deprecated: use check_catalog", AirflowProviderDeprecationWarning, stacklevel=2
            )
            check_catalog = strict
        self.exported_object = exported_object
        self.output_path = output_path
        self.fields = fields
        self.order = order
        self.filters = filters.to_dict() if isinstance(filters, Filters) else filters
        self.campaign_id = campaign_id
        self.check_catalog = check_catalog
        self.cells = cells
        self.voucherify_conn_id = voucherify_conn_id
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self.deferrable = deferrable

    def execute(self, context: "Context") -> str:
        """Create the export, and wait for it."""
        with self._raising_task_errors(context):
            self._prepare_target()
            task_export = self._task_export(context)
            export_id = self._hook.run(task_export.find_or_create)
        context["ti"].xcom_push("export_id", export_id)
        if self.deferrable:
            deadline = None if self.timeout is None else datetime.now(UTC) + timedelta(seconds=self.timeout)
            trigger = VoucherifyExportTrigger(export_id, self.voucherify_conn_id, deadline)
            self.defer(trigger=trigger, method_name="execute_complete")
        event = self._hook.run(lambda client: wait_for(client, export_id, self.timeout))
        return self.execute_complete(context, event)

    def execute_complete(self, context: "Context", event: EventPayload) -> str:
        """Save the file, or raise the error, after the wait."""
        if event["status"] != "success":
            raise self._task_error(context, error_class(event), event["reason"])
        with self._raising_task_errors(context):
            self._write(event["export"]["id"])
        self._task_export(context).forget()  # so that another run of the task creates a new export
        return self.output_path

    @property
    def _hook(self) -> VoucherifyHook:
        return VoucherifyHook(self.voucherify_conn_id)

    def _task_export(self, context: "Context") -> TaskExport:
        fields = self.fields
        if fields is not None and not isinstance(fields, str):  # the check of fields refuses a str
            fields = [*fields]  # the request is compared with what the store returns, which has lists
        parameters: dict[str, Any] = {
            "order": self.order,
            "fields": fields,
            "filters": None if self.filters is None else filters_to_wire(self.filters),
            "campaign_id": self.campaign_id,
        }
        if self.check_catalog:
            check_parameters(self.exported_object, **parameters)
        request: dict[str, Any] = {
            "connection": self.voucherify_conn_id,
            "exported_object": self.exported_object,
        }
        if given := {name: value for name, value in parameters.items() if value is not None}:
            request["parameters"] = given
        return TaskExport(context["task_state_store"], request)

    @contextmanager
    def _raising_task_errors(self, context: "Context") -> Generator[None]:
        try:
            yield
        except (VoucherifyExportsError, TypeError, ValueError) as error:
            raise self._task_error(context, type(error), str(error)) from error

    def _task_error(self, context: "Context", error: type[Exception], reason: str) -> AirflowException:
        if issubclass(error, NEED_NEW_EXPORT):
            self._task_export(context).forget()
        return task_error(error, reason, permanent=PERMANENT)

    def _prepare_target(self) -> "Path | ObjectStoragePath":
        """Create missing folders, and return the path of the file; raises if it cannot be written there."""
        local = self.output_path.removeprefix("file://")
        path = Path(local)
        if "://" in local:
            check_target(Path(gettempdir(), path.name))  # the file is written there, then uploaded
            target = ObjectStoragePath(local)
            _ = target.fs  # raises for a scheme that Airflow does not know
            return target
        path.parent.mkdir(parents=True, exist_ok=True)
        check_target(path)
        return path

    def _write(self, export_id: str) -> None:
        target = self._prepare_target()
        if isinstance(target, Path):
            self._save(export_id, target)
            return
        with TemporaryDirectory() as folder:
            file = Path(folder, target.name)
            self._save(export_id, file)
            # Uploaded in one call: some stores keep an incomplete file when writing it in parts fails.
            target.fs.put_file(str(file), target.path)

    def _save(self, export_id: str, path: Path) -> None:
        self._hook.run(lambda client: client.save(export_id, path, cells=self.cells))
