"""The state of a sandbox, as JSON can hold it: for `Sandbox.state`, the control API and the page."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from attrs import fields

from .._http.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._http.requests import SandboxRequest
    from .api import EmulatedApi
    from .export_store import StoredExport
    from .rate_limit import RateLimitWindow

_REQUESTS = 100


def state(
    now: float,
    api: EmulatedApi,
    quota: RateLimitWindow | None,
    faults: Iterable[Fault],
    requests: Sequence[SandboxRequest],
) -> dict[str, object]:
    """Return the exports and the latest requests, newest first, the quota and the pending faults."""
    return {
        "now": now,
        "app_id": api.app_id,
        "app_token": api.app_token,
        "exports": [_export(export, now) for export in reversed(list(api.exports))],
        "faults": [_fault(fault) for fault in faults],
        "quota": quota and {"limit": quota.limit, "left": quota.left(now), "ends_at": quota.ends_at(now)},
        "requests_total": len(requests),
        "requests": [_request(request) for request in reversed(requests[-_REQUESTS:])],
    }


def _export(export: StoredExport, now: float) -> dict[str, object]:
    status = export.status(now)
    return {
        "id": export.id,
        "exported_object": export.exported_object,
        "status": status,
        "rows": export.rows,
        "created_at": export.created_at,
        "changes_at": {"SCHEDULED": export.starts_at, "IN_PROGRESS": export.ends_at}.get(status),
    }


def _fault(fault: Fault) -> dict[str, object]:
    """Return the options that were set; a value that JSON cannot hold is its `repr`."""
    options: dict[str, object] = {"times": fault.times}
    for option in fields(Fault):
        value: object = getattr(fault, option.name)
        if option.name != "times" and value != option.default:
            options[option.name] = value if _is_plain(value) else repr(value)
    return options


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | dict | list) or (isinstance(value, float) and isfinite(value))


def _request(request: SandboxRequest) -> dict[str, object]:
    return {
        "at": request.at,
        "method": request.method,
        "path": request.path,
        "is_download": request.is_download,
        "status": request.status,
        "quota_left": request.quota_left,
    }
