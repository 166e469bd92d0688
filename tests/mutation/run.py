"""Run the tests on each mutant of the modules that decide when to poll: `nox -s mutation`.

Each mutant gets a fork of this process, which takes it from memory, so no file is changed. The fork runs the
tests that execute the changed line, the quickest first, until one fails.
"""

import argparse
import ast
import importlib
import itertools
import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from multiprocessing import connection, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import TYPE_CHECKING, cast

import pytest
from attrs import Factory, define, field, frozen
from attrs.validators import min_len
from hypothesis import Phase, settings
from mutation.mutants import Mutant, mutants

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

ROOT = Path(__file__).parents[2]
PACKAGE = "voucherify_exports"
MODULES = {
    path.stem: path
    for path in (*(ROOT / PACKAGE / "_waiting").glob("[!_]*.py"), ROOT / PACKAGE / "_api" / "quota.py")
}
TESTS = ["tests/waiting", "tests/api/test_quota.py"]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")

# Without pytest's own `assert`, whose import hook would read the package from its files.
PYTEST = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-m", "not thorough"]
# One failing example is enough; hypothesis need not look for the smallest.
PROFILE = settings(derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate))
IMPORTED_ONCE = ("aiohttp", "aioresponses", "cattrs", "hypothesis.stateful", "pytest_asyncio", "tenacity")

FORK = get_context("fork")
SURVIVED = 0
KILLED = {1, 2, -signal.SIGPROF}  # a test failed, the import failed, or a loop did not end


@frozen
class Equivalent:
    """A mutant that behaves as the code does, from `equivalent.toml`."""

    function: str
    before: str
    after: str
    reason: str = field(validator=min_len(1))
    nth: int = 1


NAMED_BY = ("function", "before", "after", "nth")
Key = tuple[str, str, str, int]


def key(mutant: Mutant | Equivalent) -> Key:
    """What makes it the same mutant after other lines of the module have changed."""
    return mutant.function, mutant.before, mutant.after, mutant.nth


@define
class Test:
    """What a test did without a mutant."""

    seconds: float  # of CPU time
    lines: set[tuple[str, int]]  # of the modules


@define
class Recorder:
    """The plugin of pytest that finds out which lines each test executes."""

    tests: dict[str, Test] = Factory(dict[str, Test])
    _lines: set[tuple[str, int]] = Factory(set[tuple[str, int]])

    def pytest_sessionstart(self) -> None:
        tool, event = sys.monitoring.COVERAGE_ID, sys.monitoring.events.LINE
        sys.monitoring.use_tool_id(tool, "mutation")
        sys.monitoring.register_callback(tool, event, self._add)
        sys.monitoring.set_events(tool, event)

    def _add(self, code: CodeType, line: int) -> object:
        self._lines.add((code.co_filename, line))
        return sys.monitoring.DISABLE  # this line, until the next test

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._lines.clear()
        sys.monitoring.restart_events()
        started = time.process_time()
        result = yield
        files = {str(path) for path in MODULES.values()}
        lines = {(file, line) for file, line in [*self._lines] if file in files}
        self.tests[item.nodeid] = Test(time.process_time() - started, lines)
        return result


@define
class Selector:
    """The plugin of pytest that runs some tests, and ends the process if one takes too long."""

    tests: dict[str, Test]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        selected = [item for item in items if item.nodeid in self.tests]
        items[:] = sorted(selected, key=lambda item: self.tests[item.nodeid].seconds)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        limit_cpu_time(2 + 5 * self.tests[item.nodeid].seconds)


def limit_cpu_time(seconds: float) -> None:
    """End this process after so much CPU time: a mutant may loop for ever in virtual time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


class MutantLoader(SourceFileLoader):
    """Takes the source of a module from its syntax tree instead of its file."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        super().__init__(module_name(path), str(path))
        self.tree = tree

    def get_code(self, _fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


@define
class MutantFinder(MetaPathFinder):
    """Finds the module that has the mutant."""

    loader: MutantLoader

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return spec_from_loader(fullname, self.loader) if fullname == self.loader.name else None


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def run_tests(plugin: object, output: Path) -> int:
    """Run the tests in this process, whose output goes to a file; the exit code of pytest."""
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = pytest.main([*PYTEST, "--hypothesis-profile=mutation", *TESTS], plugins=[plugin])
    sys.stdout.flush()
    return code


def record(to: connection.Connection, output: Path) -> None:
    """Run the tests without a mutant."""
    recorder = Recorder()
    code = run_tests(recorder, output)
    to.send(recorder.tests if code == 0 else None)


def attempt(mutant: Mutant, tree: ast.Module, tests: dict[str, Test], output: Path) -> None:
    """Run the tests that can notice a mutant, and end the process with the exit code."""
    limit_cpu_time(10)
    mutant.apply()
    path = MODULES[mutant.module]
    sys.meta_path.insert(0, MutantFinder(MutantLoader(path, tree)))
    importlib.import_module(module_name(path))  # an exception ends the process with exit code 1
    os._exit(run_tests(Selector(tests), output))


def recorded_tests(output: Path) -> dict[str, Test]:
    """The tests, which have to pass without a mutant."""
    here, there = FORK.Pipe(duplex=False)
    process = FORK.Process(target=record, args=(there, output))
    process.start()
    tests: dict[str, Test] | None = here.recv()
    process.join()
    if tests is None:
        sys.exit(f"the tests fail without a mutant:\n{output.read_text()}")
    return tests


def survivors(
    chosen: list[Mutant], trees: dict[str, ast.Module], jobs: int, folder: Path
) -> Iterator[Mutant]:
    """The mutants with which every test passes, as they are found."""
    tests, queue = recorded_tests(folder / "unchanged"), enumerate(chosen)
    running: dict[int, tuple[Mutant, ForkProcess, Path]] = {}
    while True:
        for number, mutant in itertools.islice(queue, jobs - len(running)):
            lines = {(str(MODULES[mutant.module]), line) for line in mutant.lines}
            selected = {name: test for name, test in tests.items() if not lines or lines & test.lines}
            if not selected:
                yield mutant
                continue
            output = folder / str(number)
            process = FORK.Process(target=attempt, args=(mutant, trees[mutant.module], selected, output))
            process.start()
            running[process.sentinel] = mutant, process, output
        if not running:
            return
        for sentinel in connection.wait(list(running)):
            mutant, process, output = running.pop(cast("int", sentinel))
            process.join()
            if process.exitcode == SURVIVED:
                yield mutant
            elif process.exitcode not in KILLED:
                sys.exit(f"exit code {process.exitcode} with {shown(mutant)}\n{output.read_text()}")


def shown(mutant: Mutant | Equivalent) -> str:
    """A mutant as an entry of `equivalent.toml`, except for the reason."""
    lines = ["[[equivalent]]", *(f"{name} = {json.dumps(getattr(mutant, name))}" for name in NAMED_BY)]
    return "\n".join(lines if mutant.nth > 1 else lines[:-1])


def is_within(mutant: Mutant | Equivalent, names: list[str]) -> bool:
    """Whether it is in one of these modules, classes or functions."""
    return any(f"{mutant.function}.".startswith(f"{name}.") for name in names)


def main() -> int:
    """Print the survivors and a table; 1 if `equivalent.toml` does not list exactly them."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="such as: quota, listing.Page, quota.Quota.poll_at")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    started = time.monotonic()
    trees = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
    everything = [mutant for name, tree in trees.items() for mutant in mutants(tree, name)]
    names = options.names or list(trees)
    for name in names:
        if not any(is_within(mutant, [name]) for mutant in everything):
            parser.error(f"no mutants in {name}")
    chosen = [mutant for mutant in everything if is_within(mutant, names)]
    listing = tomllib.loads(EQUIVALENT.read_text())
    entries = [Equivalent(**entry) for entry in listing.get("equivalent", ())]
    listed = {key(entry): entry for entry in entries if not options.names or is_within(entry, names)}

    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    settings.register_profile("mutation", PROFILE)
    survived = set[Key]()
    with TemporaryDirectory() as folder:
        for mutant in survivors(chosen, trees, options.jobs, Path(folder)):
            survived.add(key(mutant))
            if key(mutant) not in listed:
                print(f"# survived\n{shown(mutant)}\n", flush=True)

    print(f"{'module':10} {'mutants':>7} {'killed':>7} {'equivalent':>10} {'survived':>8}")
    for name in dict.fromkeys(mutant.module for mutant in chosen):
        keys = {key(mutant) for mutant in chosen if mutant.module == name}
        left, known = keys & survived - listed.keys(), keys & survived & listed.keys()
        print(f"{name:10} {len(keys):7} {len(keys - survived):7} {len(known):10} {len(left):8}")
    print(f"{time.monotonic() - started:.0f} s")
    there_are = set(map(key, chosen))
    for gone in listed.keys() - survived:
        problem = "a test fails with it" if gone in there_are else "there is no such mutant"
        print(f"\n# remove from {EQUIVALENT.name}: {problem}\n{shown(listed[gone])}")
    return int(survived != listed.keys())


if __name__ == "__main__":
    sys.exit(main())
