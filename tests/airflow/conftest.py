"""A real Airflow with SQLite in a temporary folder, and a sandbox that its tasks use."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from threaded import EXAMPLES, ThreadedSandbox, connection_to

from voucherify_exports import Sandbox

# Airflow reads these on its first import, which the tests do later.
HOME = Path(tempfile.mkdtemp(prefix="voucherify-airflow-"))
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the default connection points to."""
    with ThreadedSandbox(scheduled_for=0.1, in_progress_for=0.1) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_DEFAULT", connection_to(sandbox))
        yield sandbox


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's tables, with the bundle of DAGs that they need."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()


@pytest.fixture
def run(database: None) -> Callable[..., Any]:
    """Run a DAG as `dag.test()` does, and return the run."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    def run(dag: Any, **options: Any) -> Any:
        bag = DagBag(dag_folder=os.devnull, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        return dag.test(**options)

    return run


def pytest_unconfigure() -> None:
    """Delete the temporary folder."""
    shutil.rmtree(HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow Airflow's warnings; warnings of this package are errors, as in the other tests."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("default"))
        item.add_marker(pytest.mark.filterwarnings("error:::voucherify_exports"))
