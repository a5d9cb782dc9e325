"""The entry point: without arguments the server on standard input and output, otherwise the command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs `dlm-lsp`. The server starts without importing the command line, so that an editor waits less."""
    if len(sys.argv) == 1 or sys.argv[1:] == ["--stdio"]:
        from dlm_lsp.server import serve_stdio

        sys.exit(serve_stdio())
    from dlm_lsp.cli import app

    app(prog_name="dlm-lsp")


if __name__ == "__main__":
    main()
