"""Commands, lenses, actions and hover, on the real server process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.server.app import create_server
from tests.fakes import FakeLearner, Gate
from tests.server.editor import HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")

# Ids that an editor extension for `.dlm` registers: a server that advertises them breaks it.
TAKEN = {"train", "export", "synth", "showHistory", "openStore", "insertInstruction", "insertPreference"}


async def learned(editor: Editor, path: Path) -> str:
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.idle()
    return uri


async def titles(editor: Editor, uri: str) -> list[str]:
    lenses = await editor.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))
    return [lens.command.title for lens in lenses or [] if lens.command and lens.command.title != "Ask"]


async def test_what_the_server_offers(tmp_path: Path) -> None:
    editor = Editor()
    result = await editor.begin(tmp_path / "home")
    provider = result.capabilities.execute_command_provider
    assert provider is not None
    names = set(provider.commands)
    ours = (
        "fullRetrain",
        "trainNow",
        "trainSections",
        "cancel",
        "revert",
        "revertShape",
        "unlock",
        "showStatus",
        "showAnswers",
        "ask",
    )
    assert names == {f"dlm.{name}" for name in ours} | set(create_server(learner=FakeLearner).interchange.commands)
    assert names.isdisjoint(f"dlm.{name}" for name in TAKEN)
    sync = result.capabilities.text_document_sync
    assert isinstance(sync, types.TextDocumentSyncOptions)
    assert sync.change is types.TextDocumentSyncKind.Incremental
    assert sync.save == types.SaveOptions(include_text=True)
    assert (sync.will_save, sync.will_save_wait_until) == (True, None)
    assert await editor.end() == 0


async def test_train_now_trains_what_a_setting_only_marked(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(settings={"onSave": "mark"})
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.until(lambda: "saved-not-trained" in editor.codes(uri))
    assert await editor.command("dlm.trainNow") == {"ok": True, "message": "training is queued"}
    assert (await editor.idle(uri))["version"] == 1


async def test_train_now_takes_the_saved_text_and_shows_the_written_one(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    editor.change(uri, TWO)
    await editor.command("dlm.trainNow", {"uri": uri})
    status = await editor.idle(uri)
    assert (status["version"], status["pending"]) == (1, 1)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    assert editor.diagnostics[uri][0].range.start.line > ONE.count("\n") - 1


async def test_a_full_retrain_asks_once_and_only_if_there_is_something_to_lose(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    assert (await editor.command("dlm.fullRetrain", uri))["ok"] is True
    assert (await editor.idle(uri))["version"] == 1
    assert editor.questions == []
    assert await editor.command("dlm.fullRetrain", uri) == {"ok": False, "message": "Nothing was retrained."}
    assert "v0001" in editor.questions[0].message
    editor.answers = ["Full Retrain"]
    assert (await editor.command("dlm.fullRetrain", uri))["ok"] is True
    assert (await editor.idle(uri))["version"] == 2
    assert (await editor.command("dlm.fullRetrain", {"uri": uri, "confirmed": True}))["ok"] is True
    assert (await editor.idle(uri))["version"] == 3
    assert len(editor.questions) == 2
    assert editor.shown()[0][0].title == "Full retrain a.dlm"


async def test_what_cannot_be_done_is_said(editor: Editor) -> None:
    for name in ("dlm.trainNow", "dlm.fullRetrain", "dlm.showStatus", "dlm.unlock"):
        result = await editor.command(name)
        assert result["ok"] is False
        assert "No .dlm document is open" in result["message"]
    assert await editor.command("dlm.cancel") == {"ok": True, "message": "nothing is running"}
    assert (await editor.command("dlm.trainNow", 5, ["x"]))["ok"] is False
    shown = len(editor.messages)
    await editor.command("dlm.trainNow", {"quiet": True})
    assert len(editor.messages) == shown == 5


async def test_the_status_as_a_command(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm")
    result = await editor.command("dlm.showStatus", uri)
    assert result["ok"] is True
    assert "v0001" in result["message"]
    assert [message.message for message in editor.messages] == [result["message"]]
    assert result["status"]["version"] == 1
    assert result["status"]["sections"][0]["range"]["start"]["line"] == ONE[: ONE.index("::")].count("\n")


async def test_lenses_fit_the_state(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    assert (await titles(editor, uri))[1:] == ["Train now", "Full retrain"]
    editor.save(path, ONE)
    await editor.state(uri, "training")
    state, cancel = await titles(editor, uri)
    assert (state, cancel) == ("training", "Cancel")
    gate.allow(5)
    await editor.idle()
    assert await titles(editor, uri) == ["learned (v0001)", "Full retrain"]
    await editor.until(lambda: editor.all(types.WORKSPACE_CODE_LENS_REFRESH))


async def test_code_actions_offer_full_retrain(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm")
    place = types.Range(types.Position(0, 0), types.Position(0, 0))
    found = await editor.text_document_code_action_async(
        types.CodeActionParams(
            types.TextDocumentIdentifier(uri), place, types.CodeActionContext([], [types.CodeActionKind.Source])
        )
    )
    (action,) = found or []
    assert action["kind"] == "source"
    assert action["command"]["command"] == "dlm.fullRetrain"
    assert action["command"]["arguments"] == [{"uri": uri}]
    quick = types.CodeActionContext([], only=[types.CodeActionKind.QuickFix])
    assert not await editor.text_document_code_action_async(
        types.CodeActionParams(types.TextDocumentIdentifier(uri), place, quick)
    )


async def test_what_cannot_be_trained_is_not_offered_to_be(editor: Editor, tmp_path: Path) -> None:
    uri = editor.open(tmp_path / "a.dlm", ONE.replace("dlm_id: ", "dlm_id: not "))
    assert await titles(editor, uri) == ["1 section not learned · 1 error to mend before it trains"]
    whole = types.Range(types.Position(0, 0), types.Position(ONE.count("\n"), 0))
    given = types.CodeActionContext([], [types.CodeActionKind.Source])
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), whole, given)
    found: Any = await editor.text_document_code_action_async(params)
    assert not [each["title"] for each in found or [] if "train" in each["title"].lower()]


async def test_a_second_version_can_be_undone_by_a_code_action(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = await learned(editor, path)
    editor.save(path, path.read_text() + exchange("And then?", "Then this."))
    assert (await editor.idle(uri))["version"] == 2
    place = types.Range(types.Position(0, 0), types.Position(0, 0))
    context = types.CodeActionContext([], [types.CodeActionKind.Source])
    found: Any = await editor.text_document_code_action_async(
        types.CodeActionParams(types.TextDocumentIdentifier(uri), place, context)
    )
    action = next(each for each in found if each["title"] == "Revert to the version before v0002")
    await editor.command(action["command"]["command"], *action["command"]["arguments"])
    assert (await editor.idle(uri))["version"] == 1


async def test_hover_tells_status_section_key_and_base(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, TWO.replace("base_model", "training:\n  lora_r: 4\nbase_model"))
    await editor.idle()
    status = await editor.hover(uri, 0)
    for fact in ("learned (v0001)", "5 steps", "loss 0.60", "builtin:tiny", "cpu (fake)"):
        assert fact in status
    key = await editor.hover(uri, 3, 4)
    assert "training.lora_r" in key
    assert "default `8`" in key
    base = await editor.hover(uri, 4, 14)
    assert "parameters" in base
    section = await editor.hover(uri, 7, 2)
    for fact in ("Learned in v0001", "5 times", "loss 3.00 → 0.60"):
        assert fact in section
    editor.change(uri, TWO.replace("A save.", "Another."))
    assert "Changed since it was learned" in await editor.hover(uri, 12)
    assert await editor.hover("file:///elsewhere.dlm", 0) == ""


async def test_nothing_heavy_is_imported_for_language_features(begin: Begin, tmp_path: Path) -> None:
    """Importing any of the training libraries fails in this server, and nobody notices until it trains."""
    (tmp_path / "poison").mkdir()
    for name in ("torch", "transformers", "peft", "huggingface_hub"):
        (tmp_path / "poison" / f"{name}.py").write_text(
            f"import os; os.write(2, b'{name} was imported\\n'); os._exit(70)"
        )
    editor = await begin(environment={"PYTHONPATH": str(tmp_path / "poison")})
    uri = editor.open(tmp_path / "a.dlm", TWO.replace("builtin:tiny", "smollm2-135m"))
    assert "parameters" in await editor.hover(uri, 2, 14)
    assert await editor.hover(uri, 0)
    assert await editor.hover(uri, 6)
    assert len(await titles(editor, uri)) == 3
    editor.save(tmp_path / "a.dlm", ONE)
    assert (await editor.idle(uri))["version"] == 1
