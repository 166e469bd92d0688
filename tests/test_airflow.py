"""The Airflow integration where Airflow is not installed; tests/airflow has the tests with Airflow."""

import importlib
import subprocess
import sys

import pytest
from test_house import UNMEASURED

from voucherify_exports import MissingExtraError
from voucherify_exports_airflow import get_provider_info


def test_a_missing_airflow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Airflow the import reports what to install; the package itself is unaffected."""
    monkeypatch.setitem(sys.modules, "airflow", None)
    monkeypatch.delitem(sys.modules, "voucherify_exports.airflow", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'voucherify-exports\[airflow\]'"):
        importlib.import_module("voucherify_exports.airflow")


def test_the_provider_info_is_cheap_to_import() -> None:
    """Each Airflow process imports it, so it loads neither this package nor its dependencies."""
    code = (
        "import sys; from voucherify_exports_airflow import get_provider_info; get_provider_info();"
        "print({'voucherify_exports', 'aiohttp', 'attrs', 'airflow'} & {*sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20, env=UNMEASURED
    )

    assert run.stdout == "set()\n"
    assert get_provider_info()["package-name"] == "voucherify-exports"
