"""The house: which wing may import what, what is public, and that every module imports alone."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import requires
from pathlib import Path

import pytest

import voucherify_exports

PACKAGE = "voucherify_exports"
ROOT = Path(voucherify_exports.__file__).parent
INTERNALS = ROOT.parent / "docs/internals.md"
MOST_LINES = 550

VOCABULARY = {"models", "errors", "extras", "events", "auth", "polling", "filters", "catalog"}
PUBLIC = {PACKAGE, "client", "notebook", "tables", *VOCABULARY}

# A wing is a folder or a module of the package. Each may import the wings, or single modules, named here.
WINGS: dict[str, set[str]] = {
    "__main__": {"cli", "errors", "extras"},
    "cli": {"sandbox", *PUBLIC},
    "airflow": PUBLIC,
    PACKAGE: {"sandbox", "_api.creates", "_api.settings", "_files.download", "_ground", "_version", *PUBLIC},
    "notebook": {"client", *VOCABULARY},
    "client": {"tables", "_files", "_waiting", "_api", "_ground", *VOCABULARY},
    "tables": {"_files", "_ground", *VOCABULARY},
    "_files": {"_api", "_ground", *VOCABULARY},
    "_waiting": {"_api.quota", "_ground", *VOCABULARY},
    "_api": {"_ground", "_version", *VOCABULARY},
    "events": {"models"},
    "errors": {"models"},
    "extras": {"errors"},
    "auth": {"errors", "_ground"},
    "polling": {"models", "errors"},
    "catalog": {"models", "errors"},
    "filters": set(),
    "models": {"_ground"},
    "_ground": set(),
    "_version": set(),
    "sandbox": set(),  # a house of its own
}

# The same inside a wing: what each of its rooms may import of the others.
ROOMS: dict[str, dict[str, set[str]]] = {
    "sandbox": {
        "sandbox": {"_sandbox", "_http", "_emulator"},
        "_sandbox": {"_control", "_emulator", "_http", "_data"},
        "_control": {"_emulator", "_http", "_data"},
        "_emulator": {"_http", "_data"},
        "_http": {"_data"},
        "_data": set(),
    },
    "cli": {
        "cli": set(),
        "app": {
            "boundary",
            "catalog",
            "demo",
            "doctor",
            "exit_codes",
            "exports",
            "files",
            "sandbox",
            "streams",
            "wait",
        },
        "files": {
            "conditions",
            "connection",
            "download_display",
            "interruption",
            "options",
            "status_display",
        },
        "wait": {
            "boundary",
            "connection",
            "exit_codes",
            "interruption",
            "options",
            "status_display",
            "streams",
        },
        "exports": {"conditions", "connection", "description", "options", "streams"},
        "doctor": {"connection", "streams"},
        "demo": {"reporter", "status_display", "streams"},
        "catalog": {"boundary", "options", "streams"},
        "sandbox": {"boundary", "streams"},
        "connection": {"boundary", "reporter", "streams"},
        "boundary": {"exit_codes", "interruption", "streams"},
        "description": {"streams"},
        "download_display": {"streams"},
        "status_display": {"streams"},
        "options": set(),
        "conditions": set(),
        "reporter": set(),
        "interruption": set(),
        "exit_codes": set(),
        "streams": set(),
    },
    "airflow": {
        "airflow": {"hook", "operator", "sensor", "trigger"},
        "operator": {"_payload", "_task_export", "hook", "trigger"},
        "sensor": {"_payload", "hook", "trigger"},
        "trigger": {"_clients", "_payload", "hook"},
        "_clients": {"hook"},
        "_payload": set(),
        "_task_export": set(),
        "hook": set(),
    },
}

# What users come in by: these use what is public, and no module that begins with an underscore.
DOORS = {"__main__", "cli", "airflow", "notebook"}

# Third parties that a wing, or a module, does not import, not even for type checkers.
FORBIDDEN: dict[str, set[str]] = {
    "_waiting": {"aiohttp", "yarl"},
    "_ground": {"aiohttp", "yarl"},
    "_api.quota": {"aiohttp", "yarl"},
    "_api.wire": {"aiohttp", "yarl"},
    "tables._columns": {"numpy", "pyarrow"},
    "tables._csv": {"numpy", "pyarrow"},
    **{module: {"aiohttp", "pyarrow", "yarl"} for module in VOCABULARY},
}


def module_of(path: Path) -> str:
    """The name of a file within the package: `_api.wire`, or `sandbox` for the `__init__` of that folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or PACKAGE


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}
MODULES = sorted(
    PACKAGE if name == PACKAGE else f"{PACKAGE}.{name}"
    for name in FILES
    if name != "__main__" and name.partition(".")[0] != "airflow"  # with tests of its own in tests/airflow
)
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def imported(module: str, source: str) -> Iterator[str]:
    """The modules that a source imports, in functions and for type checkers too; third parties with a `/`."""
    package = [PACKAGE, *module.split(".")] if module != PACKAGE else [PACKAGE]
    if FILES[module].stem != "__init__":
        package.pop()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (named(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (named(f"{origin}.{alias.name}") for alias in node.names)


def named(target: str) -> str:
    """The module that `from` or `import` reaches, whether it names the module or something in it."""
    first, _, rest = target.partition(".")
    if first != PACKAGE:
        return f"{first}/"
    while rest and rest not in FILES:
        rest = rest.rpartition(".")[0]
    return rest or PACKAGE


def is_within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def violations(module: str, source: str) -> list[str]:
    """The imports of a module that the tables above do not allow."""
    wing, _, inside = module.partition(".")
    room = inside.partition(".")[0] or wing
    forbidden = {name for place, names in FORBIDDEN.items() if is_within(module, {place}) for name in names}
    wrong: list[str] = []
    for target in imported(module, source):
        other_wing, _, other_inside = target.partition(".")
        other_room = other_inside.partition(".")[0] or other_wing
        if target.endswith("/"):
            is_allowed = target.rstrip("/") not in forbidden
        elif other_wing != wing:
            is_allowed = is_within(target, WINGS[wing])
            if wing in DOORS:
                is_allowed = is_allowed and not any(part.startswith("_") for part in target.split("."))
        elif wing in ROOMS and other_room != room:
            is_allowed = other_room in ROOMS[wing][room]
        else:
            is_allowed = True
        if not is_allowed:
            wrong.append(target)
    return wrong


class TestImports:
    @pytest.mark.parametrize("module", FILES)
    def test_each_module_keeps_to_its_wing(self, module: str) -> None:
        """No module imports what the tables do not allow."""
        assert violations(module, FILES[module].read_text()) == []

    @pytest.mark.parametrize(
        ("module", "line"),
        [
            ("_waiting.watcher", "from .._api.transport import Transport"),
            ("_waiting.listing", "import aiohttp"),
            ("tables._csv", "from .._api.transport import Transport"),
            ("tables._csv", "import pyarrow as pa"),
            ("_files.part", "from .._waiting.watcher import Watcher"),
            ("_api.wire", "import aiohttp"),
            ("_api.wire", "from aiohttp.web import Response"),
            ("_api.transport", "from ..client import ExportsClient"),
            ("models", "from . import client"),
            ("errors", "from yarl import URL"),
            ("cli.files", "from .._waiting import watcher"),
            ("cli.files", "from ..tables._convert import convert"),
            ("cli.streams", "from .boundary import boundary"),
            ("cli.status_display", "from ..sandbox._data.rows import Row"),
            ("airflow.hook", "from .._api.settings import Settings"),
            ("airflow.hook", "from .operator import VoucherifyExportOperator"),
            ("notebook", "from ._ground.html import table"),
            ("sandbox._data.rows", "from .._control.page import page"),
            ("sandbox._control.control", "from .._sandbox import Sandbox"),
            ("sandbox._sandbox", "from ..models import Export"),
            ("sandbox._sandbox", "import voucherify_exports.catalog"),
        ],
    )
    def test_a_planted_import_is_noticed(self, module: str, line: str) -> None:
        """The check fails on imports that break the rules, wherever in the module they stand."""
        source = FILES[module].read_text()

        planted = f"{source}\n\ndef planted():\n    {line}\n"
        assert len(violations(module, planted)) == len(violations(module, source)) + 1

    def test_there_are_no_cycles(self) -> None:
        """Modules can be read from the ground up, also inside a wing and in what type checkers read."""
        graph = {
            module: {
                target
                for target in imported(module, path.read_text())
                if target in FILES and target != module and FILES[target].stem != "__init__"
            }
            for module, path in FILES.items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            pytest.fail(" imports ".join(error.args[1]))

    def test_every_wing_has_a_rule(self) -> None:
        """The table names each wing that there is, and no other."""
        assert {module.partition(".")[0] for module in FILES} == set(WINGS)

    def test_the_top_can_be_seen_at_a_glance(self) -> None:
        """At most 16 modules and 9 folders."""
        folders = {module.partition(".")[0] for module in FILES if "." in module}
        top = {path for path in FILES.values() if path.parent == ROOT}

        assert len(top) <= 16
        assert len(folders) <= 9

    @pytest.mark.parametrize("module", FILES)
    def test_a_file_is_not_too_large(self, module: str) -> None:
        """A file that one can read in a sitting."""
        assert len(FILES[module].read_text().splitlines()) <= MOST_LINES


@pytest.mark.skipif(not INTERNALS.exists(), reason="the documentation is not part of an installation")
class TestMap:
    """docs/internals.md, which says where everything is."""

    def test_it_names_every_wing(self) -> None:
        """The map has each folder and each module at the top, and what is in the wings of the core."""
        drawing = INTERNALS.read_text().split("```text")[1].split("```")[0]
        words = {word.strip("/") for word in drawing.split()}
        core = {"_api", "_files", "_ground", "_waiting"}
        inside = {module.split(".")[1] for module in FILES if module.split(".")[0] in core and "." in module}

        assert set(WINGS) - {PACKAGE, "_version"} | inside <= words

    def test_the_places_exist(self) -> None:
        """Each path that the page names in backticks is a file or a folder."""
        paths = re.findall(r"`([a-z_/]+(?:\.py|\.json|/))`", INTERNALS.read_text())

        assert len(paths) > 30
        for path in paths:
            assert any(
                (folder / path).exists() for folder in (ROOT, ROOT.parent, ROOT / "_files", ROOT / "sandbox")
            ), path


class TestPublic:
    def test_all_is_what_is_public(self) -> None:
        """`__all__` holds each public name, sorted, and each can be had."""
        names = voucherify_exports.__all__
        modules = {module.partition(".")[0] for module in FILES}
        public = {
            # What pytest adds to the modules of a package with a plugin begins with an @.
            name
            for name in vars(voucherify_exports)
            if not name.startswith(("_", "@")) and name not in modules
        } - {"TYPE_CHECKING", "load_ipython_extension", "unload_ipython_extension"}  # which IPython calls

        assert sorted(names) == names
        assert public | {"Sandbox", "__version__"} == set(names)
        for name in names:
            assert getattr(voucherify_exports, name) is not None

    def test_what_is_not_there_is_an_attribute_error(self) -> None:
        """A name that does not exist is told as Python does."""
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = voucherify_exports.Nothing  # type: ignore[attr-defined]  # that is what is tested

    def test_every_public_name_has_a_docstring(self) -> None:
        """Each class and function, and each public method of a class, says what it is."""
        for name in voucherify_exports.__all__:
            value = getattr(voucherify_exports, name)
            if isinstance(value, type):
                methods = [method for key, method in vars(value).items() if not key.startswith("_")]
                for method in (value, *(method for method in methods if callable(method))):
                    assert method.__doc__ or value in {
                        voucherify_exports.Clock,
                        voucherify_exports.SystemClock,
                    }

    def test_the_core_has_four_dependencies(self) -> None:
        """Everything else is an extra."""
        core = [line for line in requires("voucherify-exports") or [] if "extra ==" not in line]

        assert sorted(line.split(">")[0] for line in core) == ["aiohttp", "attrs", "cattrs", "tenacity"]


class TestModules:
    def test_each_imports_alone(self) -> None:
        """Each module can be the first of ours that is imported, with warnings as errors."""
        # Python imports the package itself before any of its modules, so that much is always there.
        code = (
            "import importlib, sys, voucherify_exports\n"
            "always = set(sys.modules)\n"
            "for module in sys.argv[1:]:\n"
            "    for name in set(sys.modules) - always:\n"
            "        if name.partition('.')[0] == 'voucherify_exports':\n"
            "            del sys.modules[name]\n"
            "    importlib.import_module(module)\n"
            "    print(module)\n"
        )
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *MODULES],
            capture_output=True,
            text=True,
            timeout=25,
            env=UNMEASURED,
        )

        assert (run.stdout.split(), run.stderr) == (MODULES, "")
        assert len(MODULES) > 20

    def test_the_package_stays_light(self) -> None:
        """Neither the sandbox, the command line nor a web server comes with the import."""
        code = (
            "import sys, voucherify_exports;"
            "print([name for name in sys.modules if name.split('.')[0] in {'typer', 'rich', 'click'}"
            " or name.startswith(('aiohttp.web', 'voucherify_exports.sandbox', 'voucherify_exports.cli.'))])"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
        )

        # aiohttp.web_exceptions and its like come with aiohttp itself.
        bare = subprocess.run(
            [sys.executable, "-c", code.replace("voucherify_exports;", "aiohttp;", 1)],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert run.stdout == bare.stdout
