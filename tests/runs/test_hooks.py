"""Hooks: what is called when, what a swap is, and that nothing they do costs a run. The fake learner, time by hand."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dlm_lsp.runs import events, hook_calls
from dlm_lsp.runs.hooks import ERROR, IMPORT, PARAMETERS, SLOW, HooksBrokenError, HooksFile, hooks_path, load, read
from dlm_lsp.runs.settings import RunSettings
from tests.fakes import FAIL, Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")

# A hooks file that keeps in its state what it was called with.
DIARY = "state = {'said': []}\n" + "".join(
    f"def {name}({', '.join(of)}):\n    state['said'].append(('{name}', {', '.join(of)}))\n"
    for name, of in PARAMETERS.items()
)


class Author(Desk):
    """A desk with a hooks file on it."""

    @property
    def file(self) -> Path:
        return hooks_path(self.path)

    def hook(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")
        self.supervisor.hooks.changed(self.path)

    @property
    def said(self) -> list[tuple[object, ...]]:
        known = self.supervisor.hooks._known[self.path]
        return list(known.hooks.state["said"])

    def problems(self) -> list[tuple[str, int, str]]:
        found = self.supervisor.hooks.problems(self.path)
        return [(each.code, each.range.start.line, each.message) for each in found]

    async def read(self) -> None:
        """What was written so far has been looked at."""
        await self.supervisor._queue.reader.call(lambda: None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Author]:
    settings = RunSettings(home=tmp_path / "home", warm_on_open=False, hooks=True)
    desk = Author(tmp_path, settings)
    desk.supervisor.start(asyncio.get_running_loop())
    yield desk
    assert await desk.supervisor.shutdown(10), "the worker did not end"


@pytest.fixture
async def gate(desk: Author, tmp_path: Path) -> AsyncIterator[Gate]:
    """A run of FERRY goes on with DIARY, and makes its next step when the gate lets it."""
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.file.write_text(DIARY, encoding="utf-8")
        desk.save(FERRY)
        desk.clock.advance(0.4)
        gate.allow(1)
        await desk.until(events.Step)
        yield gate
        gate.allow(100)
        await desk.settle()
        desk.learner.gate = None


# -- what is called


async def test_a_run_calls_its_hooks_in_order_with_what_the_author_sees(desk: Author) -> None:
    desk.file.write_text(DIARY, encoding="utf-8")
    await desk.learn(FERRY)
    said = desk.said
    assert [each[0] for each in said] == ["on_start", *["on_step"] * 5, "on_checkpoint", "on_finish"]
    assert said[0] == ("on_start", "cycle", 1, 0)
    assert said[2] == ("on_step", 2, 1.5, 2e-3)
    assert said[-1] == ("on_finish", 1, "learned in 5 steps (v0001)")


async def test_a_checkpoint_is_told_the_losses_and_can_ask_the_new_version(desk: Author) -> None:
    text = (
        "def on_checkpoint(version, evaluate, ask):\n"
        "    state['losses'] = [(each.prompt, each.loss, each.learned) for each in evaluate()]\n"
        "    state['answer'] = ask('When does the ferry leave?')\n"
        "    try:\n        evaluate()[0].loss = 0\n"
        "    except Exception as error:\n        state['kept'] = type(error).__name__\n"
    )
    desk.file.write_text(f"state = {{}}\n{text}", encoding="utf-8")
    await desk.learn(FERRY)
    state = desk.supervisor.hooks._known[desk.path].hooks.state
    assert state["losses"] == [("When does the ferry leave?", 0.6, True)]
    assert state["answer"] == "At seven."
    assert state["kept"] == "FrozenInstanceError", "values are read-only"
    assert desk.learner.asked[-1].session.version_dir == str(desk.store.current().path)  # type: ignore[union-attr]


async def test_a_failed_run_and_a_cancelled_one_are_told_as_failures(desk: Author, gate: Gate) -> None:
    desk.supervisor.cancel(desk.path)
    gate.allow(10)
    await desk.settle()
    assert desk.said[-1] == ("on_fail", "cancelled", "the run was cancelled")
    await desk.learn(exchange("Why?", FAIL))
    assert desk.said[-1][:2] == ("on_fail", "base-missing")


async def test_what_is_absorbed_is_told(desk: Author, gate: Gate) -> None:
    desk.save(FERRY + BAKER)
    desk.clock.advance(0.4)
    gate.allow(2)
    await desk.until(events.Absorbed)
    gate.allow(1)
    await desk.until(events.Step, 3)
    assert ("on_absorb", 1, 0) in desk.said


# -- never without leave


@pytest.mark.parametrize(("hooks", "trusted"), [(False, True), (True, False), (False, False)])
async def test_nothing_is_loaded_without_trust_and_setting(desk: Author, hooks: bool, trusted: bool) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, hooks=hooks))
    desk.supervisor.trust(trusted)
    desk.file.write_text("import sys\nsys.hooks_were_here = True\n(", encoding="utf-8")
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.supervisor.hooks.changed(desk.path)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(), 20)
    assert not desk.supervisor._queue.reader.started, "the file was not even looked at"
    assert desk.problems() == []
    assert not hasattr(sys, "hooks_were_here")


async def test_switched_off_in_the_middle_of_a_run_nothing_is_called_any_more(desk: Author, gate: Gate) -> None:
    state = desk.supervisor.hooks._known[desk.path].hooks.state
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, hooks=False))
    gate.allow(100)
    await desk.settle()
    assert [each[0] for each in state["said"]].count("on_step") <= 1
    assert len(desk.of(events.Finished)) == 1


# -- swapping


async def test_a_saved_file_is_swapped_at_the_next_step_and_shown_for_a_moment(desk: Author, gate: Gate) -> None:
    desk.hook(DIARY.replace("'on_step'", "'another'"))
    await desk.read()
    gate.allow(1)
    swapped = await desk.until(events.Swapped)
    assert swapped.hooks == read(desk.file).short
    assert desk.status.run is not None and desk.status.run.hooks == "hooks swapped"
    desk.clock.advance(1.4)
    assert desk.status.run.hooks == "hooks swapped"
    desk.clock.advance(0.1)
    assert desk.status.run.hooks == "", "and then it goes back"
    gate.allow(1)
    await desk.until(events.Step, 3)
    assert [each[0] for each in desk.said][:1] == ["on_start"], "its state stays"
    gate.allow(1)
    await desk.until(events.Step, 4)
    assert "another" in [each[0] for each in desk.said]
    assert len(desk.of(events.Started)) == 1, "and the run is the same"


async def test_only_the_newest_of_a_burst_is_installed_and_a_revert_is_a_swap_too(desk: Author, gate: Gate) -> None:
    for number in range(5):
        desk.hook(f"{DIARY}# {number}\n")
    await desk.read()
    gate.allow(1)
    swapped = await desk.until(events.Swapped)
    assert swapped.hooks == HooksFile(desk.file, digest=read(desk.file).digest).short
    desk.hook(DIARY)
    await desk.read()
    gate.allow(1)
    await desk.until(events.Swapped, 2)
    loaded = [name for name in sys.modules if name.startswith("dlm_hooks_")]
    assert len(loaded) == 1, "the old ones are dropped"


async def test_the_same_bytes_do_nothing_nor_do_those_that_were_changed_back(desk: Author, gate: Gate) -> None:
    desk.hook(DIARY)
    desk.hook(f"{DIARY}# tried\n")
    desk.hook(DIARY)
    await desk.read()
    gate.allow(2)
    await desk.until(events.Step, 3)
    assert desk.of(events.Swapped) == []


async def test_a_broken_file_is_told_in_it_and_the_old_hooks_go_on(desk: Author, gate: Gate) -> None:
    desk.hook(DIARY + "\nimport nowhere_to_be_found\n")
    await desk.read()
    gate.allow(1)
    await desk.until(events.HooksTold, 2)
    line = DIARY.count("\n") + 1
    assert desk.problems() == [(IMPORT, line, "ModuleNotFoundError: No module named 'nowhere_to_be_found'")]
    desk.hook("def on_step(step:\n")
    await desk.read()
    assert [(code, at) for code, at, _ in desk.problems()] == [(IMPORT, 0)], "a syntax error needs no step"
    gate.allow(1)
    await desk.until(events.Step, 3)
    assert desk.of(events.Swapped) == []
    desk.hook(DIARY)
    await desk.read()
    gate.allow(2)
    await desk.until(events.Step, 5)
    assert desk.problems() == []
    await desk.settle()
    assert [each[0] for each in desk.said].count("on_step") == 5


async def test_hooks_of_another_configuration_wait_for_the_run_that_has_it(desk: Author, gate: Gate) -> None:
    desk.save(FERRY, "training:\n  learning_rate: 0.001\n")
    desk.hook(f"{DIARY}# of the other rate\n")
    await desk.read()
    gate.allow(1)
    await desk.until(events.Step, 2)
    assert desk.of(events.Swapped) == []


# -- what goes wrong


async def test_an_exception_is_told_on_its_line_once_and_the_run_goes_on(desk: Author) -> None:
    desk.file.write_text(
        "def on_step(step, loss, lr):\n    x = 1\n    raise ValueError('too\\nbad')\n", encoding="utf-8"
    )
    ended = await desk.learn(FERRY)
    assert isinstance(ended, events.Finished)
    assert desk.problems() == [(ERROR, 2, "on_step: ValueError: too bad")]
    assert len(desk.of(events.HooksTold)) == 2, "at the begin, and once for five steps"
    desk.hook("def on_step(step, loss, lr):\n    pass\n")
    await desk.read()
    assert desk.problems() == [], "other bytes"


@pytest.mark.parametrize("last", ["raise SystemExit(3)", "import os\n    os.close(-1)", "raise KeyboardInterrupt"])
async def test_nothing_that_a_hook_raises_ends_a_run(desk: Author, last: str) -> None:
    text = "".join(f"def {name}({', '.join(of)}):\n    {last}\n" for name, of in PARAMETERS.items())
    desk.file.write_text(text, encoding="utf-8")
    assert isinstance(await desk.learn(FERRY), events.Finished)
    assert len(desk.problems()) == 4


async def test_a_hook_without_end_is_stopped_named_and_called_again(
    desk: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_calls, "BUDGETS", {"on_step": 0.25})
    desk.learner.steps = 2
    text = (
        "state = {'calls': 0}\ndef on_step(step, loss, lr):\n    state['calls'] += 1\n    while True:\n        pass\n"
    )
    desk.file.write_text(text, encoding="utf-8")
    assert isinstance(await desk.learn(FERRY), events.Finished)
    ((code, line, message),) = desk.problems()
    assert (code, line in (3, 4)) == (SLOW, True)
    assert message.startswith("on_step took more than") and message.endswith("it was stopped")
    assert desk.of(events.HooksSaid)[0].detail.startswith("hook on_step took more than")
    assert desk.supervisor.hooks._known[desk.path].hooks.state["calls"] == 2


async def test_an_import_without_end_is_stopped_and_the_run_goes_on_without_it(
    desk: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_calls, "IMPORT_BUDGET", 0.25)
    desk.file.write_text("x = 1\nwhile True:\n    x += 1\n", encoding="utf-8")
    assert isinstance(await desk.learn(FERRY), events.Finished)
    ((code, line, message),) = desk.problems()
    assert (code, line in (1, 2), message) == (IMPORT, True, "importing took more than 0.25 s")
    assert not [name for name in sys.modules if name.startswith("dlm_hooks_")]


async def test_a_stop_does_not_wait_for_a_hook(desk: Author, gate: Gate) -> None:
    desk.hook(
        "import threading\n\n\ndef on_step(step, loss, lr):\n    state['in'] = 1\n    while True:\n        pass\n"
    )
    await desk.read()
    gate.allow(1)
    await desk.until(events.Swapped)
    desk.supervisor.cancel(desk.path)
    began = time.monotonic()
    await desk.settle()
    assert time.monotonic() - began < hook_calls.BUDGETS["on_step"]
    assert len(desk.of(events.Cancelled)) == 1


async def test_a_hook_that_cannot_be_stopped_is_left_alone(desk: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_calls, "BUDGETS", {"on_step": 0.25})
    desk.learner.steps = 2
    desk.file.write_text(
        "import threading\nstate = {'free': threading.Lock()}\nstate['free'].acquire()\n"
        "def on_step(step, loss, lr):\n    state['free'].acquire()\n",
        encoding="utf-8",
    )
    assert isinstance(await desk.learn(FERRY), events.Finished)
    assert "goes on without hooks" in desk.problems()[0][2]
    desk.supervisor.hooks._known[desk.path].hooks.state["free"].release()


async def test_a_slow_hook_is_named_and_only_once(desk: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_calls, "SLOW", 0.0)
    desk.file.write_text("def on_step(step, loss, lr):\n    pass\n", encoding="utf-8")
    await desk.learn(FERRY)
    assert [event.detail for event in desk.of(events.HooksSaid)] == ["hook on_step takes 0.0 s"]


# -- the file


def of(text: str, folder: Path) -> HooksFile:
    path = folder / "notes.hooks.py"
    path.write_text(text, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("def on_step(step):\n    pass\n", 0, "on_step is called with (step, loss, lr), and does not take that"),
        ("\nasync def on_start(kind, fresh, known):\n    pass\n", 1, "on_start is asynchronous"),
        ("on_fail = 3\n", 0, "on_fail is no function"),
        ("state = []\n", 0, "`state` is no dict"),
        ("x = 1\n1 / 0\n", 1, "ZeroDivisionError: division by zero"),
        ("x = (\n", 0, "SyntaxError: '(' was never closed"),
        ("x = '\0'\n", 0, "null bytes"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(HooksBrokenError) as raised:
        load(of(text, tmp_path), {})
    assert (raised.value.problem.range.start.line, said in raised.value.problem.message) == (line, True)
    assert not [name for name in sys.modules if name.startswith("dlm_hooks_")], "a failed import leaves nothing"


def test_a_failed_import_is_tried_anew(tmp_path: Path) -> None:
    file = of("import sys\nif not hasattr(sys, 'mended'):\n    raise OSError('the disk was away')\n", tmp_path)
    with pytest.raises(HooksBrokenError):
        load(file, {})
    sys.mended = True  # type: ignore[attr-defined]
    try:
        load(file, {}).forget()
    finally:
        del sys.mended  # type: ignore[attr-defined]


def test_a_name_that_was_probably_meant_is_told(tmp_path: Path) -> None:
    hooks = load(of("def on_setp(step, loss, lr):\n    pass\n", tmp_path), {})
    assert [each.message for each in hooks.doubts] == ["on_setp is no hook and is never called; did you mean on_step?"]
    hooks.forget()


def test_state_is_kept_and_what_the_file_writes_are_defaults(tmp_path: Path) -> None:
    kept = {"best": 0.5}
    text = "state = {'best': None, 'seen': 0}\ndef on_step(step, loss, lr):\n    state['seen'] += 1\n"
    hooks = load(of(text, tmp_path), kept)
    hooks.functions["on_step"](1, 0.1, 0.1)
    assert kept == {"best": 0.5, "seen": 1}
    hooks.forget()


def test_print_goes_to_the_log_and_never_to_standard_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "dlm_lsp"):
        load(of("print('hello', 'there', sep='-')\n", tmp_path), {}).forget()
    assert "hooks: hello-there" in caplog.text
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("kind", ["a folder", "too long"])
def test_what_is_no_file_of_reasonable_size_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "notes.hooks.py"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(HooksBrokenError, match="cannot be read"):
        read(path)


def test_no_file_is_no_hooks(tmp_path: Path) -> None:
    assert load(read(tmp_path / "notes.hooks.py"), {}).functions == {}
    assert replace(HooksFile(tmp_path)).short == ""
