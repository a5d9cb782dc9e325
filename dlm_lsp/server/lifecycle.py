"""How long the server's end may take, what it returns, and the editor's death as its cause."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psutil

log = logging.getLogger(__name__)

# From the wish to end until the process is gone at the latest, in seconds. Editors wait about two before they
# kill; ending by ourselves keeps the worker's stop orderly. The store survives either.
HARD_DEADLINE = 1.3
# What the running cycle gets of that to stop at its next step.
STOP_DEADLINE = 0.8
# How often the editor's process is looked at, in seconds.
_PARENT_POLL = 1.0

EXIT_OK = 0
EXIT_WITHOUT_SHUTDOWN = 1


def watch_process(pid: int, gone: Callable[[], None]) -> None:
    """Calls `gone` once, on a daemon thread, when process `pid` has ended (a zombie has ended, too).

    A wrapper such as a shell may keep our input open after the editor's death, so end of input is not enough.
    A pid that does not exist here belongs to another machine or container and isn't watched. Asks psutil
    rather than sending signal 0, which ends the process on Windows.
    """
    try:
        process = psutil.Process(pid)
    except (psutil.Error, ValueError):  # ValueError: a negative number
        log.info("process %d, named by the client as its own, is not on this machine: not watched", pid)
        return
    never = threading.Event()

    def main() -> None:
        while _alive(process):
            never.wait(_PARENT_POLL)
        gone()

    threading.Thread(target=main, name="dlm-parent-watch", daemon=True).start()


def _alive(process: psutil.Process) -> bool:
    try:
        # is_running compares start times, so a pid that was given to another process counts as ended.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
