"""The exports that exist, with a status that follows from the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import define, field
from attrs.validators import ge, in_, instance_of, le

from .._data.content import FileContent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._data.world import World
    from .._http.result_files import ResultFile

Outcome: TypeAlias = Literal["DONE", "ERROR"]
"""How an export ends."""

Seconds: TypeAlias = float | tuple[float, float]
"""So many seconds, or a number of them drawn from a range."""


MOST_ROWS = 2**32
"""What the data can tell apart."""


@define(kw_only=True)
class StoredExport:
    """One export; times are epoch seconds, `within` are filters that hold beside those of the parameters."""

    id: str
    exported_object: str
    parameters: Mapping[str, Any]
    within: Mapping[str, object]
    rows: int = field(validator=[instance_of(int), ge(0), le(MOST_ROWS)])
    outcome: Outcome = field(validator=in_(("DONE", "ERROR")))
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
        """End it, unless it has ended before; the outcome is the given one in any case."""
        self.outcome, self.ends_at = outcome, min(self.ends_at, now)

    def content(self, world: World) -> FileContent:
        """Return what its file is made of."""
        return FileContent.from_parameters(
            world, self.rows, self.exported_object, self.parameters, self.within
        )

    def wire(self, now: float, file_url: str) -> dict[str, object]:
        """Return the export as the API shows it at a time."""
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
    """All exports, by id, in the order in which they were added."""

    _by_id: dict[str, StoredExport] = field(factory=dict[str, StoredExport])

    def __iter__(self) -> Iterator[StoredExport]:
        return iter(self._by_id.values())

    def total(self, now: float) -> int:
        """Return how many there are at a time."""
        return sum(export.added_at <= now for export in self._by_id.values())

    def add(self, export: StoredExport) -> None:
        """Add one under an id of its own, which a path can hold."""
        if export.id in ("", ".", ".."):
            msg = f"{export.id!r} cannot be an id"
            raise ValueError(msg)
        if export.id in self._by_id:
            msg = f"an export with id {export.id} exists already"
            raise ValueError(msg)
        self._by_id[export.id] = export

    def find(self, export_id: str) -> StoredExport | None:
        """Return the export with an id, or None."""
        return self._by_id.get(export_id)

    def remove(self, export: StoredExport) -> None:
        """Remove one."""
        del self._by_id[export.id]

    def clear(self) -> None:
        """Remove them all."""
        self._by_id.clear()

    def page(self, order: str, number: int, size: int, now: float) -> list[StoredExport]:
        """Return one page of the list at a time, counted from 1.

        Equals stand in the order in which they were added.
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
