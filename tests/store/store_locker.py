"""A process that takes the lock of a store: the other one in the tests of the lock.

`hold HOME`: takes it, tells so, and keeps it until its standard input ends.
`race HOME`: waits for a line, then takes and releases it 20 times; entering while another is inside is an error.
A third argument `bare`: on a file system without system locks, where creating `.lock` is all that decides.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from dlm_lsp.store import Held, Store, disk
from tests.store.store_helpers import DLM_ID


def hold(store: Store) -> None:
    with store.try_lock() as lock:  # type: ignore[union-attr]
        sys.stdout.write(f"held {os.getpid()} {len(lock.notes)}\n")
        sys.stdout.flush()
        sys.stdin.read()


def race(store: Store) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    inside = store.root / "inside"
    pause = threading.Event()
    for _ in range(20):
        while not isinstance(lock := store.try_lock(), Held):
            pause.wait(0.001)
        with lock:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # raises when someone else is inside
            lock.check()
            inside.unlink()
        for note in lock.notes:
            sys.stdout.write(note + "\n")


if __name__ == "__main__":
    if sys.argv[3:] == ["bare"]:
        disk._try_system_lock = lambda descriptor: None  # type: ignore[assignment]
    {"hold": hold, "race": race}[sys.argv[1]](Store(Path(sys.argv[2]), DLM_ID))
