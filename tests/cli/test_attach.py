"""`dlm-lsp attach`, on the events of real servers in other processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.cli.conftest import DLM_ID, SLOW, Command, text

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")


class Attached:
    """`dlm-lsp attach --json`: what it tells, one object after the other."""

    def __init__(self, home: Path, notes: Path) -> None:
        self.told: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dlm_lsp", "attach", str(notes), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "DLM_HOME": str(home)},
        )

    def until(self, **wanted: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(json.loads(line))
            if all(self.told[-1].get(key) == value for key, value in wanted.items()):
                return self.told[-1]
        assert self.process.stderr is not None
        pytest.fail(f"{wanted} was never told: {[told.get('event', told['type']) for told in self.told]}")

    def waits(self) -> None:
        """Returns when it has said that there is no server."""
        assert self.process.stderr is not None
        assert b"no server has notes.dlm open" in self.process.stderr.readline()

    def end(self) -> tuple[int, bytes]:
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=30)
        return self.process.returncode, complaints

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watched(home: Path, notes: Path) -> Iterator[Command]:
    """A document that was learned, and whose saves are."""
    notes.write_text(text(FERRY))
    with Command(home, "train", str(notes), "--watch") as command:
        command.until("watching notes.dlm")
        yield command


def test_the_state_comes_first_then_every_event_of_a_run_in_order(watched: Command, home: Path, notes: Path) -> None:
    with Attached(home, notes) as one, Attached(home, notes) as other:
        for attached in (one, other):
            state = attached.until(type="state")
            assert attached.told == [state]
            assert (state["status"]["version"], state["names"], state["pid"]) == (1, [FERRY[0]], watched.process.pid)
            assert [run["version"] for run in state["runs"]] == [1]
        notes.write_text(text(FERRY, BAKER))
        for attached in (one, other):
            finished = attached.until(event="finished")
            assert finished["status"]["version"] == 2
            assert finished["names"] == [FERRY[0], BAKER[0]]
            numbers = [told["sequence"] for told in attached.told]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert len({told["stream"] for told in attached.told}) == 1
            of_run = [told for told in attached.told if told.get("run") == finished["run"] and told["type"] == "event"]
            kinds = [told["event"] for told in of_run]
            assert kinds[0] == "queued"
            assert kinds[-1] == "finished"
            assert [told["step"] for told in of_run if told["event"] == "step"] == list(
                range(1, kinds.count("step") + 1)
            )
            assert kinds.count("step") == finished["status"]["version_steps"]
        # The same to both, and nothing was done twice: there are two versions.
        assert one.told[1:] == other.told[1:]
        assert one.end()[0] == 0
        assert other.end() == (0, b"")


def test_who_comes_in_the_midst_of_a_run_has_its_curve_and_hears_the_rest(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY, settings=SLOW))
    with Command(home, "train", str(notes), "--watch-max-steps", "40") as command, Attached(home, notes) as first:
        first.until(event="step", step=3)
        with Attached(home, notes) as late:
            state = late.until(type="state")
            (run,) = state["runs"]
            assert run["ended_at"] is None
            steps = [point[0] for point in run["points"]]
            assert steps == list(range(1, len(steps) + 1))
            assert len(steps) >= 3
            following = late.until(event="step")
            assert following["step"] == steps[-1] + 1
            assert following["now"]["run"]["step"] == following["step"]
            late.process.kill()  # which the run does not mind
        assert first.until(event="finished")["status"]["version"] == 1
        assert command.end() == 0


def test_it_waits_for_a_server_says_so_and_comes_back_to_the_next_one(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Attached(home, notes) as attached:
        attached.waits()
        with Command(home, "train", str(notes), "--watch") as command:
            first = attached.until(type="state")
            attached.until(event="finished")
            command.until("watching notes.dlm")
            command.process.kill()
            command.process.wait()
        attached.waits()
        (left,) = (home / "store" / DLM_ID / "lsp" / "live").iterdir()
        with Command(home, "train", str(notes), "--watch") as command:
            again = attached.until(type="state")
            assert again["stream"] != first["stream"]
            assert again["status"]["version"] == 1
            command.until("watching notes.dlm")
            (now,) = (home / "store" / DLM_ID / "lsp" / "live").iterdir()
            assert now != left  # what the dead one left is gone
            command.process.send_signal(signal.SIGINT)
            command.end()
        assert list(now.parent.iterdir()) == []
        assert attached.end()[0] == 0


def test_people_get_lines(watched: Command, home: Path, notes: Path) -> None:
    with Command(home, "attach", str(notes)) as attached:
        attached.until(f"attached to process {watched.process.pid}: notes.dlm")
        notes.write_text(text(FERRY, BAKER))
        attached.until("learning 1 lesson (1 known)")
        attached.until("step 1/")
        attached.until("learned")
        watched.process.send_signal(signal.SIGINT)
        attached.until(f"the server (process {watched.process.pid}) has ended")
        attached.process.send_signal(signal.SIGINT)
        assert attached.end() == 0
        assert "Traceback" not in "\n".join(attached.lines)


@pytest.fixture
def short() -> Iterator[Path]:
    """A home whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="dlm") as folder:
        yield Path(folder)


def test_only_the_owner_may_connect_and_nothing_that_is_sent_does_anything(short: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Command(short, "train", str(notes), "--watch") as command:
        command.until("watching notes.dlm")
        owner_only(short)


def owner_only(home: Path) -> None:
    (path,) = (home / "store" / DLM_ID / "lsp" / "live").iterdir()
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as told:
        client.connect(str(path))
        client.sendall(b'{"command": "revert", "version": 1}\n' * 1000)
        assert json.loads(told.readline())["type"] == "state"
        client.shutdown(socket.SHUT_WR)
        assert told.readline() == b""


def test_where_the_store_s_path_is_too_long_a_file_says_where_the_socket_is(tmp_path: Path, notes: Path) -> None:
    home = tmp_path / ("long" * 20)
    notes.write_text(text(FERRY))
    with Command(home, "train", str(notes), "--watch") as command, Attached(home, notes) as attached:
        attached.until(event="finished")
        command.until("watching notes.dlm")
        (pointer,) = (home / "store" / DLM_ID / "lsp" / "live").iterdir()
        elsewhere = Path(os.fsdecode(pointer.read_bytes()))
        assert pointer.suffix == ".at"
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
        assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700
        command.process.send_signal(signal.SIGINT)
        command.end()
        assert not pointer.exists()
        assert not elsewhere.exists()


def test_a_document_without_an_id_is_refused_in_a_sentence(home: Path, notes: Path) -> None:
    notes.write_text("---\nbase_model: builtin:tiny\n---\n")
    with Command(home, "attach", str(notes)) as command:
        assert command.end() == 1
        assert "no valid dlm_id" in command.lines[0]
