"""A server whose learner has a process of its own: it survives it, tells it, and leaves nothing of it behind."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from lsprotocol import types

from tests.fakes import STUBBORN, Gate
from tests.server.conftest import Begin
from tests.server.editor import HEAD, Editor, exchange
from tests.server.test_ending import AFTER_END_OF_INPUT, AFTER_EXIT, opened_and_saved
from tests.server.wire import Wire, initialize, notification, request
from tests.training.fake_child import FREEZE

STEPS = 5  # of a run of the fake learner
ELSEWHERE = {"learner": "process"}
TEXT = HEAD + exchange("What?", "A lesson.")


def learners(server: int) -> list[psutil.Process]:
    """The processes that the server has started."""
    return psutil.Process(server).children(recursive=True)


async def mid_run(editor: Editor, path: Path, text: str, gate: Gate) -> tuple[str, psutil.Process]:
    """Saves `text` and waits until its run has taken a step."""
    seen = len(editor.all("dlm/trainingProgress"))
    uri = path.as_uri() if path.exists() else editor.open(path, text)
    gate.allow(1)
    editor.save(path, text)
    await editor.until(lambda: any(each["step"] for each in editor.all("dlm/trainingProgress")[seen:]))
    (process,) = learners(editor.process.pid)
    return uri, process


async def test_a_killed_learner_is_one_diagnostic_and_the_next_save_learns(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor, path = await begin(gate=gate, settings=ELSEWHERE), tmp_path / "a.dlm"
    uri, process = await mid_run(editor, path, TEXT, gate)
    process.kill()
    status = await editor.idle(uri)
    assert (status["last"]["outcome"], status["last"]["code"]) == ("failed", "learner-died")
    gone = "The learner was killed, probably out of memory. "
    assert editor.message(uri, "run-failed") == gone + "Nothing was changed; the next save starts a new one."

    gate.allow(STEPS)
    editor.save(path, TEXT)
    assert (await editor.idle(uri))["version"] == 1
    assert "run-failed" not in editor.codes(uri)

    _, process = await mid_run(editor, path, TEXT + exchange("Who?", "Another."), gate)
    process.kill()
    assert (await editor.idle(uri))["version"] == 1
    assert editor.message(uri, "run-failed") == gone + "v0001 stays current; the next save starts a new one."
    assert (await editor.hover(uri, 0)).count("v0001")

    gate.allow(STEPS)
    editor.save(path, TEXT + exchange("Who?", "Another."))
    assert (await editor.idle(uri))["version"] == 2


async def test_a_run_that_does_not_stop_is_ended_and_told_as_what_it_is(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor, path = await begin(gate=gate, settings=ELSEWHERE), tmp_path / "a.dlm"
    uri, process = await mid_run(editor, path, HEAD + exchange("What?", STUBBORN), gate)
    await editor.command("dlm.cancel", uri)
    last = (await editor.idle(uri))["last"]
    assert last["outcome"] == "cancelled"
    assert last["message"].startswith("cancelled; nothing was changed; the learner did not stop within ")
    assert not process.is_running()
    gate.allow(STEPS)
    editor.save(path, TEXT)
    assert (await editor.idle(uri))["version"] == 1


async def test_the_setting_takes_effect_with_the_next_run(begin: Begin, tmp_path: Path) -> None:
    editor, path, text = await begin(), tmp_path / "a.dlm", TEXT
    uri = editor.open(path, text)

    async def learn(where: str) -> int:
        nonlocal text
        editor.set_configuration({"dlm": {"debounceMs": 20, "learner": where}})
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        text += exchange(f"What is number {len(text)}?", where)
        await editor.until(lambda: editor.all("workspace/configuration"))
        await editor.idle()
        editor.save(path, text)
        status = await editor.idle(uri)
        assert status["last"]["outcome"] == "finished"
        assert status["warm"]
        return len(learners(editor.process.pid))

    assert [await learn(where) for where in ("thread", "process", "process", "thread")] == [0, 1, 1, 0]


async def test_what_is_not_kept_warm_gives_all_of_its_memory_back(begin: Begin, tmp_path: Path) -> None:
    editor, path = await begin(settings={**ELSEWHERE, "keepWarmMinutes": 0}), tmp_path / "a.dlm"
    uri = editor.open(path, TEXT)
    editor.save(path, TEXT)
    assert (await editor.idle(uri))["version"] == 1
    while learners(editor.process.pid):
        await editor.idle(uri)
    await editor.until(lambda: not editor.statuses(uri)[-1]["warm"])


@pytest.mark.parametrize(
    ("doing", "ending"),
    [
        *((doing, "end of input") for doing in ("starting", "learning", STUBBORN, FREEZE, "stopped", "idle")),
        *((doing, "exit") for doing in ("learning", FREEZE, "stopped")),
    ],
)
def test_no_learner_is_left_whatever_it_was_doing(tmp_path: Path, gate: Gate, doing: str, ending: str) -> None:
    environment = {"DLM_FAKE_GATE": str(gate.path), "DLM_FAKE_START": "held" if doing == "starting" else ""}
    with Wire(tmp_path / "home", environment) as wire:
        gate.allow(STEPS if doing == "idle" else 1)
        client = {"experimental": {"dlm": {"trainingProgress": True}}}
        wire.send(initialize(capabilities=client, initializationOptions={"debounceMs": 0, **ELSEWHERE}))
        wire.answer(1)
        wire.send(notification("initialized", {}), *opened_and_saved(tmp_path / "a.dlm", doing))
        if doing == "starting":
            while wire.receive().get("params", {}).get("phase") != "import":
                pass
        else:
            while (message := wire.receive()).get("method") != "dlm/trainingProgress" or not message["params"]["step"]:
                pass
        if doing == "idle":
            wire.send(request(2, "dlm/waitForIdle"))
            wire.answer(2)
        while not (left := learners(wire.process.pid)):
            pass
        if doing == "stopped":
            left[0].suspend()
        if ending == "exit":
            wire.send(request(3, "shutdown"))
            assert wire.answer(3)["result"] is None
        began = time.monotonic()
        if ending == "exit":
            wire.send(notification("exit"))
        else:
            wire.close_input()
        assert wire.exit_code() == (0 if ending == "exit" else 1)
        assert time.monotonic() - began < (AFTER_EXIT if ending == "exit" else AFTER_END_OF_INPUT)
        _, alive = psutil.wait_procs(left, 0.5)
        assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]  # that is for init to bury
        assert not list((tmp_path / "home").rglob(".lock")), "the worker had no time to put its run away"
