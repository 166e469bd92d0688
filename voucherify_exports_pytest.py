"""Pytest fixtures: a sandbox of the exports API, and a client of it.

It is outside of the package because pytest imports it in every run: the package would import aiohttp as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from voucherify_exports import ExportsClient, Sandbox


def _fixture(function: Callable[..., Any]) -> Any:
    """Make an asyncio fixture of pytest-asyncio, also in its strict mode."""
    try:
        from pytest_asyncio import fixture
    except ModuleNotFoundError:

        @pytest.fixture(name=function.__name__)
        def unavailable() -> None:
            pytest.fail(
                f"{function.__name__} needs pytest-asyncio: pip install pytest-asyncio", pytrace=False
            )

        return unavailable
    return fixture(function)


@_fixture
async def voucherify_sandbox() -> AsyncIterator[Sandbox]:
    """The exports API on loopback, without exports; each export takes 0.05 seconds."""
    from voucherify_exports import Sandbox

    async with Sandbox(scheduled_for=0.02, in_progress_for=0.03) as sandbox:
        yield sandbox


@_fixture
async def voucherify_client(voucherify_sandbox: Sandbox) -> AsyncIterator[ExportsClient]:
    """An `ExportsClient` for `voucherify_sandbox` that polls and retries quickly."""
    from voucherify_exports import ExportsClient, PollPolicy, RetryPolicy

    async with ExportsClient(
        voucherify_sandbox.app_id,
        voucherify_sandbox.app_token,
        base_url=voucherify_sandbox.url,
        poll=PollPolicy(initial=0.02, max=0.1),
        retry=RetryPolicy(wait=lambda _: 0.01),
    ) as client:
        yield client
