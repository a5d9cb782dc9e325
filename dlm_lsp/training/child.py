"""The process in which a learner of its own lives: `python -P -m dlm_lsp.training.child LEVEL`, `LEVEL` of its log.

Standard input and output are its channel (see `wire.py`) and nothing else's; it ends when its input ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dlm_lsp._streams import claim

if TYPE_CHECKING:
    from dlm_lsp.training.protocol import Learner

# When memory runs out the kernel ends whoever holds most of it, plus this many thousandths of all memory. The
# learner can be started again and loses nothing that was committed; the editor and its server can't and do.
_FIRST_TO_GO = 500
_PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)


def main(create: Callable[[], Learner] | None = None) -> NoReturn:
    """Serves whoever started this process; `create` makes the learner, by default the real one."""
    reading, writing = claim()
    # Whoever started it decides when it ends. An interrupt on a terminal reaches the whole group of processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _go_first_when_memory_runs_out()
    _go_with_the_parent()
    faulthandler.enable()
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("dlm_lsp").setLevel(sys.argv[1] if len(sys.argv) > 1 else logging.INFO)
    from dlm_lsp.training.serving import serve

    serve(reading, writing, create or _learner)


def _learner() -> Learner:
    from dlm_lsp.training.learner import create

    return create()


def _go_first_when_memory_runs_out() -> None:
    if sys.platform != "linux":
        return
    path = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):  # a container may forbid it, and then it is as before
        if int(path.read_text()) < _FIRST_TO_GO:
            path.write_text(str(_FIRST_TO_GO))


def _go_with_the_parent() -> None:
    """The end of input ends this process, unless it is stopped or a library holds the interpreter for ever.

    On Linux the kernel sees to these as well. It watches the thread that started this process, which is the
    one that drives the learner.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the parent was gone before the first word
        os._exit(1)
