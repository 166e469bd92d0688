"""Ten thousand concurrent waits over real sockets, while every fifth request has a fault."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest
from attrs import frozen

from voucherify_exports import ExportFailedError, ExportsClient, PollPolicy, Sandbox

WAITS = 10_000
SHARE_OF_FAULTS = 0.2

FAULTS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 503, "body": "<html>gone for lunch</html>", "content_type": "text/html"},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"body": {"object": "list"}},
    {"reset": "before"},
    {"reset": "headers"},
    {"reset": "body"},
    {"truncate": True},
    {"garble": True},
    {"delay": 5},
    {"lag": 10},
    {"drop_entry": 3},
    {"repeat_entry": 5},
]


@frozen
class FastClock:
    """A clock that runs `speed` times as fast, for the client and the sandbox alike."""

    speed: float
    started: float

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def wall(self) -> float:
        return self.started + (time.time() - self.started) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


def inject_faults(sandbox: Sandbox) -> None:
    """Give a fifth of the requests a fault, and each kind of fault equally often."""
    probability = 1 - (1 - SHARE_OF_FAULTS) ** (1 / len(FAULTS))
    for fault in FAULTS:
        sandbox.fail(times=None, probability=probability, **fault)


@pytest.mark.thorough
@pytest.mark.timeout(60)
async def test_every_outcome_is_correct() -> None:
    """Each wait ends once, with its own export and the status of that export."""
    clock = FastClock(speed=30, started=time.time())
    rng = random.Random(1)
    async with Sandbox(
        seed=1, scheduled_for=(0, 20), in_progress_for=(5, 30), clock=clock.wall, sleep=clock.sleep
    ) as sandbox:
        expected = {
            sandbox.add_export(kind, outcome=outcome): (kind, outcome)
            for kind, outcome in (
                (rng.choice(["order", "voucher", "customer"]), rng.choice(["DONE", "DONE", "ERROR"]))
                for _ in range(WAITS)
            )
        }
        inject_faults(sandbox)
        ended: Counter[str] = Counter()
        async with ExportsClient(
            sandbox.app_id,
            sandbox.app_token,
            base_url=sandbox.url,
            poll=PollPolicy(initial=5, max=20),
            clock=clock,
            on_event=lambda _: None,
        ) as client:
            async for outcome in client.wait_many(expected, timeout=None):
                assert outcome.export is not None
                ended[outcome.export_id] += 1
                observed = outcome.export.id, (outcome.export.exported_object, outcome.export.status)
                assert observed == (outcome.export_id, expected[outcome.export_id])
                assert isinstance(outcome.error, ExportFailedError) == (outcome.export.status == "ERROR")

        assert ended == Counter(list(expected))
        assert {None, 200, 429, 500, 503} == {request.status for request in sandbox.requests}
