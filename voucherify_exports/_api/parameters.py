"""What an export is to hold: checked, and as the API takes it."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ..catalog import check_parameters
from ..filters import Filters, filters_to_wire


class ExportOptions(TypedDict, total=False):
    """What any export can be created with; see `ExportsClient.create_export`."""

    fields: Iterable[str] | None
    order: str | None
    filters: Filters | Mapping[str, object] | None
    strict: bool


def payload_of(
    exported_object: str,
    *,
    fields: Iterable[str] | None = None,
    order: str | None = None,
    filters: Filters | Mapping[str, object] | None = None,
    campaign_id: str | None = None,
    strict: bool = True,
) -> dict[str, Any]:
    """The body that asks for an export: only what was given; `ValueError` for a slip."""
    if isinstance(fields, str):
        raise TypeError(f"fields are a list of names: write [{fields!r}]")
    given: dict[str, Any] = {
        "order": order,
        "fields": None if fields is None else [name_of(name, "a field") for name in fields],
        "filters": None if filters is None else filters_to_wire(filters),
        "campaign_id": campaign_id,
    }
    if strict:
        check_parameters(exported_object, **given)
    parameters = {name: value for name, value in given.items() if value is not None}
    return {"parameters": parameters} if parameters else {}


def name_of(value: object, what: str) -> str:
    """The name itself, also of a member of an enum."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is a str, not {type(value).__name__}")
    return str.__str__(value)
