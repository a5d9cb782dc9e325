"""What a document's channel says, event by event: strictly JSON, bounded, calm while somebody types."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.runs import events
from dlm_lsp.runs.channel import Subscription
from dlm_lsp.runs.curves import Curves
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.stream import CALM, MOST_SECTIONS, PATIENCE, Streams, event_facts
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.protocol import Learned
from tests.fakes import FakeLearner
from tests.runs.conftest import HandClock, exchange, frontmatter


class Room:
    """A document that is being written, and events of it as a run would make them. No loop, no worker."""

    def __init__(self, home: Path) -> None:
        self.clock = HandClock()
        self.path = home / "notes.dlm"
        self.supervisor = Supervisor(learner=FakeLearner, settings=RunSettings(home=home), clock=self.clock)
        self.curves = Curves()
        self.supervisor.subscribe(self.curves.on)
        self.streams = Streams(self.supervisor, self.curves, self.clock)
        self.write(1)

    def write(self, sections: int) -> None:
        body = "".join(exchange(f"Question {number}?", "Yes.") for number in range(sections))
        self.supervisor.changed(self.path, frontmatter() + body)

    def happens(self, kind: type[events.Event], /, **fields: Any) -> None:
        self.supervisor._records.tell(self.supervisor._records.of(self.path), kind, run=1, **fields)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def told(subscription: Subscription) -> list[dict[str, Any]]:
    """Everything that waits."""
    found = []
    while True:
        subscription.wake()
        if (each := await subscription.next()) is None:
            return found
        found.append(json.loads(each.text, parse_constant=pytest.fail))


async def test_a_run_is_told_with_what_each_event_says_and_the_status_after_it(room: Room) -> None:
    listener = room.streams.subscribe(room.path)
    (state,) = await told(listener)
    assert (state["type"], state["run"], state["names"], state["runs"]) == ("state", None, ["Question 0?"], [])
    assert [section["state"] for section in state["status"]["sections"]] == ["new"]
    room.happens(events.Started, kind="cycle", fresh=1, known=0)
    room.happens(events.Step, step=1, total=2, loss=1.5, learning_rate=1e-3, tokens=7)
    room.happens(events.GoingOn)
    started, step, going = await told(listener)
    assert (started["event"], started["fresh"], started["status"]["run"]["run"]) == ("started", 1, 1)
    assert (step["event"], step["loss"], step["tokens"], step["run"]) == ("step", 1.5, 7, 1)
    assert step["now"]["run"]["step"] == 1
    assert "step 1/2" in step["now"]["message"]
    assert "status" not in step
    assert going["event"] == "going-on"
    (late,) = await told(room.streams.subscribe(room.path))
    assert [run["points"] for run in late["runs"]] == [[[1, 1.5, 7, 0.0]]]


async def test_what_is_no_number_is_null(room: Room) -> None:
    listener = room.streams.subscribe(room.path)
    await told(listener)
    room.happens(events.Step, step=1, total=2, loss=math.nan, learning_rate=math.inf, tokens=7)
    (step,) = await told(listener)
    assert (step["loss"], step["learning_rate"]) == (None, None)


async def test_typing_is_told_once_it_is_calm(room: Room) -> None:
    listener = room.streams.subscribe(room.path)
    await told(listener)
    for sections in range(2, 30):
        room.write(sections)
    assert await told(listener) == []
    room.clock.advance(CALM)
    (changed,) = await told(listener)
    assert (changed["event"], len(changed["names"])) == ("changed", 29)
    room.clock.advance(10 * CALM)
    assert await told(listener) == []


async def test_of_a_large_document_the_first_sections_are_told(room: Room) -> None:
    room.write(MOST_SECTIONS + 5)
    (state,) = await told(room.streams.subscribe(room.path))
    assert len(state["status"]["sections"]) == len(state["names"]) == MOST_SECTIONS
    assert (state["status"]["section_count"], state["status"]["pending"]) == (MOST_SECTIONS + 5, MOST_SECTIONS + 5)


async def test_a_channel_that_nobody_listens_to_is_kept_for_a_while_and_then_costs_nothing(room: Room) -> None:
    listener = room.streams.subscribe(room.path)
    await told(listener)
    place = f"{listener._channel.name}-{listener._channel.sequence}"
    listener.close()
    room.happens(events.Started, kind="cycle", fresh=1, known=0)
    room.clock.advance(PATIENCE / 2)
    back = room.streams.subscribe(room.path, place)
    assert [each.get("event") for each in await told(back)] == ["started"]
    back.close()
    room.happens(events.Stopping)
    room.clock.advance(PATIENCE + 1)
    room.happens(events.Stopping)
    assert room.streams._rooms == {}
    (state,) = await told(room.streams.subscribe(room.path, place))
    assert state["type"] == "state"


def test_every_event_can_be_told(tmp_path: Path) -> None:
    """What has no plain value (a document, a learner's report) is left out, not guessed at."""
    common: dict[str, Any] = {"document": tmp_path, "run": 3, "at": 1.0}
    learned = object.__new__(Learned)
    finished = events.Finished(
        **common, kind="cycle", version=2, learned=learned, seconds=1.5, message="learned", notes=("mended",)
    )
    assert event_facts(finished) == {
        "event": "finished",
        "run": 3,
        "at": 1.0,
        "kind": "cycle",
        "version": 2,
        "seconds": 1.5,
        "message": "learned",
        "notes": ["mended"],
    }
