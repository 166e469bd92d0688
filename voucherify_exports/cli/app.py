"""The command `voucherify-exports` and its subcommands."""

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
from .exports import create, delete, get, list_exports
from .files import download
from .files import run as run_export
from .sandbox import serve
from .streams import StreamConsole, discard_unwritable_output, escape_unencodable_output, print_results
from .wait import wait

app = typer.Typer(
    name="voucherify-exports",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> None:
    """Run the command of `sys.argv`, and exit."""
    escape_unencodable_output()
    try:
        app(prog_name="voucherify-exports")  # the same name for `python -m voucherify_exports`
    finally:
        discard_unwritable_output()


def _print_version(wanted: bool) -> None:
    if wanted:
        print_results([f"voucherify-exports {__version__}"])
        raise typer.Exit


@app.callback(epilog=f"Exit codes: {', '.join(f'{code:d} {code.meaning}' for code in ExitCode)}.")
def voucherify_exports(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Export vouchers, redemptions, customers, orders and more from Voucherify to files.

    Credentials come from VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN, or from .env.
    The commands demo and sandbox need none.
    """


def demo() -> None:
    """Follow seven exports in a sandbox; needs no account or network."""
    from .demo import run_demo  # here, since the sandbox imports a web server

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
