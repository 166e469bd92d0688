"""The exports API as values: a request in, an answer out. `Emulator` calls it."""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from attrs import define, field

from .._data.draws import Draws
from .._data.row_filters import NO_FILTERS
from .._data.validators import ROW_COUNT
from .._data.world import World
from .._http.answers import UNAUTHORIZED, Answer, RefusedError, json_answer
from .._http.result_files import ResultFile, Serving, file_answer
from .._http.routes import FORM, Route, not_allowed, route_of
from .create_checks import checked_create, checked_parameters
from .export_store import ExportStore, Outcome, StoredExport
from .list_query import list_query
from .oauth import IssuedTokens
from .project import Project, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .._http.requests import SandboxRequest
    from .export_store import Seconds


@define(kw_only=True)
class EmulatedApi:
    """The exports API of one project: its exports, tokens and data. Times are in epoch seconds."""

    app_id: str
    app_token: str
    seed: int
    rows: int = field(validator=ROW_COUNT)
    scheduled_for: Seconds
    in_progress_for: Seconds
    token_ttl: float | None
    oauth_ttl: float
    download_url: str = ""
    exports: ExportStore = field(factory=ExportStore, init=False)
    world: World = field(init=False)
    _project: Project = field(init=False)
    _tokens: IssuedTokens = field(init=False)
    _draws: Draws = field(init=False)
    _request_ids: Draws = field(init=False)
    _routes: tuple[Route, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world = World(self.seed)
        self._project = Project(self.world, self.rows)
        self._tokens = IssuedTokens(self.seed, self.oauth_ttl)
        self._draws = Draws(f"{self.seed}/exports")
        self._request_ids = Draws(f"{self.seed}/requests")
        one, export, project = "([^/]+)", "transactions/export", self._project
        transactions = partial(self._route_within, "voucher_transactions")
        points = partial(self._route_within, "points_expiration")
        self._routes = (
            Route("/v1/exports", {"GET": self._list, "POST": self._create}, "exports"),
            Route(f"/v1/exports/{one}", {"GET": self._get, "DELETE": self._delete}, "exports"),
            Route("/v1/orders/export", {"POST": self._create_orders}, "orders"),
            transactions(f"/v1/vouchers/{one}/{export}", "vouchers", "voucher_id", project.voucher_id),
            transactions(f"/v1/campaigns/{one}/{export}", "campaigns", "campaign_id", project.campaign_id),
            transactions(
                f"/v1/loyalties/members/{one}/{export}", "loyalties", "voucher_id", project.member_id
            ),
            points(
                f"/v1/loyalties/{one}/points-expiration/export",
                "loyalties",
                "campaign_id",
                project.campaign_id,
            ),
            Route("/v1/oauth/token", {"POST": self._tokens.generate}, body_type=FORM),
            Route("/v1/oauth/token/revoke", {"POST": self._tokens.revoke}, body_type=FORM),
        )

    def add(
        self,
        exported_object: str,
        *,
        parameters: Mapping[str, object],
        created_at: float,
        added_at: float,
        rows: int,
        within: Mapping[str, object] = NO_FILTERS,
        export_id: str | None = None,
        outcome: Outcome = "DONE",
    ) -> StoredExport:
        """Add an export, which runs from `created_at` on."""
        starts_at = created_at + self._draws.seconds(self.scheduled_for)
        export = StoredExport(
            id=f"exp_{self._draws.text(24)}" if export_id is None else export_id,
            exported_object=exported_object,
            parameters=parameters,
            within=within,
            rows=rows,
            outcome=outcome,
            created_at=created_at,
            added_at=added_at,
            starts_at=starts_at,
            ends_at=starts_at + self._draws.seconds(self.in_progress_for),
        )
        self.exports.add(export)
        return export

    async def answer(self, request: SandboxRequest, serving: Serving) -> Answer:
        """Return the answer to a request, also when the request is refused."""
        try:
            return await self._download(request, serving) if request.is_download else self._call(request)
        except RefusedError as refused:
            body = refused.body | {"request_id": self._request_ids.request_id()}
            return json_answer(body, refused.status, refused.headers)

    def _call(self, request: SandboxRequest) -> Answer:
        has_keys = self._has_keys(request)
        try:
            route, names = route_of(self._routes, request.path)
        except RefusedError:
            if not has_keys:
                return _unauthorized()
            raise
        if not has_keys:
            scopes = self._token_scopes(request) if route.scope else None
            if scopes is None:
                return _unauthorized()
            if not scopes & {"api", route.scope}:
                details = f"The token needs the scope {route.scope}"
                raise RefusedError(403, "forbidden", "Forbidden", details)
        endpoint = route.endpoint(request)
        body_type = request.headers.get("Content-Type", route.body_type).partition(";")[0].strip().lower()
        if request.body and body_type != route.body_type:
            details = f"Content type should be {route.body_type}"
            raise RefusedError(415, "unsupported_media_type", "Unsupported Media Type", details)
        return endpoint(request, *names)

    def _has_keys(self, request: SandboxRequest) -> bool:
        keys = request.headers.get("X-App-Id"), request.headers.get("X-App-Token")
        return keys == (self.app_id, self.app_token)

    def _token_scopes(self, request: SandboxRequest) -> frozenset[str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._tokens.scopes(token, request.at) if scheme.lower() == "bearer" else None

    def _create(self, request: SandboxRequest) -> Answer:
        wanted = checked_create(request.body)
        return self._created(request, wanted.exported_object, wanted.parameters)

    def _create_orders(self, request: SandboxRequest) -> Answer:
        return self._created(request, "order", checked_parameters(request.body, "order"))

    def _route_within(
        self, exported_object: str, pattern: str, scope: str, column: str, find: Callable[[str], str]
    ) -> Route:
        create = partial(self._create_within, exported_object, column, find)
        return Route(pattern, {"POST": create}, scope)

    def _create_within(
        self,
        exported_object: str,
        column: str,
        find: Callable[[str], str],
        request: SandboxRequest,
        name: str,
    ) -> Answer:
        """Create an export of what belongs to the voucher or campaign in the path."""
        found = find(name)
        parameters = checked_parameters(request.body, exported_object)
        filters = cast("dict[str, object]", parameters.get("filters", {}))
        within = {column: {"conditions": {"$in": [found]}}}
        echoed = {**parameters, "filters": {"junction": "AND", **filters, **within}}
        return self._created(request, exported_object, echoed, within)

    def _created(
        self,
        request: SandboxRequest,
        exported_object: str,
        parameters: Mapping[str, object],
        within: Mapping[str, object] = NO_FILTERS,
    ) -> Answer:
        export = self.add(
            exported_object,
            parameters=parameters,
            within=within,
            created_at=request.at,
            added_at=request.at,
            rows=self.rows,
        )
        return json_answer(self._wire(export, request.at))

    def _list(self, request: SandboxRequest) -> Answer:
        query = list_query(request.query)
        page = self.exports.page(query.order, query.page, query.limit, request.at)
        exports = [self._wire(export, request.at) for export in page]
        total = self.exports.total(request.at)
        return json_answer({"object": "list", "data_ref": "exports", "exports": exports, "total": total})

    def _get(self, request: SandboxRequest, export_id: str) -> Answer:
        return json_answer(self._wire(self._find(export_id), request.at))

    def _delete(self, _request: SandboxRequest, export_id: str) -> Answer:
        self.exports.remove(self._find(export_id))
        return Answer(status=204)

    async def _download(self, request: SandboxRequest, serving: Serving) -> Answer:
        if request.method != "GET":
            raise not_allowed(request.path, "GET")
        export_id = request.export_id or ""
        if not self._is_valid(request.query.get("token", ""), export_id, request.at):
            return _unauthorized()
        export = self._find(export_id)
        if export.status(request.at) != "DONE":
            raise missing(export_id, "export")
        if export.file is None:
            export.file = ResultFile(export.content(self.world), export.ends_at)
        return await file_answer(export.file, request.headers, serving)

    def _find(self, export_id: str) -> StoredExport:
        export = self.exports.find(export_id)
        if export is None:
            raise missing(export_id, "export")
        return export

    def _wire(self, export: StoredExport, now: float) -> dict[str, object]:
        token = self._token(export.id, f"{int(now * 1000):x}")
        return export.wire(now, f"{self.download_url}/v1/exports/{quote(export.id, safe='')}?token={token}")

    def _token(self, export_id: str, issued: str) -> str:
        # Signed, not stored: thousands of polls issue a token each, and few are ever used.
        signature = hmac.new(self.app_token.encode(), f"{export_id}/{issued}".encode(), "sha256")
        return f"{issued}.{signature.hexdigest()}"

    def _is_valid(self, token: str, export_id: str, now: float) -> bool:
        issued = token.partition(".")[0]
        if token != self._token(export_id, issued):
            return False
        return self.token_ttl is None or now < int(issued, 16) / 1000 + self.token_ttl


def _unauthorized() -> Answer:
    return json_answer(UNAUTHORIZED, 401)
