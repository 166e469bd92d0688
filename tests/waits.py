"""A wait on a watcher, as `ExportsClient.wait_until_done` has it, without a client."""

from collections.abc import Callable

from voucherify_exports import Export, PollPolicy
from voucherify_exports._waiting.watcher import Watcher


async def wait(
    watcher: Watcher,
    export_id: str,
    known: Export | None,
    timeout: float | None,
    policy: PollPolicy,
    on_update: Callable[[Export], object] | None = None,
) -> Export:
    """The export once it is DONE or ended in ERROR."""
    waiter = watcher.attach(export_id, known, timeout, policy, on_update=on_update)
    try:
        while waiter.outcome is None:
            await waiter.notified()
            waiter.run_callbacks()
    finally:
        await watcher.detach([waiter])
    return waiter.result()
