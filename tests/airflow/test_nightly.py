"""The DAG of the documentation, in one process."""

import json
import runpy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from threaded import EXAMPLES, connection_to

from voucherify_exports import Sandbox

DAY = datetime(2026, 3, 6, tzinfo=UTC)


@pytest.fixture
def nightly(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The DAG, with two connections to a sandbox, and a folder for its files."""
    for project in ("DE", "PL"):
        monkeypatch.setenv(f"AIRFLOW_CONN_VOUCHERIFY_SHOP_{project}", connection_to(sandbox))
    monkeypatch.setenv("AIRFLOW_VAR_VOUCHERIFY_FOLDER", str(tmp_path))
    return runpy.run_path(str(EXAMPLES / "voucherify_nightly.py"))["voucherify_nightly"]()


@pytest.mark.timeout(120)
def test_it_saves_a_day_of_each_project(
    run: Callable[..., Any], nightly: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Each project gets two files in the folder of the day; running the day again replaces them."""
    assert run(nightly, logical_date=DAY).state == "success"

    day = "2026-03-05"  # the interval that ends with this date
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*.*")}
    assert set(files) == {
        f"voucherify_shop_{project}/{day}/{name}.parquet"
        for project in ("de", "pl")
        for name in ("redemptions", "vouchers")
    }
    filters = [body["parameters"]["filters"] for body in created(sandbox, "redemption")]
    assert filters == 2 * [
        {
            "created_at": {
                "conditions": {
                    "$after": ["2026-03-04T23:59:59.999000+00:00"],
                    "$before": ["2026-03-06T00:00:00+00:00"],
                }
            }
        }
    ]
    path = tmp_path / "voucherify_shop_de" / day / "vouchers.parquet"
    assert pq.read_table(path).num_rows == 100

    path.write_bytes(b"")
    assert run(nightly, logical_date=DAY).state == "success"
    assert pq.read_table(path).num_rows == 100
    assert len(created(sandbox, "redemption")) == 4
    assert {*tmp_path.rglob("*.*")} == {*files.values()}


def created(sandbox: Sandbox, exported_object: str) -> list[Any]:
    """The bodies of the requests that created exports of this object."""
    bodies = [json.loads(request.body) for request in sandbox.requests if request.method == "POST"]
    return [body for body in bodies if body["exported_object"] == exported_object]
