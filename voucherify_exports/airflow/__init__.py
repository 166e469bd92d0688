"""Operator, sensor, trigger and hook for Apache Airflow 3.3 or newer (extra `airflow`).

>>> VoucherifyExportOperator(
...     task_id="vouchers",
...     exported_object="voucher",
...     output_path="/data/vouchers/{{ ds }}.parquet",
... )

Tasks that wait are deferred to the triggerer. There, all tasks with the same connection share one client,
which polls up to a hundred exports with one request.
"""

# ruff: noqa: E402 - the check must come before the modules that import Airflow
from ..extras import check_extra

check_extra("airflow")

from .hook import VoucherifyHook
from .operator import VoucherifyExportOperator
from .sensor import VoucherifyExportSensor
from .trigger import VoucherifyExportTrigger

__all__ = [
    "VoucherifyExportOperator",
    "VoucherifyExportSensor",
    "VoucherifyExportTrigger",
    "VoucherifyHook",
]
