"""`doctor`: checks of this machine and of the connection to Voucherify."""

import asyncio
import platform
import time
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

_TOLERANCE = 2.0  # seconds; the Date header has whole seconds


@connects
def doctor(connection: Connection) -> None:
    """Check the installation, credentials, connection, quota and clock.

    Sends one request. If it fails, the exit code is that of its error.
    """
    _report_installation()
    asyncio.run(_check_connection(connection))


def _report(name: str, text: object) -> None:
    print_line(f"{name:<12} {text}")


def _report_installation() -> None:
    versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
    _report("installed", f"voucherify-exports {__version__}, {versions}")
    missing = [extra for extra in IN_ALL if not is_installed(extra)]
    _report("extras", f"some are missing: {install_command(*missing)}" if missing else "all installed")


async def _check_connection(connection: Connection) -> None:
    dates: list[tuple[str, float]] = []

    async def note_date(session: aiohttp.ClientSession, context: SimpleNamespace, ended: Any) -> None:
        dates.append((ended.response.headers.get("Date", ""), time.time()))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(note_date)
    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        connection.open(session=session, retry=RetryPolicy(attempts=1)) as (client, reporter),
    ):
        _report("project", client)
        origins = (f"{name.replace('_', ' ')} from {origin}" for name, origin in connection.origins.items())
        _report("credentials", ", ".join(origins))
        started = time.monotonic()
        try:
            page = await client.list_page(page_size=1)
        except TransportError:
            _report("response", "none: check the network, the proxy, and --cluster or --base-url")
            raise
        exports = f"{page.total:,} export{'' if page.total == 1 else 's'}"
        _report("response", f"after {time.monotonic() - started:.2f} s, credentials accepted; {exports}")
        _report("quota", _quota(reporter.quota))
        _report("clock", _clock(*dates[-1]))


def _quota(rate_limit: RateLimit) -> str:
    if rate_limit.limit is None or rate_limit.remaining is None:
        return "not reported by Voucherify"
    return f"{rate_limit.remaining:,} of {rate_limit.limit:,} requests left"


def _clock(date: str, local: float) -> str:
    """The difference between this machine's clock and the server's."""
    try:
        ahead = local - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return "unchecked: the response has no valid date"
    if -_TOLERANCE < ahead < _TOLERANCE:
        return "correct"
    direction = "ahead of" if ahead > 0 else "behind"
    return f"{abs(ahead):,.0f} s {direction} Voucherify's: correct it, for instance with NTP"
