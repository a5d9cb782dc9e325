"""The editor's side: the language server on standard input and output, or on a TCP port."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlm_lsp.training.protocol import Learner

__all__ = ["serve_stdio", "serve_tcp"]


def serve_stdio(learner: Callable[[], Learner] | None = None) -> int:
    """Serves one client on standard input and output until it ends; returns the process' exit code.

    0 after an orderly shutdown, otherwise 1. Takes file descriptors 0 and 1 for itself first of all, so that
    whatever is imported later cannot write into the protocol. If training does not stop in time, the process
    ends here without returning.
    """
    from dlm_lsp._streams import claim

    reading, writing = claim()
    from dlm_lsp.server.serve import run_stdio

    return run_stdio(learner or _in_process, reading, writing)


def serve_tcp(host: str, port: int, learner: Callable[[], Learner] | None = None) -> int:
    """Serves one client on a TCP port, for debugging; port 0 takes a free one and logs it."""
    from dlm_lsp.server.serve import run_tcp

    return run_tcp(learner or _in_process, host, port)


def _in_process() -> Learner:
    """The learner of this process. Called on the worker's thread, when first something is to be trained."""
    from dlm_lsp.training.learner import create

    return create()
