"""From the status, headers and body of a response to a model or an error; no I/O.

Sources: Voucherify API reference, "Errors" and "API limits"; RFC 9110, "Retry-After" and "Date".
"""

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard
from urllib.parse import quote

from attrs import define, evolve, field, frozen

from .._ground.redact import Redactor
from ..errors import ApiError, ConfigurationError, InvalidResponseError, RateLimitedError
from ..models import Export, ExportPage, RateLimit

MAX_BODY = 16 * 1024 * 1024
"""The most bytes that a JSON response may have; a page of 100 exports has about 60 kB."""

_EXCERPT = 200
_LONGEST = 1e12  # seconds
# No response means a later time, in seconds: servers send epochs for seconds, and milliseconds for both.
_LONGEST_WINDOW = 3600.0 + 10  # an hour is the longest of all plans, and clocks differ a little
_LONGEST_REFUSAL = 31 * 86400.0  # a billing cycle
_ID_LENGTH = 256
_USUAL_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{_ID_LENGTH}}}")  # which a path can contain as it is
_FORBIDDEN = re.compile(r"[/?#\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and lone surrogates


@define  # making a frozen one takes three times as long
class Response:
    """An HTTP response to `request`, such as "GET /v1/exports/exp_1"; `received` is its Unix time."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


def export_path(export_id: object) -> str:
    """The path of one export; `TypeError` or `ConfigurationError` for an invalid id."""
    return f"/v1/exports/{quoted_id(export_id, 'an export id', 'exp_…')}"


def quoted_id(value: object, name: str, example: str) -> str:
    """An id, encoded for a path; `TypeError` or `ConfigurationError` for an invalid one."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if _USUAL_ID.fullmatch(value):
        return value
    if len(value) > _ID_LENGTH:
        raise ConfigurationError(f"{name} must have at most {_ID_LENGTH} characters, not {len(value)}")
    if value in {"", ".", ".."} or _FORBIDDEN.search(value):
        raise ConfigurationError(f"{value!r} is not {name}: expected something like {example!r}")
    return quote(value, safe="")


def export_from(response: Response, redact: Redactor, export_id: str | None = None) -> Export:
    """The export in a response; `InvalidResponseError` says what is wrong with it, and where.

    An export with another id than the requested `export_id` is wrong as well.
    """
    try:
        export = Export.from_dict(_json_from(response.body))
    except ValueError as error:
        problem = redact(str(error))
    else:
        if export_id in (None, export.id):
            return export
        problem = redact(f"it is the export {export.id!r}")
    raise invalid(response, problem, redact)


def page_from(response: Response, redact: Redactor) -> ExportPage:
    """The page of exports in a response, without the entries that are not exports."""
    try:
        wire = _json_from(response.body)
        if not _is_object(wire) or not isinstance(wire.get("exports"), list):
            raise ValueError("expected a list of exports")
    except ValueError as error:
        problem = redact(str(error))
    else:
        total = wire.get("total")
        exports = tuple(filter(None, map(_entry_from, wire["exports"])))
        return ExportPage(exports=exports, total=total if isinstance(total, int) else len(exports))
    raise invalid(response, problem, redact)


def _entry_from(wire: Any) -> Export | None:
    try:
        return Export.from_dict(wire)
    except ValueError:
        return None


def _json_from(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.removeprefix(BOM_UTF8).decode())
    except RecursionError:
        raise ValueError("the JSON of the body is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None


@frozen
class AccessToken:
    """A bearer token and its lifetime in seconds, infinity where the response names none."""

    token: str = field(repr=False)
    lifetime: float


def token_from(response: Response, redact: Redactor) -> AccessToken:
    """The token in the response to a request for one."""
    try:
        wire = _json_from(response.body)
    except ValueError:
        wire = None
    token = wire.get("access_token") if _is_object(wire) else None
    if not _is_object(wire) or not isinstance(token, str) or not _is_bearer_token(token):
        # Without an excerpt of the body, which may contain a token under another name.
        raise invalid(evolve(response, body=b""), "expected an access token", redact)
    return AccessToken(token, _lifetime(wire, response))


def _is_bearer_token(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _lifetime(wire: Mapping[str, Any], response: Response) -> float:
    """Seconds; `expires_in` comes first, since `expires_at` needs clocks that agree."""
    expires_in, expires_at = wire.get("expires_in"), wire.get("expires_at")
    if isinstance(expires_in, int | float):
        return _clamped(expires_in)
    return (
        max(0.0, _clamped(expires_at) - _server_time(response))
        if isinstance(expires_at, int | float)
        else math.inf
    )


def _clamped(seconds: float) -> float:
    """Within the range of a float: JSON has integers that are not."""
    return min(max(0.0, seconds), _LONGEST)


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def invalid(response: Response, problem: str, redact: Redactor) -> InvalidResponseError:
    """An `InvalidResponseError` for a response, with the beginning of its body."""
    # Redacted before it is cut: half a secret would not be found.
    text = redact(response.body[: 20 * _EXCERPT].decode("utf-8", "replace"))
    excerpt = text[:_EXCERPT]
    return InvalidResponseError(
        f"{response.request}: unexpected response with status {response.status}: {problem}."
        f" The body starts with {excerpt!r}",
        problem=problem,
        excerpt=excerpt,
    )


def error_from(response: Response, redact: Redactor, advice: str = "") -> ApiError | InvalidResponseError:
    """The error for a response whose status is not 2xx; `advice` is added for 408 and 5xx."""
    if not 400 <= response.status <= 599:
        host = response.headers.get("Location", "").partition("?")[0]
        target = f" to {redact(host)}" if host else ""
        return invalid(response, f"a redirect{target}, which is not followed; check base_url", redact)
    fields = _error_fields(response.body, redact)
    text = _error_text(response, fields, advice)
    kind = ApiError.for_status(response.status)
    if issubclass(kind, RateLimitedError):
        delay = retry_delay(response)
        retry_at = None if delay is None else moment(response.received + delay)
        return kind(text, status=response.status, retry_at=retry_at, **fields)
    return kind(text, status=response.status, **fields)


_ERROR_FIELDS = ("key", "message", "details", "request_id", "resource_id", "resource_type")


def _error_fields(body: bytes, redact: Redactor) -> dict[str, str | None]:
    """The properties of an error's body that are known; gateways may send HTML, or nothing."""
    try:
        wire = _json_from(body)
    except ValueError:
        wire = None
    found = wire if _is_object(wire) else {}
    return {name: redact(found[name]) if isinstance(found.get(name), str) else None for name in _ERROR_FIELDS}


_ADVICE = {
    401: "check the app id and token, and that the cluster is the project's",
    402: "the plan's quota is used up",
    403: "these credentials may not do this: check the project's keys and their scopes",
    404: "check the id, and that it belongs to this project",
    429: "all processes of this project together sent too many requests",
}


def _error_text(response: Response, fields: Mapping[str, str | None], server_advice: str) -> str:
    parts = [f"{response.request}: {response.status}", fields["key"], fields["message"], fields["details"]]
    text = " · ".join(part for part in parts if part)
    advice = _ADVICE.get(response.status, server_advice if response.status in {408, *range(500, 600)} else "")
    if advice:
        text += f" ({advice})"
    return f"{text} [request {fields['request_id']}]" if fields["request_id"] else text


Allowance: TypeAlias = tuple[int | None, int | None, float | None, str | None]


def allowance_from(response: Response) -> Allowance:
    """Limit, remaining, `reset_delay` and kind from the rate-limit headers of a response."""
    return (
        _number(response.headers.get("X-Rate-Limit-Limit")),
        _number(response.headers.get("X-Rate-Limit-Remaining")),
        reset_delay(response),
        response.headers.get("X-Rate-Limit-Type"),
    )


def rate_limit_from(response: Response, allowance: Allowance) -> RateLimit:
    """The same as a model, with the time of the reset by this machine's clock."""
    limit, remaining, reset_in, kind = allowance
    resets_at = None if reset_in is None else moment(response.received + reset_in)
    return RateLimit(limit=limit, remaining=remaining, resets_at=resets_at, kind=kind)


def reset_delay(response: Response) -> float | None:
    """Seconds from the response to the time in `X-Rate-Limit-Retry`; may be negative.

    `None` without it, or for a time that is too far away to be the end of any window.
    """
    epoch = _number(response.headers.get("X-Rate-Limit-Retry"))
    return None if epoch is None else _up_to(_LONGEST_WINDOW, epoch - _server_time(response))


def retry_delay(response: Response) -> float | None:
    """Seconds until a refused request is allowed again, `None` if no header names a future time."""
    retry_after = response.headers.get("Retry-After")
    seconds, date = _number(retry_after), http_date(retry_after)
    delay = seconds if date is None else date - _server_time(response)
    if delay is not None:
        delay = _up_to(_LONGEST_REFUSAL, delay)
    if delay is None:
        delay = reset_delay(response)
    return delay if delay is not None and delay > 0 else None


def _up_to(longest: float, delay: float) -> float | None:
    return delay if delay <= longest else None


def _server_time(response: Response) -> float:
    """The best estimate of the server's Unix time when it responded.

    `Date` has whole seconds. While it agrees with this machine's clock, that clock is the finer one.
    Otherwise the server's counts, since the times in its headers refer to it.
    """
    date = http_date(response.headers.get("Date"))
    if date is None or date <= response.received <= date + 1:
        return response.received
    return date


def moment(unix_time: float) -> datetime | None:
    """The aware UTC datetime of a Unix time, `None` beyond the year 9999."""
    try:
        return datetime.fromtimestamp(unix_time, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=16)  # many responses have the same second
def http_date(text: str | None) -> float | None:
    """The Unix time of a date in a header, `None` for a missing or invalid one."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None
