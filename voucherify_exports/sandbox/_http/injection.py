"""What faults do: which requests they apply to, and how they change a response."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from .answers import JSON_TYPE, Answer, plain_error
from .faults import Fault
from .result_files import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._data.draws import Draws
    from .faults import Edit
    from .requests import SandboxRequest

NO_FAULT = Fault(times=None)


@define
class PendingFaults:
    """The faults that were added and not yet used up, in that order."""

    _draws: Draws
    _pending: list[Fault] = field(factory=list[Fault], init=False)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._pending)

    def clear(self) -> None:
        """Forget all of them."""
        self._pending.clear()

    def add(self, fault: Fault) -> None:
        """Add a fault after the others."""
        self._pending.append(fault)

    def take(self, request: SandboxRequest) -> Fault:
        """Return the fault that applies to the request, and count it down."""
        for place, fault in enumerate(self._pending):
            if _matches(fault, request) and self._draws.random() < fault.probability:
                if fault.times is not None:
                    left = [evolve(fault, times=fault.times - 1)] if fault.times > 1 else []
                    self._pending[place : place + 1] = left
                return fault
        return NO_FAULT


def breaks_sending(fault: Fault) -> bool:
    """Whether the response is sent otherwise than HTTP requires, or with pauses."""
    return bool(fault.reset or fault.truncate or fault.garble or fault.extra or fault.pause is not None)


def prevents_response(fault: Fault) -> bool:
    """Whether the client gets no complete response."""
    return fault.reset is not None or fault.delay == inf


def lagged(fault: Fault, request: SandboxRequest) -> SandboxRequest:
    """Return the request as the API handles it: with `lag`, a GET comes from the past."""
    return evolve(request, at=request.at - fault.lag) if request.method == "GET" else request


def serving(fault: Fault, usual: Serving) -> Serving:
    """Return how files are served to a request that the fault applies to."""
    return Serving(
        ranges=usual.ranges if fault.ranges is None else fault.ranges,
        gzip=usual.gzip if fault.gzip is None else fault.gzip,
    )


def replacement(fault: Fault, request: SandboxRequest) -> Answer | None:
    """Return the response that replaces the normal one, or None when the fault does not replace it."""
    if fault.redirect is not None:
        return Answer(status=fault.status or 302, headers={"Location": fault.redirect + request.target})
    if fault.status is None and fault.body is None:
        return None
    status = fault.status or 200
    content = fault.body
    if content is None:
        content = plain_error(status) if status >= 400 else b""
    return Answer(status=status, content=content, headers={"Content-Type": JSON_TYPE})


def edited(fault: Fault, answer: Answer) -> Answer:
    """Return the response with the fault's edits and headers applied."""
    if answer.status < 300 and isinstance(answer.content, dict):
        for edit in _edits(fault):
            answer = evolve(answer, content=edit(json.loads(answer.encoded())))
    changes: dict[str, str | None] = {"Content-Type": fault.content_type} if fault.content_type else {}
    changes |= fault.headers or {}
    changed = {name.lower() for name in changes}
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in changed}
    headers |= {name: value for name, value in changes.items() if value is not None}
    return evolve(answer, headers=headers)


def _matches(fault: Fault, request: SandboxRequest) -> bool:
    return (
        fault.method in (None, request.method)
        and fault.export_id in (None, request.export_id)
        and fault.download in (None, request.is_download)
        and (fault.path is None or _path_matches(request.path, fault.path))
    )


def _path_matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern) if pattern.endswith("/") else fnmatchcase(path, pattern)


def _edits(fault: Fault) -> list[Edit]:
    edits: list[Edit] = [
        partial(_repeat_entry, index=index, times=times)
        for index, times in ((fault.repeat_entry, 2), (fault.drop_entry, 0))
        if index is not None
    ]
    return [*edits, fault.edit] if fault.edit is not None else edits


def _repeat_entry(answer: dict[str, Any], *, index: int, times: int) -> dict[str, Any]:
    """Repeat an entry of a list of exports; any other response stays as it is."""
    if not isinstance(answer.get("exports"), list):
        return answer
    entries: list[object] = answer["exports"]
    changed = entries[:index] + entries[index : index + 1] * times + entries[index + 1 :]
    return {**answer, "exports": changed}
