"""HTML tables for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = '"text-align: left"'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of escaped texts, in the colours of the page."""
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(_row("td", row) for row in rows)
    return f"<table>{above}<thead>{_row('th', header)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    # Notebooks align cells to the right, as for numbers.
    return f"<tr>{''.join(f'<{tag} style={_LEFT}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
