"""The calls of an existing VS Code extension for `.dlm` files, as it makes them, on the real server process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from dlm_lsp.document import parse
from dlm_lsp.training.bases import registry
from tests.server.editor import DLM_ID, PATIENCE, Editor, capabilities, exchange

Begin = Callable[..., Awaitable[Editor]]

# What that extension registers itself; a server that advertises one of them keeps it from starting.
EXTENSION_COMMANDS = {
    *("dlm.train", "dlm.export", "dlm.synth", "dlm.showHistory"),
    *("dlm.openStore", "dlm.insertInstruction", "dlm.insertPreference"),
}
PEER_COMMANDS = (
    "dlm.setBaseModel",
    "dlm.addSourceDirective",
    "dlm/listBaseModels",
    "dlm/listTemplates",
    "dlm/documentState",
)
TEXT = f"---\ndlm_id: {DLM_ID}\ndlm_version: 6\nbase_model: smollm2-135m  # small\n---\n\nText.\n" + exchange(
    "One?", "1."
)


def editing(**changes: Any) -> types.ClientCapabilities:
    """A client that lets the server change texts, in versions, as vscode-languageclient does."""
    edit = types.WorkspaceEditClientCapabilities(**{"document_changes": True, **changes})
    return capabilities(workspace=types.WorkspaceClientCapabilities(apply_edit=True, workspace_edit=edit))


class Applying:
    """Applies the server's edits to the one open text, as an editor does, and refuses those of an older version."""

    def __init__(self, editor: Editor, path: Path, text: str) -> None:
        self.editor, self.text, self.edits, self.refuses = editor, text, [], False
        self.labels: list[str | None] = []
        self.uri = editor.open(path, text)

        @editor.feature(types.WORKSPACE_APPLY_EDIT)
        def apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            if self.refuses:
                return types.ApplyWorkspaceEditResult(applied=False, failure_reason="the file is read-only")
            self.edits.append(params.edit)
            self.labels.append(params.label)
            changed = params.edit.document_changes
            edits = changed[0].edits if changed else (params.edit.changes or {})[self.uri]  # type: ignore[union-attr]
            (edit,) = edits
            lines = self.text.splitlines(keepends=True)
            start = sum(map(len, lines[: edit.range.start.line])) + edit.range.start.character
            end = sum(map(len, lines[: edit.range.end.line])) + edit.range.end.character
            self.text = self.text[:start] + edit.new_text + self.text[end:]
            editor.change(self.uri, self.text)
            return types.ApplyWorkspaceEditResult(applied=True)


async def test_what_is_advertised_clashes_with_no_command_of_the_extension(begin: Begin, tmp_path: Path) -> None:
    editor = Editor()
    result = await editor.begin(tmp_path / "home")
    offered = result.capabilities.execute_command_provider
    assert offered is not None
    assert set(PEER_COMMANDS) <= set(offered.commands)
    assert not EXTENSION_COMMANDS & set(offered.commands)
    assert len(offered.commands) == len(set(offered.commands))
    assert await editor.end() == 0


async def test_the_extensions_whole_sequence(begin: Begin, tmp_path: Path) -> None:
    """The panel asks for the state, picks a base from the list, a source, a template, and asks for the state again."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("Text.")
    editor = await begin(client=editing())
    applying = Applying(editor, tmp_path / "a.dlm", TEXT)
    uri = applying.uri
    state = await editor.command("dlm/documentState", uri)
    assert state == {
        "uri": uri,
        "dlm_id": DLM_ID,
        "dlm_version": 15,
        "base_model": "smollm2-135m",
        "base_model_spec": {
            "key": "smollm2-135m",
            "hf_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "params": 135_000_000,
            "size_gb_fp16": 0.27,
            "context_length": 8192,
            "modality": "text",
            "license_spdx": "Apache-2.0",
            "requires_acceptance": False,
        },
        "section_counts": {"prose": 1, "instruction": 1},
    }
    rows = await editor.command("dlm/listBaseModels")
    assert [row["key"] for row in rows] == ["builtin:tiny", *registry()]
    assert all(list(row) == list(state["base_model_spec"]) for row in rows)
    assert any(row["requires_acceptance"] for row in rows)
    assert await editor.command("dlm.setBaseModel", uri, "builtin:tiny") is None
    assert "base_model: builtin:tiny  # small\n" in applying.text
    (change,) = applying.edits[0].document_changes
    assert change.text_document.uri == uri and isinstance(change.text_document.version, int)
    assert applying.labels == ["Base model builtin:tiny"]
    assert await editor.command("dlm.addSourceDirective", uri, "notes") is None
    frontmatter = parse(applying.text).frontmatter
    assert frontmatter is not None and frontmatter.training.sources is not None
    assert [(each.path, each.include) for each in frontmatter.training.sources] == [("notes", ("**/*",))]
    templates = await editor.command("dlm/listTemplates")
    fields = ["name", "title", "domain_tags", "recommended_base", "summary", "sample_prompts"]
    assert len(templates) == 8 and all(list(row) == fields for row in templates)
    again = await editor.command("dlm/documentState", uri)
    assert again["base_model"] == "builtin:tiny" and again["base_model_spec"]["hf_id"] == "builtin:tiny"
    assert [problem for problem in editor.codes(uri) if problem.startswith(("source", "base"))] == []
    assert editor.all(types.WINDOW_SHOW_MESSAGE) == []


async def test_the_same_names_are_requests_as_well(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=editing())
    uri = editor.open(tmp_path / "a.dlm", TEXT)

    async def asked(method: str, params: Any) -> Any:
        return await asyncio.wait_for(editor.protocol.send_request_async(method, params), PATIENCE)

    assert await asked("dlm/documentState", {"uri": uri}) == await editor.command("dlm/documentState", uri)
    assert (await asked("dlm/documentState", [uri]))["base_model"] == "smollm2-135m"
    assert await asked("dlm/listBaseModels", None) == await editor.command("dlm/listBaseModels")
    assert await asked("dlm/listTemplates", {}) == await editor.command("dlm/listTemplates")


async def test_the_state_of_broken_unknown_and_unnamed_documents(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=editing())
    uri = editor.open(tmp_path / "a.dlm", TEXT.replace("base_model", "base_modle"))
    state = await editor.command("dlm/documentState", uri)
    assert set(state) == {"uri", "error"} and "base_modle" in state["error"] + str(editor.diagnostics)
    assert await editor.command("dlm/documentState", (tmp_path / "b.dlm").as_uri()) is None
    assert await editor.command("dlm/documentState") is None
    item = types.TextDocumentItem("untitled:Untitled-1", "dlm", 1, TEXT)
    editor.text_document_did_open(types.DidOpenTextDocumentParams(item))
    assert (await editor.command("dlm/documentState", "untitled:Untitled-1"))["section_counts"]["instruction"] == 1
    with pytest.raises(Exception, match="noSuchThing"):
        await editor.command("dlm.noSuchThing")


PATHS = (
    ("notes", "notes"),
    ("./notes/", "notes"),
    ("notes\\deep", "notes/deep"),
    ("../beside: it", '"../beside: it"'),
    ("{folder}/notes", "notes"),
    ("{uri}/notes/%C3%A9t%C3%A9.md", "notes/été.md"),
    ("/etc/passwd", "/etc/passwd"),
)


async def test_paths_are_written_as_the_document_reads_them(begin: Begin, tmp_path: Path) -> None:
    deep = tmp_path / "one" / "two" / "three"
    deep.mkdir(parents=True)
    editor = await begin(client=editing())
    applying = Applying(editor, deep / "a.dlm", TEXT)
    for given, written in PATHS:
        applying.text = TEXT
        editor.change(applying.uri, TEXT)
        before = len(applying.edits)
        for _ in range(2):  # a source that is there is not added again
            said = given.format(folder=deep, uri=deep.as_uri())
            assert await editor.command("dlm.addSourceDirective", applying.uri, said) is None
        assert applying.text.count(f"\n    - path: {written}\n") == 1, given
        assert len(applying.edits) == before + 1, given


async def test_line_ends_and_older_clients(begin: Begin, tmp_path: Path) -> None:
    """A client without versioned edits gets plain ones; the text keeps its CRLF."""
    editor = await begin(client=editing(document_changes=False))
    applying = Applying(editor, tmp_path / "a.dlm", TEXT.replace("\n", "\r\n"))
    await editor.command("dlm.addSourceDirective", applying.uri, "notes")
    assert applying.edits[0].changes and not applying.edits[0].document_changes
    assert "\r\ntraining:\r\n  sources:\r\n    - path: notes\r\n" in applying.text
    assert "\n" not in applying.text.replace("\r\n", "")


async def test_what_cannot_be_done_is_said_and_answered_with_null(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=editing())
    applying = Applying(editor, tmp_path / "a.dlm", "No frontmatter.\n")
    for arguments in ((), (applying.uri,), (applying.uri, ""), (applying.uri, 5), ("file:///nowhere.dlm", "x")):
        assert await editor.command("dlm.setBaseModel", *arguments) is None
        assert await editor.command("dlm.addSourceDirective", *arguments) is None
    assert editor.all(types.WINDOW_SHOW_MESSAGE) == []
    assert await editor.command("dlm.setBaseModel", applying.uri, "builtin:tiny") is None
    applying.text, applying.refuses = TEXT, True
    editor.change(applying.uri, TEXT)
    assert await editor.command("dlm.setBaseModel", applying.uri, "builtin:tiny") is None
    messages = [each.message for each in editor.all(types.WINDOW_SHOW_MESSAGE)]
    assert len(messages) == 2 and "no frontmatter" in messages[0] and "read-only" in messages[1]
    assert applying.edits == []


async def test_a_client_that_cannot_be_edited_is_told_so(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    applying = Applying(editor, tmp_path / "a.dlm", TEXT)
    assert await editor.command("dlm.setBaseModel", applying.uri, "builtin:tiny") is None
    assert applying.edits == []
    assert "does not let" in editor.all(types.WINDOW_SHOW_MESSAGE)[0].message
