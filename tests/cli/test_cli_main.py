"""The way in: the console script, `python -m`, and what is said without the extra."""

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
    def test_its_absence_is_told_in_one_line(self, module: str) -> None:
        """Without its packages, stderr says what to install, and the exit code is that of wrong usage."""
        finished = run_without(module)

        assert finished.stderr == (
            f"Error: {module} is not installed: pip install 'voucherify-exports[cli]'\n"
        )
        assert finished.stdout == ""
        assert finished.returncode == 2

    @pytest.mark.parametrize("module", ["rich.live", "yarl", "voucherify_exports.cli.status_display"])
    def test_nothing_else_is_taken_for_it(self, module: str) -> None:
        """Another module that is missing is told as Python tells it."""
        finished = run_without(module)

        assert f"ModuleNotFoundError: No module named '{module}'" in finished.stderr
        assert finished.returncode == 1


def test_interrupted_before_it_began() -> None:
    """Ctrl-C while the command is still being imported is no traceback either."""
    finished = run_without("rich.live", "KeyboardInterrupt")

    assert (finished.returncode, finished.stderr) == (130, "Interrupted.\n")


class TestTheWayIn:
    async def test_python_m(self) -> None:
        """`python -m voucherify_exports --version` prints the version alone."""
        finished = await run("--version", env=environment())

        assert finished.out == f"voucherify-exports {voucherify_exports.__version__}\n".encode()
        assert (finished.code, finished.err) == (0, b"")

    def test_console_script(self) -> None:
        """The script that is installed is the same function."""
        (script,) = entry_points(group="console_scripts", name="voucherify-exports")

        assert script.load() is main
