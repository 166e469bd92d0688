import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from canned import Api
from hypothesis import settings
from tenacity import wait_none

from voucherify_exports import ExportsClient, RetryPolicy, Sandbox

collect_ignore = ["airflow"]  # a session of its own runs it, with Airflow

settings.register_profile("seeded", derandomize=True, deadline=None)  # pytest-timeout bounds each test
settings.load_profile("seeded")


@pytest.fixture
def api() -> Iterator[Api]:
    """Respond to requests without a network."""
    with Api() as api:
        yield api


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Make jitter the same in every run."""
    random.seed(20260101)


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide a developer's own credentials from the tests."""
    for name in ("APP_ID", "APP_TOKEN", "CLUSTER", "BASE_URL"):
        monkeypatch.delenv(f"VOUCHERIFY_{name}", raising=False)


@pytest.fixture(autouse=True)
async def _no_task_left() -> Any:
    """Fail a test that leaves a task of the package behind."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if "voucherify" in repr(task)}
    assert not left


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The exports API on loopback, with exports that are done at once."""
    async with Sandbox(scheduled_for=0, in_progress_for=0) as sandbox:
        yield sandbox


@pytest.fixture
async def connect(sandbox: Sandbox) -> AsyncIterator[Callable[..., ExportsClient]]:
    """Create clients of the sandbox, which retry without a delay and are closed at the end."""
    async with AsyncExitStack() as stack:

        def connect(**options: Any) -> ExportsClient:
            options = {"base_url": sandbox.url, "retry": RetryPolicy(wait=wait_none())} | options
            if "auth" not in options:
                options = {"app_id": sandbox.app_id, "app_token": sandbox.app_token} | options
            client = ExportsClient(**options)
            stack.push_async_callback(client.close)
            return client

        yield connect
