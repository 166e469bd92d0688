"""The page of the sandbox: what happens in it, and buttons that make it happen."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote

from .._data.objects import FIELDS

State = dict[str, Any]

_EXPORTS, _REQUESTS = 100, 30  # are shown, the latest

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem 1.5rem 3rem }
h1 { font-size: 1.35rem; margin: 0 0 .3rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
code, td.mono { font: 13px/1.5 ui-monospace, monospace }
table { border-collapse: collapse; width: 100% }
th { font-size: .8rem; font-weight: 600; text-align: left } th, td { padding: .22rem .6rem .22rem 0 }
tr { border-bottom: 1px solid var(--line) } td.number, th.number { text-align: right }
td.mono { min-width: 14rem; overflow-wrap: anywhere } .table { overflow-x: auto }
form { display: inline-flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: 0 }
label { display: flex; flex-direction: column; font-size: .8rem; gap: .1rem }
button, input, select { box-sizing: border-box; font: inherit; height: 1.9rem; padding: 0 .55rem }
input { width: 7rem } input.wide { width: 14rem } td button { font-size: .8rem; height: 1.5rem }
td { white-space: nowrap } td.mono { white-space: normal }
.status { border-radius: 1rem; font-size: .8rem; padding: .1rem .6rem; white-space: nowrap }
.SCHEDULED { background: #8883 } .IN_PROGRESS { background: #2b7de955 }
.DONE { background: #1a9c5455 } .ERROR { background: #d6303055 }
.columns { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)) }
.panel { background: var(--soft); border-radius: .5rem; padding: .6rem .9rem .8rem }
.none { opacity: .7 } progress { width: 10rem }
"""

_SCRIPT = """
setInterval(async () => {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const shown = document.querySelector("main");
  if (fresh && fresh.innerHTML !== shown.innerHTML) shown.replaceWith(fresh);
}, 1000);
"""


def page(state: State) -> str:
    """Return the page as HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Voucherify exports sandbox</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<h1>Voucherify exports sandbox</h1>
<div>API <code>{escape(state["url"])}</code> · files <code>{escape(state["download_url"])}</code></div>
<div>X-App-Id <code>{escape(state["app_id"])}</code>
· X-App-Token <code>{escape(state["app_token"])}</code></div>
<div class="columns">
{_add_form()}
{_fault_form()}
</div>
<main>
{_exports(state)}
<div class="columns">
<section>{_quota(state)}</section>
<section>{_faults(state)}</section>
</div>
{_requests(state)}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _add_form() -> str:
    objects = "".join(f"<option>{name}</option>" for name in FIELDS)
    return f"""<section><h2>Add an export</h2>
<form class="panel" method="post" action="/_sandbox/exports">
<label>Object <select name="exported_object">{objects}</select></label>
<label>Rows <input name="rows" type="number" min="0" value="100"></label>
<label>Outcome <select name="outcome"><option>DONE</option><option>ERROR</option></select></label>
<button>Add export</button>
</form></section>"""


def _fault_form() -> str:
    return """<section><h2>Inject a fault</h2>
<form class="panel" method="post" action="/_sandbox/faults">
<label>Path <input class="wide" name="path" placeholder="/v1/exports/*"></label>
<label>Status <input name="status" type="number" min="200" max="599" placeholder="503"></label>
<label>Reset <select name="reset"><option value="">no</option><option>before</option><option>headers</option>
<option>body</option></select></label>
<label>Delay, seconds <input name="delay" type="number" min="0" step="any"></label>
<label>Times <input name="times" type="number" min="1" value="1"></label>
<label>Probability <input name="probability" type="number" min="0" max="1" step="any" placeholder="1"></label>
<button>Inject fault</button>
</form></section>"""


def _exports(state: State) -> str:
    rows = "".join(_export(export, state["now"]) for export in state["exports"][:_EXPORTS])
    table = _table(["Id", "Object", "#Rows", "Created", "Status", ""], rows, "No export yet.")
    return f"<h2>Exports ({len(state['exports'])})</h2>{table}"


def _export(export: State, now: float) -> str:
    path = f"/_sandbox/exports/{quote(export['id'], safe='')}"
    changes_at = export["changes_at"]
    rest = "" if changes_at is None else f" {max(0, changes_at - now):.0f} s"
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
        f'<td><span class="status {status}">{status}</span>{rest}</td><td>{buttons}</td></tr>'
    )


def _quota(state: State) -> str:
    quota = state["quota"]
    if quota is None:
        return "<h2>Quota</h2><p class=none>No rate limit.</p>"
    rest = "" if quota["ends_at"] is None else f", {quota['ends_at'] - state['now']:.0f} s to go"
    return (
        f'<h2>Quota</h2><progress max="{quota["limit"]}" value="{quota["left"]}"></progress>'
        f" {quota['left']} of {quota['limit']} left{rest}"
    )


def _requests(state: State) -> str:
    rows = "".join(
        f'<tr><td>{_time(request["at"])[-8:]}</td><td class="mono">{escape(request["method"])}'
        f" {escape(request['path'])}{' (file)' if request['is_download'] else ''}</td>"
        f'<td class="number">{request["status"] or "none"}</td>'
        f'<td class="number">{"" if request["quota_left"] is None else request["quota_left"]}</td></tr>'
        for request in state["requests"][:_REQUESTS]
    )
    return f"<h2>Requests ({state['requests_total']})</h2>" + _table(
        ["Time", "Request", "#Status", "#Quota left"], rows, "No request yet."
    )


def _faults(state: State) -> str:
    rows = "".join(
        f'<tr><td class="mono">{escape(", ".join(f"{name}={value}" for name, value in fault.items()))}'
        "</td></tr>"
        for fault in state["faults"]
    )
    clear = _button("/_sandbox/faults/clear", "Clear faults") if rows else ""
    return "<h2>Faults to come</h2>" + _table([], rows, "None: every answer is as it should be.") + clear


def _table(titles: list[str], rows: str, otherwise: str) -> str:
    if not rows:
        return f"<p class=none>{otherwise}</p>"
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
