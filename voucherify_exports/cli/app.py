"""The command and its parts."""

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from .boundary import boundary
from .catalog import fields, objects
from .doctor import doctor
from .exit_codes import ExitCode
from .exports import create, delete, get, list_exports, wait
from .files import download
from .files import run as run_export
from .sandbox import serve
from .streams import (
    StreamConsole,
    drop_what_cannot_be_written,
    print_results,
    spell_out_what_cannot_be_encoded,
)

app = typer.Typer(
    name="voucherify-exports",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> None:
    """Run the command that the arguments name, and exit."""
    spell_out_what_cannot_be_encoded()
    try:
        app(prog_name="voucherify-exports")  # also when it is `python -m voucherify_exports`
    finally:
        drop_what_cannot_be_written()


def _show_version(wanted: bool) -> None:
    if wanted:
        print_results([f"voucherify-exports {__version__}"])
        raise typer.Exit


@app.callback(epilog=f"Exit codes: {', '.join(f'{code:d} {code.meaning}' for code in ExitCode)}.")
def voucherify_exports(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and exit."),
    ] = False,
) -> None:
    """Export from Voucherify: vouchers, redemptions, customers, orders and more, as files.

    Credentials come from VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN, or from .env in this directory.
    To look around without any, run the demo or a sandbox.
    """


def demo() -> None:
    """Follow seven exports in a sandbox: no account, no network."""
    from .demo import run_demo  # which brings a web server along

    with boundary():
        asyncio.run(run_demo(StreamConsole(sys.stdout)))


_COMMANDS: dict[str, Callable[..., None]] = {
    "run": run_export,
    "create": create,
    "wait": wait,
    "download": download,
    "get": get,
    "list": list_exports,
    "delete": delete,
    "objects": objects,
    "fields": fields,
    "doctor": doctor,
    "sandbox": serve,
    "demo": demo,
}
for name, command in _COMMANDS.items():
    app.command(name)(command)
