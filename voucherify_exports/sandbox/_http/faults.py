"""A fault: the failure that a test injects into responses, as a value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from math import inf
from typing import Any, Literal, Self, TypeAlias, cast

from attrs import field, fields_dict, frozen

from .._data.validators import is_number, must_be

Reset: TypeAlias = Literal["before", "headers", "body"]
"""Where a connection is reset: before the first byte of the response, in its headers or in its body."""

Edit: TypeAlias = Callable[[dict[str, object]], object]
"""A function that is given the JSON object of a response, and returns what is sent instead."""


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, "Tokens"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()  # headers can hold no line breaks


def _is_header(name: object, value: object) -> bool:
    is_name = isinstance(name, str) and _TOKEN.fullmatch(name) is not None
    return is_name and (value is None or _is_text(value))


def _is_body(value: object) -> bool:
    try:
        return isinstance(value, bytes) or bool(json.dumps(value))
    except (TypeError, ValueError):
        return False


_TEXT = must_be("printable text", _is_text)
_FLAG = must_be("true or false", lambda value: isinstance(value, bool))
_COUNT = must_be("an integer of at least 0", lambda value: is_number(value, int) and value >= 0)
_TIMES = must_be("an integer of at least 1", lambda value: is_number(value, int) and value >= 1)
_SECONDS = must_be("a number of seconds, at least 0", lambda value: is_number(value) and value >= 0)


_LAG = must_be("a finite number of seconds, at least 0", lambda value: is_number(value) and 0 <= value < inf)
_STATUS = must_be("an integer from 200 to 599", lambda value: is_number(value, int) and 200 <= value <= 599)
_HEADERS = must_be(
    "an object of printable texts",
    lambda value: (
        isinstance(value, Mapping)
        and all(_is_header(*item) for item in cast("Mapping[object, object]", value).items())
    ),
)
_RESET = must_be("'before', 'headers' or 'body'", lambda value: value in ("before", "headers", "body"))
_BODY = must_be("bytes, text or anything that JSON can hold", _is_body)
_BYTES = must_be("bytes, or text in JSON", lambda value: isinstance(value, bytes))
_EDIT = must_be("a plain function", lambda value: callable(value) and not iscoroutinefunction(value))
_PROBABILITY = must_be("a number above 0, at most 1", lambda value: is_number(value) and 0 < value <= 1)


@frozen(kw_only=True)
class Fault:
    """A fault to inject into the responses to the requests that match.

    It applies to the next `times` requests, or to all when that is None; with a `probability`, to each of
    them with that chance, which the seed decides. At most one fault applies to a request: the one added
    first.

    Which requests match: `method`; `path`, which is exact, can contain `*`, or is a prefix that ends with
    `/`; `export_id`; `download`, True for files only and False for the API only.

    What changes in the response: `status` and `body` replace it, and the request has no effect then; a `body`
    is bytes, text or anything that JSON can hold. `headers` are added or replaced, and a value of None
    removes a header. `content_type` replaces that header. `redirect` responds with 302 to the same path and
    query at another base URL. `edit` is given the JSON object of a successful response and returns what is
    sent instead. `repeat_entry` and `drop_entry` are indexes in a list of exports, counted from 0. With
    `lag`, the response to a GET shows the state as it was that many seconds ago.

    What happens to the connection: `delay` waits that many seconds before the response, and forever when it
    is `math.inf`. `reset` breaks the connection after the request has had its effect.

    What happens within the body, after its first `after` bytes, or halfway through its first block when that
    is None: `reset="body"` breaks the connection; `truncate` ends it as if everything had been sent; `garble`
    inverts every further byte; `pause` waits that many seconds before each further block. `extra` bytes are
    sent after the announced end. `ranges` and `gzip` override the options of the sandbox: with
    `ranges=False`, the response to a request for a range is the whole file.

    Raises ValueError, which names the option, for an invalid value.
    """

    method: str | None = field(default=None, validator=_TEXT)
    path: str | None = field(default=None, validator=_TEXT)
    export_id: str | None = field(default=None, validator=_TEXT)
    download: bool | None = field(default=None, validator=_FLAG)
    times: int | None = field(default=1, validator=_TIMES)
    status: int | None = field(default=None, validator=_STATUS)
    body: object = field(default=None, validator=_BODY)
    headers: Mapping[str, str | None] | None = field(default=None, validator=_HEADERS)
    content_type: str | None = field(default=None, validator=_TEXT)
    delay: float | None = field(default=None, validator=_SECONDS)
    reset: Reset | None = field(default=None, validator=_RESET)
    edit: Edit | None = field(default=None, validator=_EDIT)
    after: int | None = field(default=None, validator=_COUNT)
    truncate: bool = field(default=False, validator=_FLAG)
    garble: bool = field(default=False, validator=_FLAG)
    pause: float | None = field(default=None, validator=_SECONDS)
    extra: bytes = field(default=b"", validator=_BYTES)
    redirect: str | None = field(default=None, validator=_TEXT)
    ranges: bool | None = field(default=None, validator=_FLAG)
    gzip: bool | None = field(default=None, validator=_FLAG)
    repeat_entry: int | None = field(default=None, validator=_COUNT)
    drop_entry: int | None = field(default=None, validator=_COUNT)
    lag: float = field(default=0, validator=_LAG)
    probability: float = field(default=1, validator=_PROBABILITY)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a fault from a JSON object, as for `from_dict`; raises ValueError for anything else."""
        try:
            options: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"a fault must be a JSON object: {error}"
            raise ValueError(msg) from None
        is_object = isinstance(options, dict)
        if not is_object:
            msg = f"a fault must be a JSON object, not {text}"
            raise ValueError(msg)
        return cls.from_dict(cast("dict[str, object]", options))

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Make a fault from options as JSON has them: all but `edit`; `extra` is text.

        Raises ValueError, which names the option, for an unknown one or an invalid value.
        """
        known = [name for name in fields_dict(cls) if name != "edit"]
        for name, value in options.items():
            if name not in known:
                msg = f"unknown option {name!r} of a fault; known are {', '.join(known)}"
                raise ValueError(msg)
            if value is None and name not in ("body", "times"):
                msg = f"{name} cannot be null"
                raise ValueError(msg)
        values: dict[str, Any] = {**options}
        if isinstance(options.get("extra"), str):
            values["extra"] = options["extra"].encode(errors="replace")
        return cls(**values)
