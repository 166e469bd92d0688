"""The fixtures as projects use them: from the built wheel, in a separate run of pytest."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent / "project"
ROOT = Path(__file__).parents[2]
EXAMPLES = re.compile("^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}

WITHOUT_PYTEST_ASYNCIO = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "pytest_asyncio":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""

# No plugin but those that are named: others could import anything.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the installed wheel, without its dependencies, which the tests have."""
    wheels = tmp_path_factory.mktemp("wheels")
    packages = tmp_path_factory.mktemp("venv") / "site-packages"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT]
    subprocess.run(build, check=True, timeout=60, env=UNMEASURED)
    (wheel,) = wheels.iterdir()
    install = [*pip, "install", "--no-deps", "--target", packages, wheel]
    subprocess.run(install, check=True, timeout=60, env=UNMEASURED)
    return packages


@pytest.fixture
def run(installed: Path) -> Run:
    """Run pytest on one folder of the project, with the wheel but not the source tree in its path."""

    def run(
        folder: str, *args: str | Path, python: tuple[str, ...] = ("-m", "pytest"), **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *python, "-p", "no:cacheprovider", "-p", "no:schemathesis", *args],
            cwd=PROJECT / folder,
            env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", **env},
            capture_output=True,
            text=True,
            timeout=25,
        )

    return run


class TestFixtures:
    @pytest.mark.parametrize(("mode", "tests"), [("auto", 1), ("strict", 3), ("one_loop", 1)])
    def test_in_each_mode_of_pytest_asyncio(self, run: Run, mode: str, tests: int) -> None:
        """The tests of a project pass, with warnings as errors, in each configuration of pytest-asyncio."""
        finished = run(mode)

        assert f"{tests} passed in" in finished.stdout, finished.stdout
        assert finished.returncode == 0

    def test_in_the_documentation(self, run: Run, tmp_path: Path) -> None:
        """The examples in the docs pass unchanged."""
        examples = EXAMPLES.findall((ROOT / "docs/testing.md").read_text())
        for number, example in enumerate(examples):
            (tmp_path / f"test_example_{number}.py").write_text(example)
        finished = run("auto", "-c", "pytest.ini", tmp_path)

        tests = "".join(examples).count("async def test_")
        assert f"{tests} passed in" in finished.stdout, finished.stdout

    def test_without_pytest_asyncio(self, run: Run) -> None:
        """A test that uses a fixture without pytest-asyncio fails with one line that says what to install."""
        finished = run("sync", "-p", "voucherify_exports", python=("-c", WITHOUT_PYTEST_ASYNCIO), **ALONE)

        assert "voucherify_sandbox needs pytest-asyncio: pip install pytest-asyncio" in finished.stdout
        assert "pytest_plugin" not in finished.stdout  # it is no traceback
        assert finished.returncode == 1


class TestUnused:
    def test_costs_nothing(self, run: Run) -> None:
        """A run without the fixtures imports only the module of the plugin, not the package or aiohttp."""
        finished = run("unused", "-p", "voucherify_exports", **ALONE)

        assert "1 passed in" in finished.stdout, finished.stdout
