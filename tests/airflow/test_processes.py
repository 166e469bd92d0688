"""A real scheduler, triggerer and workers, on a plan of 100 requests a minute."""

import logging
import time
from bisect import bisect_left
from pathlib import Path
from random import Random

import pytest
from processes import Processes
from threaded import ThreadedSandbox, connection_to

from voucherify_exports import Sandbox

_logger = logging.getLogger(__name__)

OTHERS, OWN = 170, 30
TASKS = OTHERS + OWN
DAGS = Path(__file__).parent / "many"


@pytest.mark.timeout(480)
def test_many_tasks_and_a_triggerer_that_is_killed(tmp_path: Path) -> None:
    """All tasks succeed within the rate limit and with few requests; each export is created once."""
    with ThreadedSandbox(rate_limit=(100, 60), scheduled_for=10_000) as sandbox:
        environment = {
            "MANY_FOLDER": str(tmp_path / "files"),
            "MANY_EXPORT_IDS": " ".join(sandbox.add_export("voucher") for _ in range(OTHERS)),
            "AIRFLOW_CONN_VOUCHERIFY_DEFAULT": connection_to(
                sandbox, poll_share=0.15, poll={"initial": 2, "max": 10}
            ),
        }
        with Processes(tmp_path / "airflow", DAGS, environment) as airflow:
            finish_exports(sandbox, airflow)

    assert [request for request in sandbox.requests if request.status == 429] == []
    assert len([request for request in sandbox.requests if request.method == "POST"]) == OWN
    assert len([*(tmp_path / "files").glob("*.csv")]) == OWN
    reads = reads_of(sandbox)
    busiest = max(bisect_left(reads, moment + 60) - number for number, moment in enumerate(reads))
    _logger.info("%d requests to list or get, at most %d of them in a minute", len(reads), busiest)
    assert busiest <= 60
    tokens = {request.query["token"] for request in sandbox.requests if request.is_download}
    assert len(tokens) == OWN
    kept = b"".join(path.read_bytes() for path in (tmp_path / "airflow").rglob("*") if path.is_file())
    assert [secret for secret in (sandbox.app_token, *tokens) if secret.encode() in kept] == []


def finish_exports(sandbox: Sandbox, airflow: Processes) -> None:
    """When all tasks wait, finish one export after the other, and kill the triggerer in between."""
    airflow.wait_until(deferred=TASKS)
    ids = [export["id"] for export in sandbox.state()["exports"]]
    assert len(ids) == TASKS
    Random(0).shuffle(ids)
    for number, export_id in enumerate(ids):
        sandbox.finish(export_id)
        time.sleep(0.3)  # a minute in total, as exports finish in real life
        if number == TASKS // 3:
            airflow.kill("triggerer")
            airflow.start("triggerer")
    airflow.wait_until(success=TASKS)


def reads_of(sandbox: Sandbox) -> list[float]:
    """When exports were listed or got, in seconds."""
    return [request.at for request in sandbox.requests if request.method == "GET" and not request.is_download]
