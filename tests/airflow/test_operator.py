"""The operator, in DAGs that run in this process: `dag.test()` runs triggers and retries too."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG
from airflow.sdk.io import attach
from dags import dag_of, run_cleared, xcoms

from voucherify_exports import Sandbox, after, before, where
from voucherify_exports.airflow import VoucherifyExportOperator

pytestmark = pytest.mark.timeout(120)


def creates(sandbox: Sandbox) -> list[Any]:
    return [json.loads(request.body) for request in sandbox.requests if request.method == "POST"]


def rows_in(path: Path) -> int:
    """The number of rows in a CSV file."""
    return path.read_text().count("\n") - 1


class TestCreateOnce:
    def test_a_retry_uses_the_export_of_the_previous_try(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """After a failed download the export exists, so it is not created again."""
        sandbox.fail(download=True, status=404)
        path = tmp_path / "orders.csv"
        with dag_of("download_fails", retries=1) as dag:
            VoucherifyExportOperator(task_id="orders", exported_object="order", output_path=str(path))

        finished = run(dag)

        assert finished.state == "success"
        assert [task.try_number for task in finished.get_task_instances()] == [2]
        assert creates(sandbox) == [{"exported_object": "order"}]
        assert rows_in(path) == 100
        export_id = sandbox.state()["exports"][0]["id"]
        assert xcoms(finished) == {"return_value": str(path), "export_id": export_id}

    def test_a_wait_that_timed_out_is_resumed(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """Each try polls once, as its timeout allows; all tries wait for the same export."""
        sandbox.fail(
            method="GET", times=2, edit=lambda export: export | {"status": "SCHEDULED", "result": None}
        )
        path = tmp_path / "orders.csv"
        with dag_of("too_long", retries=5) as dag:
            VoucherifyExportOperator(
                task_id="orders",
                exported_object="order",
                output_path=str(path),
                timeout=timedelta(0),
            )

        finished = run(dag)

        assert finished.state == "success"
        assert [task.try_number for task in finished.get_task_instances()] == [3]
        assert len(creates(sandbox)) == 1

    def test_an_export_that_failed_is_replaced(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """An export in ERROR never changes, so the retry creates another."""
        sandbox.fail(method="GET", path="/v1/exports/*", edit=lambda export: export | {"status": "ERROR"})
        path = tmp_path / "orders.csv"
        with dag_of("in_error", retries=1) as dag:
            VoucherifyExportOperator(task_id="orders", exported_object="order", output_path=str(path))

        assert run(dag).state == "success"
        assert len(creates(sandbox)) == 2

    @pytest.mark.parametrize("deferrable", [True, False])
    def test_a_deleted_export_is_replaced(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, *, deferrable: bool
    ) -> None:
        """After an export was deleted during the wait, the retry creates another."""
        sandbox.fail(method="GET", path="/v1/exports/*", status=404)
        path = tmp_path / "orders.csv"
        with dag_of(f"gone_{deferrable}", retries=1) as dag:
            VoucherifyExportOperator(
                task_id="orders", exported_object="order", output_path=str(path), deferrable=deferrable
            )

        assert run(dag).state == "success"
        assert len(creates(sandbox)) == 2

    def test_an_export_whose_response_was_lost_is_found(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """The first try cannot know whether it created the export; the second finds it in the list."""
        fields = ["id", "status"]
        sandbox.add_export("order", fields=fields, created_at=datetime(2026, 1, 1, tzinfo=UTC))
        just_now = datetime.now(UTC) - timedelta(seconds=5)
        sandbox.add_export("order", fields=fields, created_at=just_now, outcome="ERROR")
        sandbox.add_export("order", created_at=just_now)
        sandbox.fail(method="POST", reset="headers")
        path = tmp_path / "orders.csv"
        with dag_of("lost", retries=1) as dag:
            VoucherifyExportOperator(
                task_id="orders", exported_object="order", output_path=str(path), fields=fields
            )

        finished = run(dag)

        assert finished.state == "success"
        assert len(creates(sandbox)) == 1
        newest = max(sandbox.state()["exports"], key=lambda export: export["created_at"])
        assert xcoms(finished)["export_id"] == newest["id"]
        assert path.read_text().startswith("ID,Status\n")

    @pytest.mark.parametrize(
        ("exported_object", "created_at"),
        [("order", datetime(2026, 1, 1, tzinfo=UTC)), ("customer", None)],
        ids=["same-but-old", "new-but-different"],
    )
    def test_an_export_that_is_not_in_the_list_is_created(
        self,
        run: Callable[..., Any],
        sandbox: Sandbox,
        tmp_path: Path,
        exported_object: str,
        created_at: datetime | None,
    ) -> None:
        """The list shows no recent export with the same parameters, so the retry creates it."""
        sandbox.add_export(exported_object, created_at=created_at)
        sandbox.fail(method="POST", status=502)
        path = tmp_path / "orders.csv"
        with dag_of(f"not_created_{exported_object}", retries=1) as dag:
            VoucherifyExportOperator(task_id="orders", exported_object="order", output_path=str(path))

        assert run(dag).state == "success"
        assert len(creates(sandbox)) == 2
        assert len(sandbox.state()["exports"]) == 2

    @pytest.mark.parametrize(
        ("second", "orders"),
        [("created_at", ["created_at"]), ("-created_at", ["created_at", "-created_at"])],
    )
    def test_a_cleared_task_resumes_unless_its_arguments_changed(
        self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, second: str, orders: list[str]
    ) -> None:
        """After its last try, too, the export is used; other arguments create another one."""

        def dag(order: str) -> DAG:
            with dag_of(f"cleared_{len(orders)}") as dag:
                VoucherifyExportOperator(
                    task_id="orders",
                    exported_object="order",
                    order=order,
                    output_path=str(tmp_path / "orders.csv"),
                )
            return dag

        sandbox.fail(download=True, status=404)
        finished = run(dag("created_at"))
        assert finished.state == "failed"

        assert run_cleared(finished, dag(second)) == "success"
        assert [body["parameters"]["order"] for body in creates(sandbox)] == orders


class TestArguments:
    def test_they_are_templates(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """Each argument but `check_catalog` and `cells` may depend on the run."""
        with dag_of("templates", params={"what": "voucher"}) as dag:
            VoucherifyExportOperator(
                task_id="export",
                exported_object="{{ params.what }}",
                fields=["code", "{{ 'value' }}"],
                order="-{{ 'created_at' }}",
                filters={"created_at": {"conditions": {"$after": ["{{ data_interval_start | ts }}"]}}},
                campaign_id="camp_{{ 7 }}",
                output_path=f"{tmp_path}/{{{{ ds }}}}.csv",
            )

        run(dag, logical_date=datetime(2026, 1, 2, tzinfo=UTC))

        assert creates(sandbox) == [
            {
                "exported_object": "voucher",
                "parameters": {
                    "fields": ["code", "value"],
                    "order": "-created_at",
                    "filters": {"created_at": {"conditions": {"$after": ["2026-01-02T00:00:00+00:00"]}}},
                    "campaign_id": "camp_7",
                },
            }
        ]
        assert (tmp_path / "2026-01-02.csv").exists()

    def test_filters_may_be_python(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """`where(…)` is accepted, for filters that do not depend on the run."""
        day = after(datetime(2026, 1, 1, tzinfo=UTC)) & before(datetime(2026, 1, 2, tzinfo=UTC))
        with dag_of("filters") as dag:
            VoucherifyExportOperator(
                task_id="export",
                exported_object="order",
                filters=where(created_at=day),
                output_path=str(tmp_path / "orders.csv"),
            )

        assert run(dag).state == "success"
        assert creates(sandbox)[0]["parameters"]["filters"] == where(created_at=day).to_dict()

    def test_filters_may_hold_times(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """Times and dates in the API's form of filters are sent as the API takes them, once per task."""
        conditions = {"$after": [datetime(2026, 1, 1, tzinfo=UTC)], "$before": [date(2026, 1, 2)]}
        sandbox.fail(download=True, status=404)
        with dag_of("times", retries=1) as dag:
            VoucherifyExportOperator(
                task_id="export",
                exported_object="order",
                fields=("id", "status"),
                filters={"created_at": {"conditions": conditions}},
                output_path=str(tmp_path / "orders.csv"),
            )

        assert run(dag).state == "success"
        [body] = creates(sandbox)
        assert body["parameters"] == {
            "fields": ["id", "status"],
            "filters": {
                "created_at": {
                    "conditions": {"$after": ["2026-01-01T00:00:00.000Z"], "$before": ["2026-01-02"]}
                }
            },
        }

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"fields": ["vaule"]}, "unknown field 'vaule'; did you mean 'value'"),
            ({"output_path": "vouchers.xml"}, "the path must end in one of .csv"),
            ({"output_path": "s3://lake/vouchers.csv"}, "No filesystem registered for scheme s3"),
            ({"fields": "{{ 'code' }}"}, "fields must be a list of names"),
            ({"fields": "code", "check_catalog": False}, "fields must be a list of names"),
            ({"filters": {"code": {"conditions": {"$is": [b"x"]}}}}, "a filter takes str"),
            ({"exported_object": "vuocher"}, "unknown exported object 'vuocher'; did you mean 'voucher'"),
        ],
    )
    def test_wrong_arguments_are_not_retried(
        self,
        run: Callable[..., Any],
        sandbox: Sandbox,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        wrong: dict[str, Any],
        reason: str,
    ) -> None:
        """A wrong argument fails the task permanently, before anything is sent."""
        options = {"exported_object": "voucher", "output_path": "vouchers.csv"} | wrong
        with dag_of("wrong", retries=3) as dag:
            VoucherifyExportOperator(task_id="export", **options)

        finished = run(dag)

        assert finished.state == "failed"
        assert [task.try_number for task in finished.get_task_instances()] == [1]
        assert not sandbox.requests
        assert reason in capfd.readouterr().out

    def test_the_check_of_the_catalog_can_be_skipped(self, run: Callable[..., Any], sandbox: Sandbox) -> None:
        """With `check_catalog=False` Voucherify is the one that refuses an unknown field."""
        with dag_of("unchecked", retries=3) as dag:
            VoucherifyExportOperator(
                task_id="export",
                exported_object="order",
                fields=["colour"],
                check_catalog=False,
                output_path="orders.csv",
            )

        finished = run(dag)

        assert finished.state == "failed"
        assert [task.try_number for task in finished.get_task_instances()] == [1]
        assert [request.status for request in sandbox.requests] == [400]

    @pytest.mark.parametrize("strict", [True, False])
    def test_strict_is_deprecated(self, *, strict: bool) -> None:
        """The old name of `check_catalog` still works; the warning points to the DAG's file."""
        with pytest.warns(AirflowProviderDeprecationWarning, match="use check_catalog") as caught:
            operator = VoucherifyExportOperator(
                task_id="export", exported_object="order", output_path="orders.csv", strict=strict
            )

        assert operator.check_catalog is strict
        assert [warning.filename for warning in caught] == [__file__]

    def test_strict_does_not_go_with_check_catalog(self) -> None:
        """Giving the old and the new name is an error, also when they agree."""
        with pytest.raises(TypeError, match="not both"):
            VoucherifyExportOperator(
                task_id="export",
                exported_object="order",
                output_path="orders.csv",
                check_catalog=False,
                strict=False,
            )

    def test_wrong_credentials_are_not_retried(
        self, run: Callable[..., Any], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A retry would get the same 401."""
        wrong = {"conn_type": "voucherify", "host": sandbox.url, "login": "me", "password": "wrong"}
        monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_DEFAULT", json.dumps(wrong))
        with dag_of("credentials", retries=3) as dag:
            VoucherifyExportOperator(task_id="export", exported_object="order", output_path="orders.csv")

        finished = run(dag)

        assert finished.state == "failed"
        assert [request.status for request in sandbox.requests] == [401]


@pytest.fixture
def memory() -> Any:
    """An object store in memory, registered with Airflow for its scheme."""
    memory = fsspec.filesystem("memory")
    attach("memory", fs=memory)
    return memory


class TestOutput:
    def test_the_worker_can_wait(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """`deferrable=False` needs no triggerer; `timeout=None` sets no limit."""
        path = tmp_path / "orders.parquet"
        with dag_of("in_worker") as dag:
            VoucherifyExportOperator(
                task_id="orders",
                exported_object="order",
                output_path=f"file://{path}",
                cells={"names": "header"},
                timeout=None,
                deferrable=False,
            )

        assert run(dag).state == "success"
        assert "ID" in pq.read_table(path).column_names

    def test_an_object_store(self, run: Callable[..., Any], sandbox: Sandbox, memory: Any) -> None:
        """`output_path` is any URL for `ObjectStoragePath`; here a store in memory."""
        with dag_of("store") as dag:
            VoucherifyExportOperator(
                task_id="orders",
                exported_object="order",
                output_path="memory://lake/{{ ds }}/orders.csv",
                timeout=None,
            )

        finished = run(dag, logical_date=datetime(2026, 1, 2, tzinfo=UTC))

        assert finished.state == "success"
        file = memory.cat_file("/lake/2026-01-02/orders.csv")
        assert file.count(b"\n") == 101

    def test_a_failed_upload_keeps_the_existing_file(
        self, run: Callable[..., Any], sandbox: Sandbox, memory: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is complete before it is uploaded, and a retry uploads the same export."""
        memory.pipe_file("/lake/orders.csv", b"before")
        upload, tries = type(memory).put_file, []

        def fail_once(self: Any, source: str, target: str, **options: Any) -> None:
            tries.append(memory.cat_file("/lake/orders.csv"))
            if len(tries) == 1:
                raise OSError("the store is down")
            upload(self, source, target, **options)

        monkeypatch.setattr(type(memory), "put_file", fail_once)
        with dag_of("upload", retries=1) as dag:
            VoucherifyExportOperator(
                task_id="orders", exported_object="order", output_path="memory://lake/orders.csv"
            )

        assert run(dag).state == "success"
        assert tries == [b"before", b"before"]
        assert len(creates(sandbox)) == 1


class TestMapping:
    def test_over_objects(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """One task for each object, with its name in the path."""
        objects = ["order", "customer", "publication"]
        with dag_of("objects") as dag:
            VoucherifyExportOperator.partial(
                task_id="export", output_path=f"{tmp_path}/{{{{ task.exported_object }}}}.csv"
            ).expand(exported_object=objects)

        assert run(dag).state == "success"
        assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(objects)

    def test_over_date_windows(self, run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
        """One task for each window, with its own arguments."""
        months = [("2024-01-01", "2024-02-01"), ("2024-02-01", "2024-03-01")]
        windows = [
            {
                "fields": ["id", "created_at"],
                "filters": {"created_at": {"conditions": {"$after": [start], "$before": [end]}}},
                "output_path": f"{tmp_path}/{start}.csv",
            }
            for start, end in months
        ]
        with dag_of("windows") as dag:
            VoucherifyExportOperator.partial(task_id="export", exported_object="order").expand_kwargs(windows)

        assert run(dag).state == "success"
        for start, end in months:
            _, *rows = (tmp_path / f"{start}.csv").read_text().splitlines()
            moments = [row.partition(",")[2] for row in rows]
            assert moments
            assert all(start <= moment < end for moment in moments)


def test_no_secret_is_stored(
    run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Airflow's database and logs hold no app token and no download token, even after errors."""
    sandbox.fail(download=True, status=500, times=1)
    sandbox.fail(method="POST", status=403)
    with dag_of("secrets", retries=2) as dag:
        VoucherifyExportOperator(
            task_id="orders", exported_object="order", output_path=str(tmp_path / "orders.csv")
        )

    run(dag)

    from airflow import settings

    kept = Path(settings.SQL_ALCHEMY_CONN.removeprefix("sqlite:///")).read_bytes()
    out, err = capfd.readouterr()
    tokens = {request.query["token"] for request in sandbox.requests if request.is_download}
    for secret in (sandbox.app_token, *tokens):
        assert secret.encode() not in kept
        assert secret not in out + err
