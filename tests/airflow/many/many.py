"""Tasks that wait in the triggerer: for exports that they create, and for exports that they do not."""

import os
from datetime import timedelta

from airflow.sdk import dag

from voucherify_exports.airflow import VoucherifyExportOperator, VoucherifyExportSensor

FOLDER = os.environ["MANY_FOLDER"]
EXPORT_IDS = os.environ["MANY_EXPORT_IDS"].split()


# Retries, since Airflow fails a task whose trigger fires before the scheduler has noticed the deferral.
@dag(
    schedule="@once", max_active_tasks=1000, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)}
)
def many() -> None:
    """Create and save thirty exports, and wait for the others."""
    VoucherifyExportOperator.partial(task_id="save", exported_object="order").expand(
        output_path=[f"{FOLDER}/{number}.csv" for number in range(30)]
    )
    VoucherifyExportSensor.partial(task_id="wait").expand(export_id=EXPORT_IDS)


many()
