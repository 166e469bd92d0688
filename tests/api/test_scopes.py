import asyncio

import pytest
from virtual import virtually

from voucherify_exports._api.scopes import Scopes


async def wait(scopes: Scopes, seconds: float, *, begin: float = 0.0, bounded: bool = True) -> float:
    """When a wait of so many seconds ended, in the time of the loop; negative if it was ended."""
    await asyncio.sleep(begin)
    scope = scopes.open(bounded=bounded)
    try:
        async with scope:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return -asyncio.get_running_loop().time()
    finally:
        scopes.discard(scope)
    return asyncio.get_running_loop().time()


class TestScopes:
    @virtually
    async def test_each_ends_at_its_own_time(self) -> None:
        """Each has its seconds from its own beginning, whatever began or ended before it."""
        scopes = Scopes(30)

        ends = await asyncio.gather(
            *(wait(scopes, seconds, begin=begin) for begin, seconds in [(0, 60), (0, 1), (10, 29), (25, 60)])
        )
        alone = await wait(scopes, 60, begin=100)

        assert ends == [-30, 1, 39, -55]
        assert alone == -(55 + 100 + 30)

    @virtually
    async def test_without_a_bound(self) -> None:
        """A wait without a bound goes on beside those that have one."""
        scopes = Scopes(30)

        ends = await asyncio.gather(wait(scopes, 100, bounded=False), wait(scopes, 100), wait(scopes, 5))

        assert ends == [100, -30, 5]

    @virtually
    async def test_one_that_does_not_give_way_at_once(self) -> None:
        """Another one's end is no second end of a wait that still unwinds."""
        scopes = Scopes(30)

        async def linger() -> None:
            scope = scopes.open(bounded=True)
            try:
                async with scope:
                    try:
                        await asyncio.sleep(60)
                    finally:
                        await asyncio.sleep(10)
            finally:
                scopes.discard(scope)

        slow, other = await asyncio.gather(linger(), wait(scopes, 60, begin=5), return_exceptions=True)

        assert isinstance(slow, TimeoutError)
        assert other == -35
        assert asyncio.get_running_loop().time() == 40

    @virtually
    async def test_a_cancellation_passes_through(self) -> None:
        """Whoever cancels a wait gets a cancellation, not a timeout."""
        scopes = Scopes(30)
        waiting = asyncio.create_task(wait(scopes, 60))
        await asyncio.sleep(1)

        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting

    @virtually
    async def test_close_ends_all(self) -> None:
        """Closing ends every wait at once; one that is begun afterwards has its bound all the same."""
        scopes = Scopes(30)
        waits = [asyncio.create_task(wait(scopes, 60, bounded=bounded)) for bounded in (True, False)]
        await asyncio.sleep(2)

        await scopes.close()
        scopes.stop()

        assert await asyncio.gather(*waits) == [-2, -2]
        assert await wait(scopes, 60) == -32
