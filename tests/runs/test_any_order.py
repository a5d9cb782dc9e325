"""Whatever an author does in whatever order: one end for each run, and the last wish is honoured."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.store import Ledger
from tests.fakes import FAIL, Gate
from tests.runs.conftest import Desk, check_story, exchange, frontmatter


async def a_session(desk: Desk, gate: Gate, chance: random.Random) -> str | None:
    """Some actions in random order; the last text that must be known in the end, None when the author cancelled."""
    wanted: str | None = None
    for number in range(chance.randint(3, 12)):
        body = "".join(exchange(f"What is {each}?", f"Number {chance.randint(0, 3)}.") for each in range(3))
        match chance.choice(["save", "save", "save", "broken", "fail", "cancel", "train", "full", "step", "time"]):
            case "save":
                desk.save(body)
                wanted = body
            case "broken":
                desk.save(body + "\n::instruction::\nnot an exchange\n")
            case "fail":
                desk.save(body + exchange(f"Does {number} work?", f"{FAIL}."))
                wanted = None  # it ends in a failure, which is told
            case "cancel":
                desk.supervisor.cancel(desk.path)
                wanted = None
            case "train" | "full" as command if desk.path.exists() and parse(desk.path.read_bytes()).trainable:
                ask = desk.supervisor.train_now if command == "train" else desk.supervisor.full_retrain
                ask(desk.path)
                text = desk.path.read_text()
                wanted = None if FAIL in text else text[text.index("---\n", 4) + 4 :]
            case "step":
                gate.allow(chance.randint(1, 4))
                await asyncio.sleep(0)
            case "time":
                desk.clock.advance(chance.choice([0.1, 0.4, 3.0]))
                await asyncio.sleep(0)
    return wanted


@pytest.mark.parametrize("seed", range(40))
async def test_every_run_ends_once_and_the_last_saved_text_is_known(tmp_path: Path, seed: int) -> None:
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", warm_on_open=False))
    desk.supervisor.start(asyncio.get_running_loop())
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        wanted = await a_session(desk, gate, random.Random(seed))
        gate.allow(1000)
        await desk.settle()
        assert not desk.supervisor.busy
        assert await desk.supervisor.shutdown(10)
    check_story(desk.events)
    assert len(desk.of(events.Queued)) >= len(desk.of(events.Started))
    if wanted is not None:
        document = desk.supervisor.document(desk.path)
        assert document is not None
        known = (desk.store.ledger() or Ledger()).lessons
        lessons = [lesson for section in parse(frontmatter() + wanted).sections for lesson in section.lessons]
        assert lessons
        assert all(lesson.identity in known for lesson in lessons)
    assert desk.store.holder() is None
