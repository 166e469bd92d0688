"""The sensor, in DAGs that run in this process."""

from collections.abc import Callable
from typing import Any

import pytest
from dags import dag_of, xcoms

from voucherify_exports import Sandbox
from voucherify_exports.airflow import VoucherifyExportSensor

pytestmark = pytest.mark.timeout(120)


def wait(run: Callable[..., Any], name: str, export_id: str, *, retries: int = 0, **options: Any) -> Any:
    with dag_of(name, retries=retries, params={"export_id": export_id}) as dag:
        VoucherifyExportSensor(
            task_id="wait", export_id="{{ params.export_id }}", poke_interval=0.05, **options
        )
    return run(dag)


def states(finished: Any) -> list[tuple[str, int]]:
    return [(str(task.state), task.try_number) for task in finished.get_task_instances()]


@pytest.mark.parametrize("deferrable", [True, False])
class TestSensor:
    def test_it_waits_for_an_export(
        self, run: Callable[..., Any], sandbox: Sandbox, *, deferrable: bool
    ) -> None:
        """Its return value is the export, with a URL that has no token."""
        export_id = sandbox.add_export("voucher")

        finished = wait(run, f"wait_{deferrable}", export_id, deferrable=deferrable)

        assert states(finished) == [("success", 1)]
        export = xcoms(finished)["return_value"]
        assert (export["id"], export["status"]) == (export_id, "DONE")
        assert export["result"] == {"url": f"{sandbox.download_url}/v1/exports/{export_id}"}
        assert all(request.method == "GET" for request in sandbox.requests)

    def test_an_export_in_error_fails_it(
        self,
        run: Callable[..., Any],
        sandbox: Sandbox,
        capfd: pytest.CaptureFixture[str],
        *,
        deferrable: bool,
    ) -> None:
        """An export in ERROR never changes, so Airflow does not retry."""
        export_id = sandbox.add_export("voucher", outcome="ERROR")

        finished = wait(run, f"error_{deferrable}", export_id, retries=3, deferrable=deferrable)

        assert states(finished) == [("failed", 1)]
        assert f"Export {export_id} (voucher) ended in ERROR" in capfd.readouterr().out

    def test_a_missing_export_fails_it(
        self, run: Callable[..., Any], sandbox: Sandbox, *, deferrable: bool
    ) -> None:
        """A missing export is not retried either; with `soft_fail` the task is skipped."""
        finished = wait(
            run, f"not_there_{deferrable}", "exp_none", retries=3, deferrable=deferrable, soft_fail=True
        )

        assert states(finished) == [("skipped", 1)]

    def test_it_waits_until_its_timeout(
        self, run: Callable[..., Any], sandbox: Sandbox, *, deferrable: bool
    ) -> None:
        """Like Airflow's own sensors, it is not retried after its timeout."""
        sandbox.fail(path="/v1/exports*", times=None, edit=_unfinished)
        export_id = sandbox.add_export("voucher")

        finished = wait(run, f"late_{deferrable}", export_id, retries=3, deferrable=deferrable, timeout=0.2)

        assert states(finished) == [("failed", 1)]


def _unfinished(answer: dict[str, Any]) -> dict[str, Any]:
    """A response in which the export is never finished."""
    return answer | {"status": "IN_PROGRESS", "result": None}
