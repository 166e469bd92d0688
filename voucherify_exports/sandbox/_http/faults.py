"""Faults on demand: which request they meet and what they do to its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import define, evolve, field, frozen
from attrs.validators import ge, gt, in_, le, optional

from .answers import JSON_TYPE, Answer, plain_error
from .files import Serving

if TYPE_CHECKING:
    from .._data.draws import Draws
    from .requests import SandboxRequest

Reset: TypeAlias = Literal["before", "headers", "body"]
"""Where a connection is reset: before any byte of the answer, or within its headers or its body."""

Edit: TypeAlias = Callable[[dict[str, object]], object]
"""Takes the JSON object that would be answered and returns what is sent instead."""


@frozen(kw_only=True)
class Fault:
    """One scheduled fault; the meaning of each option is told by `Sandbox.fail`."""

    times: int | None = field(validator=optional(ge(1)))
    method: str | None = None
    path: str | None = None
    export_id: str | None = None
    download: bool | None = None
    status: int | None = field(default=None, validator=in_((None, *range(200, 600))))
    body: object = None
    headers: Mapping[str, str | None] | None = None
    content_type: str | None = None
    delay: float | None = field(default=None, validator=optional(ge(0)))
    reset: Reset | None = field(default=None, validator=optional(in_(("before", "headers", "body"))))
    edit: Edit | None = None
    after: int | None = field(default=None, validator=optional(ge(0)))
    truncate: bool = False
    garble: bool = False
    pause: float | None = field(default=None, validator=optional(ge(0)))
    extra: bytes = b""
    redirect: str | None = None
    ranges: bool | None = None
    gzip: bool | None = None
    repeat_entry: int | None = field(default=None, validator=optional(ge(0)))
    drop_entry: int | None = field(default=None, validator=optional(ge(0)))
    lag: float = field(default=0, validator=ge(0))
    probability: float = field(default=1, validator=[gt(0), le(1)])

    @property
    def spoils_sending(self) -> bool:
        """Whether the answer is not sent as HTTP has it, or not at once."""
        return bool(self.reset or self.truncate or self.garble or self.extra or self.pause is not None)

    @property
    def is_silent(self) -> bool:
        """Whether the client gets no whole answer at all."""
        return self.reset is not None or self.delay == inf

    def meets(self, request: SandboxRequest) -> bool:
        """Tell whether the fault is meant for the request."""
        return (
            self.method in (None, request.method)
            and self.export_id in (None, request.export_id)
            and self.download in (None, request.is_download)
            and (self.path is None or _path_matches(request.path, self.path))
        )

    def seen(self, request: SandboxRequest) -> SandboxRequest:
        """Return the request as the API is to see it: a GET may come from the past."""
        return evolve(request, at=request.at - self.lag) if request.method == "GET" else request

    def serving(self, usual: Serving) -> Serving:
        """Return what the server of the files does for a request that the fault meets."""
        return Serving(
            ranges=usual.ranges if self.ranges is None else self.ranges,
            gzip=usual.gzip if self.gzip is None else self.gzip,
        )

    def replacement(self, request: SandboxRequest) -> Answer | None:
        """Return the answer that takes the place of the normal one, if there is one."""
        if self.redirect is not None:
            return Answer(status=self.status or 302, headers={"Location": self.redirect + request.target})
        if self.status is None and self.body is None:
            return None
        status = self.status or 200
        content = self.body
        if content is None:
            content = plain_error(status) if status >= 400 else b""
        return Answer(status=status, content=content, headers={"Content-Type": JSON_TYPE})

    def spoil(self, answer: Answer) -> Answer:
        """Return the answer with the fault's edits and headers applied."""
        if answer.status < 300 and isinstance(answer.content, dict):
            for edit in self._edits:
                answer = evolve(answer, content=edit(json.loads(answer.encoded())))
        changes: dict[str, str | None] = {"Content-Type": self.content_type} if self.content_type else {}
        changes |= self.headers or {}
        changed = {name.lower() for name in changes}
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in changed}
        headers |= {name: value for name, value in changes.items() if value is not None}
        return evolve(answer, headers=headers)

    @property
    def _edits(self) -> list[Edit]:
        of_entries = [
            partial(_change_entries, place=place, times=times)
            for place, times in ((self.repeat_entry, 2), (self.drop_entry, 0))
            if place is not None
        ]
        return [*of_entries, *([] if self.edit is None else [self.edit])]


NO_FAULT = Fault(times=None)


@define
class Faults:
    """The faults that are still to come, first scheduled first."""

    _draws: Draws
    _pending: list[Fault] = field(factory=list[Fault], init=False)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._pending)

    def clear(self) -> None:
        """Forget them all."""
        self._pending.clear()

    def add(self, fault: Fault) -> None:
        """Schedule one more."""
        self._pending.append(fault)

    def take(self, request: SandboxRequest) -> Fault:
        """Return the fault that meets the request, one time less to come."""
        for place, fault in enumerate(self._pending):
            if fault.meets(request) and self._draws.random() < fault.probability:
                left = None if fault.times is None else fault.times - 1
                self._pending[place : place + 1] = [] if left == 0 else [evolve(fault, times=left)]
                return fault
        return NO_FAULT


def _path_matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern) if pattern.endswith("/") else fnmatchcase(path, pattern)


def _change_entries(answer: dict[str, Any], *, place: int, times: int) -> dict[str, Any]:
    """Have an entry of a list so many times; an answer that is no list stays as it is."""
    if not isinstance(answer.get("exports"), list):
        return answer
    entries: list[object] = answer["exports"]
    changed = entries[:place] + entries[place : place + 1] * times + entries[place + 1 :]
    return {**answer, "exports": changed}
