"""The results of a gather as one table in Jupyter: `%load_ext voucherify_exports`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from .client import WaitOutcome
from .errors import ExportFailedError, VoucherifyExportsError
from .models import Export, cells_of, html_table

_SHOWN = 100  # rows

_Item: TypeAlias = "Export | WaitOutcome | BaseException"


class Shell(Protocol):
    """The part of IPython's shell that is used."""

    display_formatter: Any


def register(shell: Shell) -> None:
    """Show lists of exports, outcomes and errors as tables; other lists stay as they are."""
    shell.display_formatter.formatters["text/html"].for_type(list, html_of)


def unregister(shell: Shell) -> None:
    """Show lists as usual again."""
    shell.display_formatter.formatters["text/html"].pop(list, None)


def html_of(items: Sequence[object]) -> str | None:
    """A table of exports, outcomes and errors, or `None` for a list of anything else."""
    shown = [item for item in items if isinstance(item, Export | WaitOutcome | BaseException)]
    is_ours = any(isinstance(item, Export | WaitOutcome | VoucherifyExportsError) for item in shown)
    if not is_ours or len(shown) < len(items):
        return None
    cells = [_cells(item) for item in shown]
    counts = Counter(status for _, _, status, *_ in cells)
    caption = f"{len(cells)} exports: {', '.join(f'{count} {name}' for name, count in counts.most_common())}"
    more = [(f"… and {len(cells) - _SHOWN} more", "", "", "", "")] if len(cells) > _SHOWN else []
    return html_table([*cells[:_SHOWN], *more], last_heading="file or error", caption=caption)


def _cells(item: _Item) -> tuple[str, ...]:
    if isinstance(item, WaitOutcome):
        known = item.export or item.error
        return (item.export_id, *_cells(known)[1:]) if known else (item.export_id, "", "", "", "")
    if isinstance(item, ExportFailedError):
        return cells_of(item.export)
    if isinstance(item, Export):
        return cells_of(item)
    # The message of an error from elsewhere may contain anything.
    message = str(item) if isinstance(item, VoucherifyExportsError) else ""
    export_id = getattr(item, "export_id", None) or getattr(item, "resource_id", None)
    return (export_id or "", "", type(item).__name__, "", message)
