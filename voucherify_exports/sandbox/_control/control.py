"""The control API: what `Sandbox` offers to a test, over HTTP, for other programs and for the page."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from attrs import define, field

from .._emulator.project import missing
from .._http.answers import Answer, RefusedError, json_answer
from .._http.faults import Fault
from .._http.routes import FORM, Route, route_of
from .openapi import openapi
from .page import page

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from .._emulator.emulator import Emulator
    from .._http.requests import SandboxRequest

    _Kind = type | tuple[type, ...]

ROOT = "/_sandbox"

_NUMBER = (int, float)
_EXPORT_OPTIONS: dict[str, _Kind] = {
    "exported_object": str,
    "rows": int,
    "fields": list,
    "outcome": str,
    "created_at": _NUMBER,
    "id": str,
}


@define
class Control:
    """Responds to requests under `/_sandbox/`."""

    _emulator: Emulator
    _routes: tuple[Route, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._routes = (
            Route(ROOT, {"GET": self._page}),
            Route(f"{ROOT}/state", {"GET": self._state}),
            Route(f"{ROOT}/openapi[.]json", {"GET": self._openapi}),
            Route(f"{ROOT}/exports", {"POST": self._add}),
            Route(f"{ROOT}/exports/(.+)/finish", {"POST": self._finish}),
            Route(f"{ROOT}/exports/(.+)/delete", {"POST": self._delete}),
            Route(f"{ROOT}/faults", {"POST": self._fail}),
            Route(f"{ROOT}/(exports|faults|requests)/clear", {"POST": self._clear}),
        )

    def answer(self, request: SandboxRequest, peer: str | None) -> Answer:
        """Return the answer to a request from a program on this machine or from the page of the sandbox."""
        try:
            if not _is_from_here(request, peer):
                details = "Only programs on this machine are allowed, and no page of another site."
                raise RefusedError(403, "forbidden", "Forbidden", details)
            answer = self._call(request)
        except RefusedError as refused:
            return json_answer(refused.body, refused.status, refused.headers)
        if request.method == "POST" and _is_form(request):
            return Answer(status=303, headers={"Location": f"{ROOT}/"})
        return answer

    def _call(self, request: SandboxRequest) -> Answer:
        route, names = route_of(self._routes, request.path.rstrip("/"))
        return route.endpoint(request)(request, *names)

    def _page(self, _request: SandboxRequest) -> Answer:
        return Answer(
            content=page(self._emulator.state()),
            headers={
                "Content-Type": "text/html; charset=utf-8",
                "Cache-Control": "no-store",
                "Content-Security-Policy": "frame-ancestors 'none'",
            },
        )

    def _state(self, _request: SandboxRequest) -> Answer:
        return json_answer(self._emulator.state())

    def _openapi(self, _request: SandboxRequest) -> Answer:
        return json_answer(openapi(self._emulator))

    def _add(self, request: SandboxRequest) -> Answer:
        options = _options(request, _EXPORT_OPTIONS)
        if not all(isinstance(name, str) for name in options.get("fields", [])):
            raise _invalid("Property .fields should be an array of strings")
        if "exported_object" not in options:
            raise _invalid("Property .exported_object is required")
        with _refusing():
            return json_answer({"id": self._emulator.add_export(**options)}, 201)

    def _finish(self, request: SandboxRequest, export_id: str) -> Answer:
        with _refusing():
            self._emulator.finish(export_id, **_options(request, {"outcome": str}))
        return Answer(status=204)

    def _delete(self, _request: SandboxRequest, export_id: str) -> Answer:
        with _refusing():
            self._emulator.delete_export(export_id)
        return Answer(status=204)

    def _fail(self, request: SandboxRequest) -> Answer:
        with _refusing():
            self._emulator.add_fault(Fault.from_dict(_given(request)))
        return json_answer({"faults": self._emulator.state()["faults"]}, 201)

    def _clear(self, _request: SandboxRequest, what: str) -> Answer:
        self._emulator.clear(**{what: True})
        return Answer(status=204)


def _is_from_here(request: SandboxRequest, peer: str | None) -> bool:
    """Whether a request comes from this machine, and not from a page of another site in a browser."""
    host = request.headers.get("Host", "")
    if not _is_loopback(peer or "") or not _is_loopback(re.sub(r":\d*$", "", host).strip("[]")):
        return False
    is_visit = request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "document"
    return is_visit or (
        request.headers.get("Origin", f"http://{host}") == f"http://{host}"
        and request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
    )


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_form(request: SandboxRequest) -> bool:
    return request.headers.get("Content-Type", "").startswith(FORM)


def _options(request: SandboxRequest, kinds: Mapping[str, _Kind]) -> dict[str, Any]:
    given = _given(request)
    for name, value in given.items():
        if name not in kinds:
            raise _invalid(f"unknown property .{name}; known are {', '.join(kinds)}")
        if not _is_one(value, kinds[name]):
            raise _invalid(f"Property .{name} cannot be {json.dumps(value)}")
    return given


def _given(request: SandboxRequest) -> dict[str, Any]:
    if _is_form(request):
        # `parse_qsl` leaves empty fields out: they are not given.
        return {name: _number(text) for name, text in parse_qsl(request.body.decode(errors="replace"))}
    try:
        given: object = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise _invalid("Body should be valid JSON") from None
    if not isinstance(given, dict):
        raise _invalid("Body should be object")
    return cast("dict[str, Any]", given)


def _number(text: str) -> int | float | str:
    """Return a number if the text is one: in a form, everything is text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _is_one(value: object, kind: _Kind) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, kind) and (kind is not str or cast("str", value).isprintable())


def _invalid(details: str) -> RefusedError:
    return RefusedError(400, "invalid_payload", "Invalid payload", details)


@contextmanager
def _refusing() -> Generator[None]:
    """Turn the errors of the emulator into refusals."""
    try:
        yield
    except ValueError as error:
        raise _invalid(str(error)) from None
    except KeyError as error:
        raise missing(str(error.args[0]), "export") from None
