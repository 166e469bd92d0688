"""How the documentation is built: `nox -s docs`."""

import ast
import inspect
from typing import Any

import attrs
import sphinx.util.inspect
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import voucherify_exports
from voucherify_exports import ExportsClient
from voucherify_exports._api.settings import Settings

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
    ("py:class", r"voucherify_exports\.airflow\.hook\._Result"),
    ("py:class", r"datetime|Outcome|Reset|Edit"),  # names of the sandbox that only type checkers see
]

PUBLIC = {name: name for name in voucherify_exports.__all__} | {
    name: f"ExportsClient.{name}"
    for name, _ in inspect.getmembers(ExportsClient, callable)
    if "_" in name and not name.startswith("_")
}


def link_names(_app: Sphinx, doctree: nodes.document) -> None:
    """Link each public name in backticks, in pages and docstrings, to the reference."""
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
    """Resolve a class that an annotation names by its private module to its public name."""
    target = f"voucherify_exports.{node['reftarget'].rpartition('.')[2]}"
    python = env.domains.python_domain
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, shown)


class Verbatim:
    """A default as it is written in the source."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def show_defaults(
    _app: Sphinx, what: str, _name: str, obj: Any, _options: Any, _signature: str, _returns: Any
) -> tuple[str, None] | None:
    """Show the defaults of an attrs class as its source has them, and leave out private attributes.

    Sphinx would read the `__init__` that attrs generates. The defaults of `ExportsClient` are in `Settings`.
    """
    source = Settings if obj is ExportsClient else obj
    if what not in {"class", "exception"} or not attrs.has(source):
        return None
    private = {attribute.alias for attribute in attrs.fields(source) if attribute.name.startswith("_")}
    parameters = [
        parameter
        if parameter.default is parameter.empty
        else parameter.replace(default=Verbatim(default_of(source, name)))
        for name, parameter in inspect.signature(obj).parameters.items()
        if name not in private
    ]
    signature = inspect.Signature(parameters)
    return sphinx.util.inspect.stringify_signature(signature, unqualified_typehints=True), None


def default_of(cls: type, name: str) -> str:
    """The default of a field of an attrs class: `= 5`, `field(default=5)` or `field(factory=lambda: 5)`."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef))
    (value,) = (
        node.value
        for node in body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value
    )
    given = {each.arg: each.value for each in value.keywords} if isinstance(value, ast.Call) else {}
    match given:
        case {"factory": ast.Lambda(body=default)} | {"default": default}:
            return ast.unparse(default)
        case {"factory": _}:
            factory: Any = attrs.fields_dict(cls)[name].default
            return repr(factory.factory())
        case _:
            return ast.unparse(value)


def setup(app: Sphinx) -> None:
    """Connect the functions to the events of Sphinx."""
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("doctree-read", link_names)
    app.connect("missing-reference", find_public)
