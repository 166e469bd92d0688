"""The door to Airflow where there is no Airflow; with it, tests/airflow goes through it."""

import importlib
import subprocess
import sys
from types import ModuleType

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


def test_another_import_error_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Airflow is installed, an import that fails is reported by Python itself."""
    for name in ("airflow", "airflow.sdk"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.delitem(sys.modules, "voucherify_exports.airflow", raising=False)

    with pytest.raises(ImportError) as raised:
        importlib.import_module("voucherify_exports.airflow")
    assert not isinstance(raised.value, MissingExtraError)


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
