"""`wait`: wait for many exports; a failure of one does not end the other waits."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from ..client import ExportsClient
from ..errors import (
    AuthenticationError,
    ConfigurationError,
    ExportFailedError,
    PermissionDeniedError,
    PlanLimitError,
    RateLimitedError,
    VoucherifyExportsError,
)
from ..models import Export
from ..polling import PollPolicy
from .boundary import print_error
from .connection import Connection, connects
from .exit_codes import ExitCode
from .interruption import wait_interrupted
from .options import AsJsonLines, Interval, Timeout, poll_policy
from .status_display import StatusDisplay, StatusView
from .streams import print_results

_PROJECT_ERRORS = (AuthenticationError, PermissionDeniedError, PlanLimitError, RateLimitedError)


class WaitRun:
    """One run of `wait`: the outcome of each export so far, by id."""

    def __init__(self, export_ids: Sequence[str]) -> None:
        self.export_ids = list(dict.fromkeys(export_ids))
        self._outcomes: dict[str, Export | VoucherifyExportsError] = {}

    async def run(
        self, client: ExportsClient, display: StatusDisplay, timeout: float, poll: PollPolicy | None = None
    ) -> None:
        """Wait for all exports; raises `ConfigurationError` for an invalid id or timeout."""
        try:
            async with display, asyncio.TaskGroup() as waits:
                for export_id in self.export_ids:
                    waits.create_task(self._wait_for(client, display, export_id, timeout, poll))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _wait_for(
        self,
        client: ExportsClient,
        display: StatusDisplay,
        export_id: str,
        timeout: float,
        poll: PollPolicy | None,
    ) -> None:
        try:
            self._outcomes[export_id] = await client.wait_until_done(
                export_id, timeout=timeout, poll=poll, on_update=display.update
            )
        except ConfigurationError:
            raise
        except ExportFailedError as error:
            self._outcomes[export_id] = error  # the display already shows its status, ERROR
        except VoucherifyExportsError as error:
            self._outcomes[export_id] = error
            display.give_up(export_id, ExitCode.from_error(error).label)

    @property
    def pending(self) -> list[str]:
        """The ids without an outcome yet."""
        return [export_id for export_id in self.export_ids if export_id not in self._outcomes]

    @property
    def urls(self) -> list[str]:
        """The result URLs of the exports that are DONE, in the order of the ids."""
        outcomes = (self._outcomes.get(export_id) for export_id in self.export_ids)
        return [export.result_url for export in outcomes if isinstance(export, Export) and export.result_url]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The outcomes in the order of the ids: the JSON of the API, or the id and the error."""
        outcomes = ((each, self._outcomes[each]) for each in self.export_ids if each in self._outcomes)
        return [
            outcome.to_dict() if isinstance(outcome, Export) else {"id": each, "error": str(outcome)}
            for each, outcome in outcomes
        ]

    @property
    def errors(self) -> Iterable[VoucherifyExportsError]:
        """One error for each export that failed, and one for all that failed for a reason of the project."""
        errors: dict[object, VoucherifyExportsError] = {}
        for export_id, outcome in self._outcomes.items():
            if isinstance(outcome, VoucherifyExportsError):
                key = type(outcome) if isinstance(outcome, _PROJECT_ERRORS) else export_id
                errors.setdefault(key, outcome)
        return errors.values()

    @property
    def exit_code(self) -> ExitCode:
        """The highest exit code of the outcomes."""
        return max(map(ExitCode.from_error, self.errors), default=ExitCode.DONE)


@connects
def wait(
    connection: Connection,
    export_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="The ids of the exports; by default read from stdin."),
    ] = None,
    timeout: Timeout = 1800.0,
    interval: Interval = None,
    as_json: AsJsonLines = False,
) -> None:
    """Wait until exports are finished, and print their result URLs.

    The URLs go to stdout, in the order of the ids, everything else to stderr.
    Anyone who has a result URL can download the file.
    If several exports fail, the exit code is the highest of theirs.
    """
    wait_run = WaitRun(export_ids or _ids_from_stdin())
    try:
        asyncio.run(_wait(connection, wait_run, timeout, poll_policy(interval)))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(wait_interrupted(wait_run.pending, connection.options)) from None
    finally:
        print_results(map(json.dumps, wait_run.documents) if as_json else wait_run.urls)
        for error in wait_run.errors:
            print_error(error)
    raise typer.Exit(wait_run.exit_code)


def _ids_from_stdin() -> list[str]:
    ids = [] if sys.stdin.isatty() else sys.stdin.read().split()
    if not ids:
        raise typer.BadParameter("give at least one id", param_hint="ID")
    return ids


async def _wait(connection: Connection, wait_run: WaitRun, timeout: float, poll: PollPolicy | None) -> None:
    async with connection.open() as (client, reporter):
        view = StatusView(wait_run.export_ids, summary=lambda: reporter.summary)
        await wait_run.run(client, StatusDisplay(view, connection.console), timeout, poll)
