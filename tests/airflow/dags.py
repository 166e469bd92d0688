"""DAGs with one task, and their results."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models.taskinstance import clear_task_instances
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from sqlalchemy import select


def dag_of(name: str, *, retries: int = 0, **options: Any) -> DAG:
    """A DAG whose tasks are retried after 50 ms."""
    return DAG(
        name,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args={"retries": retries, "retry_delay": timedelta(milliseconds=50)},
        **options,
    )


def run_cleared(run: Any, dag: DAG) -> Any:
    """Clear the one task of a run, run it again, and return its state."""
    with create_session() as session:
        [task_instance] = run.get_task_instances(session=session)
        clear_task_instances([task_instance], session)
        session.commit()
        _run_task(ti=task_instance, task=dag.get_task(task_instance.task_id), run_triggerer=True)
        return task_instance.state


def xcoms(run: Any) -> dict[str, Any]:
    """The XComs of a run with one task, by key."""
    query = select(XComModel).where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id)
    with create_session() as session:
        return {xcom.key: XComModel.deserialize_value(xcom) for xcom in session.scalars(query)}
