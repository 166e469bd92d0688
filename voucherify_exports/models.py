"""What Voucherify returns, as frozen attrs classes.

The API may add to its objects at any time: unknown properties are kept in `extra`, and unknown values
become members of the open enums.
Source of the shapes: Voucherify API reference, "Export object".
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Self, TypeAlias, cast

from attrs import field, fields, frozen
from attrs.converters import optional
from cattrs import Converter, transform_error
from cattrs.errors import ClassValidationError
from cattrs.gen import make_dict_structure_fn, override

from ._ground.redact import hide_queries

JSONObject: TypeAlias = Mapping[str, Any]
"""An object of the API's JSON, as `json.loads` returns it."""

_logger = logging.getLogger("voucherify_exports")


class _OpenEnum(StrEnum):
    """A string enum that accepts unknown values, and logs a warning once for each."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        # Registered, so that the same value is always the same member, also after unpickling.
        cls._value2member_map_[value] = member
        _logger.warning("Voucherify sent an unknown %s: %.60r", cls.__name__, value)
        return member


class ExportStatus(_OpenEnum):
    """The state of an export; an unknown value counts as unfinished."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    ERROR = "ERROR"


class ExportedObject(_OpenEnum):
    """The kind of records in an export."""

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
    """The same as the class, but three times as fast for known values."""
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
    """Thousands of exports have the same value: keep it in memory once."""
    return sys.intern(str(text))


def _empty() -> dict[str, Any]:
    """A dict, ten times as fast as `dict[str, Any]()`."""
    return {}


def _show_url(url: str) -> str:
    return repr(hide_queries(url))


def _show_result(result: "ExportResult | None") -> str:
    return "ExportResult(…)" if result else "None"


@frozen
class ExportResult:
    """Where the file of a finished export is.

    Keep the URL secret like a password: its query contains a download token. No repr shows it.
    """

    url: str = field(repr=_show_url)
    extra: JSONObject = field(factory=_empty, repr=False, hash=False)


@frozen(kw_only=True)
class ExportParameters:
    """The parameters that an export was created with, as Voucherify returns them; `None` where not given."""

    order: str | None = None
    fields: tuple[str, ...] | None = None
    filters: JSONObject | None = field(default=None, hash=False, repr=False)
    campaign_id: str | None = None
    extra: JSONObject = field(factory=_empty, hash=False, repr=False)


@frozen(kw_only=True)
class Export:
    """An export as it was in one response of the API.

    Two exports are equal if all their properties are; the hash is of `id` and `status`. `created_at` is
    aware and in UTC. `extra` contains the unknown properties.
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
    # The text of the time, where it is not in the usual format, such as without milliseconds.
    _created_at_text: str | None = field(
        default=None, alias="created_at_text", repr=False, eq=False, hash=False
    )

    @property
    def result_url(self) -> str | None:
        """The URL of the file, or `None` while there is no file. It contains a secret: do not log it."""
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
        """Whether the export is DONE or ended in ERROR; false for an unknown status."""
        return self.is_done or self.is_failed

    def _repr_html_(self) -> str:
        """The export in a notebook."""
        return html_table([cells_of(self)])

    @classmethod
    def from_dict(cls, wire: JSONObject) -> Self:
        """An export from the API's JSON form.

        Raises `ValueError` with the path of each property that is missing or has the wrong type.
        """
        try:
            return cls._from_object(_object(wire))
        except (KeyError, TypeError, ValueError):
            problems = _problems_of(wire)
        # Outside the handler, so that the traceback shows only this error.
        raise ValueError("; ".join(problems))

    @classmethod
    def _from_object(cls, wire: JSONObject) -> Self:
        """By hand: for every response, a converter of cattrs would take half as long again."""
        unknown = {**wire}
        take = unknown.pop
        created_at, result, parameters = take("created_at"), take("result", None), take("parameters", None)
        return cls(
            id=_text(take("id")),
            # The converters of these two refuse what is not a string, as `_parse_time` does.
            status=take("status"),
            exported_object=take("exported_object"),
            created_at=_parse_time(created_at),
            result=None if result is None else _result_from(_object(result)),
            object=_text(take("object", "export")),
            channel=_text_or_none(take("channel", None)),
            parameters=None if parameters is None else _parameters_from(_object(parameters)),
            user_id=_text_or_none(take("user_id", None)),
            extra=unknown or {},  # the dict that was emptied is larger
            created_at_text=None if _USUAL_TIME.fullmatch(created_at) else created_at,
        )

    def to_dict(self) -> dict[str, Any]:
        """The API's JSON form, with unknown properties; optional properties that are `None` are left out."""
        wire: dict[str, Any] = _converter().unstructure(self)
        text = self._created_at_text
        if text and _parse_time(text) == self.created_at:
            wire["created_at"] = text
        return wire


def html_table(rows: Sequence[Sequence[str]], *, last_heading: str = "file", caption: str = "") -> str:
    """The rows that `cells_of` returns as an HTML table; `last_heading` is that of the last column."""
    from ._ground.html import table  # most programs show no HTML

    return table(("id", "object", "status", "created at", last_heading), rows, caption)


def cells_of(export: Export) -> tuple[str, ...]:
    """The id, object, status and time of an export, and whether it has a file. Its URL is secret."""
    created_at = f"{export.created_at:%Y-%m-%d %H:%M:%S} UTC"
    is_ready = "ready" if export.result_url else ""
    return (export.id, str(export.exported_object), str(export.status), created_at, is_ready)


@frozen(kw_only=True)
class ExportPage:
    """One page of the list of exports, and the total number of exports."""

    exports: tuple[Export, ...]
    total: int


@frozen(kw_only=True)
class RateLimit:
    """The rate-limit headers of a response; `None` for a missing header.

    `limit` and `remaining` are numbers of requests, `resets_at` is aware and in UTC, and `kind` is what the
    limit counts.
    Source: Voucherify, "API limits".
    """

    limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    kind: str | None = None


def _result_from(wire: JSONObject) -> ExportResult:
    unknown = {**wire}
    return ExportResult(_text(unknown.pop("url")), unknown or {})


def _parameters_from(wire: JSONObject) -> ExportParameters:
    unknown = {**wire}
    take = unknown.pop
    names, filters = take("fields", None), take("filters", None)
    return ExportParameters(
        order=_text_or_none(take("order", None)),
        fields=None if names is None else _texts_from(names),
        filters=None if filters is None else _object(filters),
        campaign_id=_text_or_none(take("campaign_id", None)),
        extra=unknown or {},
    )


def _texts_from(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _mismatch("a list", value)
    items = tuple(cast("list[object]", value))
    try:
        return _texts(items)
    except TypeError:  # for an item without a hash: name its type
        return tuple([_text(item) for item in items])


@lru_cache(maxsize=1024)
def _texts(items: tuple[object, ...]) -> tuple[str, ...]:
    """Thousands of exports have the same few lists of fields: check and keep each once."""
    return tuple([_text(item) for item in items])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _mismatch("a string", value)


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise _mismatch("an object", value)


def _mismatch(expected: str, value: object) -> TypeError:
    return TypeError(f"expected {expected}, got {type(value).__name__}")


def _problems_of(wire: object) -> list[str]:
    """What is wrong with the JSON form of an export, and where."""
    problems: list[str] = []
    try:
        _converter().structure(wire, Export)
    except ClassValidationError as error:
        problems = transform_error(error, path=Export.__name__, format_exception=_describe)
    except TypeError as error:
        problems = [f"{error} @ {Export.__name__}"]
    return problems


def _describe(error: BaseException, _type: type | None) -> str:
    return "required property missing" if isinstance(error, KeyError) else str(error)


@cache  # made on first use: most programs need none
def _converter() -> Converter:
    """Explains what is wrong with an export, and writes the JSON form."""
    converter = Converter()
    converter.register_structure_hook(str, _hook(_text))
    converter.register_structure_hook(datetime, _hook(lambda value: _parse_time(_text(value))))
    converter.register_structure_hook(tuple[str, ...] | None, _hook(_or_none(_texts_from)))
    converter.register_structure_hook(JSONObject | None, _hook(_or_none(_object)))
    for enum in (ExportStatus, ExportedObject):  # the converters of the fields make the members
        converter.register_structure_hook(enum, _hook(_text))
    converter.register_unstructure_hook(datetime, _format_time)
    converter.register_unstructure_hook(tuple, list)
    for model in (ExportResult, ExportParameters, Export):  # the inner ones first
        converter.register_structure_hook(model, _structure_model(converter, model))
        converter.register_unstructure_hook(model, _unstructure_model(converter, model))
    return converter


def _hook(structure: Callable[[Any], object]) -> Callable[[Any, Any], Any]:
    return lambda value, _type: structure(value)


def _or_none(structure: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else structure(value)


def _structure_model(converter: Converter, model: type[Any]) -> Callable[[Any, Any], Any]:
    """Structure the known properties of an object."""
    omitted = override(omit=True)
    build = make_dict_structure_fn(model, converter, extra=omitted, _created_at_text=omitted)
    return lambda value, kind: build(_object(value), kind)


def _unstructure_model(converter: Converter, model: type) -> Callable[[Any], dict[str, Any]]:
    """All properties, but one that is `None` only if the API always sends it."""
    names = [attribute.name for attribute in fields(model)]
    known = [name for name in names if name not in {"extra", "_created_at_text"}]

    def unstructure_model(value: Any) -> dict[str, Any]:
        wire = {name: converter.unstructure(getattr(value, name)) for name in known}
        shown = {name: wire[name] for name in known if wire[name] is not None or name in _ALWAYS_SENT}
        return {**shown, **converter.unstructure(value.extra)}

    return unstructure_model


_ALWAYS_SENT = {"object", "result", "user_id"}
