"""`wait`: many exports to their end, whatever becomes of each."""

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

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
from .exit_codes import ExitCode
from .status_display import Progress

_OF_THE_PROJECT = (AuthenticationError, PermissionDeniedError, PlanLimitError, RateLimitedError)
_MOST_IDS_NAMED = 10


class Wait:
    """One run of `wait`: what became of each export so far."""

    def __init__(self, export_ids: Sequence[str]) -> None:
        self.export_ids = list(dict.fromkeys(export_ids))
        self._outcomes: dict[str, Export | VoucherifyExportsError] = {}

    async def run(self, client: ExportsClient, progress: Progress, timeout: float) -> None:
        """Wait for all; raises `ConfigurationError` for an id or a timeout that cannot be right."""
        try:
            async with progress, asyncio.TaskGroup() as waits:
                for export_id in self.export_ids:
                    waits.create_task(self._wait_for(client, progress, export_id, timeout))
        except ExceptionGroup as refused:
            raise refused.exceptions[0] from None

    async def _wait_for(
        self, client: ExportsClient, progress: Progress, export_id: str, timeout: float
    ) -> None:
        try:
            self._outcomes[export_id] = await client.wait_until_done(
                export_id, timeout=timeout, on_update=progress.update
            )
        except ConfigurationError:
            raise
        except ExportFailedError as error:
            self._outcomes[export_id] = error  # the progress knows by its status
        except VoucherifyExportsError as error:
            self._outcomes[export_id] = error
            progress.give_up(export_id, ExitCode.from_error(error).label)

    @property
    def urls(self) -> list[str]:
        """The result URLs of what is DONE, in the order of the ids."""
        finished = (self._outcomes.get(export_id) for export_id in self.export_ids)
        return [export.result_url for export in finished if isinstance(export, Export) and export.result_url]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What became of each export: the JSON of the API, or the id and the error."""
        found = ((each, self._outcomes[each]) for each in self.export_ids if each in self._outcomes)
        return [
            outcome.to_dict() if isinstance(outcome, Export) else {"id": each, "error": str(outcome)}
            for each, outcome in found
        ]

    @property
    def errors(self) -> Iterable[VoucherifyExportsError]:
        """An error for each export that is not DONE; what is true of them all is said once."""
        errors: dict[object, VoucherifyExportsError] = {}
        for export_id, outcome in self._outcomes.items():
            if isinstance(outcome, VoucherifyExportsError):
                errors.setdefault(
                    type(outcome) if isinstance(outcome, _OF_THE_PROJECT) else export_id, outcome
                )
        return errors.values()

    @property
    def exit_code(self) -> int:
        """The worst outcome's, which is the highest."""
        return max(map(ExitCode.from_error, self.errors), default=ExitCode.DONE)

    def how_to_go_on(self, options: Iterable[str]) -> str:
        """What to say when the wait is interrupted."""
        pending = [export_id for export_id in self.export_ids if export_id not in self._outcomes]
        command = "run the same command"
        if len(pending) <= _MOST_IDS_NAMED:
            command = shlex.join(["voucherify-exports", "wait", *options, *pending])
        count = "1 export goes" if len(pending) == 1 else f"{len(pending):,} exports go"
        return f"Interrupted. {count} on at Voucherify; to wait again: {command}"
