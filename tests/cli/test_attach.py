"""`dlm-lsp attach`, on the events of real servers in other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.cli.conftest import DLM_ID, SLOW, Command, text

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")
SMITH = ("Who shoes the horses?", "Nobody any more.")


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

    def waits(self, why: bytes = b"no server has notes.dlm open; waiting for one") -> None:
        """Returns when it has said that there is no server."""
        assert self.process.stderr is not None
        assert why in self.process.stderr.readline()

    def end(self) -> tuple[int, bytes]:
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=30)
        return self.process.returncode, complaints

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, Path, Path]]:
    """A document that was learned, and whose saves are; its home, and its file."""
    folder = tmp_path_factory.mktemp("watched")
    home, notes = folder / "home", folder / "notes.dlm"
    notes.write_text(text(FERRY))
    with Command(home, "train", str(notes), "--watch") as command:
        command.until("watching notes.dlm")
        yield command, home, notes


def test_the_state_comes_first_then_every_event_of_a_run_in_order(watched: tuple[Command, Path, Path]) -> None:
    command, home, notes = watched
    with Attached(home, notes) as one, Attached(home, notes) as other:
        for attached in (one, other):
            state = attached.until(type="state")
            assert attached.told == [state]
            assert (state["status"]["version"], state["names"], state["pid"]) == (1, [FERRY[0]], command.process.pid)
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
            kinds = [told["event"] for told in of_run if told["event"] != "changed"]
            assert kinds[0] == "queued"
            assert kinds[-1] == "finished"
            steps = [told["step"] for told in of_run if told["event"] == "step"]
            assert steps == list(range(1, finished["status"]["version_steps"] + 1))
        # The same to both, and nothing was done twice: there are two versions.
        shared = max(one.told[1]["sequence"], other.told[1]["sequence"])
        heard = [[told for told in attached.told[1:] if told["sequence"] >= shared] for attached in (one, other)]
        assert heard[0] == heard[1]
        assert one.end()[0] == 130
        assert other.end() == (130, b"")


def test_people_get_lines(watched: tuple[Command, Path, Path]) -> None:
    command, home, notes = watched
    with Command(home, "attach", str(notes)) as attached:
        attached.until(f"attached to process {command.process.pid}: notes.dlm")
        notes.write_text(text(FERRY, BAKER, SMITH))
        attached.until("learning 1 lesson (")
        attached.until("step 1/")
        attached.until("learned")
        command.process.send_signal(signal.SIGINT)
        attached.until(f"the server (process {command.process.pid}) has ended")
        attached.process.send_signal(signal.SIGINT)
        assert attached.end() == 130
        assert "Traceback" not in "\n".join(attached.lines)
    assert command.end() == 130
    assert list((home / "store" / DLM_ID / "lsp" / "live").iterdir()) == []


def test_it_waits_for_a_server_joins_a_run_in_its_midst_and_comes_back_to_the_next_server(
    home: Path, notes: Path
) -> None:
    notes.write_text(text(FERRY, settings=SLOW))
    with Attached(home, notes) as attached:
        attached.waits(b"notes.dlm was never learned; waiting for its first run")
        with Command(home, "train", str(notes)) as command:
            first = attached.until(type="state")
            attached.until(event="step", step=3)
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
                late.process.wait()
            attached.until(event="step", step=following["step"] + 2)
            command.process.kill()
            command.process.wait()
        attached.waits()
        notes.write_text(text(FERRY))
        with Command(home, "train", str(notes)) as command:
            again = attached.until(type="state")
            assert again["stream"] != first["stream"]
            assert attached.until(event="finished")["version"] == 1
            assert command.end() == 0
        attached.waits()
        # What the killed one left went as well.
        assert list((home / "store" / DLM_ID / "lsp" / "live").iterdir()) == []
        assert attached.end()[0] == 130


def test_a_document_without_an_id_is_refused_in_a_sentence(home: Path, notes: Path) -> None:
    notes.write_text("---\nbase_model: builtin:tiny\n---\n")
    with Command(home, "attach", str(notes)) as command:
        assert command.end() == 1
        assert "no valid dlm_id" in command.lines[0]
