"""A save that changes the adapter's shape: it is told on its key, and can be taken back or retrained from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from tests.server.editor import DLM_ID, Editor, exchange
from tests.server.test_interchange import Applying, editing

Begin = Callable[..., Awaitable[Editor]]
FERRY = exchange("When does the ferry leave?", "At seven.")


def text(training: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny  # small\n{training}---\n{FERRY}"


WIDER = "training:\n  seed: 1\n  lora_r: 16  # wide\n"


async def reshaped(begin: Begin, tmp_path: Path) -> tuple[Editor, Path, Applying]:
    editor, path = await begin(client=editing()), tmp_path / "notes.dlm"
    applying = Applying(editor, path, text())
    editor.save(path, text())
    await editor.idle(path.as_uri())
    applying.text = text(WIDER)
    editor.save(path, applying.text)
    status = await editor.idle(path.as_uri())
    assert status["last"]["code"] == "shape-changed"
    return editor, path, applying


async def test_the_quick_fix_puts_the_old_value_back_and_the_next_save_goes_on(begin: Begin, tmp_path: Path) -> None:
    editor, path, _ = await reshaped(begin, tmp_path)
    uri = path.as_uri()
    problem = next(each for each in editor.diagnostics[uri] if each.code == "run-failed")
    context = types.CodeActionContext(diagnostics=[problem])
    found: Any = await editor.text_document_code_action_async(
        types.CodeActionParams(types.TextDocumentIdentifier(uri), problem.range, context)
    )
    titles = [action["title"] for action in found if "diagnostics" in action]
    assert titles == ["Full retrain with the new adapter", "Revert the change"]
    line = {"start": {"line": 5, "character": 0}, "end": {"line": 6, "character": 0}}
    assert found[-1]["edit"]["changes"] == {uri: [{"range": line, "newText": ""}]}
    back = text("training:\n  seed: 1\n")
    editor.change(uri, back)
    editor.save(path, back)
    status = await editor.idle(uri)
    assert status["last"]["outcome"] == "skipped"
    assert "run-failed" not in editor.codes(uri)


async def test_the_lenses_on_the_key_do_the_same(begin: Begin, tmp_path: Path) -> None:
    editor, path, applying = await reshaped(begin, tmp_path)
    uri = path.as_uri()
    params = types.CodeLensParams(types.TextDocumentIdentifier(uri))
    lenses = await editor.text_document_code_lens_async(params) or []
    on_key = [lens.command for lens in lenses if lens.range.start.line == 5 and lens.command]
    assert [command.title for command in on_key] == ["Full retrain with the new adapter", "Revert the change"]
    await editor.command(on_key[1].command, *(on_key[1].arguments or ()))
    assert applying.text == text("training:\n  seed: 1\n")
    assert applying.labels == ["Revert the change"]


async def test_a_command_without_a_document_does_nothing(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=editing())
    for argument in (None, 3, {"uri": 3}, "file:///nowhere.dlm"):
        assert await editor.command("dlm.revertShape", argument) is None
