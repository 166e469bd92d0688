"""The house itself: what imports what, what is public, and that every room stands alone."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

import voucherify_exports

ROOT = Path(voucherify_exports.__file__).parent

# From the doors down to the ground floor: a module may import those below it, and no other.
FLOORS = [
    "__main__",
    "cli",
    "airflow",
    "__init__",
    "_notebook",
    "client",
    "_creates",
    "_api",
    "_parameters",
    "_conversion",
    "_download",
    "_file",
    "tables",
    "_writers",
    "_structs",
    "_arrow",
    "_columns",
    "_csv",
    "_threads",
    "_part",
    "_resume",
    "_watcher",
    "_listing",
    "_waiting",
    "_transport",
    "_settings",
    "_trust",
    "_tokens",
    "_calls",
    "auth",
    "_quota",
    "polling",
    "_wire",
    "catalog",
    "filters",
    "events",
    "errors",
    "models",
    "_redact",
    "_html",
    "_scopes",
    "_clock",
    "_version",
]
SANDBOX = "sandbox"  # a house of its own, which doors may open
AIRFLOW = "airflow"  # a door that needs Airflow, with tests of its own in tests/airflow


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(
    ".".join(("voucherify_exports", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if path.name != "__main__.py" and room(path) != AIRFLOW
)

UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def imported(path: Path) -> Iterator[str]:
    """The rooms that a file imports, also inside functions and for type checkers."""
    package = ["voucherify_exports", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            targets = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == "voucherify_exports" and len(parts) > 1:
                yield (
                    parts[1]
                    if (ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").exists()
                    else "__init__"
                )


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
class TestImports:
    def test_point_down(self, path: Path) -> None:
        """No module imports one of its own floor's neighbours above, or the sandbox's inside."""
        here = room(path)
        others = {name for name in imported(path) if name != here}
        if here == SANDBOX:
            assert others == set()
            return
        allowed = {*FLOORS[FLOORS.index(here) + 1 :]}
        if here in {"__main__", "cli", "__init__"}:
            allowed.add(SANDBOX)
        assert others <= allowed

    def test_a_room_is_not_too_large(self, path: Path) -> None:
        """A file that one can read in a sitting."""
        assert len(path.read_text().splitlines()) <= 450


class TestPublic:
    def test_all_is_what_is_public(self) -> None:
        """`__all__` holds each public name, sorted, and each can be had."""
        names = voucherify_exports.__all__
        modules = {room(path) for path in ROOT.rglob("*.py")}
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
