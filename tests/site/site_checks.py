"""Checks of the site that `nox -s docs` has built; run only if this file is named."""

import html
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import voucherify_exports
from voucherify_exports import sandbox, tables

SITE = Path(__file__).parents[2] / "docs/_build"


class Page(HTMLParser):
    """The anchors of a page, and the targets of its links and images."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.anchors |= {name for name in (attributes.get("id"), attributes.get("name")) if name}
        self.targets |= {target for target in (attributes.get("href"), attributes.get("src")) if target}


PAGES = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(SITE)))
def test_links(path: Path) -> None:
    """Each link within the site leads to an existing file, and to an existing anchor in it."""
    for target in PAGES[path].targets:
        url = urlsplit(target)
        if url.scheme or url.netloc:
            continue
        file = (path.parent / unquote(url.path)).resolve() if url.path else path
        assert file.is_file(), target
        if url.fragment and file in PAGES:
            assert unquote(url.fragment) in PAGES[file].anchors, target


def test_the_reference_is_complete() -> None:
    """Each public name is described in the reference."""
    _, _, _, _, *names = (SITE / "objects.inv").read_bytes().split(b"\n", 4)
    described = {line.split(" ")[0] for line in zlib.decompress(names[0]).decode().splitlines()}
    public = {
        f"{module.__name__}.{name}"
        for module in (voucherify_exports, tables, sandbox)
        for name in module.__all__
    } - {
        "voucherify_exports.__version__",
        # These are described without `tables` and `sandbox` in their names.
        "voucherify_exports.tables.ColumnWarning",
        "voucherify_exports.sandbox.Sandbox",
    }

    assert public <= described


def text_of(path: Path) -> str:
    """The text of a page, without markup."""
    return html.unescape(re.sub(r"<[^>]+>", "", path.read_text()))


@pytest.mark.parametrize("path", sorted((SITE / "reference").glob("*.html")), ids=lambda path: path.name)
def test_the_reference_shows_real_defaults(path: Path) -> None:
    """No default is shown as attrs generates it, or as an object of Python's."""
    text = text_of(path)
    for wrong in ("attr_dict", "NOTHING", "Factory(", " object at 0x", "<lambda>", "_empty()"):
        assert wrong not in text


def test_the_options_have_their_defaults() -> None:
    """The client and its policies show the values that apply when nothing is given."""
    text = text_of(SITE / "reference/client.html")
    for right in (
        "request_timeout: float = 30.0",
        "retry: RetryPolicy = RetryPolicy()",
        "initial: float = 2.0",
        "attempts: int = 5",
        "wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5)",
    ):
        assert right in text


def test_there_are_pages() -> None:
    """The site has pages, so that the other checks are not empty."""
    assert len(PAGES) > 30
