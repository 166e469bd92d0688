"""The entry points: the console script, `python -m`, and the error without the extra."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from cli_process import environment, run

import voucherify_exports
from voucherify_exports.__main__ import main

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == {blocked!r}:
            raise {error}
sys.meta_path.insert(0, Blocker())
from voucherify_exports.__main__ import main
main()
"""


MISSING = "ModuleNotFoundError(f'No module named {name!r}', name=name)"


def run_without(module: str, error: str = MISSING) -> subprocess.CompletedProcess[str]:
    code = [sys.executable, "-c", BLOCKED.format(blocked=module, error=error), "--version"]
    return subprocess.run(code, capture_output=True, text=True, env=environment(), timeout=20)


class TestTheExtra:
    @pytest.mark.parametrize("module", ["typer", "rich", "dotenv"])
    def test_is_missing(self, module: str) -> None:
        """Without a package of the extra, one line says what to install; the exit code is 2."""
        finished = run_without(module)

        assert finished.stderr == (
            f"Error: {module} is not installed: pip install 'voucherify-exports[cli]'\n"
        )
        assert finished.stdout == ""
        assert finished.returncode == 2

    @pytest.mark.parametrize("module", ["rich.live", "yarl", "voucherify_exports.cli.status_display"])
    def test_another_module_is_missing(self, module: str) -> None:
        """Any other missing module is reported by Python."""
        finished = run_without(module)

        assert f"ModuleNotFoundError: No module named '{module}'" in finished.stderr
        assert finished.returncode == 1


def test_interrupted_during_the_import() -> None:
    """Ctrl-C during the import prints no traceback."""
    finished = run_without("rich.live", "KeyboardInterrupt")

    assert (finished.returncode, finished.stderr) == (130, "Interrupted.\n")


class TestEntryPoints:
    async def test_python_m(self) -> None:
        """`python -m voucherify_exports --version` prints only the version."""
        finished = await run("--version", env=environment())

        assert finished.out == f"voucherify-exports {voucherify_exports.__version__}\n".encode()
        assert (finished.code, finished.err) == (0, b"")

    def test_console_script(self) -> None:
        """The installed script calls the same function."""
        (script,) = entry_points(group="console_scripts", name="voucherify-exports")

        assert script.load() is main
