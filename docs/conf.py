"""How the documentation is built: `nox -s docs`."""

import inspect
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import voucherify_exports
from voucherify_exports import ExportsClient

project = "voucherify-exports"
author = "The voucherify-exports developers"
copyright = "2026, the voucherify-exports developers"  # noqa: A001 - Sphinx requires this name
version = release = voucherify_exports.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
autodoc_mock_imports = ["airflow"]  # it is larger than all other dependencies together
nitpicky = True

html_theme = "furo"
html_title = f"voucherify-exports {release}"
html_show_sourcelink = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

default_role = "code"  # docstrings use single backticks, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

# Names of other packages are not linked, so that the site builds without a network.
nitpick_ignore_regex = [
    ("py:.*", r"(aiohttp|asyncio|collections|datetime|os|pathlib|tenacity|typing|yarl)\..*"),
    ("py:.*", r"(pandas|pd|polars|pl|pyarrow|pa|numpy)\..*"),
    # Internal names of the package that annotations contain and users do not need.
    ("py:class", r"voucherify_exports\.(_api\.parameters\.ExportOptions|_ground\.redact\.Redactor)"),
    ("py:class", r"voucherify_exports\.airflow\.hook\._Result"),
    ("py:class", r"datetime|Outcome|Reset|Edit"),  # names of the sandbox that only type checkers see
]

PUBLIC = {name: name for name in voucherify_exports.__all__} | {
    name: f"ExportsClient.{name}"
    for name, _ in inspect.getmembers(ExportsClient, callable)
    if "_" in name and not name.startswith("_")
}


def link_names(_app: Sphinx, doctree: nodes.document) -> None:
    """Make a link of each public name that stands in backticks, in pages and docstrings alike."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if name not in PUBLIC or isinstance(literal.parent, nodes.reference | nodes.title | pending_xref):
            continue
        link = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=f"voucherify_exports.{PUBLIC[name]}", refwarn=True
        )
        literal.replace_self(link)
        link += literal


def find_public(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element) -> Any:
    """Lead from where a class is written, as in annotations, to where it is public."""
    target = f"voucherify_exports.{node['reftarget'].rpartition('.')[2]}"
    python = env.domains.python_domain
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, shown)


def setup(app: Sphinx) -> None:
    """Connect the two."""
    app.connect("doctree-read", link_names)
    app.connect("missing-reference", find_public)
