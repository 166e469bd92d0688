"""Operator, sensor, trigger and hook for Apache Airflow 3.3 or newer (extra `airflow`).

>>> VoucherifyExportOperator(
...     task_id="vouchers",
...     exported_object="voucher",
...     output_path="/data/vouchers/{{ ds }}.parquet",
... )

Tasks that wait are deferred to the triggerer. There, all tasks with the same connection share one client,
which polls up to a hundred exports with one request.
"""

from importlib import import_module

try:
    import_module("airflow.sdk")
except ImportError as _error:
    from ..errors import MissingExtraError

    raise MissingExtraError(
        "Airflow 3.3 or newer is not installed: pip install 'voucherify-exports[airflow]'"
    ) from _error

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
