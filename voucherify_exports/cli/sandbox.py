"""`sandbox`: the exports API on loopback, until somebody ends it."""

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
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address of this machine to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 0,
    app_id: Annotated[
        str | None, typer.Option(metavar="ID", help="What X-App-Id must say; drawn when left out.")
    ] = None,
    app_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="What X-App-Token must say; drawn when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="What keys, ids and files follow from.")] = 0,
    rate_limit: Annotated[
        str | None, typer.Option(metavar="REQUESTS/SECONDS", help="The plan's limit, such as 100/60.")
    ] = None,
    scheduled_for: Annotated[
        str,
        typer.Option(metavar="SECONDS", help="How long an export is SCHEDULED: 2, or from 2 to 5 as 2-5."),
    ] = "0.2",
    in_progress_for: Annotated[
        str, typer.Option(metavar="SECONDS", help="How long it is IN_PROGRESS then, in the same way.")
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

    A line for the shell, which leads clients there, comes on stdout, all else on stderr.
    """
    from ..sandbox import Fault, Sandbox  # here, since they bring a web server along

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
    with boundary(), suppress(KeyboardInterrupt):  # the usual end of a server
        asyncio.run(_serve(sandbox, f"{host}, port {port}"))


def _rate_limit(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    match = _RATE_LIMIT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not requests per seconds, such as 100/60."
        raise typer.BadParameter(msg, param_hint="--rate-limit")
    return int(match[1]), float(match[2])


def _seconds(option: str, text: str) -> "Seconds":
    match = _SECONDS.fullmatch(text)
    if match is None:
        msg = f"{text!r} is neither seconds, such as 2, nor a range of them, such as 2-5."
        raise typer.BadParameter(msg, param_hint=option)
    return float(match[1]) if match[2] is None else (float(match[1]), float(match[2]))


async def _serve(sandbox: "Sandbox", address: str) -> None:
    asked_to_end = _asked_to_end()
    async with AsyncExitStack() as serving:
        try:
            await serving.enter_async_context(sandbox)
        except OSError as error:
            msg = f"The sandbox cannot listen on {address}: {_reason(error)}; choose another --host or --port"
            raise TransportError(msg) from None
        _introduce(sandbox)
        await asked_to_end.wait()


def _reason(error: OSError) -> str:
    """Say it as the system does: asyncio adds to it, in each Python otherwise."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _asked_to_end() -> asyncio.Event:
    """Tell of SIGTERM; SIGINT ends `asyncio.run` itself."""
    asked = asyncio.Event()
    with suppress(NotImplementedError):  # by the event loop of Windows, which has no SIGTERM
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    return asked


def _introduce(sandbox: "Sandbox") -> None:
    variables = {"BASE_URL": sandbox.url, "APP_ID": sandbox.app_id, "APP_TOKEN": sandbox.app_token}
    settings = (f"VOUCHERIFY_{name}={shlex.quote(value)}" for name, value in variables.items())
    console = StreamConsole(sys.stderr)
    console.say(f"The exports API is at {sandbox.url} until Ctrl-C. To see and steer it:")
    console.say(f"{sandbox.url}/_sandbox/", "cyan", indent=2)
    console.say("For the shell of its clients, with its address and keys:")
    print_results([f"export {' '.join(settings)}"])
