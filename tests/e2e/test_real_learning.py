"""The whole way, nothing faked: the server as installed, the real learner, the built-in base, real kills."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from lsprotocol import types

from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Store
from dlm_lsp.training.learner import create
from tests.server.editor import DLM_ID, Editor, exchange

REAL = ("-m", "dlm_lsp")
SLOW = "training:\n  learning_rate: 1.0e-7\n"  # nothing is ever learned: a run takes all of its steps
KEEPER = ("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")
COLOUR = ("What colour is the lighthouse?", "It is white with a green lamp.")
FERRY = ("What does the ferry to Orvane carry?", "It carries salt and letters.")


def head(settings: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{settings}---\n"


async def answer(path: Path, home: Path, question: str) -> str:
    """What the committed version answers, asked as `dlm-lsp prompt` asks."""
    supervisor = Supervisor(learner=create, settings=RunSettings(home=home, warm_on_open=False))
    supervisor.start(asyncio.get_running_loop())
    supervisor.looked_at(path)
    text = await supervisor.ask(path, question, max_new_tokens=40).text()
    assert await supervisor.shutdown(20)
    return text


@pytest_asyncio.fixture
async def editors(tmp_path: Path) -> AsyncIterator[list[Editor]]:
    """Whoever was started and is still there at the end is shut down in order."""
    started: list[Editor] = []
    yield started
    for editor in started:
        if editor.process.returncode is None:
            assert await editor.end() == 0


async def start(editors: list[Editor], home: Path, **settings: Any) -> Editor:
    editor = Editor()
    editors.append(editor)
    options = {"warmOnOpen": False, **settings}
    await editor.begin(home, server=REAL, settings=options, environment={"DLM_THREADS": "1"})
    return editor


async def mid_run(editor: Editor, path: Path, text: str) -> str:
    """Saves `text` and waits until its run has taken a step."""
    uri = editor.open(path, text)
    editor.save(path, text)
    await editor.until(lambda: any(each["step"] for each in editor.all("dlm/trainingProgress")))
    return uri


async def test_a_save_is_learned_and_the_answer_changes(editors: list[Editor], tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "orvane.dlm"
    editor = await start(editors, home)
    text = head() + exchange(*KEEPER) + exchange(*COLOUR)
    uri = editor.open(path, text)
    editor.save(path, text)
    assert (await editor.idle(uri))["version"] == 1
    before = await answer(path, home, FERRY[0])
    assert before != FERRY[1]

    text += exchange(*FERRY)
    editor.save(path, text)
    status = await editor.idle(uri)
    assert status["version"] == 2
    assert [section["state"] for section in status["sections"]] == ["learned"] * 3
    assert "not-learned" not in editor.codes(uri)
    assert "v0002" in await editor.hover(uri, text[: text.index(FERRY[0])].count("\n"))

    assert await answer(path, home, FERRY[0]) == FERRY[1]
    assert await answer(path, home, KEEPER[0]) == KEEPER[1]  # and the old is kept

    shown = editor.shown()
    assert len(shown) == 2
    told = " ".join(each.message or "" for progress in shown for each in progress)
    assert "importing torch" in told  # R20: phases by their names; its steps may be over before they are due
    for progress in shown:
        assert [type(each).__name__ for each in (progress[0], progress[-1])] == [
            "WorkDoneProgressBegin",
            "WorkDoneProgressEnd",
        ]

    editor.save(path, text)
    await editor.idle(uri)
    assert editor.codes(uri) == ["no-new-content"]
    assert len(editor.shown()) == 2

    editor.answers.append("Full Retrain")
    await editor.command("dlm.fullRetrain", uri)
    status = await editor.idle(uri)
    assert status["version"] == 3, status
    assert (Store(home, DLM_ID).layout.dlm_lock).exists()
    assert await answer(path, home, FERRY[0]) == FERRY[1]
    assert await answer(path, home, COLOUR[0]) == COLOUR[1]


async def test_r13_a_cancelled_run_ends_within_a_second_or_two_steps_and_the_committed_version_stays(
    editors: list[Editor], tmp_path: Path
) -> None:
    home, path = tmp_path / "home", tmp_path / "orvane.dlm"
    editor = await start(editors, home, maxSteps=2)
    text = head(SLOW) + exchange(*KEEPER)
    uri = editor.open(path, text)
    editor.save(path, text)
    assert (await editor.idle(uri))["version"] == 1
    editor.set_configuration({"dlm": {"maxSteps": 100_000, "debounceMs": 20, "warmOnOpen": False}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    editor.save(path, text + exchange(*FERRY))
    await editor.until(lambda: any(each["step"] and each["run_id"] == 2 for each in editor.all("dlm/trainingProgress")))

    def steps() -> int:
        return max(each["step"] for each in editor.all("dlm/trainingProgress") if each["run_id"] == 2)

    asked, before = time.monotonic(), steps()
    token = list(editor.progress_reports)[-1]
    editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
    status = await editor.idle(uri)
    assert time.monotonic() - asked < 1.0 or steps() - before <= 2
    assert any("step " in (each.message or "") and "loss" in each.message for each in editor.shown()[-1])  # R20
    assert status["last"]["outcome"] == "cancelled"
    assert status["version"] == 1
    current = Store(home, DLM_ID).current()
    assert current is not None
    assert current.number == 1


async def test_r04_killed_in_mid_run_it_loses_nothing_and_the_next_server_trains(
    editors: list[Editor], tmp_path: Path
) -> None:
    home, path = tmp_path / "home", tmp_path / "orvane.dlm"
    killed = await start(editors, home, maxSteps=100_000)
    await mid_run(killed, path, head(SLOW) + exchange(*KEEPER))
    killed.process.send_signal(signal.SIGKILL)
    await killed.process.wait()
    store = Store(home, DLM_ID)
    assert store.current() is None
    holder = store.holder()
    assert holder is not None
    assert holder.state == "dead"

    editor = await start(editors, home)
    text = head() + exchange(*KEEPER)
    uri = editor.open(path, text)
    editor.save(path, text)
    status = await editor.idle(uri)
    assert status["version"] == 1
    assert any("took over the store's lock" in note for note in status["last"]["notes"])
    assert await answer(path, home, KEEPER[0]) == KEEPER[1]


async def test_it_is_gone_soon_after_its_input_ended_in_mid_run(editors: list[Editor], tmp_path: Path) -> None:
    editor = await start(editors, tmp_path / "home", maxSteps=100_000)
    await mid_run(editor, tmp_path / "orvane.dlm", head(SLOW) + exchange(*KEEPER))
    began = time.monotonic()
    assert editor.process.stdin is not None
    editor.process.stdin.close()
    await asyncio.wait_for(editor.process.wait(), 30)
    assert time.monotonic() - began < 3.0
    assert not list((tmp_path / "home").rglob(".lock"))
