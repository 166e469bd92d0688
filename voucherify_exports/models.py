"""What Voucherify answers with, as frozen attrs classes.

The API only ever grows: properties that this version does not know are kept in `extra`, and values
that it does not know become members of the open enums.
Source of the shapes: Voucherify API reference, "Export object".
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self, TypeAlias, TypeVar

from attrs import evolve, field, fields, frozen
from attrs.converters import optional
from cattrs import Converter, transform_error
from cattrs.errors import ClassValidationError
from cattrs.gen import make_dict_structure_fn, override

from ._ground.html import table
from ._ground.redact import hide_queries

JSONObject: TypeAlias = Mapping[str, Any]

_logger = logging.getLogger("voucherify_exports")


class _OpenEnum(StrEnum):
    """A string enum that takes values it does not know, and says so once for each."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        # Registered, so that the same value is the same member from now on, also after unpickling.
        cls._value2member_map_[value] = member
        _logger.warning("Voucherify sent %s %.60r, which this version does not know", cls.__name__, value)
        return member


class ExportStatus(_OpenEnum):
    """Where an export is on its way; an unknown value counts as unfinished."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    ERROR = "ERROR"


class ExportedObject(_OpenEnum):
    """What an export is made of."""

    VOUCHER = "voucher"
    REDEMPTION = "redemption"
    PUBLICATION = "publication"
    CUSTOMER = "customer"
    ORDER = "order"
    POINTS_EXPIRATION = "points_expiration"
    VOUCHER_TRANSACTIONS = "voucher_transactions"
    PRODUCT = "product"
    SKU = "sku"
    API_LOG = "api_log"


_STATUSES = {str(status): status for status in ExportStatus}
_EXPORTED_OBJECTS = {str(kind): kind for kind in ExportedObject}


def _status(value: str) -> ExportStatus:
    """As the class itself does; for the values that it knows, in a third of the time."""
    return _STATUSES.get(value) or ExportStatus(value)


def _exported_object(value: str) -> ExportedObject:
    return _EXPORTED_OBJECTS.get(value) or ExportedObject(value)


_USUAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected an ISO 8601 time") from None


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _intern(text: str) -> str:
    """Thousands of exports say the same: keep it in memory once."""
    return sys.intern(str(text))


def _empty() -> dict[str, Any]:
    """A dict, made in a tenth of the time that `dict[str, Any]()` takes."""
    return {}


def _show_url(url: str) -> str:
    return repr(hide_queries(url))


def _show_result(result: "ExportResult | None") -> str:
    return "ExportResult(…)" if result else "None"


@frozen
class ExportResult:
    """Where the file of a finished export is.

    The URL is as good as a password: its query holds a download token, which no repr shows.
    """

    url: str = field(repr=_show_url)
    extra: JSONObject = field(factory=_empty, repr=False, hash=False)


@frozen(kw_only=True)
class ExportParameters:
    """What an export was asked for, as Voucherify echoes it; `None` is what was not given."""

    order: str | None = None
    fields: tuple[str, ...] | None = None
    filters: JSONObject | None = field(default=None, hash=False, repr=False)
    campaign_id: str | None = None
    extra: JSONObject = field(factory=_empty, hash=False, repr=False)


@frozen(kw_only=True)
class Export:
    """One export, as one answer of the API showed it.

    Two exports are equal when all their properties are; the hash is of `id` and `status`.
    `created_at` is aware and in UTC. `extra` holds the properties that this version does not know.
    """

    id: str
    status: ExportStatus = field(converter=_status, repr=str)
    exported_object: ExportedObject = field(converter=_exported_object, repr=str, hash=False)
    created_at: datetime = field(repr=str, hash=False)
    result: ExportResult | None = field(default=None, hash=False, repr=_show_result)
    object: str = field(default="export", converter=_intern, repr=False, hash=False)
    channel: str | None = field(default=None, converter=optional(_intern), repr=False, hash=False)
    parameters: ExportParameters | None = field(default=None, repr=False, hash=False)
    user_id: str | None = field(default=None, repr=False, hash=False)
    extra: JSONObject = field(factory=_empty, repr=False, hash=False)
    # How the time was written where that is not the usual way, such as without milliseconds.
    _created_at_text: str | None = field(default=None, repr=False, eq=False, hash=False)

    @property
    def result_url(self) -> str | None:
        """The URL of the file, `None` before there is one. It holds a secret: do not log it."""
        return self.result.url if self.result else None

    @property
    def is_done(self) -> bool:
        """Whether the export ended well."""
        return self.status is ExportStatus.DONE

    @property
    def is_failed(self) -> bool:
        """Whether the export ended in ERROR."""
        return self.status is ExportStatus.ERROR

    @property
    def is_finished(self) -> bool:
        """Whether the export ended, well or not; never so with a status that is not known."""
        return self.is_done or self.is_failed

    def _repr_html_(self) -> str:
        """The export in a notebook."""
        return html_table([cells_of(self)])

    @classmethod
    def from_dict(cls, wire: JSONObject) -> Self:
        """The export in an object of the API's JSON.

        Raises `ValueError` with the path of each property that is missing or of the wrong kind.
        """
        export = structure(wire, cls)
        text = wire["created_at"]
        return export if _USUAL_TIME.fullmatch(text) else evolve(export, created_at_text=text)

    def to_dict(self) -> dict[str, Any]:
        """The API's JSON form again, unknown properties included; optional ones that are `None` left out."""
        wire: dict[str, Any] = _converter.unstructure(self)
        text = self._created_at_text
        if text and _parse_time(text) == self.created_at:
            wire["created_at"] = text
        return wire


def html_table(rows: Sequence[Sequence[str]], *, last: str = "file", caption: str = "") -> str:
    """Exports, each a row as `cells_of` makes it, as notebooks show them; `last` heads the last column."""
    return table(("id", "object", "status", "created at", last), rows, caption)


def cells_of(export: Export) -> tuple[str, ...]:
    """The id, object, status and time of an export, and whether it has a file: its URL is a secret."""
    created_at = f"{export.created_at:%Y-%m-%d %H:%M:%S} UTC"
    is_ready = "ready" if export.result_url else ""
    return (export.id, str(export.exported_object), str(export.status), created_at, is_ready)


@frozen(kw_only=True)
class ExportPage:
    """One page of the list of exports, and how many exports there are in all."""

    exports: tuple[Export, ...]
    total: int


@frozen(kw_only=True)
class RateLimit:
    """What the rate-limit headers of an answer said; `None` for a header that was missing.

    `limit` and `remaining` are requests, `resets_at` is aware and in UTC, `kind` says what is counted.
    Source: Voucherify, "API limits".
    """

    limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    kind: str | None = None


_Model = TypeVar("_Model")


def structure(wire: object, model: type[_Model]) -> _Model:
    """A model from its JSON form; `ValueError` says which property is wrong, and how."""
    try:
        return _converter.structure(wire, model)
    except (KeyError, TypeError, ValueError):
        return _structure_or_explain(wire, model)


def _structure_or_explain(wire: object, model: type[_Model]) -> _Model:
    """Do it again with the converter that keeps track of where it is, which takes longer."""
    try:
        return _explaining_converter.structure(wire, model)
    except ClassValidationError as error:
        problems = transform_error(error, path=model.__name__, format_exception=_describe)
    except (TypeError, ValueError) as error:
        problems = [f"{error} @ {model.__name__}"]
    # Outside the handlers: cattrs' own groups would show in the traceback and help nobody.
    raise ValueError("; ".join(problems))


def _describe(error: BaseException, _type: type | None) -> str:
    return "required property missing" if isinstance(error, KeyError) else str(error)


def _expect(kind: type, name: str) -> Callable[[Any, Any], Any]:
    def check(value: Any, _type: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"expected {name}, got {type(value).__name__}")
        return value

    return check


_structure_text = _expect(str, "a string")
_structure_list = _expect(list, "a list")
_structure_object = _expect(dict, "an object")


def _or_none(structure: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For what may be `None`: the hook that cattrs has for it looks up the other one each time."""
    return lambda value, kind: None if value is None else structure(value, kind)


def _structure_texts(value: Any, _type: Any) -> tuple[str, ...]:
    items = tuple(_structure_list(value, list))
    try:
        return _texts(items)
    except TypeError:  # perhaps for an item that has no hash: say what it is
        return tuple([_structure_text(item, str) for item in items])


@lru_cache(maxsize=1024)
def _texts(items: tuple[Any, ...]) -> tuple[str, ...]:
    """Thousands of exports have the same few lists of fields: check and keep each once."""
    return tuple([_structure_text(item, str) for item in items])


def _structure_model(converter: Converter, model: type[_Model]) -> Callable[[Any, Any], _Model]:
    """Structure the known properties, and gather the others in `extra`."""
    build = make_dict_structure_fn(model, converter, _created_at_text=override(omit=True))
    known = set(_wire_names(model))

    def structure_model(value: Any, _type: Any) -> _Model:
        wire = _structure_object(value, dict)
        if not wire.keys() <= known:
            wire = {**wire, "extra": {name: wire[name] for name in wire if name not in known}}
        return build(wire, model)

    return structure_model


def _unstructure_model(converter: Converter, model: type) -> Callable[[Any], dict[str, Any]]:
    """The inverse: what is `None` is left out, but where the API always sends the property."""
    names = _wire_names(model)

    def unstructure_model(value: Any) -> dict[str, Any]:
        wire = {name: converter.unstructure(getattr(value, name)) for name in names}
        shown = {name: wire[name] for name in names if wire[name] is not None or name in _ALWAYS_SENT}
        return {**shown, **converter.unstructure(value.extra)}

    return unstructure_model


_ALWAYS_SENT = {"object", "result", "user_id"}


def _wire_names(model: type) -> list[str]:
    names = [attribute.name for attribute in fields(model)]
    return [name for name in names if name not in {"extra", "_created_at_text"}]


def _make_converter(*, explaining: bool) -> Converter:
    converter = Converter(detailed_validation=explaining)
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(datetime, lambda value, _: _parse_time(_structure_text(value, str)))
    converter.register_structure_hook_func(lambda kind: kind == JSONObject, _structure_object)
    converter.register_structure_hook(str | None, _or_none(_structure_text))
    converter.register_structure_hook(tuple[str, ...] | None, _or_none(_structure_texts))
    converter.register_structure_hook(JSONObject | None, _or_none(_structure_object))
    for enum in (ExportStatus, ExportedObject):  # which the class converts by itself
        converter.register_structure_hook(enum, _structure_text)
    converter.register_unstructure_hook(datetime, _format_time)
    converter.register_unstructure_hook(tuple, list)
    for model in (ExportResult, ExportParameters, Export):  # the inner ones first
        structure_model = _structure_model(converter, model)
        converter.register_structure_hook(model, structure_model)
        converter.register_structure_hook(model | None, _or_none(structure_model))
        converter.register_unstructure_hook(model, _unstructure_model(converter, model))
    return converter


_converter = _make_converter(explaining=False)
_explaining_converter = _make_converter(explaining=True)
