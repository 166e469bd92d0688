"""The page for the browser: `page.html`, with the state and the buttons that depend on it filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

from .._data.objects import FIELDS

State = dict[str, Any]

_EXPORTS, _REQUESTS = 100, 30  # how many of the latest are shown

_PAGE = files("voucherify_exports.sandbox._control").joinpath("page.html")


def page(state: State) -> str:
    """Return the page as HTML."""
    texts = {name: escape(state[name]) for name in ("url", "download_url", "app_id", "app_token")}
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        texts,
        objects="".join(f"<option>{name}</option>" for name in FIELDS),
        exports_total=len(state["exports"]),
        exports=_exports(state),
        quota=_quota(state),
        faults=_faults(state),
        requests_total=state["requests_total"],
        requests=_requests(state),
    )


def _exports(state: State) -> str:
    rows = "".join(_export(export, state["now"]) for export in state["exports"][:_EXPORTS])
    return _table(["Id", "Object", "#Rows", "Created", "Status", ""], rows, "No export yet.")


def _export(export: State, now: float) -> str:
    path = f"/_sandbox/exports/{quote(export['id'], safe='')}"
    changes_at = export["changes_at"]
    remaining = "" if changes_at is None else f" {max(0, changes_at - now):.0f} s"
    buttons = _button(f"{path}/delete", "Delete")
    if changes_at is not None:
        buttons = (
            _button(f"{path}/finish", "Finish", outcome="DONE")
            + _button(f"{path}/finish", "Fail", outcome="ERROR")
            + buttons
        )
    status = export["status"]
    return (
        f'<tr><td class="mono">{escape(export["id"])}</td><td>{export["exported_object"]}</td>'
        f'<td class="number">{export["rows"]:,}</td><td>{_time(export["created_at"])}</td>'
        f'<td><span class="status {status}">{status}</span>{remaining}</td><td>{buttons}</td></tr>'
    )


def _quota(state: State) -> str:
    quota = state["quota"]
    if quota is None:
        return "<p class=none>No rate limit.</p>"
    ends = "" if quota["ends_at"] is None else f", window ends in {quota['ends_at'] - state['now']:.0f} s"
    return (
        f'<progress max="{quota["limit"]}" value="{quota["left"]}"></progress>'
        f" {quota['left']} of {quota['limit']} requests left{ends}"
    )


def _requests(state: State) -> str:
    rows = "".join(
        f'<tr><td>{_time(request["at"])[-8:]}</td><td class="mono">{escape(request["method"])}'
        f" {escape(request['path'])}{' (file)' if request['is_download'] else ''}</td>"
        f'<td class="number">{request["status"] or "none"}</td>'
        f'<td class="number">{"" if request["quota_left"] is None else request["quota_left"]}</td></tr>'
        for request in state["requests"][:_REQUESTS]
    )
    return _table(["Time", "Request", "#Status", "#Quota left"], rows, "No request yet.")


def _faults(state: State) -> str:
    rows = "".join(
        f'<tr><td class="mono">{escape(", ".join(f"{name}={value}" for name, value in fault.items()))}'
        "</td></tr>"
        for fault in state["faults"]
    )
    clear = _button("/_sandbox/faults/clear", "Clear faults") if rows else ""
    return _table([], rows, "No pending faults.") + clear


def _table(titles: list[str], rows: str, if_empty: str) -> str:
    if not rows:
        return f"<p class=none>{if_empty}</p>"
    head = "".join(
        f'<th class="number">{title[1:]}</th>' if title.startswith("#") else f"<th>{title}</th>"
        for title in titles
    )
    return f"<div class=table><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _button(action: str, text: str, **values: str) -> str:
    hidden = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in values.items())
    return f'<form method="post" action="{escape(action)}">{hidden}<button>{text}</button></form> '


def _time(epoch: float) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S}"
