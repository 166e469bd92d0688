"""DAGs of one task, and what came of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select


def dag_of(name: str, *, retries: int = 0, **options: Any) -> DAG:
    """A DAG whose tasks are tried again soon."""
    return DAG(
        name,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args={"retries": retries, "retry_delay": timedelta(milliseconds=50)},
        **options,
    )


def xcoms(run: Any) -> dict[str, Any]:
    """The XComs of a run with one task, by their keys."""
    query = select(XComModel).where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id)
    with create_session() as session:
        return {xcom.key: XComModel.deserialize_value(xcom) for xcom in session.scalars(query)}
