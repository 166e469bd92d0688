"""The commands, and what they take."""

import asyncio
import json
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from .._version import __version__
from ..client import ExportsClient
from ..errors import ConfigurationError
from ..events import EventHook
from ..models import Export
from .boundary import boundary, complain
from .demo import run_demo
from .description import describe
from .listener import Listener, log_shown_by
from .sandbox import serve
from .streams import (
    StreamConsole,
    drop_what_cannot_be_written,
    print_results,
    spell_out_what_cannot_be_encoded,
)
from .view import Progress, StatusView
from .waiting import Wait

app = typer.Typer(
    name="voucherify-exports",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Cluster = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where the project is: api (Europe), us1.api or as1.api."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The API's address, when it is not that of a cluster."),
]


def run() -> None:
    """Run the command that the arguments name, and exit."""
    spell_out_what_cannot_be_encoded()
    try:
        app()
    finally:
        drop_what_cannot_be_written()


def _show_version(wanted: bool) -> None:
    if wanted:
        print_results([f"voucherify-exports {__version__}"])
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done, 1 ended in ERROR, 2 usage, 3 credentials, 4 not found, 5 quota, "
    "6 timed out, 7 network or server, 8 file or disk, 130 interrupted."
)
def voucherify_exports(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and exit."),
    ] = False,
) -> None:
    """Follow Voucherify exports to their end.

    Credentials come from VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN.
    To look around without any, run the demo or a sandbox.
    """


@app.command()
def demo() -> None:
    """Follow seven exports in a sandbox: no account, no network."""
    with boundary():
        asyncio.run(run_demo(StreamConsole(sys.stdout)))


app.command("sandbox")(serve)


@app.command()
def get(
    export_id: Annotated[str, typer.Argument(metavar="ID", help="The export's id, such as exp_….")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON of the API instead.")] = False,
    cluster: Cluster = None,
    base_url: BaseUrl = None,
) -> None:
    """Show one export as it is now.

    Its result URL is shown as well, and is as good as a password for the file.
    """
    with boundary():
        export = asyncio.run(_get(export_id, cluster, base_url))
        print_results([json.dumps(export.to_dict(), indent=2)] if as_json else describe(export))


async def _get(export_id: str, cluster: str | None, base_url: str | None) -> Export:
    say = StreamConsole(sys.stderr).say
    with log_shown_by(say):
        async with _connect(cluster, base_url, Listener(say)) as client:
            with _refusals_are_usage():
                return await client.get_export(export_id)


@app.command()
def wait(
    export_ids: Annotated[list[str], typer.Argument(metavar="ID", help="The ids of exports.")],
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Seconds to wait in all.")
    ] = 1800.0,
    cluster: Cluster = None,
    base_url: BaseUrl = None,
) -> None:
    """Wait until exports are finished.

    The result URLs come on stdout, in the order of the ids, all else on stderr.
    Each URL is as good as a password for its file.
    The exit code is that of the worst outcome.
    """
    waiting = Wait(export_ids)
    with boundary():
        try:
            asyncio.run(_wait(waiting, timeout, cluster, base_url))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(waiting.how_to_go_on(_options(cluster, base_url))) from None
        finally:
            _report(waiting)
        raise typer.Exit(waiting.exit_code)


def _report(waiting: Wait) -> None:
    print_results(waiting.urls)
    for error in waiting.errors:
        complain(error)


async def _wait(waiting: Wait, timeout: float, cluster: str | None, base_url: str | None) -> None:
    console = StreamConsole(sys.stderr)
    listener = Listener(console.say)
    progress = Progress(StatusView(waiting.export_ids, summary=lambda: listener.cost), console)
    with log_shown_by(console.say):
        async with _connect(cluster, base_url, listener) as client:
            with _refusals_are_usage():
                await waiting.run(client, progress, timeout)


def _connect(cluster: str | None, base_url: str | None, on_event: EventHook) -> ExportsClient:
    where: dict[str, Any] = {}
    if cluster is not None:
        where = {"cluster": cluster, "base_url": base_url}  # also against a VOUCHERIFY_BASE_URL
    elif base_url is not None:
        where = {"base_url": base_url}
    return ExportsClient.from_env(on_event=on_event, **where)


def _options(cluster: str | None, base_url: str | None) -> Iterator[str]:
    for name, value in (("--cluster", cluster), ("--base-url", base_url)):
        if value is not None:
            yield from (name, value)


@contextmanager
def _refusals_are_usage() -> Generator[None]:
    """Once there is a client, it can only be an argument of the command that it refuses."""
    try:
        yield
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
