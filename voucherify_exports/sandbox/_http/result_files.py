"""Result files: how they are served, with lengths, validators, ranges and compression."""

from __future__ import annotations

import asyncio
import re
import zlib
from bisect import bisect_right
from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from .answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._data.content import FileContent

_ROWS_TO_MEASURE = 100_000  # takes a few seconds
_GZIP = 16 + zlib.MAX_WBITS
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)


@frozen(kw_only=True)
class Serving:
    """How files are served: with ranges, and compressed for clients that accept it."""

    ranges: bool = True
    gzip: bool = False


@define
class ResultFile:
    """The file of an export, generated whenever it is read; `modified_at` is in epoch seconds."""

    content: FileContent
    modified_at: float
    _offsets: list[int] = field(factory=list[int], init=False)

    @property
    def etag(self) -> str:
        """The strong validator: equal for equal bytes."""
        return f'"{sha256(self.content.identity.encode()).hexdigest()[:32]}"'

    async def length(self) -> int | None:
        """Return the length in bytes, or None when counting them would take too long."""
        if self.content.rows > _ROWS_TO_MEASURE:
            return None
        if not self._offsets:
            offsets = [0]
            for number in range(self.content.blocks):
                offsets.append(offsets[-1] + len(self.content.block(number)))
                await asyncio.sleep(0)
            self._offsets = offsets
        return self._offsets[-1]

    def blocks(self) -> Iterator[bytes]:
        """Yield the whole file."""
        return map(self.content.block, range(self.content.blocks))

    def between(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the bytes from `first` to `last`, both included; call `length` before."""
        number = bisect_right(self._offsets, first) - 1
        while self._offsets[number] <= last:
            start = self._offsets[number]
            yield self.content.block(number)[max(0, first - start) : last + 1 - start]
            number += 1


async def file_answer(file: ResultFile, request_headers: Mapping[str, str], serving: Serving) -> Answer:
    """Return the answer to a request for a file: 200 with the whole file, 206 with a range, or 416."""
    headers = {
        "Content-Type": "text/plain",
        "ETag": file.etag,
        "Last-Modified": formatdate(file.modified_at, usegmt=True),
    }
    if serving.gzip and _ACCEPTS_GZIP.search(request_headers.get("Accept-Encoding", "")):
        headers |= {"ETag": f'{file.etag[:-1]}-gzip"', "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Answer(chunks=_compressed(file.blocks()), headers=headers)
    length = await file.length()
    if length is None:
        return Answer(chunks=file.blocks(), headers=headers)
    if serving.ranges:
        headers["Accept-Ranges"] = "bytes"
        requested = None
        if _is_current(request_headers, headers):
            requested = _range(request_headers.get("Range", ""), length)
        if requested is not None:
            return _range_answer(file, length, requested, headers)
    return Answer(chunks=file.blocks(), headers=headers | {"Content-Length": str(length)})


def _range_answer(file: ResultFile, length: int, requested: range, headers: Mapping[str, str]) -> Answer:
    if not requested:
        return Answer(status=416, headers={**headers, "Content-Range": f"bytes */{length}"})
    first, last = requested[0], requested[-1]
    return Answer(
        status=206,
        chunks=file.between(first, last),
        headers={
            **headers,
            "Content-Length": str(len(requested)),
            "Content-Range": f"bytes {first}-{last}/{length}",
        },
    )


def _is_current(request_headers: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    return request_headers.get("If-Range", headers["ETag"]) in (headers["ETag"], headers["Last-Modified"])


def _range(text: str, length: int) -> range | None:
    """Return the bytes that a Range header requests, possibly none; None to ignore the header."""
    match = re.fullmatch(r"bytes=([0-9]{1,18})?-([0-9]{1,18})?", text.strip(), re.IGNORECASE)
    if not match or not any(match.groups()):
        return None
    if not match[1]:
        return range(max(0, length - int(match[2])), length)
    first = int(match[1])
    if not match[2]:
        return range(first, length)
    return range(first, min(int(match[2]) + 1, length)) if int(match[2]) >= first else None


def _compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=_GZIP)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
