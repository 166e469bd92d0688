"""`doctor`: what is in order here, and what is not."""

import asyncio
import platform
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp

from .. import __version__
from ..errors import TransportError
from ..extras import IN_ALL, install_command, is_installed
from ..models import RateLimit
from ..polling import RetryPolicy
from .connection import Connection, connects
from .streams import print_line

_TOLERABLE = 2.0  # seconds between two clocks, of which one tells whole seconds


@connects
def doctor(connection: Connection) -> None:
    """Check this machine, the keys, the way to Voucherify, the quota and the clock.

    One request is sent. The exit code is that of what is wrong.
    """
    for line in _installed():
        print_line(line)
    asyncio.run(_examine(connection))


def _installed() -> Iterator[str]:
    versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
    yield f"installed  voucherify-exports {__version__}, {versions}"
    missing = [extra for extra in IN_ALL if not is_installed(extra)]
    yield f"extras     {f'not all: {install_command(*missing)}' if missing else 'all'}"


async def _examine(connection: Connection) -> None:
    dates: list[tuple[str, float]] = []

    async def note(session: aiohttp.ClientSession, context: SimpleNamespace, ended: Any) -> None:
        dates.append((ended.response.headers.get("Date", ""), time.time()))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(note)
    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        connection.open(session=session, retry=RetryPolicy(attempts=1)) as (client, listener),
    ):
        print_line(f"project    {client}")
        keys = (f"{name.replace('_', ' ')} from {origin}" for name, origin in connection.origins.items())
        print_line(f"keys       {', '.join(keys)}")
        began = time.monotonic()
        try:
            page = await client.list_page(page_size=1)
        except TransportError:
            print_line("answer     none: check the network, a proxy, and --cluster or --base-url")
            raise
        exports = f"{page.total:,} export{'' if page.total == 1 else 's'}"
        print_line(f"answer     in {time.monotonic() - began:.2f} s, the keys are right; {exports}")
        print_line(f"quota      {_quota(listener.quota)}")
        print_line(f"clock      {_clock(*dates[-1])}")


def _quota(rate_limit: RateLimit) -> str:
    if rate_limit.limit is None or rate_limit.remaining is None:
        return "Voucherify does not tell"
    return f"{rate_limit.remaining:,} of {rate_limit.limit:,} requests left"


def _clock(date: str, here: float) -> str:
    """How this machine's clock agrees with the server's."""
    try:
        ahead = here - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return "Voucherify does not tell the time"
    if -_TOLERABLE < ahead < _TOLERABLE:
        return "right"
    direction = "ahead of" if ahead > 0 else "behind"
    return f"{abs(ahead):,.0f} s {direction} Voucherify's: set it, or have it set by NTP"
