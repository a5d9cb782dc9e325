"""The fixtures of the command line's tests: a home, and a document in a folder of its own."""

from tests.cli.conftest import home, notes

__all__ = ["home", "notes"]
