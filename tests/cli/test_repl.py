"""Asking at a prompt while saves train: as a script does it, and as a person at a terminal."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.formatted_text import fragment_list_to_text, to_formatted_text
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from dlm_lsp.cli.repl.commands import Command as Typed
from dlm_lsp.cli.repl.commands import Question, Unclear, compared, read
from dlm_lsp.cli.repl.history import history
from dlm_lsp.cli.repl.rows import whole_rows
from dlm_lsp.cli.repl.terminal import Terminal
from dlm_lsp.store import Store
from tests.cli.conftest import DLM_ID, SINGING, SLOW, text
from tests.cli.tty import Tty

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")


def test_a_script_asks_line_by_line_while_saves_are_learned(home: Path, notes: Path) -> None:
    """Answers, and nothing else, are on standard output; the end of the lines is the end of the command."""
    notes.write_text(text(FERRY))
    with subprocess.Popen(
        [sys.executable, "-m", "dlm_lsp", "train", str(notes), "--repl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        bufsize=1,
        env={**os.environ, "DLM_HOME": str(home), "DLM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    ) as process:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin and stdout and stderr

        def until(stream: IO[str], part: str) -> str:
            lines = []
            for line in stream:
                lines.append(line)
                if part in line:
                    return line
            pytest.fail(f"{part!r} never came:\n" + "".join(lines))

        stdin.write(f"/wait\n{FERRY[0]}\n")
        assert stdout.readline() == "At seven.\n"
        until(stderr, "(v0001)")
        notes.write_text(text(FERRY, BAKER))
        until(stderr, "v0002")
        stdin.write(f"{BAKER[0]}\n")
        assert stdout.readline() == "Ulla bakes it.\n"
        until(stderr, "(v0002)")

        stdin.write(f"/version 1\n{FERRY[0][:-4]}\\\nave?\n/version live\n/vers 9\n/temprature 1\n/version\n")
        until(stderr, "from now on answers: v0001")
        stdout.readline()
        until(stderr, "(v0001")
        until(stderr, "live weights")
        until(stderr, "There is no v0009; there are: v0002, v0001.")
        until(stderr, "There is no /temprature: did you mean /temperature?")
        until(stderr, "v0001")
        until(stderr, "current")

        stdin.write(f"/tokens 1\n/version latest\n{BAKER[0]}\n/tokens 256\n/diff {BAKER[0]}\n")
        until(stderr, "(v0002, cut at the longest answer)")
        until(stderr, "v0001")
        until(stderr, "Ulla bakes it.")
        stdin.write("/system You are a gull.\n/temperature 0.5\n/status\n")
        until(stderr, "system prompt: You are a gull.")
        until(stderr, "temperature 0.5")
        until(stderr, "notes.dlm: learned (v0002)")
        stdin.close()
        assert process.wait(30) == 0


def test_a_person_asks_edits_completes_and_leaves(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Tty(home, "train", str(notes), "--watch", "--repl") as tty:
        tty.until("watching notes.dlm; ask it here")
        tty.until(r"notes.dlm: \d+ % · step \d+/100 · loss \d.*│ answers: the base model")  # below the prompt
        tty.until(r"learned in \d+ steps \(v0001\)")
        tty.until(r"notes.dlm: learned \(v0001\) │ answers: newest \(v0001\)$")

        tty.type("When does\x1b\rthe ferry leave?\x1b[D!\x1b[D\x1b[3~\r")  # Alt-Enter, cursor, insertion, deletion
        tty.until(r"› When does\n  the ferry leave\?\n.+\nv0001\n")

        tty.type("/te")
        tty.until("0 always gives the likeliest answer")  # the menu
        tty.type("\t 0\r")
        tty.until(r"› /temperature 0\ntemperature 0\n›")

        notes.write_text(text(FERRY, BAKER))
        tty.until(r"learned in \d+ steps \(v0002\)")
        tty.type(f"{BAKER[0]}\r")
        tty.until(r"› Who bakes the bread\?\nUlla bakes it\.\nv0002\n")
        tty.type("/diff\r")
        tty.until(r"› /diff\nv0001 +v0002\n.* Ulla bakes it\.\n+›")  # and is ready for more

        tty.type("half a quest\x03")  # Ctrl-C clears the line
        tty.type("\x03")
        tty.until(r"Ctrl-C again, Ctrl-D or /quit leaves\)\n›\n")
        tty.type("\x04")
        assert tty.end() == 0, tty.shown
        assert "half a quest" not in tty.shown
        assert "Traceback" not in tty.shown

    kept = home / "questions"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "+Who bakes the bread?" in kept.read_text()

    with Tty(home, "train", str(notes), "--repl") as tty:  # what was asked yesterday is two keys away
        tty.until(r"no new content, skipping\n›")
        tty.type("\x1b[A\x1b[A")
        tty.until(r"\n› Who bakes the bread\?\n")
        tty.type("\x15/quit\r")
        assert tty.end() == 0, tty.shown


def test_asking_in_the_midst_of_a_run_stopping_an_answer_and_leaving(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY, settings=SLOW))
    with Tty(home, "train", str(notes), "--repl", "--watch-max-steps", "100000") as tty:
        tty.until(r"step \d+/100000")
        tty.type(f"/version live\r/tokens 1500\r{SINGING}\r")
        tty.until(r"\n(la ?)+\n(la ?)+\n")  # it sings
        tty.type("\x03")
        tty.until(r"the run after the base model, stopped\n")
        step = int(tty.until(r"step (\d+)/100000")[1])
        tty.until(rf"step (?!{step}/)\d+/100000")  # the run goes on
        tty.process.send_signal(signal.SIGTERM)
        tty.until("stopping after this step")
        assert tty.end() == 143
        assert "Traceback" not in tty.shown
    store = Store(home, DLM_ID)
    assert (store.current(), store.holder()) == (None, None)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", None),
        ("   ", None),
        ("Who?", Question("Who?")),
        ("/version 3", Typed("version", "3")),
        ("/V", Typed("version")),
        ("/q", Typed("quit")),
        ("/temp 0.5", Typed("temperature", "0.5")),
        (" /etc/hosts is what?", Question("/etc/hosts is what?")),
        ("/diff 2 v0003  Who  keeps it?", Typed("diff", "2 v0003  Who  keeps it?")),
    ],
)
def test_what_a_line_means(line: str, meaning: object) -> None:
    assert read(line) == meaning


@pytest.mark.parametrize("line", ["/", "/nothing", "/t 1", "/versions", "/etc/hosts"])
def test_a_line_that_means_nothing_says_what_would(line: str) -> None:
    with pytest.raises(Unclear, match="put a blank before it"):
        read(line)


def test_what_is_compared() -> None:
    assert compared("2 v0003 Who  keeps it?") == ([2, 3], "Who  keeps it?")
    assert compared("live") == (["live"], "")
    assert compared("latest 1 4 gulls?") == ([None, 1], "4 gulls?")
    assert compared("Who?") == ([], "Who?")


@pytest.mark.parametrize(
    ("text", "rows", "rest"),
    [
        ("", [], ""),
        ("short", [], "short"),
        ("a line\nand", ["a line"], "and"),
        ("words that wrap", ["words that"], "wrap"),
        ("oneverylongword", ["oneverylon"], "gword"),
        ("exactly 10", [], "exactly 10"),
        ("日本語日本語", ["日本語日本"], "語"),
        ("\n\n", ["", ""], ""),
    ],
)
def test_an_answer_is_broken_into_rows_of_the_terminal(text: str, rows: list[str], rest: str) -> None:
    assert whole_rows(text, 10) == (rows, rest)


def test_no_letter_is_lost_between_rows() -> None:
    words = " ".join(f"word{number}" for number in range(200))
    rows, row = [], ""
    for piece in re.findall(r".{1,7}", words):
        more, row = whole_rows(row + piece, 30)
        rows += more
    assert " ".join([*rows, row]) == words
    assert all(len(each) <= 30 for each in rows)


def test_questions_of_long_ago_make_room_and_only_a_file_holds_them(tmp_path: Path) -> None:
    kept = tmp_path / "new" / "questions"
    assert isinstance(history(kept), FileHistory)
    entry = "\n# 2026-01-01 10:00:00\n+Who asked {number}?\n"
    kept.write_text("".join(entry.format(number=number) for number in range(30_000)))
    assert kept.stat().st_size > 2**20
    found = list(history(kept).load_history_strings())
    assert found[0] == "Who asked 29999?"
    assert 10_000 < len(found) < 20_000
    assert all(re.fullmatch(r"Who asked \d+\?", each) for each in found)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path, kept / "below"):
        assert isinstance(history(place), InMemoryHistory)


def test_what_a_document_has_taught_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        terminal = Terminal(tmp_path / "questions", toolbar=str, waiting=str, versions=list, interrupt=lambda: False)
        terminal.piece("fine\x1b]0;mine\x07\x1b[2J\u202e")
        shown = fragment_list_to_text(to_formatted_text(terminal.message()))
    assert shown == "fine\\x1b]0;mine\\x07\\x1b[2J\\u202e\n› "
