"""How a download is resumed: validators and ranges, without I/O.

Source: RFC 9110, "Validator Fields", "If-Range", "Content-Range".
"""

import re
from collections.abc import Mapping

from attrs import frozen

from .._api.wire import http_date

_ETAG = re.compile(r'(?!W/)("?)[!#-~]+\1')  # a strong one; some servers omit the quotes
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


@frozen
class Identity:
    """What identifies one version of a file: its validator, and its size in bytes; `None` if unknown."""

    validator: str | None = None  # a strong ETag, or else a Last-Modified date
    size: int | None = None


@frozen
class ResponseStart:
    """The offset in the file at which the body of a response starts, and the identity of that file."""

    offset: int
    identity: Identity
    is_gzip: bool = False

    @classmethod
    def from_headers(
        cls, status: int, headers: Mapping[str, str], offset: int, expected: Identity
    ) -> "ResponseStart":
        """Read a 200 or 206 response; `ValueError` if it is not what was requested."""
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise ValueError(f"the body has the encoding {encoding!r}, which was not requested")
        if status == 200:
            if encoding != "identity":
                # Content-Length and validator describe the compressed bytes, so neither can be used.
                return cls(0, Identity(), is_gzip=True)
            return cls(0, Identity(_find_validator(headers), _content_length(headers)))
        content_range = headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None or encoding != "identity" or int(match[1]) != offset:
            raise ValueError(f"the range was not requested (Content-Range {content_range!r})")
        validator_header = "ETag" if _is_etag(expected.validator) else "Last-Modified"
        if headers.get(validator_header, expected.validator) != expected.validator:
            raise ValueError("the range is from another version of the file")
        size = expected.size if match[3] == "*" else int(match[3])
        if size is None or size != (expected.size or size) or not offset < int(match[2]) + 1 == size:
            raise ValueError(f"the range is from a file of another size (Content-Range {content_range!r})")
        return cls(offset, Identity(expected.validator, size))


def range_headers(offset: int, identity: Identity) -> dict[str, str]:
    """The headers that request the rest of the same file; empty, for the whole file, without a validator."""
    if offset == 0 or identity.validator is None:
        return {}
    return {"Range": f"bytes={offset}-", "If-Range": identity.validator}


def is_validator(text: str) -> bool:
    """Whether a text is a strong ETag or a date, either of which proves that a file is unchanged."""
    return _is_etag(text) or http_date(text) is not None


def _is_etag(text: str | None) -> bool:
    return text is not None and _ETAG.fullmatch(text) is not None


def _find_validator(headers: Mapping[str, str]) -> str | None:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if _is_etag(etag):
        return etag
    modified_at, responded_at = http_date(modified), http_date(headers.get("Date"))
    # Dates have seconds: one proves nothing if the file can have changed again within the same second.
    if modified_at is not None and responded_at is not None and responded_at - modified_at >= 1:
        return modified
    return None


def _content_length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else None
