"""A store that is found damaged: the author reads in the editor what was found and what was done about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types

from dlm_lsp.document import parse
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.control import RunControl, RunRequest
from dlm_lsp.runs.events import Event, Finished
from dlm_lsp.runs.run import execute
from dlm_lsp.runs.steering import Steering
from dlm_lsp.store import Store
from tests.fakes import FAIL, FakeLearner
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")
THREE = TWO + exchange("What is a version?", "What a save became.")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store of a document that has learned two texts, by somebody who has gone."""
    path, learner, clock = tmp_path / "a.dlm", FakeLearner(), SystemClock()
    store = Store(tmp_path / "home", DLM_ID)
    for number, text in enumerate((ONE, TWO), 1):
        request = RunRequest(number, "cycle", path, parse(text), store, max_steps=100, keep_versions=10)
        told: list[Event] = []
        execute(request, lambda: learner, RunControl(request, Steering(request.document), told.append, clock), clock)
        assert isinstance(told[-1], Finished)
    return store


@pytest.mark.parametrize(
    ("name", "spoil", "sentence"),
    [
        ("manifest.json", lambda data: data[:200], "rebuilt from what the store holds"),
        ("adapter/versions/v0002/adapter_model.safetensors", lambda data: data[:-4], "version 1 is current now"),
        ("replay/corpus.zst", lambda data: data[:40] + bytes(len(data) - 40), "The replay corpus is damaged"),
    ],
)
async def test_what_was_repaired_is_an_information_until_the_next_run(
    begin: Begin, store: Store, tmp_path: Path, name: str, spoil: Callable[[bytes], bytes], sentence: str
) -> None:
    path = tmp_path / "a.dlm"
    spoilt = store.root / name
    spoilt.write_bytes(spoil(spoilt.read_bytes()))

    editor = await begin()
    uri = editor.open(path, TWO)
    editor.save(path, THREE)
    status = await editor.idle(uri)
    assert (status["version"], status["pending"], status["last"]["outcome"]) == (3, 0, "finished")
    await editor.until(lambda: editor.codes(uri) == ["store-repaired"])
    (told,) = editor.diagnostics[uri]
    assert sentence in told.message
    assert (told.severity, told.range.start.line) == (types.DiagnosticSeverity.Information, 1)
    assert any(sentence[1:] in line for line in (await editor.hover(uri, 0)).splitlines())
    assert editor.messages == []

    editor.save(path, THREE + exchange("And now?", "It is sound."))
    await editor.idle(uri)
    await editor.until(lambda: editor.codes(uri) == [])
    assert store.inspect().leftovers == ()
    assert {run.adapter_version for run in store.manifest().training_runs} == {1, 2, 3, 4}  # type: ignore[union-attr]


async def test_it_is_told_though_the_run_fails_or_has_nothing_to_train(
    begin: Begin, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "a.dlm"
    pointer = store.layout.current
    editor = await begin()
    uri = editor.open(path, TWO)

    pointer.unlink()
    editor.save(path, TWO + exchange("What?", FAIL))
    await editor.idle(uri)
    await editor.until(lambda: editor.codes(uri) == ["not-learned", "run-failed", "store-repaired"])

    editor.save(path, TWO)
    await editor.idle(uri)
    await editor.until(lambda: editor.codes(uri) == ["no-new-content"])
    store.layout.manifest.write_bytes(b"")
    editor.save(path, TWO)
    status = await editor.idle(uri)
    assert (status["version"], status["last"]["outcome"]) == (2, "skipped")
    await editor.until(lambda: editor.codes(uri) == ["no-new-content", "store-repaired"])
    editor.change(uri, THREE)
    await editor.until(lambda: "not-learned" in editor.codes(uri))
    assert "rebuilt from what the store holds" in editor.message(uri, "store-repaired"), "it stays until the next run"


async def test_a_store_of_a_newer_program_is_not_touched(begin: Begin, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    manifest = store.layout.manifest
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    (store.root / f".manifest.json.{'a' * 12}.lsp-tmp").write_text("a leftover that is not ours to judge")
    before = {each: each.stat().st_mtime_ns for each in store.root.rglob("*")}

    editor = await begin()
    uri = editor.open(path, TWO)
    editor.save(path, THREE)
    status = await editor.idle(uri)
    assert (status["version"], status["last"]["code"]) == (2, "manifest-newer")
    await editor.until(lambda: editor.codes(uri) == ["not-learned", "run-failed"])
    message = editor.message(uri, "run-failed")
    assert "was written by a newer dlm (schema 2, this program knows 1); update this program" in message
    editor.save(path, TWO)
    assert (await editor.idle(uri))["last"]["code"] == "manifest-newer", "not even a save without news is silent"
    for command in ("dlm.trainNow", "dlm.fullRetrain"):
        await editor.command(command, {"uri": uri, "confirmed": True, "quiet": True})
        assert (await editor.idle(uri))["last"]["code"] == "manifest-newer"
    for command in ("dlm.revert", "dlm.unlock"):
        assert "newer dlm" in (await editor.command(command, {"uri": uri, "quiet": True}))["message"]
    assert {each: each.stat().st_mtime_ns for each in store.root.rglob("*")} == before
