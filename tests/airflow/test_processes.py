"""A real scheduler, triggerer and workers, on a plan of 100 requests a minute."""

import logging
import time
from bisect import bisect_left
from pathlib import Path

import pytest
from processes import Processes
from threaded import ThreadedSandbox, connection_to

from voucherify_exports import Sandbox

_logger = logging.getLogger(__name__)

OTHERS, OWN = 170, 30
PLAN = (100, 60)
DAGS = Path(__file__).parent / "many"


@pytest.mark.timeout(420)
def test_many_tasks_and_a_triggerer_that_is_killed(tmp_path: Path) -> None:
    """All are done, within the plan and with few requests, and each export was created once."""
    with (
        ThreadedSandbox(rate_limit=PLAN, scheduled_for=(30, 50), in_progress_for=(20, 80)) as sandbox,
        Processes(
            tmp_path / "airflow",
            DAGS,
            {
                "MANY_FOLDER": str(tmp_path / "files"),
                "MANY_EXPORT_IDS": " ".join(sandbox.add_export("voucher") for _ in range(OTHERS)),
                "AIRFLOW_CONN_VOUCHERIFY_DEFAULT": connection_to(
                    sandbox, poll_share=0.15, poll={"initial": 2, "max": 20}
                ),
            },
        ) as airflow,
    ):
        most_deferred = run_to_the_end(airflow)

    assert most_deferred >= 100
    assert [request for request in sandbox.requests if request.status == 429] == []
    creates = [request for request in sandbox.requests if request.method == "POST"]
    assert len(creates) == OWN
    assert len(sandbox.state()["exports"]) == OTHERS + OWN
    assert len([*(tmp_path / "files").glob("*.csv")]) == OWN
    looks = looks_of(sandbox)
    busiest = max(bisect_left(looks, moment + 60) - number for number, moment in enumerate(looks))
    _logger.info("%d looks, at most %d in a minute, %d deferred at once", len(looks), busiest, most_deferred)
    assert busiest <= 60
    tokens = {request.query["token"] for request in sandbox.requests if request.is_download}
    assert len(tokens) == OWN
    kept = b"".join(path.read_bytes() for path in (tmp_path / "airflow").rglob("*") if path.is_file())
    assert [secret for secret in (sandbox.app_token, *tokens) if secret.encode() in kept] == []


def run_to_the_end(airflow: Processes) -> int:
    """See all tasks through, killing the triggerer in the middle; how many were deferred at the same time."""
    most_deferred, is_killed = 0, False
    while True:
        states = airflow.states()
        most_deferred = max(most_deferred, states["deferred"])
        assert not states["failed"]
        if states["success"] == OTHERS + OWN:
            assert is_killed
            return most_deferred
        if not is_killed and states["success"] >= 40:
            assert states["deferred"] >= 40
            airflow.kill("triggerer")
            airflow.start("triggerer")
            is_killed = True
        time.sleep(1)


def looks_of(sandbox: Sandbox) -> list[float]:
    """When exports were listed or got, in seconds."""
    return [request.at for request in sandbox.requests if request.method == "GET" and not request.is_download]
