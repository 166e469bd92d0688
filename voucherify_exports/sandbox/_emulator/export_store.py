"""The exports of the project, whose status follows from the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import define, field

from .._data.content import FileContent
from .._data.validators import ROW_COUNT, must_be

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._data.world import World
    from .._http.result_files import ResultFile

Outcome: TypeAlias = Literal["DONE", "ERROR"]
"""How an export ends."""

Seconds: TypeAlias = float | tuple[float, float]
"""A number of seconds, or a range that it is drawn from."""


@define(kw_only=True)
class StoredExport:
    """One export. Times are in epoch seconds; `within` are filters in addition to those of the parameters."""

    id: str
    exported_object: str
    parameters: Mapping[str, Any]
    within: Mapping[str, object]
    rows: int = field(validator=ROW_COUNT)
    outcome: Outcome = field(validator=must_be("'DONE' or 'ERROR'", lambda value: value in ("DONE", "ERROR")))
    created_at: float
    added_at: float
    starts_at: float
    ends_at: float
    file: ResultFile | None = field(default=None, init=False)

    def status(self, now: float) -> str:
        """Return the status at a time."""
        if now >= self.ends_at:
            return self.outcome
        return "IN_PROGRESS" if now >= self.starts_at else "SCHEDULED"

    def finish(self, outcome: Outcome, now: float) -> None:
        """Finish it now, unless it has finished before; the outcome changes in both cases."""
        self.outcome, self.ends_at = outcome, min(self.ends_at, now)

    def content(self, world: World) -> FileContent:
        """Return the content of its file."""
        return FileContent.from_parameters(
            world, self.rows, self.exported_object, self.parameters, self.within
        )

    def wire(self, now: float, file_url: str) -> dict[str, object]:
        """Return the export as the API returns it at a time."""
        status = self.status(now)
        return {
            "id": self.id,
            "object": "export",
            "created_at": _wire_time(self.created_at),
            "status": status,
            "channel": "API",
            "exported_object": self.exported_object,
            "parameters": self.parameters,
            "result": {"url": file_url} if status == "DONE" else None,
            "user_id": None,
        }


@define
class ExportStore:
    """All exports by id, in the order in which they were added."""

    _by_id: dict[str, StoredExport] = field(factory=dict[str, StoredExport])

    def __iter__(self) -> Iterator[StoredExport]:
        return iter(self._by_id.values())

    def total(self, now: float) -> int:
        """Return the number of exports at a time."""
        return sum(export.added_at <= now for export in self._by_id.values())

    def add(self, export: StoredExport) -> None:
        """Add an export; raises ValueError when its id exists already or cannot be part of a path."""
        if export.id in ("", ".", ".."):
            msg = f"{export.id!r} cannot be the id of an export"
            raise ValueError(msg)
        if export.id in self._by_id:
            msg = f"an export with the id {export.id} exists already"
            raise ValueError(msg)
        self._by_id[export.id] = export

    def find(self, export_id: str) -> StoredExport | None:
        """Return the export with an id, or None."""
        return self._by_id.get(export_id)

    def remove(self, export: StoredExport) -> None:
        """Remove an export."""
        del self._by_id[export.id]

    def clear(self) -> None:
        """Remove all exports."""
        self._by_id.clear()

    def page(self, order: str, number: int, size: int, now: float) -> list[StoredExport]:
        """Return one page of the list at a time, counted from 1.

        Exports that compare equal are in the order in which they were added.
        """
        ordered = [export for export in self._by_id.values() if export.added_at <= now]
        if order.endswith("status"):
            ordered.sort(key=lambda export: export.status(now))
        else:
            ordered.sort(key=lambda export: export.created_at)
        if order.startswith("-"):
            ordered.reverse()
        return ordered[(number - 1) * size : number * size]


def _wire_time(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
