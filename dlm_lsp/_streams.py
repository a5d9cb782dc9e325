"""Standard input and output as a protocol's own, for the server and for the learner in a process of its own."""

from __future__ import annotations

import os
import sys


def claim() -> tuple[int, int]:
    """Takes file descriptors 0 and 1 for the protocol and returns private duplicates of them.

    Afterwards 0 is the null device and 1 is standard error: a `print`, a progress bar or a C library's
    message goes to the log, and no child process can eat the protocol's input. To be called before anything
    heavy is imported.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(reading, os.O_BINARY)
        msvcrt.setmode(writing, os.O_BINARY)
    return reading, writing
