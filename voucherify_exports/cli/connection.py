"""The connection of a command to a project: its options, credentials, client and reporter."""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Container, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import typer
from attrs import frozen
from dotenv import dotenv_values

from ..client import ExportsClient
from ..errors import ConfigurationError, MissingExtraError, TableError
from .boundary import boundary
from .reporter import Reporter, warnings_printed_by
from .streams import StreamConsole

ClientArguments: TypeAlias = dict[str, Any]

_OPTIONS = {
    "cluster": Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The project's cluster: api (Europe), us1.api or as1.api."),
    ],
    "base_url": Annotated[
        str | None,
        typer.Option(metavar="URL", help="The URL of the API, instead of a cluster."),
    ],
    "app_id": Annotated[str | None, typer.Option(metavar="ID", help="The project's application id.")],
    "app_token_file": Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file that holds only the application token."),
    ],
}
_ADDRESS = ("cluster", "base_url")
_CREDENTIALS = {"app_id": "app_id", "app_token": "app_token_file"}  # each with its option
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]


@frozen
class Connection:
    """A project, as the options, the environment and `.env` define it.

    `origins` says where each credential comes from. `options` are the options that were given, as typed.
    """

    settings: ClientArguments
    origins: Mapping[str, str]
    options: tuple[str, ...]
    console: StreamConsole

    @classmethod
    def from_options(cls, options: dict[str, str | Path | None], console: StreamConsole) -> Self:
        """Make a connection; options take precedence over the environment, and that over `.env`."""
        given = {name: str(value) for name, value in options.items() if value is not None}
        words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
        found = _from_dotenv()
        origins = {name: _origin(name, option, given, found) for name, option in _CREDENTIALS.items()}
        file = given.pop("app_token_file", None)
        settings: ClientArguments = {**found, **given}
        if "cluster" in given and "base_url" not in given:
            settings["base_url"] = None  # so that VOUCHERIFY_BASE_URL does not overrule --cluster
        if file is not None:
            settings["app_token"] = _read_token(Path(file))
        _prompt_for_credentials(settings)
        return cls(settings, origins, tuple(words), console)

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncGenerator[tuple[ExportsClient, Reporter]]:
        """A client and its reporter; a `ValueError` inside is a wrong argument of the command."""
        reporter = Reporter(self.console.print_text)
        with warnings_printed_by(self.console.print_text):
            async with self._client(on_event=reporter, **more) as client:
                with _value_error_is_usage():
                    yield client, reporter

    def _client(self, **more: Any) -> ExportsClient:
        missing = " and ".join(_variable(name) for name in _missing(self.settings))
        if missing:
            raise ConfigurationError(
                f"credentials are missing: set {missing} in the environment or in .env;"
                " the demo needs none: voucherify-exports demo"
            )
        return ExportsClient.from_env(**self.settings, **more)


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the connection's options in place of its first parameter, and report its errors."""

    @wraps(command)
    def run(*, quiet: bool, **given: Any) -> None:
        with boundary():
            console = StreamConsole(sys.stderr, quiet=quiet)
            options = {name: given.pop(name) for name in _OPTIONS}
            command(Connection.from_options(options, console), **given)

    own = signature(command)
    shared = [_keyword(name, kind, None) for name, kind in _OPTIONS.items()]
    parameters = [*own.parameters.values()][1:] + shared + [_keyword("quiet", _QUIET, default=False)]
    ordered = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = own.replace(parameters=ordered)  # type: ignore[attr-defined]  # Typer reads it
    run.__annotations__ = {each.name: each.annotation for each in ordered}
    return run


def _keyword(name: str, annotation: object, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _variable(name: str) -> str:
    return f"VOUCHERIFY_{name.upper()}"


def _from_dotenv() -> ClientArguments:
    """The settings in `.env` of the working directory that the environment does not have."""
    try:
        values = dotenv_values(".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read .env: {error}") from None
    found: ClientArguments = {}
    for names in (_ADDRESS, *((name,) for name in _CREDENTIALS)):  # cluster and URL are taken from one source
        if not any(os.environ.get(_variable(name)) for name in names):
            found |= {name: value for name in names if (value := values.get(_variable(name)))}
    return found


def _origin(name: str, option: str, given: Container[str], found: Container[str]) -> str:
    if option in given:
        return f"--{option.replace('_', '-')}"
    if os.environ.get(_variable(name)):
        return "the environment"
    return ".env" if name in found else "the prompt"


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ConfigurationError(f"cannot read the app token from {path}: {reason}") from None
    if not token:
        raise ConfigurationError(f"the app token file {path} is empty")
    return token


def _prompt_for_credentials(settings: ClientArguments) -> None:
    """Prompt for missing credentials on a terminal, without an echo of the token."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        for name in _missing(settings):
            prompt = name.replace("_", " ").capitalize()
            with abort_is_interrupt():
                settings[name] = typer.prompt(prompt, hide_input=name == "app_token", err=True)


def _missing(settings: ClientArguments) -> Iterator[str]:
    return (name for name in _CREDENTIALS if name not in settings and not os.environ.get(_variable(name)))


@contextmanager
def abort_is_interrupt() -> Generator[None]:
    """Raise `KeyboardInterrupt` for Typer's `Abort`, which Ctrl-C at a prompt raises."""
    try:
        yield
    except typer.Abort:
        raise KeyboardInterrupt from None


@contextmanager
def _value_error_is_usage() -> Generator[None]:
    """Report a `ValueError` as wrong usage: the client exists, so its own settings are valid."""
    try:
        yield
    except (MissingExtraError, TableError):
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error).replace("check_catalog=False", "--unchecked")) from None
