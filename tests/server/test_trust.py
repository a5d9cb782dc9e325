"""A workspace that its user does not trust: the language is served, and nothing is trained, loaded, read or written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from tests.fakes import Gate
from tests.server.conftest import Begin
from tests.server.editor import HEAD, Editor, exchange

SENTENCE = "This workspace is not trusted, so nothing is trained; trust it in the editor first."
TEXT = HEAD + exchange("Who keeps the light?", "Mira does.")


def trust(editor: Editor, params: Any) -> None:
    editor.protocol.notify("dlm/workspaceTrust", params)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder / "notes.dlm"


async def test_language_features_work_and_nothing_is_trained_or_written(
    begin: Begin, tmp_path: Path, path: Path
) -> None:
    editor = await begin(settings={"workspaceTrusted": False, "warmOnOpen": True})
    uri = editor.open(path, TEXT + "\n::instructoin::\n")
    await editor.until(lambda: "unknown-fence" in editor.codes(uri))
    assert "base_model" in await editor.hover(uri, 2)
    editor.save(path, TEXT)
    status = await editor.idle(uri)
    assert editor.codes(uri) == ["not-learned", "saved-not-trained"]
    message = editor.message(uri, "saved-not-trained")
    assert message == f"Saved, not trained: {SENTENCE[0].lower()}{SENTENCE[1:]}"
    for command in ("dlm.trainNow", "dlm.fullRetrain", "dlm.unlock"):
        assert await editor.command(command, {"uri": uri, "quiet": True}) == {"ok": False, "message": SENTENCE}
    assert (await editor.command("dlm.showStatus", {"uri": uri, "quiet": True}))["ok"]
    assert (await editor.idle(uri))["version"] is None
    assert status["warm"] is False
    assert editor.questions == []
    assert editor.shown() == []
    assert not (tmp_path / "home").exists()
    assert [each.name for each in path.parent.iterdir()] == ["notes.dlm"]


async def test_sources_are_not_read_and_a_base_beside_the_document_is_not_looked_at(begin: Begin, path: Path) -> None:
    """Both are pipes that would keep whoever opens them waiting, and the base is told of once there is trust."""
    base = path.parent / "base"
    base.mkdir()
    os.mkfifo(base / "config.json")
    text = TEXT.replace("builtin:tiny", "./base\ntraining:\n  sources:\n    - path: base")
    editor = await begin(settings={"workspaceTrusted": False})
    uri = editor.open(path, text)
    editor.save(path, text)
    await editor.idle(uri)
    assert editor.codes(uri) == ["not-learned", "saved-not-trained"]
    assert "parameters" not in await editor.hover(uri, 2, 14)
    trust(editor, {"trusted": True})
    await editor.until(lambda: "base-bad-config" in editor.codes(uri))
    assert "config.json in The directory" in editor.message(uri, "base-bad-config")
    assert "saved-not-trained" not in editor.codes(uri)


async def test_trust_is_granted_later_by_the_client_and_never_by_settings(begin: Begin, path: Path) -> None:
    editor = await begin(settings={"workspaceTrusted": False})
    uri = editor.open(path, TEXT)
    editor.set_configuration({"dlm": {"workspaceTrusted": True, "workspaceTrust": True, "debounceMs": 20}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams({"dlm": {"workspaceTrusted": True}}))
    for odd in ({}, None, [True], {"trusted": "yes"}, {"trusted": 1}, {"trust": True}):
        trust(editor, odd)
    editor.save(path, TEXT)
    await editor.idle(uri)
    assert "saved-not-trained" in editor.codes(uri)
    trust(editor, {"trusted": True})
    assert (await editor.command("dlm.trainNow", {"uri": uri}))["ok"]
    assert (await editor.idle(uri))["version"] == 1
    assert editor.codes(uri) == []


async def test_trust_that_is_withdrawn_stops_the_run(begin: Begin, path: Path, gate: Gate) -> None:
    editor = await begin(gate=gate)
    uri = editor.open(path, TEXT)
    editor.save(path, TEXT)
    gate.allow(2)
    await editor.state(uri, "training")
    trust(editor, {"trusted": False})
    assert (await editor.idle(uri))["last"]["outcome"] == "cancelled"
    editor.save(path, TEXT)
    await editor.idle(uri)
    assert "saved-not-trained" in editor.codes(uri)


@pytest.mark.parametrize(("said", "trusted"), [(None, True), ("true", False)])
async def test_what_is_said_at_the_start(begin: Begin, path: Path, said: Any, trusted: bool) -> None:
    """Nothing said is trust, as in an editor without that notion; anything odd is none."""
    editor = await begin(settings={"workspaceTrusted": said})
    uri = editor.open(path, TEXT)
    assert (await editor.command("dlm.trainNow", {"uri": uri, "quiet": True}))["ok"] is trusted
