"""The registry of how a process ends, on a clock that is moved by hand. Real processes are in server/test_ends.py."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from dlm_lsp._teardown import HANGS_AFTER, Stage, Teardown
from tests.server.test_outbox import HandClock


class Ending:
    """A teardown whose clock, last words and exit are the test's; steps note that they were done."""

    def __init__(self, deadline: float | None = None) -> None:
        self.clock = HandClock()
        self.said: list[str] = []
        self.done: list[str] = []
        self.left: list[int] = []
        self.teardown = Teardown(deadline, later=self.clock.call_later, say=self.said.append, leave=self.left.append)

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)

    def after(self, name: str, event: asyncio.Event) -> Callable[[], object]:
        async def step() -> None:
            await event.wait()
            self.done.append(name)

        return step


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_stages_come_in_order_whatever_order_the_steps_were_added_in() -> None:
    ending = Ending()
    for stage in (Stage.END, Stage.RELEASE, Stage.STOP, Stage.CLOSE, Stage.SETTLE):
        ending.teardown.add(stage, stage.name, ending.note(stage.name))
    await ending.teardown.run()
    assert ending.done == ["STOP", "SETTLE", "RELEASE", "CLOSE", "END"]


@pytest.mark.parametrize("first", ["async", "sync"])
async def test_the_end_waits_for_async_steps_in_any_order_of_registration(first: str) -> None:
    ending, event = Ending(), asyncio.Event()
    steps = {"async": ending.after("async", event), "sync": ending.note("sync")}
    for name in (first, *(steps.keys() - {first})):
        ending.teardown.add(Stage.CLOSE, name, steps[name])
    ending.teardown.add(Stage.END, "last", ending.note("last"))
    end = asyncio.ensure_future(ending.teardown.run())
    await turns()
    assert (ending.done, end.done()) == (["sync"], False)
    event.set()
    await end
    assert ending.done == ["sync", "async", "last"]


async def test_each_step_is_done_once_however_often_and_by_whom_the_end_is_asked_for() -> None:
    """`shutdown`, whose request is called off, and `exit` and the end of input behind it."""
    ending, event = Ending(), asyncio.Event()
    ending.teardown.add(Stage.SETTLE, "run", ending.after("run", event))
    ending.teardown.add(Stage.CLOSE, "file", ending.note("file"))
    ending.teardown.add(Stage.END, "words", ending.note("words"))
    shutdown = asyncio.ensure_future(ending.teardown.run(through=Stage.CLOSE))
    await turns()
    shutdown.cancel()
    ends = [asyncio.ensure_future(ending.teardown.run()) for _ in range(3)]
    await turns()
    assert ending.done == []
    event.set()
    await asyncio.gather(*ends)
    assert shutdown.cancelled()
    assert ending.done == ["run", "file", "words"]


async def test_a_step_that_fails_keeps_no_other_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    ending = Ending()

    def fails() -> None:
        raise OSError("the disk is gone")

    async def fails_later() -> None:
        raise asyncio.CancelledError

    ending.teardown.add(Stage.STOP, "the one", fails)
    ending.teardown.add(Stage.STOP, "the other", fails_later)
    ending.teardown.add(Stage.STOP, "the third", ending.note("third"))
    ending.teardown.add(Stage.END, "the last", ending.note("last"))
    await ending.teardown.run()
    assert ending.done == ["third", "last"]
    assert [record.args for record in caplog.records] == [("the one",), ("the other",)]


async def test_a_step_may_be_added_by_another_and_taken_back() -> None:
    ending = Ending()
    ending.teardown.add(Stage.STOP, "a", lambda: ending.teardown.add(Stage.STOP, "late", ending.note("late")))
    take_back = ending.teardown.add(Stage.CLOSE, "b", ending.note("never"))
    take_back()
    await ending.teardown.run()
    take_back()
    assert ending.done == ["late"]


async def test_what_is_not_done_in_time_is_known() -> None:
    ending = Ending()
    ending.teardown.add(Stage.SETTLE, "the run", lambda: asyncio.sleep(0, False))
    ending.teardown.add(Stage.SETTLE, "the rest", lambda: asyncio.sleep(0, None))
    await ending.teardown.run()
    assert ending.teardown.unfinished == ["the run"]


async def test_after_five_seconds_one_line_says_what_hangs_and_how_to_force_it() -> None:
    ending, event = Ending(), asyncio.Event()
    ending.teardown.add(Stage.SETTLE, "the run", ending.after("run", event))
    ending.teardown.add(Stage.SETTLE, "quick", ending.note("quick"))
    end = asyncio.ensure_future(ending.teardown.run())
    await turns()
    ending.clock.pass_time(HANGS_AFTER - 0.1)
    assert ending.said == []
    ending.clock.pass_time(0.2)
    ending.clock.pass_time(600)
    (line,) = ending.said
    assert line.startswith("dlm-lsp: still waiting for the run; ")
    assert f"`kill {os.getpid()}` leaves at once" in line
    assert ending.left == []
    event.set()
    await end
    ending.clock.pass_time(600)
    assert len(ending.said) == 1


async def test_who_ends_soon_says_nothing() -> None:
    ending = Ending()
    ending.teardown.add(Stage.STOP, "quick", ending.note("quick"))
    await ending.teardown.run()
    ending.clock.pass_time(600)
    assert ending.said == []


async def test_the_first_cause_decides_the_code_and_the_deadline_waits_for_nobody() -> None:
    ending = Ending(deadline=1.3)
    ending.teardown.begin(0, "exit")
    ending.teardown.begin(1, "end of input")
    assert (ending.teardown.code, ending.teardown.begun.is_set()) == (0, True)
    ending.clock.pass_time(1.2)
    assert ending.left == []
    ending.clock.pass_time(0.2)
    assert ending.left == [0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_begins_the_end_and_another_leaves_at_once_with_its_own_code(
    number: signal.Signals, code: int
) -> None:
    ending = Ending()
    ending.teardown.heed_signals()
    signal.raise_signal(signal.SIGTERM if number is not signal.SIGTERM else signal.SIGINT)
    signal.raise_signal(number)  # before the loop has come to the first
    assert ending.left == [code]
    await ending.teardown.begun.wait()
    assert ending.teardown.code in (130, 143)
    assert ending.teardown.code != code
    signal.raise_signal(number)
    assert ending.left == [code, code]


async def test_a_signal_during_an_end_that_another_cause_began_leaves_at_once() -> None:
    """Whoever sends it does not want to wait; also where a command has come to its end by itself."""
    for begins in (lambda teardown: teardown.begin(0, "exit"), lambda teardown: None):
        ending, event = Ending(), asyncio.Event()
        ending.teardown.heed_signals()
        begins(ending.teardown)
        ending.teardown.add(Stage.STOP, "slow", ending.after("slow", event))
        end = asyncio.ensure_future(ending.teardown.run())
        await turns()
        signal.raise_signal(signal.SIGHUP)
        assert ending.left == [129]
        event.set()
        await end


async def test_a_ctrl_c_may_be_for_something_smaller_than_the_end() -> None:
    ending, answers = Ending(), [True, True, False]
    ending.teardown.heed_signals(lambda: answers.pop(0))
    for _ in range(2):
        signal.raise_signal(signal.SIGINT)
        await turns()
        assert ending.teardown.code is None
    signal.raise_signal(signal.SIGINT)
    await ending.teardown.begun.wait()
    assert (ending.teardown.code, ending.left) == (130, [])
    signal.raise_signal(signal.SIGINT)
    assert (ending.left, answers) == ([130], [])


async def test_whoever_was_started_to_outlive_its_terminal_does() -> None:
    """`nohup dlm-lsp train notes.dlm --watch`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ending = Ending()
    ending.teardown.heed_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


async def test_the_end_may_begin_on_any_thread() -> None:
    ending = Ending()
    ending.teardown.heed_signals()
    await asyncio.to_thread(ending.teardown.begin, 1, "the editor's process has ended")
    await ending.teardown.begun.wait()
    assert ending.teardown.code == 1


async def test_a_platform_without_sighup_ends_by_the_signals_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    ending = Ending()
    ending.teardown.heed_signals()
    signal.raise_signal(signal.SIGTERM)
    await ending.teardown.begun.wait()
    assert ending.teardown.code == 143


def test_a_step_that_keeps_the_loop_is_named_and_a_signal_leaves_all_the_same() -> None:
    """Nothing of it may need the loop: neither the line nor the second signal."""
    stuck = """if True:
        import asyncio, threading
        from dlm_lsp import _teardown
        from dlm_lsp._teardown import Stage, Teardown
        _teardown.HANGS_AFTER = 0.05

        async def main():
            teardown = Teardown()
            teardown.heed_signals()
            teardown.add(Stage.RELEASE, "a socket that is stuck", threading.Event().wait)
            await teardown.run()

        asyncio.run(main())
        """
    with subprocess.Popen([sys.executable, "-c", stuck], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "still waiting for a socket that is stuck; " in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 129
        assert process.stderr.read() == ""
