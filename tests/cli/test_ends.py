"""Every long-lived command ends in the same way: at a signal, at a closed terminal, while it waits for anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dlm_lsp.store import Held, Store
from tests.cli.conftest import DLM_ID, SINGING, SLOW, text
from tests.cli.tty import Tty

FERRY = ("When does the ferry leave?", "At seven.")


def piped(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command whose standard input is held open and never brings a line."""
    return subprocess.Popen(
        [sys.executable, "-m", "dlm_lsp", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DLM_HOME": str(home), "DLM_THREADS": "1"},
    )


@pytest.mark.parametrize(
    ("arguments", "ready", "number", "code"),
    [
        (["prompt"], "nothing is learned yet", signal.SIGINT, 130),
        (["train", "--repl"], "waiting for the store", signal.SIGTERM, 143),
        (["train", "--watch"], "waiting for the store", signal.SIGHUP, 129),
        (["serve", "--watch", "--port", "0"], "waiting for the store", signal.SIGINT, 130),
    ],
)
def test_a_signal_ends_a_command_that_waits(
    home: Path, notes: Path, arguments: Sequence[str], ready: str, number: signal.Signals, code: int
) -> None:
    """For a line, or for the store that another process (this one) holds. The thread that reads is no hindrance."""
    notes.write_text(text(FERRY))
    with_lock = arguments[0] != "prompt"
    held = Store(home, DLM_ID).try_lock() if with_lock else None
    with piped(home, arguments[0], str(notes), *arguments[1:]) as process:
        assert process.stdout is not None
        printed = ""
        while ready not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        process.send_signal(number)
        assert process.wait(30) == code
        printed += process.stdout.read()
    assert "Traceback" not in printed, printed
    assert "Fatal Python error" not in printed, printed
    if held is not None:
        assert isinstance(held, Held) and held.valid
        held.release()
        store = Store(home, DLM_ID)
        assert (store.current(), store.holder()) == (None, None)


def test_an_answer_ends_with_the_command_that_asked(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with piped(home, "prompt", str(notes), SINGING, "--max-tokens", "5000") as process:
        assert process.stdout is not None
        printed = ""
        while " la la" not in printed:
            piece = process.stdout.read(1)
            assert piece, printed
            printed += piece
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        printed += process.stdout.read()
    assert "Traceback" not in printed, printed


def test_a_terminal_that_is_closed_in_mid_run_leaves_nothing_behind(home: Path, notes: Path) -> None:
    """The run is rolled back and its lock given back, though nothing can be printed any more."""
    notes.write_text(text(FERRY, settings=SLOW))
    with Tty(home, "train", str(notes), "--watch", "--watch-max-steps", "100000", controlling=True) as tty:
        tty.until(r"step \d+/100000")
        tty.hang_up()
        assert tty.process.wait(30) == 129
    store = Store(home, DLM_ID)
    assert (store.current(), store.holder()) == (None, None)
    assert not store.inspect().leftovers


def test_a_second_signal_leaves_at_once_with_its_code_and_the_terminal_as_it_was(home: Path, notes: Path) -> None:
    """In the midst of a run, below whose steps the author can type; both signals come together."""
    notes.write_text(text(FERRY, settings=SLOW))
    with Tty(home, "train", str(notes), "--repl", "--watch-max-steps", "100000") as tty:
        assert tty.echoes
        tty.until(r"step \d+/100000")
        assert not tty.echoes
        for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
            tty.process.send_signal(number)
        # Which of the two is heard second is the kernel's to choose: each may be given to another thread.
        assert tty.end() in (129, 143)
        assert tty.echoes
        assert tty.cursor_shown
    store = Store(home, DLM_ID)
    assert store.current() is None
    held = store.try_lock()
    assert isinstance(held, Held)
    assert "took over the store's lock" in held.notes[0]
    held.release()
    assert not store.inspect().leftovers


def test_who_starts_the_server_in_a_terminal_is_told_what_it_waits_for(home: Path) -> None:
    with Tty(home) as terminal:
        terminal.until("waiting for an editor.*dlm-lsp --help")
