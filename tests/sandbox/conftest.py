"""A sandbox with a clock that a test moves, and a session with its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession
from attrs import define

from voucherify_exports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@define
class DrivenClock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock()


@pytest.fixture
async def sandbox(clock: DrivenClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(clock=clock, scheduled_for=10, in_progress_for=20, token_ttl=60) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[ClientSession]:
    keys = {"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    async with ClientSession(sandbox.url, headers=keys) as session:
        yield session
