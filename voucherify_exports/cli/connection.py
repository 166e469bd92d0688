"""Which project a command speaks to, with which keys, and what it says meanwhile."""

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
from .reporter import Listener, warnings_shown_by
from .streams import StreamConsole

Settings: TypeAlias = dict[str, Any]

_OPTIONS = {
    "cluster": Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where the project is: api (Europe), us1.api or as1.api."),
    ],
    "base_url": Annotated[
        str | None,
        typer.Option(metavar="URL", help="The API's address, when it is not that of a cluster."),
    ],
    "app_id": Annotated[str | None, typer.Option(metavar="ID", help="The project's application id.")],
    "app_token_file": Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with the application token, and nothing else."),
    ],
}
_PLACE = ("cluster", "base_url")
_KEYS = {"app_id": "app_id", "app_token": "app_token_file"}  # each with its option
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


@frozen
class Connection:
    """A project as the options, the environment and `.env` name it.

    `options` are those given, `origins` where each of the keys comes from, in words.
    """

    settings: Settings
    origins: Mapping[str, str]
    options: tuple[str, ...]
    console: StreamConsole

    @classmethod
    def of(cls, options: dict[str, str | Path | None], console: StreamConsole) -> Self:
        """The connection by these options, which win over the environment, and that over `.env`."""
        given = {name: str(value) for name, value in options.items() if value is not None}
        words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
        found = _from_dotenv()
        origins = {name: _origin(name, option, given, found) for name, option in _KEYS.items()}
        file = given.pop("app_token_file", None)
        settings: Settings = {**found, **given}
        if "cluster" in given and "base_url" not in given:
            settings["base_url"] = None  # also against a VOUCHERIFY_BASE_URL
        if file is not None:
            settings["app_token"] = _read_token(Path(file))
        _ask_for_keys(settings)
        return cls(settings, origins, tuple(words), console)

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncGenerator[tuple[ExportsClient, Listener]]:
        """A client, and what it has to tell; from then on a refusal is of the command's arguments."""
        listener = Listener(self.console.say)
        with warnings_shown_by(self.console.say):
            async with self._client(on_event=listener, **more) as client:
                with _refusals_are_usage():
                    yield client, listener

    def _client(self, **more: Any) -> ExportsClient:
        missing = " and ".join(_variable(name) for name in _missing(self.settings))
        if missing:
            raise ConfigurationError(
                f"keys are missing: set {missing} in the environment or in .env;"
                " to look around without any: voucherify-exports demo"
            )
        return ExportsClient.from_env(**self.settings, **more)


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a connection instead of its first parameter, and the boundary."""

    @wraps(command)
    def run(*, quiet: bool, **given: Any) -> None:
        with boundary():
            console = StreamConsole(sys.stderr, quiet=quiet)
            options = {name: given.pop(name) for name in _OPTIONS}
            command(Connection.of(options, console), **given)

    own = signature(command)
    shared = [_keyword(name, kind, None) for name, kind in _OPTIONS.items()]
    parameters = [*own.parameters.values()][1:] + shared + [_keyword("quiet", _QUIET, default=False)]
    ordered = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = own.replace(parameters=ordered)  # type: ignore[attr-defined]  # which Typer reads
    run.__annotations__ = {each.name: each.annotation for each in ordered}
    return run


def _keyword(name: str, annotation: object, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _variable(name: str) -> str:
    return f"VOUCHERIFY_{name.upper()}"


def _from_dotenv() -> Settings:
    """What `.env` in the working directory says where the environment says nothing."""
    try:
        values = dotenv_values(".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f".env cannot be read: {error}") from None
    found: Settings = {}
    for names in (_PLACE, *((name,) for name in _KEYS)):  # a place is said as a whole
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
        raise ConfigurationError(f"the app token cannot be read from {path}: {reason}") from None
    if not token:
        raise ConfigurationError(f"there is no app token in {path}")
    return token


def _ask_for_keys(settings: Settings) -> None:
    """Ask who sits at the terminal for the keys that are missing, the token without showing it."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        for name in _missing(settings):
            prompt = name.replace("_", " ").capitalize()
            with asking():
                settings[name] = typer.prompt(prompt, hide_input=name == "app_token", err=True)


def _missing(settings: Settings) -> Iterator[str]:
    return (name for name in _KEYS if name not in settings and not os.environ.get(_variable(name)))


@contextmanager
def asking() -> Generator[None]:
    """Ctrl-C at a question is Ctrl-C."""
    try:
        yield
    except typer.Abort:
        raise KeyboardInterrupt from None


@contextmanager
def _refusals_are_usage() -> Generator[None]:
    """Once there is a client, it can only be an argument of the command that it refuses."""
    try:
        yield
    except (MissingExtraError, TableError):
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error).replace("strict=False", "--unchecked")) from None
