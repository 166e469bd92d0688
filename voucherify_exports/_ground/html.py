"""Tables in HTML, for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = '"text-align: left"'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of texts, which are escaped; its colours are the page's."""
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(_row("td", row) for row in rows)
    return f"<table>{above}<thead>{_row('th', header)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    # Notebooks put cells to the right, as if all were numbers.
    return f"<tr>{''.join(f'<{tag} style={_LEFT}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
