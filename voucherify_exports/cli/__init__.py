"""The command line: a door for people, with the extra `cli`."""

from .app import run

__all__ = ["run"]
