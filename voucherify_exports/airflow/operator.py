"""The task that brings an export to a file."""

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
from ._creation import Creation
from ._payload import NEED_NEW_EXPORT, PERMANENT, EventPayload, error_class, task_error, wait_for
from .hook import VoucherifyHook
from .trigger import VoucherifyExportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class VoucherifyExportOperator(BaseOperator):
    """Create an export, wait for it, and write its file to `output_path`, which is returned.

    - `exported_object`, `fields`, `order`, `filters`, `campaign_id`, `check_catalog`: as for
      `ExportsClient.create_export`. All but the last are templates, strings inside them too; filters with
      templates are written in the API's own form.
    - `output_path`: a path of the worker, or a URL that `ObjectStoragePath` takes, such as
      `s3://aws_default@bucket/vouchers.parquet`; a template. The suffix says what is written: `.csv`,
      `.parquet`, `.arrow` or `.jsonl`. A file that is there is replaced in one step; folders are made.
    - `cells`: the options of `ExportsClient.to_arrow`, for all but `.csv`.
    - `timeout`: seconds, or a timedelta, that each try may wait, `None` for no bound.
    - `deferrable`: wait in the triggerer; otherwise the worker waits.

    The export is created once: a retry goes on with that of the try before, unless it ended in ERROR or was
    deleted. Killing the task leaves it alone at Voucherify. The id is in the XCom `export_id`.

    Raises `AirflowFailException`, which no retry follows, for what a retry would meet again: wrong arguments,
    wrong credentials, or a file that is no table. Any other error is retried as the task says.
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
            creation = self._creation(context)
            export_id = self._hook.run(creation.export_id)
        context["ti"].xcom_push("export_id", export_id)
        if self.deferrable:
            deadline = None if self.timeout is None else datetime.now(UTC) + timedelta(seconds=self.timeout)
            trigger = VoucherifyExportTrigger(export_id, self.voucherify_conn_id, deadline)
            self.defer(trigger=trigger, method_name="execute_complete")
        event = self._hook.run(lambda client: wait_for(client, export_id, self.timeout))
        return self.execute_complete(context, event)

    def execute_complete(self, context: "Context", event: EventPayload) -> str:
        """Go on when the wait is over: write the file."""
        if event["status"] != "success":
            raise self._task_error(context, error_class(event), event["reason"])
        with self._raising_task_errors(context):
            self._write(event["export"]["id"])
        self._creation(context).forget()  # so that running the task again brings what is new
        return self.output_path

    @property
    def _hook(self) -> VoucherifyHook:
        return VoucherifyHook(self.voucherify_conn_id)

    def _creation(self, context: "Context") -> Creation:
        fields = self.fields
        if fields is not None and not isinstance(fields, str):  # a str is refused where fields are checked
            fields = [*fields]  # the store returns lists, and the request is compared with what it returns
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
        return Creation(context["task_state_store"], request)

    @contextmanager
    def _raising_task_errors(self, context: "Context") -> Generator[None]:
        try:
            yield
        except (VoucherifyExportsError, TypeError, ValueError) as error:
            raise self._task_error(context, type(error), str(error)) from error

    def _task_error(self, context: "Context", error: type[Exception], reason: str) -> AirflowException:
        if issubclass(error, NEED_NEW_EXPORT):
            self._creation(context).forget()
        return task_error(error, reason, permanent=PERMANENT)

    def _prepare_target(self) -> "Path | ObjectStoragePath":
        """Where the file goes; raises for a place where none can be."""
        local = self.output_path.removeprefix("file://")
        path = Path(local)
        if "://" in local:
            check_target(Path(gettempdir(), path.name))  # where it is written before it is uploaded
            target = ObjectStoragePath(local)
            _ = target.fs  # raises when Airflow has none for the scheme
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
            # In one call: some stores keep a file that is written bit by bit even when writing it fails.
            target.fs.put_file(str(file), target.path)

    def _save(self, export_id: str, path: Path) -> None:
        self._hook.run(lambda client: client.save(export_id, path, cells=self.cells))
