"""The editor's side: the language server on standard input and output, or on a TCP port."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlm_lsp.runs.warmth import Learners

__all__ = ["serve_stdio", "serve_tcp"]


def serve_stdio(learner: Learners | None = None) -> int:
    """Serves one client on standard input and output until it ends; returns the process' exit code.

    `learner` makes the learner, on the worker's thread when first something is to be trained; by default
    the real one that the settings name.

    0 after an orderly shutdown, otherwise 1. Takes file descriptors 0 and 1 for itself first of all, so that
    whatever is imported later cannot write into the protocol. If training does not stop in time, the process
    ends here without returning.
    """
    from dlm_lsp._streams import claim

    reading, writing = claim()
    from dlm_lsp.server.starting import lightly

    with lightly():
        from dlm_lsp.server.serve import run_stdio
        from dlm_lsp.training.choice import LEARNERS

    return run_stdio(learner or LEARNERS, reading, writing)


def serve_tcp(host: str, port: int, learner: Learners | None = None) -> int:
    """Serves one client on a TCP port, for debugging; port 0 takes a free one and logs it."""
    from dlm_lsp.server.serve import run_tcp
    from dlm_lsp.training.choice import LEARNERS

    return run_tcp(learner or LEARNERS, host, port)
