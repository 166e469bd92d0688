"""Routes: which endpoint serves a request, by path and method."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from .answers import Answer, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .requests import SandboxRequest

    Endpoint: TypeAlias = Callable[..., Answer]

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@frozen
class Route:
    """The endpoints at a path, by method; each is given the request and what the pattern's groups match.

    For the API: `scope` is what a bearer token needs, None where no token is enough, and `body_type` is the
    content type that a body has.
    """

    pattern: str
    endpoints: Mapping[str, Endpoint]
    scope: str | None = None
    body_type: str = JSON

    def endpoint(self, request: SandboxRequest) -> Endpoint:
        """Return the endpoint of the request's method; raises RefusedError when there is none."""
        if request.method not in self.endpoints:
            raise not_allowed(request.path, ", ".join(self.endpoints))
        return self.endpoints[request.method]


def route_of(routes: Iterable[Route], path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route that matches a path, and the groups of its pattern, or raise RefusedError."""
    for route in routes:
        match = re.fullmatch(route.pattern, path)
        if match:
            return route, match.groups()
    raise RefusedError(404, "not_found", "Resource not found", f"Cannot find path {path}")


def not_allowed(path: str, allowed: str) -> RefusedError:
    """Return the refusal of a method; it names those that the path allows."""
    details = f"{path} allows {allowed}"
    return RefusedError(405, "method_not_allowed", "Method not allowed", details, {"Allow": allowed})
