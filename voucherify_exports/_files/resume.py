"""How a file that came in part is asked for again: validators and ranges, without I/O.

Source: RFC 9110, "Validator Fields", "If-Range", "Content-Range".
"""

import re
from collections.abc import Mapping

from attrs import frozen

from .._api.wire import http_date

_ETAG = re.compile(r'(?!W/)("?)[!#-~]+\1')  # a strong one; some servers leave out the quotes
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


@frozen
class Identity:
    """By what a file is known to be the same; `size` in bytes, and each `None` if it is not known."""

    validator: str | None = None  # an ETag, or else a date
    size: int | None = None


@frozen
class ResponseStart:
    """Where the body of an answer begins in the file, and which file that is."""

    offset: int
    identity: Identity
    is_gzip: bool = False

    @classmethod
    def from_headers(
        cls, status: int, headers: Mapping[str, str], offset: int, expected: Identity
    ) -> "ResponseStart":
        """What a 200 or 206 answer brings; `ValueError` for a part that is not the one that was expected."""
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise ValueError(f"a body in the encoding {encoding!r}, which was not asked for")
        if status == 200:
            if encoding != "identity":
                # Its length and validator are those of the compressed bytes.
                return cls(0, Identity(), is_gzip=True)
            return cls(0, Identity(_find_validator(headers), _content_length(headers)))
        content_range = headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None or encoding != "identity" or int(match[1]) != offset:
            raise ValueError(f"a part that was not asked for (Content-Range {content_range!r})")
        if (
            headers.get("ETag" if _is_etag(expected.validator) else "Last-Modified", expected.validator)
            != expected.validator
        ):
            raise ValueError("a part of another version of the file")
        size = expected.size if match[3] == "*" else int(match[3])
        if size is None or size != (expected.size or size) or not offset < int(match[2]) + 1 == size:
            raise ValueError(f"a part of another size (Content-Range {content_range!r})")
        return cls(offset, Identity(expected.validator, size))


def range_headers(offset: int, identity: Identity) -> dict[str, str]:
    """Ask for the rest of the same file; without a validator, for the whole of any."""
    if offset == 0 or identity.validator is None:
        return {}
    return {"Range": f"bytes={offset}-", "If-Range": identity.validator}


def is_validator(text: str) -> bool:
    """Whether it is a strong ETag or a date, as they are when they prove that a file is the same."""
    return _is_etag(text) or http_date(text) is not None


def _is_etag(text: str | None) -> bool:
    return text is not None and _ETAG.fullmatch(text) is not None


def _find_validator(headers: Mapping[str, str]) -> str | None:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if _is_etag(etag):
        return etag
    changed, answered = http_date(modified), http_date(headers.get("Date"))
    # A date is as good if the file can hardly have changed again within that second.
    return modified if changed is not None and answered is not None and answered - changed >= 1 else None


def _content_length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else None
