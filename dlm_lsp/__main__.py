"""The entry point: without arguments the server on standard input and output, otherwise the command line."""

from __future__ import annotations

import sys

_TO_A_PERSON = "dlm-lsp is waiting for an editor to speak to it (Ctrl-C ends). For you: dlm-lsp --help"


def main() -> None:
    """Runs `dlm-lsp`. The server starts without importing the command line, so that an editor waits less."""
    if len(sys.argv) == 1 or sys.argv[1:] == ["--stdio"]:
        if sys.stdin is not None and sys.stdin.isatty():
            print(_TO_A_PERSON, file=sys.stderr)  # noqa: T201 - no editor has a terminal at the other end
        from dlm_lsp.server import serve_stdio

        sys.exit(serve_stdio())
    from dlm_lsp.cli import app

    app(prog_name="dlm-lsp")


if __name__ == "__main__":
    main()
