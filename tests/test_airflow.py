"""The door to Airflow where there is no Airflow; with it, tests/airflow goes through it."""

import importlib
import subprocess
import sys

import pytest
from test_house import UNMEASURED

from voucherify_exports import MissingExtraError
from voucherify_exports_airflow import get_provider_info


def test_a_missing_airflow_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Airflow the import says what to install, and the package itself is unaffected."""
    monkeypatch.setitem(sys.modules, "airflow", None)
    monkeypatch.delitem(sys.modules, "voucherify_exports.airflow", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'voucherify-exports\[airflow\]'"):
        importlib.import_module("voucherify_exports.airflow")


def test_what_airflow_is_told_costs_it_nothing() -> None:
    """Each process of Airflow asks for it, so it must bring neither this package nor its dependencies."""
    code = (
        "import sys; from voucherify_exports_airflow import get_provider_info as told; told();"
        "print({'voucherify_exports', 'aiohttp', 'attrs', 'airflow'} & {*sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20, env=UNMEASURED
    )

    assert run.stdout == "set()\n"
    assert get_provider_info()["package-name"] == "voucherify-exports"
