"""The extras of this package: which modules each one installs, and whether they are installed.

>>> from voucherify_exports.extras import check_extra, install_command
>>> check_extra("arrow")
>>> install_command("arrow", "polars")
"pip install 'voucherify-exports[arrow,polars]'"
"""

from importlib import import_module
from importlib.util import find_spec

from .errors import MissingExtraError, describe_unknown

EXTRAS = {
    "cli": ("dotenv", "rich", "typer"),
    "arrow": ("numpy", "pyarrow"),
    "pandas": ("numpy", "pyarrow", "pandas"),
    "polars": ("numpy", "pyarrow", "polars"),
    "airflow": ("airflow.sdk",),
}
"""The modules that each extra makes importable; with the extras that it includes."""

IN_ALL = ("cli", "arrow", "pandas", "polars")
"""The extras that the extra `all` includes."""


def check_extra(extra: str) -> None:
    """Import the modules of an extra; raises `MissingExtraError` if one of them cannot be imported.

    Raises `ValueError` for an unknown extra.
    """
    for name in _modules(extra):
        try:
            import_module(name)
        except ImportError as error:
            raise MissingExtraError(f"{name} is not installed: {install_command(extra)}") from error


def is_installed(extra: str) -> bool:
    """Whether the packages of an extra are installed; none is imported, and no version is checked."""
    return all(find_spec(name.partition(".")[0]) is not None for name in _modules(extra))


def install_command(*extras: str) -> str:
    """The command that installs this package with the given extras."""
    return f"pip install 'voucherify-exports[{','.join(extras)}]'"


def _modules(extra: str) -> list[str]:
    if extra == "all":
        return [module for name in IN_ALL for module in EXTRAS[name]]
    if extra not in EXTRAS:
        raise ValueError(describe_unknown("extra", extra, [*EXTRAS, "all"]))
    return [*EXTRAS[extra]]
