"""The command line: the same supervisor and events as the server's, without an editor."""

from dlm_lsp.cli.app import app

__all__ = ["app"]
