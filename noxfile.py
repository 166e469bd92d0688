"""All checks of the project: `nox` runs them, and `nox -s tests` runs only the tests."""

import os
import shutil
import sys
from pathlib import Path

import nox

ON_ALL_CORES = ("-n", "auto", "--dist", "worksteal")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
# Versions of Python that are not installed are skipped, also on a build server.
nox.options.error_on_missing_interpreters = False
# `coverage` runs the tests on the Python of nox, so `tests` runs them on the others only.
OTHERS = [f"tests-{version}" for version in PYTHONS if version != "{}.{}".format(*sys.version_info)]
nox.options.sessions = ["lint", "typing", "docs", "coverage", *OTHERS, "airflow"]


def install(session: nox.Session, group: str) -> None:
    """Install the package as users do, with the dependencies of one session."""
    dependencies = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group)
    session.install(".[all]", *dependencies)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package and of typical uses of it."""
    install(session, "typing")
    plugins = ("voucherify_exports_airflow.py", "voucherify_exports_pytest.py")
    session.run("mypy", "voucherify_exports", *plugins, "tests/typing")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on all cores, except the thorough ones, which `coverage` runs."""
    install(session, "tests")
    session.run("python", "-m", "pytest", *ON_ALL_CORES, "-m", "not thorough", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site from scratch, check its links, and run all examples in it and in README."""
    install(session, "docs")
    shutil.rmtree("docs/_build", ignore_errors=True)
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--quiet", "docs", "docs/_build")
    checked = ("README.md", "docs", "tests/site/site_checks.py", "tests/site/comparison_checks.py")
    session.run("python", "-m", "pytest", "-p", "tests.examples", *checked, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run all tests, and require that they take every branch; measuring doubles the time."""
    install(session, "tests")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *ON_ALL_CORES, *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report", "--omit", AIRFLOW)  # `airflow` measures it


AIRFLOW = "*/voucherify_exports/airflow/*"


@nox.session(python="3.12")
def airflow(session: nox.Session) -> None:
    """Check the Airflow integration with a real Airflow: types, DAGs, a scheduler and a triggerer.

    The environment variable AIRFLOW_CONSTRAINTS sets another constraints file or URL, such as Airflow's own.
    """
    constraints = os.environ.get("AIRFLOW_CONSTRAINTS", "tests/airflow/constraints.txt")
    session.install(".[airflow,arrow]", *_airflow_group(), "--constraint", constraints)
    # `typing` checks the rest of the package, for which it installs the stubs.
    files = map(str, Path("voucherify_exports/airflow").glob("*.py"))
    session.run("mypy", "--follow-imports=silent", *files)
    session.run("pyright", "-p", "tests/airflow")
    session.run("coverage", "erase")
    # Without tests/conftest.py, which needs the dependencies of the other tests.
    session.run(
        "coverage", "run", "-m", "pytest", "--confcutdir=tests/airflow", "tests/airflow", *session.posargs
    )
    session.run("coverage", "combine")
    session.run("coverage", "report", "--include", AIRFLOW)


@nox.session(python="3.12")
def airflow_constraints(session: nox.Session) -> None:
    """Write tests/airflow/constraints.txt again, from the versions that pip resolves today."""
    session.install("--upgrade", ".[airflow,arrow]", *_airflow_group())
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude", "voucherify-exports", silent=True)
    head = "# What resolved together; made by `nox -s airflow_constraints`.\n"
    Path("tests/airflow/constraints.txt").write_text(head + str(frozen))


def _airflow_group() -> list[str]:
    return nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "airflow")


@nox.session(python="3.12")  # whose sys.monitoring finds out which lines a test executes
def mutation(session: nox.Session) -> None:
    """Check that the tests notice each mutant of the modules that decide when to poll.

    Names limit it to modules, classes or functions: `nox -s mutation -- quota listing.Page`.
    """
    install(session, "tests")
    session.env["PYTHONPATH"] = "tests"
    session.run("python", "-m", "mutation.run", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the cost of waiting and downloading, compared with simpler ways; no limit is checked."""
    install(session, "tests")
    session.env["PYTHONPATH"] = "tests"
    for script in (
        "simulation.bench",
        "simulation.cost",
        "simulation.overhead",
        "simulation.imports",
        "files.bench",
        "tables.bench",
    ):
        session.run("python", "-m", script)


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw the pictures of the documentation again, from the present code."""
    install(session, "pictures")
    session.env["PYTHONPATH"] = "tests"
    for script in ("simulation.picture", "pictures.terminal", "pictures.sandbox"):
        session.run("python", "-m", script)
