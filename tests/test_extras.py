"""The extras: as `pyproject.toml` declares them, and what an error says when one is missing."""

import re
import sys
from importlib.metadata import metadata, packages_distributions, requires

import pytest

from voucherify_exports import MissingExtraError
from voucherify_exports.extras import EXTRAS, IN_ALL, check_extra, install_command, is_installed


def declared(extra: str) -> set[str]:
    """The packages that an extra requires, those of the extras that it includes among them."""
    lines = (line.partition(";") for line in requires("voucherify-exports") or ())
    return {
        re.split(r"[^\w-]", package)[0]
        for package, _, condition in lines
        if re.search(rf"extra == .{extra}\b", condition)
    }


class TestExtras:
    def test_are_those_of_the_package(self) -> None:
        """The table has every extra but `all`, which includes those in `IN_ALL`."""
        extras = set(metadata("voucherify-exports").get_all("Provides-Extra") or ())

        assert extras == {*EXTRAS, "all"}
        assert declared("all") == set[str]().union(*map(declared, IN_ALL))

    @pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"airflow"}))
    def test_modules_are_of_the_packages(self, extra: str) -> None:
        """Each extra requires exactly the packages that bring its modules."""
        packages = packages_distributions()

        assert {packages[name][0] for name in EXTRAS[extra]} == declared(extra)

    def test_airflow(self) -> None:
        """The package of Airflow, which is not installed for these tests, brings `airflow.sdk`."""
        assert declared("airflow") == {"apache-airflow"}
        assert EXTRAS["airflow"] == ("airflow.sdk",)


class TestCheckExtra:
    def test_of_what_is_installed(self) -> None:
        """Nothing is raised."""
        check_extra("cli")

        assert is_installed("cli")

    @pytest.mark.parametrize("hidden", ["numpy", "pyarrow", "pandas"])
    def test_of_what_is_missing(self, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names the module and the command that installs it."""
        monkeypatch.setitem(sys.modules, hidden, None)
        with pytest.raises(MissingExtraError) as raised:
            check_extra("pandas")

        assert str(raised.value) == f"{hidden} is not installed: pip install 'voucherify-exports[pandas]'"
        assert isinstance(raised.value.__cause__, ImportError)
        assert not is_installed("pandas")

    def test_airflow_is_found_without_an_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module within a package that is missing is not installed, rather than an error."""
        monkeypatch.setitem(sys.modules, "airflow", None)

        assert not is_installed("airflow")

    def test_the_command_names_several(self) -> None:
        """One command installs them all."""
        assert install_command("arrow", "polars") == "pip install 'voucherify-exports[arrow,polars]'"


def test_all() -> None:
    """The extra `all` is every extra that it includes."""
    check_extra("all")
    assert is_installed("all")


def test_an_unknown_extra() -> None:
    """A typo is reported with a suggestion."""
    with pytest.raises(ValueError, match="unknown extra 'arow'; did you mean 'arrow'"):
        check_extra("arow")
