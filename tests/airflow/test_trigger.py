"""The trigger, in an event loop as in a triggerer."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import TriggerEvent
from threaded import ThreadedSandbox, connection_to

from voucherify_exports import ExportsClient, Sandbox
from voucherify_exports.airflow import VoucherifyExportTrigger, _clients


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox whose exports do not finish by themselves."""
    with ThreadedSandbox(scheduled_for=1000) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_DEFAULT", connection_to(sandbox))
        yield sandbox


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[ExportsClient]:
    """The clients in the order of their creation."""
    made: list[ExportsClient] = []
    make = _clients.make_client

    def making(*arguments: Any, **options: Any) -> ExportsClient:
        made.append(make(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(_clients, "make_client", making)
    return made


async def event_of(trigger: VoucherifyExportTrigger) -> Any:
    """The payload of the one event that a trigger fires; checks that it is plain JSON."""
    [event] = [event async for event in trigger.run()]
    assert isinstance(event, TriggerEvent)
    assert json.loads(json.dumps(event.payload)) == event.payload
    return event.payload


async def waiting(*triggers: VoucherifyExportTrigger, of: Sandbox) -> list[asyncio.Task[Any]]:
    """Running triggers, as soon as their exports have been polled."""
    before = len(of.requests)
    tasks = [asyncio.create_task(event_of(trigger)) for trigger in triggers]
    while len(of.requests) == before:
        await asyncio.sleep(0.01)
    return tasks


def is_closed(client: ExportsClient) -> bool:
    return client._transport._closed


def nobody_waits() -> bool:
    return not any(_clients._clients.values())


class TestEvent:
    async def test_an_export_that_is_done(self, sandbox: Sandbox) -> None:
        """The event holds the export, without the token in its URL."""
        export_id = sandbox.add_export("voucher")

        event = await event_of(VoucherifyExportTrigger(export_id))

        assert event["status"] == "success"
        assert event["export"]["id"] == export_id
        assert event["export"]["status"] == "DONE"
        assert event["export"]["result"] == {"url": f"{sandbox.download_url}/v1/exports/{export_id}"}

    @pytest.mark.parametrize(
        ("outcome", "error", "reason"),
        [
            ("ERROR", "ExportFailedError", "ended in ERROR"),
            (None, "ExportNotFoundError", "404"),
        ],
    )
    async def test_an_export_that_is_not(
        self, sandbox: Sandbox, outcome: Any, error: str, reason: str
    ) -> None:
        """The event holds the reason and the class of the error."""
        export_id = sandbox.add_export("voucher", outcome=outcome) if outcome else "exp_none"

        event = await event_of(VoucherifyExportTrigger(export_id))

        assert (event["status"], event["export_id"], event["error"]) == ("error", export_id, error)
        assert reason in event["reason"]

    async def test_a_deadline_that_has_passed(self, slow: Sandbox) -> None:
        """A triggerer that takes over after the deadline polls once."""
        export_id = slow.add_export("voucher")
        trigger = VoucherifyExportTrigger(export_id, deadline=datetime.now(UTC) - timedelta(days=1))

        assert (await event_of(trigger))["error"] == "WaitTimeoutError"
        assert len(slow.requests) == 1

    async def test_a_missing_connection(self) -> None:
        """The reason is Airflow's message, which names the connection."""
        event = await event_of(VoucherifyExportTrigger("exp_1", "no_such"))

        assert event["error"] == "VoucherifyExportsError"
        assert event["reason"] == "The conn_id `no_such` isn't defined"

    async def test_an_invalid_connection(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error is the hook's `ConfigurationError`."""
        monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_DEFAULT", connection_to(sandbox, colour="red"))

        event = await event_of(VoucherifyExportTrigger("exp_1"))

        assert event["error"] == "ConfigurationError"
        assert nobody_waits()


async def test_it_survives_the_database(sandbox: Sandbox) -> None:
    """Another triggerer creates the same trigger from what is stored."""
    deadline = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    row = Trigger.from_object(VoucherifyExportTrigger("exp_1", "shop", deadline))

    again = import_string(row.classpath)(**row.kwargs)

    assert isinstance(again, VoucherifyExportTrigger)
    assert (again.export_id, again.voucherify_conn_id, again.deadline) == ("exp_1", "shop", deadline)


async def test_each_logs_its_own_export(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Airflow chooses a log by the context; what a client does for all triggers is in no task's."""
    task: ContextVar[str] = ContextVar("task", default="no task")
    caplog.set_level(logging.INFO)
    lines: list[tuple[str, str]] = []

    def note(record: logging.LogRecord) -> bool:
        lines.append((task.get(), record.getMessage()))
        return True

    caplog.handler.addFilter(note)

    async def wait(export_id: str) -> None:
        task.set(export_id)
        await event_of(VoucherifyExportTrigger(export_id))

    first, second = (sandbox.add_export("voucher") for _ in range(2))
    await asyncio.gather(wait(first), wait(second))

    for export_id in (first, second):
        own = [line for whose, line in lines if whose == export_id]
        assert f"Export {export_id} (voucher): DONE" in own
        assert all(export_id in line for line in own)
    assert {line.partition("(")[0] for whose, line in lines if whose == "no task"} >= {
        "StatusChanged",
        "WaitEnded",
    }


class TestSharing:
    async def test_a_hundred_triggers_share_one_client(
        self, sandbox: Sandbox, clients: list[ExportsClient]
    ) -> None:
        """They share its watcher and the pages that it polls; the last trigger closes it."""
        ids = [sandbox.add_export("voucher") for _ in range(100)]

        events = await asyncio.gather(*(event_of(VoucherifyExportTrigger(export_id)) for export_id in ids))

        assert [event["export"]["id"] for event in events] == ids
        assert len(clients) == 1
        assert len(sandbox.requests) < 20
        assert is_closed(clients[0])
        assert nobody_waits()

    async def test_a_changed_connection_gets_another(
        self, slow: Sandbox, clients: list[ExportsClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Triggers that wait already keep their client; later ones get a new one."""
        first, second = (slow.add_export("voucher") for _ in range(2))
        [before] = await waiting(VoucherifyExportTrigger(first), of=slow)
        monkeypatch.setenv("AIRFLOW_CONN_VOUCHERIFY_DEFAULT", connection_to(slow, poll_share=0.3))
        [after] = await waiting(VoucherifyExportTrigger(second), of=slow)

        assert len(clients) == 2
        slow.finish(first)
        assert (await before)["status"] == "success"
        assert [is_closed(client) for client in clients] == [True, False]
        slow.finish(second)
        assert (await after)["status"] == "success"
        assert nobody_waits()

    async def test_cancelling_one_leaves_the_others(
        self, slow: Sandbox, clients: list[ExportsClient]
    ) -> None:
        """The client stays open until its last user leaves."""
        first, second = (slow.add_export("voucher") for _ in range(2))
        cancelled, other = await waiting(
            VoucherifyExportTrigger(first), VoucherifyExportTrigger(second), of=slow
        )

        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert not is_closed(clients[0])
        slow.finish(second)
        assert (await other)["status"] == "success"
        assert is_closed(clients[0])
        assert not [request for request in slow.requests if request.method != "GET"]

    async def test_cancelling_all_leaves_nothing(self, slow: Sandbox, clients: list[ExportsClient]) -> None:
        """When all triggers are cancelled, as by a triggerer that stops, no task or client is left."""
        before = asyncio.all_tasks()
        ids = [slow.add_export("voucher") for _ in range(20)]
        tasks = await waiting(*(VoucherifyExportTrigger(export_id) for export_id in ids), of=slow)

        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

        assert all(task.cancelled() for task in tasks)
        assert [is_closed(client) for client in clients] == [True]
        assert nobody_waits()
        assert asyncio.all_tasks() == before

    async def test_a_trigger_never_gets_a_client_that_is_closing(
        self, slow: Sandbox, clients: list[ExportsClient]
    ) -> None:
        """A trigger that starts while the last user leaves gets a new client."""
        first, second = (slow.add_export("voucher") for _ in range(2))
        [going] = await waiting(VoucherifyExportTrigger(first), of=slow)
        going.cancel()
        coming = asyncio.create_task(event_of(VoucherifyExportTrigger(second)))
        slow.finish(second)

        assert (await coming)["status"] == "success"
        assert going.cancelled()
        assert nobody_waits()

    async def test_the_client_is_released_before_the_event(
        self, sandbox: Sandbox, clients: list[ExportsClient]
    ) -> None:
        """A triggerer may never resume the generator after its event."""
        events = VoucherifyExportTrigger(sandbox.add_export("voucher")).run()

        await anext(events)

        assert is_closed(clients[0])
        await events.aclose()

    def test_each_event_loop_has_its_own(self, sandbox: Sandbox, clients: list[ExportsClient]) -> None:
        """A client belongs to the event loop in which it was created."""
        for _ in range(2):
            asyncio.run(event_of(VoucherifyExportTrigger(sandbox.add_export("voucher"))))

        assert [is_closed(client) for client in clients] == [True, True]
