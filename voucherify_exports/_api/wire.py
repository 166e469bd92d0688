"""From an answer's status, headers and body to a model or an error; no I/O.

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
"""The most bytes that a JSON answer may have; a page of 100 exports has about 60 kB."""

_EXCERPT = 200
_LONGEST = 1e12  # seconds
_ID_LENGTH = 256
_USUAL_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{_ID_LENGTH}}}")  # which stands in a path as it is
_FORBIDDEN = re.compile(r"[/?#\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, half characters


@define  # a frozen one takes thrice as long to make
class Answer:
    """One HTTP answer: what was asked ("GET /v1/exports/exp_1"), and what came, at which Unix time."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


def export_path(export_id: object) -> str:
    """The path of one export; `TypeError` or `ConfigurationError` for what cannot be an id."""
    return f"/v1/exports/{quoted_id(export_id, 'an export id', 'exp_…')}"


def quoted_id(value: object, name: str, example: str) -> str:
    """An id as it stands in a path; `TypeError` or `ConfigurationError` for what cannot be one."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {type(value).__name__}")
    if _USUAL_ID.fullmatch(value):
        return value
    if len(value) > _ID_LENGTH:
        raise ConfigurationError(f"{name} has at most {_ID_LENGTH} characters, this one has {len(value)}")
    if value in {"", ".", ".."} or _FORBIDDEN.search(value):
        raise ConfigurationError(f"{value!r} cannot be {name}: expected something like {example!r}")
    return quote(value, safe="")


def export_from(answer: Answer, redact: Redactor) -> Export:
    """The export in an answer; `InvalidResponseError` says what is wrong with it, and where."""
    try:
        return Export.from_dict(_json_from(answer.body))
    except ValueError as error:
        problem = redact(str(error))
    raise invalid(answer, problem, redact)


def page_from(answer: Answer, redact: Redactor) -> ExportPage:
    """The page of exports in an answer; an entry that is no export is left out, and spoils only itself."""
    try:
        wire = _json_from(answer.body)
        if not _is_object(wire) or not isinstance(wire.get("exports"), list):
            raise ValueError("a list of exports was expected")
    except ValueError as error:
        problem = redact(str(error))
    else:
        total = wire.get("total")
        exports = tuple(filter(None, map(_entry_from, wire["exports"])))
        return ExportPage(exports=exports, total=total if isinstance(total, int) else len(exports))
    raise invalid(answer, problem, redact)


def _entry_from(wire: Any) -> Export | None:
    try:
        return Export.from_dict(wire)
    except ValueError:
        return None


def _json_from(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.removeprefix(BOM_UTF8).decode())
    except RecursionError:
        raise ValueError("the body is JSON nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None


@frozen
class AccessToken:
    """A bearer token and how many seconds it lasts, infinity where nothing says so."""

    token: str = field(repr=False)
    lifetime: float


def token_from(answer: Answer, redact: Redactor) -> AccessToken:
    """The token in the answer to a request for one."""
    try:
        wire = _json_from(answer.body)
    except ValueError:
        wire = None
    token = wire.get("access_token") if _is_object(wire) else None
    if not _is_object(wire) or not isinstance(token, str) or not _is_bearer_token(token):
        # Without an excerpt of the body: it may well hold a token, under whatever name.
        raise invalid(evolve(answer, body=b""), "an access token was expected", redact)
    return AccessToken(token, _lifetime(wire, answer))


def _is_bearer_token(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _lifetime(wire: Mapping[str, Any], answer: Answer) -> float:
    """Seconds; the span is preferred to the epoch, which needs clocks that agree."""
    lasts, ends = wire.get("expires_in"), wire.get("expires_at")
    if isinstance(lasts, int | float):
        return _clamped(lasts)
    return max(0.0, _clamped(ends) - _server_time(answer)) if isinstance(ends, int | float) else math.inf


def _clamped(seconds: float) -> float:
    """A number that can be reckoned with: JSON has integers that no float holds."""
    return min(max(0.0, seconds), _LONGEST)


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def invalid(answer: Answer, problem: str, redact: Redactor) -> InvalidResponseError:
    """An `InvalidResponseError` about an answer, with the beginning of its body."""
    # Redacted before it is cut: half a secret is not recognised.
    text = redact(answer.body[: 20 * _EXCERPT].decode("utf-8", "replace"))
    excerpt = text[:_EXCERPT]
    return InvalidResponseError(
        f"{answer.request}: answer {answer.status} is not as expected: {problem}. It begins: {excerpt!r}",
        problem=problem,
        excerpt=excerpt,
    )


def error_from(answer: Answer, redact: Redactor, advice: str = "") -> ApiError | InvalidResponseError:
    """The error for an answer whose status is not 2xx; `advice` goes with 408 and 5xx."""
    if not 400 <= answer.status <= 599:
        host = answer.headers.get("Location", "").partition("?")[0]
        target = f" to {redact(host)}" if host else ""
        return invalid(answer, f"a redirect{target}, which is not followed: check base_url", redact)
    said = _error_body(answer.body, redact)
    error = ApiError.for_status(answer.status)(
        _error_text(answer, said, advice), status=answer.status, **said
    )
    if isinstance(error, RateLimitedError):
        delay = retry_delay(answer)
        error.retry_at = None if delay is None else moment(answer.received + delay)
    return error


_SAID = ("key", "message", "details", "request_id", "resource_id", "resource_type")


def _error_body(body: bytes, redact: Redactor) -> dict[str, str | None]:
    """What an error's body says of itself: gateways in between may send HTML, or nothing."""
    try:
        wire = _json_from(body)
    except ValueError:
        wire = None
    said = wire if _is_object(wire) else {}
    return {name: redact(said[name]) if isinstance(said.get(name), str) else None for name in _SAID}


_ADVICE = {
    401: "check the app id and token, and that the cluster is the project's",
    402: "the plan's quota is used up",
    403: "these credentials may not do this: check the project's keys and their scopes",
    404: "check the id, and that it belongs to this project",
    429: "too many requests from this project, all its processes counted",
}


def _error_text(answer: Answer, said: Mapping[str, str | None], server_advice: str) -> str:
    parts = [f"{answer.request}: {answer.status}", said["key"], said["message"], said["details"]]
    text = " · ".join(part for part in parts if part)
    advice = _ADVICE.get(answer.status, server_advice if answer.status in {408, *range(500, 600)} else "")
    if advice:
        text += f" ({advice})"
    return f"{text} [request {said['request_id']}]" if said["request_id"] else text


Allowance: TypeAlias = tuple[int | None, int | None, float | None, str | None]


def allowance_from(answer: Answer) -> Allowance:
    """Limit, remaining, `reset_delay` and kind, as the rate-limit headers of an answer say."""
    return (
        _number(answer.headers.get("X-Rate-Limit-Limit")),
        _number(answer.headers.get("X-Rate-Limit-Remaining")),
        reset_delay(answer),
        answer.headers.get("X-Rate-Limit-Type"),
    )


def rate_limit_from(answer: Answer, allowance: Allowance) -> RateLimit:
    """The same for people, with the time of the reset by this machine's clock."""
    limit, remaining, reset_in, kind = allowance
    resets_at = None if reset_in is None else moment(answer.received + reset_in)
    return RateLimit(limit=limit, remaining=remaining, resets_at=resets_at, kind=kind)


def reset_delay(answer: Answer) -> float | None:
    """Seconds from the answer to the time in `X-Rate-Limit-Retry`, `None` without it; may be negative."""
    epoch = _number(answer.headers.get("X-Rate-Limit-Retry"))
    return None if epoch is None else epoch - _server_time(answer)


def retry_delay(answer: Answer) -> float | None:
    """Seconds until a refused request is allowed again, `None` if nothing names a time to come."""
    said = answer.headers.get("Retry-After")
    delay: float | None = _number(said)
    if delay is None:
        date = http_date(said)
        delay = reset_delay(answer) if date is None else date - _server_time(answer)
    return delay if delay is not None and delay > 0 else None


def _server_time(answer: Answer) -> float:
    """The server's Unix time when it answered, as well as can be known.

    `Date` has whole seconds. Where it agrees with this machine's clock, that one is finer; where
    not, the server's is what the times in its headers are meant in.
    """
    date = http_date(answer.headers.get("Date"))
    if date is None or date <= answer.received <= date + 1:
        return answer.received
    return date


def moment(unix_time: float) -> datetime | None:
    """The aware UTC datetime of a Unix time, `None` beyond the year 9999."""
    try:
        return datetime.fromtimestamp(unix_time, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=16)  # many answers have the same second
def http_date(text: str | None) -> float | None:
    """The Unix time of a date in a header, `None` for none or a wrong one."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None
