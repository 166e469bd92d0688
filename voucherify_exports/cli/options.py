"""The arguments and options that several commands share, and what a shell completes for them."""

import math
import os
from typing import Annotated

import typer

from .. import ExportOptions
from ..catalog import CATALOG
from ..filters import Filters
from ..models import ExportStatus
from ..polling import PollPolicy


def poll_policy(interval: float | None) -> PollPolicy | None:
    """The policy that polls at this interval; `None` for the client's own."""
    return None if interval is None else PollPolicy(initial=interval, factor=1, max=interval, jitter=0)


class CreateOptions(ExportOptions):
    """The options of `ExportsClient.create_export` that the commands offer."""

    campaign_id: str | None


def create_options(
    fields: list[str] | None,
    order: str | None,
    filters: Filters | None,
    campaign_id: str | None,
    *,
    unchecked: bool,
) -> CreateOptions:
    """The options of `create_export` for those of a command."""
    return {
        "fields": fields or None,
        "order": order,
        "filters": filters,
        "campaign_id": campaign_id,
        "check_catalog": not unchecked,
    }


def complete_object(incomplete: str) -> list[str]:
    """The names of exported objects that start with what was typed."""
    return [name for name in CATALOG if name.startswith(incomplete)]


def complete_field(incomplete: str) -> list[str]:
    """The fields, of the object that the command line names, that start with what was typed."""
    # Typer does not parse the words before an incomplete value; bash passes them in COMP_WORDS.
    words = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    entry = next((CATALOG[word] for word in words.split() if word in CATALOG), None)
    fields = entry.fields if entry else ()
    return [field.name for field in fields if field.selectable and field.name.startswith(incomplete)]


def complete_status(incomplete: str) -> list[str]:
    """The statuses that start with what was typed."""
    return [status for status in ExportStatus if status.startswith(incomplete)]


ExportedObject = Annotated[
    str,
    typer.Argument(
        metavar="OBJECT",
        help="The object to export, such as voucher; see the command objects.",
        autocompletion=complete_object,
    ),
]
ExportId = Annotated[str, typer.Argument(metavar="ID", help="The export's id, such as exp_….")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME",
        help="A field to export; repeatable. By default, Voucherify chooses the fields.",
        autocompletion=complete_field,
    ),
]
Order = Annotated[
    str | None, typer.Option(metavar="NAME", help="The field to sort by; -NAME for descending order.")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition for rows, such as 'created_at after 2026-01-01'; repeatable.",
    ),
]
IsAny = Annotated[bool, typer.Option("--any", help="Export rows that meet any condition, instead of all.")]
Unchecked = Annotated[
    bool, typer.Option("--unchecked", help="Do not check fields, order and conditions before sending.")
]
Campaign = Annotated[
    str | None, typer.Option(metavar="ID", help="Export only what belongs to this campaign.")
]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="The longest wait, in seconds.")]


def _check_interval(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < math.inf:  # NaN neither
        raise typer.BadParameter(f"{seconds:g} is not a number of seconds above 0")
    return seconds


Interval = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        callback=_check_interval,
        help="Poll each export every SECONDS seconds, instead of after 2, 4, 8 … and at most 60.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print each export as a line of JSON.")]
