"""The exports API without the HTTP: a request in, an answer out."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import define, field

from ._answers import UNAUTHORIZED, Answer, RefusedError, json_answer
from ._checks import list_query, wanted_export
from ._data import Table
from ._draws import Draws
from ._exports import Export, Exports, Outcome
from ._files import File, Serving, file_answer
from ._objects import default_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._exports import Seconds
    from ._requests import SandboxRequest

    Endpoint = Callable[..., Answer]


@define(kw_only=True)
class Api:
    """What the API knows, and how it answers; times are epoch seconds."""

    app_id: str
    app_token: str
    seed: int
    scheduled_for: Seconds
    in_progress_for: Seconds
    token_ttl: float | None
    download_url: str = ""
    exports: Exports = field(factory=Exports)
    _draws: Draws = field(init=False)
    _request_ids: Draws = field(init=False)
    _routes: tuple[tuple[re.Pattern[str], dict[str, Endpoint]], ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._draws = Draws(f"{self.seed}/exports")
        self._request_ids = Draws(f"{self.seed}/requests")
        self._routes = (
            (re.compile("/v1/exports"), {"GET": self._list, "POST": self._create}),
            (re.compile("/v1/exports/([^/]+)"), {"GET": self._get, "DELETE": self._delete}),
        )

    def add(
        self,
        exported_object: str,
        *,
        parameters: Mapping[str, object],
        fields: Sequence[str],
        created_at: float,
        export_id: str | None = None,
        rows: int = 100,
        outcome: Outcome = "DONE",
    ) -> Export:
        """Add an export whose time begins to run when it is created."""
        starts_at = created_at + self._draws.seconds(self.scheduled_for)
        export = Export(
            id=f"exp_{self._draws.text(24)}" if export_id is None else export_id,
            exported_object=exported_object,
            parameters=parameters,
            fields=tuple(fields) or default_fields(exported_object),
            rows=rows,
            outcome=outcome,
            created_at=created_at,
            starts_at=starts_at,
            ends_at=starts_at + self._draws.seconds(self.in_progress_for),
        )
        self.exports.add(export)
        return export

    async def answer(self, request: SandboxRequest, serving: Serving) -> Answer:
        """Answer a request, the refused ones included."""
        try:
            return await self._download(request, serving) if request.is_download else self._call(request)
        except RefusedError as refused:
            body = refused.body | {"request_id": self._request_ids.request_id()}
            return json_answer(body, refused.status, refused.headers)

    def _call(self, request: SandboxRequest) -> Answer:
        keys = request.headers.get("X-App-Id"), request.headers.get("X-App-Token")
        if keys != (self.app_id, self.app_token):
            return _unauthorized()
        for path, endpoints in self._routes:
            match = path.fullmatch(request.path)
            if match and request.method in endpoints:
                return endpoints[request.method](request, *match.groups())
            if match:
                raise _not_allowed(request, ", ".join(endpoints))
        raise RefusedError(404, "not_found", "Resource not found", f"Cannot find path {request.path}")

    def _create(self, request: SandboxRequest) -> Answer:
        wanted = wanted_export(request.body)
        export = self.add(
            wanted.exported_object, parameters=wanted.parameters, fields=wanted.fields, created_at=request.at
        )
        return json_answer(self._wire(export, request.at))

    def _list(self, request: SandboxRequest) -> Answer:
        query = list_query(request.query)
        page = self.exports.page(query.order, query.page, query.limit, request.at)
        exports = [self._wire(export, request.at) for export in page]
        return json_answer(
            {"object": "list", "data_ref": "exports", "exports": exports, "total": len(self.exports)}
        )

    def _get(self, request: SandboxRequest, export_id: str) -> Answer:
        return json_answer(self._wire(self._find(export_id), request.at))

    def _delete(self, _request: SandboxRequest, export_id: str) -> Answer:
        self.exports.remove(self._find(export_id))
        return Answer(status=204)

    async def _download(self, request: SandboxRequest, serving: Serving) -> Answer:
        if request.method != "GET":
            raise _not_allowed(request, "GET")
        export_id = request.export_id or ""
        if not self._is_valid(request.query.get("token", ""), export_id, request.at):
            return _unauthorized()
        export = self._find(export_id)
        if export.status(request.at) != "DONE":
            raise _not_found(export_id)
        if export.file is None:
            table = Table(f"{self.seed}/{export.id}", export.exported_object, export.fields, export.rows)
            export.file = File(table, export.ends_at)
        return await file_answer(export.file, request.headers, serving)

    def _find(self, export_id: str) -> Export:
        export = self.exports.find(export_id)
        if export is None:
            raise _not_found(export_id)
        return export

    def _wire(self, export: Export, now: float) -> dict[str, object]:
        token = self._token(export.id, f"{int(now * 1000):x}")
        return export.wire(now, f"{self.download_url}/v1/exports/{quote(export.id, safe='')}?token={token}")

    def _token(self, export_id: str, issued: str) -> str:
        # Signed instead of kept: thousands of polls issue a token each, and few are ever used.
        signature = hmac.new(self.app_token.encode(), f"{export_id}/{issued}".encode(), "sha256")
        return f"{issued}.{signature.hexdigest()}"

    def _is_valid(self, token: str, export_id: str, now: float) -> bool:
        issued = token.partition(".")[0]
        if token != self._token(export_id, issued):
            return False
        return self.token_ttl is None or now < int(issued, 16) / 1000 + self.token_ttl


def _unauthorized() -> Answer:
    return json_answer(UNAUTHORIZED, 401)


def _not_allowed(request: SandboxRequest, allowed: str) -> RefusedError:
    details = f"{request.path} knows {allowed}"
    return RefusedError(405, "method_not_allowed", "Method not allowed", details, {"Allow": allowed})


def _not_found(export_id: str) -> RefusedError:
    details = f"Cannot find export with id {export_id}"
    return RefusedError(
        404, "not_found", "Resource not found", details, resource_id=export_id, resource_type="export"
    )
