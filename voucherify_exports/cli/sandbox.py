"""`sandbox`: the exports API on loopback, until Ctrl-C or SIGTERM."""

import asyncio
import os
import re
import shlex
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import TransportError
from .boundary import boundary
from .streams import StreamConsole, print_results

if TYPE_CHECKING:
    from ..sandbox import Sandbox, Seconds

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?")
_RATE_LIMIT = re.compile(r"([1-9]\d*)/([1-9]\d*)")


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="The port to listen on; 0 for a free one.")
    ] = 0,
    app_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The accepted X-App-Id; by default, the seed determines it."),
    ] = None,
    app_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="The accepted X-App-Token; by default, the seed determines it."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="The seed of credentials, ids and files.")] = 0,
    rate_limit: Annotated[
        str | None,
        typer.Option(metavar="REQUESTS/SECONDS", help="The rate limit, such as 100/60; by default, none."),
    ] = None,
    scheduled_for: Annotated[
        str,
        typer.Option(metavar="SECONDS", help="How long an export is SCHEDULED: 2, or a range such as 2-5."),
    ] = "0.2",
    in_progress_for: Annotated[
        str,
        typer.Option(metavar="SECONDS", help="How long it is then IN_PROGRESS: 2, or a range such as 2-5."),
    ] = "0.5",
    fail: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JSON",
            help='A fault to inject, as JSON, such as {"status": 503}; can be repeated.',
        ),
    ] = None,
) -> None:
    """Serve the exports API on this machine, until Ctrl-C.

    Prints a line for the shell of client programs to stdout, all else to stderr.
    """
    from ..sandbox import Fault, Sandbox  # imported here, since the sandbox imports a web server

    sandbox = Sandbox(
        host=host,
        port=port,
        app_id=app_id,
        app_token=app_token,
        seed=seed,
        rate_limit=_rate_limit(rate_limit),
        scheduled_for=_seconds("--scheduled-for", scheduled_for),
        in_progress_for=_seconds("--in-progress-for", in_progress_for),
    )
    for fault in fail or ():
        try:
            sandbox.add_fault(Fault.from_json(fault))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--fail") from None
    with boundary(), suppress(KeyboardInterrupt):  # Ctrl-C is the normal end of a server
        asyncio.run(_serve(sandbox, f"{host}, port {port}"))


def _rate_limit(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    match = _RATE_LIMIT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a rate limit, such as 100/60 for 100 requests in 60 seconds."
        raise typer.BadParameter(msg, param_hint="--rate-limit")
    return int(match[1]), float(match[2])


def _seconds(option: str, text: str) -> "Seconds":
    match = _SECONDS.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a number of seconds, such as 2, or a range, such as 2-5."
        raise typer.BadParameter(msg, param_hint=option)
    return float(match[1]) if match[2] is None else (float(match[1]), float(match[2]))


async def _serve(sandbox: "Sandbox", address: str) -> None:
    terminated = _termination()
    async with AsyncExitStack() as serving:
        try:
            await serving.enter_async_context(sandbox)
        except OSError as error:
            msg = f"The sandbox cannot listen on {address}: {_reason(error)}; choose another --host or --port"
            raise TransportError(msg) from None
        _introduce(sandbox)
        await terminated.wait()


def _reason(error: OSError) -> str:
    """The text of the system; asyncio adds to it, differently in each version of Python."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _termination() -> asyncio.Event:
    """An event that SIGTERM sets; SIGINT ends `asyncio.run` itself."""
    terminated = asyncio.Event()
    with suppress(NotImplementedError):  # Windows has no SIGTERM
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    return terminated


def _introduce(sandbox: "Sandbox") -> None:
    variables = {"BASE_URL": sandbox.url, "APP_ID": sandbox.app_id, "APP_TOKEN": sandbox.app_token}
    settings = (f"VOUCHERIFY_{name}={shlex.quote(value)}" for name, value in variables.items())
    console = StreamConsole(sys.stderr)
    console.print_text(f"The exports API runs at {sandbox.url} until Ctrl-C. Its control page:")
    console.print_text(f"{sandbox.url}/_sandbox/", "cyan", indent=2)
    console.print_text("To use it, run this line in the shell of a client program:")
    print_results([f"export {' '.join(settings)}"])
