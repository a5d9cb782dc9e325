"""What users of language servers complain about, as promises: the process, its environment and its loop.

The numbers are those of the list in docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

import dlm_lsp
from dlm_lsp.runs.worker import Worker
from dlm_lsp.server.watchdog import LATE, PERIOD, Watchdog
from tests.fakes import FakeLearner, Gate
from tests.server.editor import HEAD, Editor, exchange
from tests.server.inside import inside

Begin = Callable[..., Awaitable[Editor]]

ROOT = Path(dlm_lsp.__file__).parents[1]
ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


def without_torch(folder: Path) -> dict[str, str]:
    """An environment in which everything that is installed here is installed, and torch is not."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("torch", "functorch")):
            (folder / entry.name).symlink_to(entry)
    return {"PYTHONPATH": f"{ROOT}:{folder}"}


def test_r15_the_log_begins_with_the_interpreter_the_version_and_torch(tmp_path: Path) -> None:
    server = subprocess.run([sys.executable, "-m", "dlm_lsp"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    line = server.stderr.splitlines()[0]
    assert f"dlm-lsp {dlm_lsp.__version__} with Python {sys.version.split()[0]} ({sys.executable})" in line
    assert "torch: /" in line


async def test_r15_without_torch_all_but_training_works_and_a_save_says_what_to_install(
    begin: Begin, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environment = without_torch(tmp_path / "site")
    editor = await begin(server=("-m", "dlm_lsp"), interpreter=("-S",), environment=environment)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    message = editor.message(uri, "run-failed")
    for fact in (
        "`torch` cannot be imported",
        sys.executable,
        "-m pip install torch transformers peft",
        "dlm-lsp doctor",
    ):
        assert fact in message
    assert "not learned" in (await editor.hover(uri, 6)).lower()
    assert editor.messages == []
    assert await editor.end() == 0
    assert "torch: not installed, so nothing can be trained" in capfd.readouterr().err


async def test_r16_a_restart_finds_the_old_one_dead_and_its_store_free(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    """Three in a row on one document, each stopped in the middle of a run."""
    path = tmp_path / "a.dlm"
    uri = path.as_uri()
    for number in range(2):
        editor = await begin(gate=gate)
        editor.open(path, HEAD)
        editor.save(path, HEAD + exchange("Which?", f"Number {number}."))
        await editor.state(uri, "training")
        old = psutil.Process(editor.process.pid)
        children = old.children(recursive=True)
        began = time.monotonic()
        assert await editor.end() == 0
        assert time.monotonic() - began < 3.0  # the answer to shutdown, and 1.5 s after exit
        assert not old.is_running() and not children
        assert not list((tmp_path / "home").rglob(".lock"))
    editor = await begin()
    editor.open(path, HEAD)
    editor.save(path, ONE)
    status = await editor.idle(uri)
    assert (status["version"], status["last"]["notes"]) == (1, [])
    assert not [each for each in editor.statuses(uri) if each["lock"]]


async def test_r19_no_handler_keeps_the_loop_for_more_than_50_ms(tmp_path: Path) -> None:
    """A hundred sections, everything an author does. Counted is what the loop's own thread computes in one go."""
    text = HEAD + "".join(exchange(f"What is number {number}?", f"It is {number}.") for number in range(100))
    longest: list[float] = []
    for attempt in range(3):  # a garbage collection of what the tests before left may fall into one
        home, path = tmp_path / f"home{attempt}", tmp_path / f"{attempt}.dlm"
        async with inside(home, FakeLearner(), debounceMs=0) as client:
            stop, worst = asyncio.Event(), 0.0

            async def measure(stop: asyncio.Event = stop) -> None:
                nonlocal worst
                while not stop.is_set():
                    before = time.thread_time()
                    await asyncio.sleep(0)
                    worst = max(worst, time.thread_time() - before)

            measuring = asyncio.ensure_future(measure())
            uri = client.open(path, text)
            for number in range(4):
                client.change(uri, f"{text}{number}")
                await client.hover(uri, 5)
                where = {"textDocument": {"uri": uri}}
                await client.request("textDocument/codeLens", where)
                place = {"start": {"line": 0, "character": 0}, "end": {"line": 400, "character": 0}}
                asked = {**where, "range": place, "context": {"diagnostics": []}}
                await client.request("textDocument/codeAction", asked)
                client.save(path, text + exchange("Which?", f"Number {number}."))
                client.watcher_saw(path)
                await client.request("dlm/waitForIdle", {"uri": uri})
                await client.request("workspace/executeCommand", {"command": "dlm.showStatus", "arguments": [uri]})
            client.close_document(uri)
            stop.set()
            await measuring
            longest.append(worst)
    assert min(longest) <= 0.05, [f"{each * 1000:.0f} ms" for each in longest]


async def test_r19_a_stalled_loop_is_told_once_with_the_function_that_kept_it() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            loop.call_soon_threadsafe(told.set)

    listener, log = Listener(), logging.getLogger("dlm_lsp.server.watchdog")
    log.addHandler(listener)
    watchdog = Watchdog(loop, lambda: "training")
    watchdog.start()
    try:
        # A handler of the server that does not return: here, one that joins a thread which ends too late.
        Worker.join(_Stuck(PERIOD + 2 * LATE), 10)  # type: ignore[arg-type]
        await asyncio.wait_for(told.wait(), 10)
    finally:
        watchdog.stop()
        log.removeHandler(listener)
    (line,) = lines
    assert line.startswith("the event loop was late by ")
    assert "worker.join (line " in line
    assert line.endswith("while training")


class _Stuck:
    """What `Worker.join` needs of a worker; its thread ends after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._thread = threading.Timer(seconds, lambda: None)
        self._thread.start()
