"""Writing a document: outline, folding, selection, highlighting, completion, links and names, on the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.document import parse
from tests.server.conftest import Begin
from tests.server.editor import DLM_ID, Editor, capabilities

TEXT = f"""\
---
dlm_id: {DLM_ID}
base_model: smollm2-135m
training:
  adapters:
    tone: {{}}
    facts: {{}}
  sources:
    - path: notes
---

# 🚢 Harbour
The quay.

::instruction#tone::
### Q
When does the 🚢 leave?

### A
At seven.

::instruction#tone::
### Q
Who steers it?
### A
Mira does.

::image path="quay.png" alt="The quay"::
A caption.
"""


def writing(**completion: Any) -> types.ClientCapabilities:
    """A client for which documents are written, that shows trees and snippets."""
    return capabilities(
        text_document=types.TextDocumentClientCapabilities(
            document_symbol=types.DocumentSymbolClientCapabilities(hierarchical_document_symbol_support=True),
            completion=types.CompletionClientCapabilities(
                completion_item=types.ClientCompletionItemOptions(
                    snippet_support=True, documentation_format=[types.MarkupKind.Markdown]
                )
            ),
            document_link=types.DocumentLinkClientCapabilities(tooltip_support=True),
        ),
        **completion,
    )


def place(text: str, what: str, after: int = 0) -> types.Position:
    """Where `what` begins in `text`, and `after` code points on, in UTF-16 units."""
    offset = text.index(what) + after
    start = text.rfind("\n", 0, offset) + 1
    return types.Position(text.count("\n", 0, offset), len(text[start:offset].encode("utf-16-le")) // 2)


def covered(text: str, found: types.Range) -> str:
    """The text of a range within one line, which counts UTF-16 units."""
    raw = text.split("\n")[found.start.line].encode("utf-16-le")
    return raw[found.start.character * 2 : found.end.character * 2].decode("utf-16-le")


@pytest.fixture
async def opened(begin: Begin, tmp_path: Path) -> tuple[Editor, str]:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "ferry.md").write_text("x")
    (tmp_path / "quay.png").write_bytes(b"x")
    editor = await begin(client=writing())
    return editor, editor.open(tmp_path / "harbour.dlm", TEXT)


async def test_the_outline_is_a_tree_of_keys_sections_and_exchanges(opened: tuple[Editor, str]) -> None:
    editor, uri = opened
    found = await editor.text_document_document_symbol_async(
        types.DocumentSymbolParams(types.TextDocumentIdentifier(uri))
    )
    assert found is not None
    assert [(each.name, each.detail) for each in found if isinstance(each, types.DocumentSymbol)] == [
        ("Frontmatter", None),
        ("prose", "🚢 Harbour"),
        ("instruction#tone", "1 exchange"),
        ("instruction#tone", "1 exchange"),
        ("image", "quay.png"),
    ]
    exchanges = found[2].children  # type: ignore[union-attr]
    assert [each.name for each in exchanges or ()] == ["When does the 🚢 leave?"]


async def test_a_client_without_trees_gets_a_list(editor: Editor, tmp_path: Path) -> None:
    uri = editor.open(tmp_path / "harbour.dlm", TEXT)
    found = await editor.text_document_document_symbol_async(
        types.DocumentSymbolParams(types.TextDocumentIdentifier(uri))
    )
    assert found is not None
    assert all(isinstance(each, types.SymbolInformation) for each in found)
    assert ("Who steers it?", "instruction#tone") in [(each.name, each.container_name) for each in found]  # type: ignore[union-attr]


async def test_folding_leaves_the_naming_line_and_the_blank_ones(opened: tuple[Editor, str]) -> None:
    editor, uri = opened
    found = await editor.text_document_folding_range_async(types.FoldingRangeParams(types.TextDocumentIdentifier(uri)))
    folded = [(each.start_line, each.end_line) for each in found or ()]
    lines = TEXT.split("\n")
    first = lines.index("::instruction#tone::")
    assert (0, lines.index("---", 1)) in folded
    assert (first, first + 5) in folded
    assert all(lines[end] for _, end in folded)


async def test_a_selection_grows(opened: tuple[Editor, str]) -> None:
    editor, uri = opened
    found = await editor.text_document_selection_range_async(
        types.SelectionRangeParams(types.TextDocumentIdentifier(uri), [place(TEXT, "leave", 2)])
    )
    assert found is not None
    innermost = found[0]
    assert covered(TEXT, innermost.range) == "leave"
    depth, each = 1, innermost
    while each.parent is not None:
        depth, each = depth + 1, each.parent
    assert depth >= 5
    assert (each.range.start.line, each.range.end.line) == (0, TEXT.count("\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_tokens_are_packed_in_the_clients_units(begin: Begin, tmp_path: Path, encoding: str) -> None:
    client = writing(general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(encoding)]))
    editor = await begin(client=client)
    text = TEXT.replace("base_model: smollm2-135m", "base_model: smollm2-135m\nsystem_prompt: '🚢' # 🚢 x")
    uri = editor.open(tmp_path / "harbour.dlm", text)
    found = await editor.text_document_semantic_tokens_full_async(
        types.SemanticTokensParams(types.TextDocumentIdentifier(uri))
    )
    assert found is not None
    data, line, column, said = found.data, 0, 0, []
    width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    name = encoding if encoding == "utf-8" else f"{encoding}-le"
    for start in range(0, len(data), 5):
        column = data[start + 1] + (column if data[start] == 0 else 0)
        line += data[start]
        raw = text.split("\n")[line].encode(name)
        said.append(raw[column * width : (column + data[start + 2]) * width].decode(name))
    assert {"dlm_id", "'🚢'", "# 🚢 x", "#tone", "### Q", '"quay.png"'} <= set(said)


async def items(editor: Editor, uri: str, at: types.Position) -> dict[str, types.CompletionItem]:
    found = await editor.text_document_completion_async(types.CompletionParams(types.TextDocumentIdentifier(uri), at))
    listed = found.items if isinstance(found, types.CompletionList) else found or []
    return {item.label: item for item in listed}


def accepted(text: str, item: types.CompletionItem) -> str:
    """`text` after `item` was chosen."""
    edit = item.text_edit
    assert isinstance(edit, types.TextEdit)
    lines = text.split("\n")
    number = edit.range.start.line
    line = lines[number]
    lines[number] = line[: edit.range.start.character] + edit.new_text + line[edit.range.end.character :]
    return "\n".join(lines)


async def test_keys_are_offered_at_their_depth_and_explain_themselves(
    opened: tuple[Editor, str], tmp_path: Path
) -> None:
    editor, _ = opened
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\ntraining:\n  lora_r: 8\n  lea\n---\n"
    uri = editor.open(tmp_path / "new.dlm", text)
    found = await items(editor, uri, types.Position(5, 5))
    assert "learning_rate" in found
    assert "lora_r" not in found, "it is written already"
    assert "base_model" not in found, "it belongs elsewhere"
    assert accepted(text, found["learning_rate"]).split("\n")[5] == "  learning_rate: "
    assert accepted(text, found["preference"]).split("\n")[5:7] == ["  preference:", "    "]
    assert found["learning_rate"].documentation is None
    resolved = await editor.completion_item_resolve_async(found["learning_rate"])
    assert isinstance(resolved.documentation, types.MarkupContent)
    assert "Peak learning rate" in resolved.documentation.value


async def test_values_and_bases_are_offered(editor: Editor, tmp_path: Path) -> None:
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: smo\ntraining:\n  lr_scheduler: \n---\n"
    uri = editor.open(tmp_path / "new.dlm", text)
    found = await items(editor, uri, types.Position(2, 15))
    assert accepted(text, found["smollm2-135m"]).split("\n")[2] == "base_model: smollm2-135m"
    assert next(iter(sorted(found.values(), key=lambda item: item.sort_text or ""))).label == "builtin:tiny"
    resolved = await editor.completion_item_resolve_async(found["smollm2-135m"])
    assert isinstance(resolved.documentation, str), "this client shows no Markdown"
    assert "parameters" in resolved.documentation
    assert "`" not in resolved.documentation
    found = await items(editor, uri, types.Position(4, 16))
    assert list(found) == ["cosine", "linear", "constant"]


async def test_fences_never_double_their_colons(opened: tuple[Editor, str], tmp_path: Path) -> None:
    editor, _ = opened
    for written in ("", ":", "::", "::ins"):
        text = f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n---\n\n{written}"
        uri = editor.open(tmp_path / f"{len(written)}.dlm", text)
        found = await items(editor, uri, types.Position(5, len(written)))
        assert accepted(text, found["::instruction::"]).split("\n")[5:7] == ["::instruction::", "### Q"]
        assert found["::instruction::"].insert_text_format is types.InsertTextFormat.Snippet


async def test_adapters_and_paths_are_offered(opened: tuple[Editor, str]) -> None:
    editor, uri = opened
    assert list(await items(editor, uri, place(TEXT, "#tone", 3))) == ["tone", "facts"]
    found = await items(editor, uri, place(TEXT, "quay.png", 2))
    assert {"notes/", "quay.png"} <= set(found)


async def test_a_client_without_snippets_gets_plain_text(editor: Editor, tmp_path: Path) -> None:
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n---\n"
    uri = editor.open(tmp_path / "new.dlm", text)
    found = await items(editor, uri, types.Position(4, 0))
    assert found["::image::"].insert_text_format is types.InsertTextFormat.PlainText
    assert accepted(text, found["::image::"]).split("\n")[4] == '::image path="picture.png" alt="What it shows"::'


async def test_links_lead_to_what_exists(opened: tuple[Editor, str], tmp_path: Path) -> None:
    editor, uri = opened
    found = await editor.text_document_document_link_async(types.DocumentLinkParams(types.TextDocumentIdentifier(uri)))
    said = {covered(TEXT, each.range): each.target for each in found or ()}
    assert said == {
        "smollm2-135m": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "notes": (tmp_path / "notes").as_uri(),
        "quay.png": (tmp_path / "quay.png").as_uri(),
    }


async def test_an_adapters_name_is_found_and_renamed_everywhere(opened: tuple[Editor, str]) -> None:
    editor, uri = opened
    identifier, at = types.TextDocumentIdentifier(uri), place(TEXT, "#tone", 2)
    found = await editor.text_document_definition_async(types.DefinitionParams(identifier, at))
    assert isinstance(found, types.Location)
    assert found.range.start == place(TEXT, "tone: {}")
    references = await editor.text_document_references_async(
        types.ReferenceParams(types.ReferenceContext(include_declaration=False), identifier, at)
    )
    assert len(references or ()) == 2
    prepared = await editor.text_document_prepare_rename_async(types.PrepareRenameParams(identifier, at))
    assert getattr(prepared, "placeholder", None) == "tone"
    edit = await editor.text_document_rename_async(types.RenameParams(identifier, at, "voice"))
    assert edit is not None
    assert edit.changes is not None
    assert [covered(TEXT, each.range) for each in edit.changes[uri]] == ["tone"] * 3
    for name in ("Voice", "facts"):
        with pytest.raises(JsonRpcInvalidParams):
            await editor.text_document_rename_async(types.RenameParams(identifier, at, name))


async def test_a_text_that_is_no_file_is_written_like_any_other(editor: Editor) -> None:
    item = types.TextDocumentItem(
        "untitled:New", "dlm", 1, "---\nbase_model: \n---\n::instruction::\n### Q\nq\n### A\na\n"
    )
    editor.text_document_did_open(types.DidOpenTextDocumentParams(item))
    assert "builtin:tiny" in await items(editor, item.uri, types.Position(1, 12))
    symbols = await editor.text_document_document_symbol_async(
        types.DocumentSymbolParams(types.TextDocumentIdentifier(item.uri))
    )
    assert len(symbols or ()) > 3


async def fixes(editor: Editor, uri: str, text: str) -> dict[str, str]:
    """What each quick fix at the first diagnostic makes of `text`, by its title."""
    diagnostic = await editor.until(lambda: next(iter(editor.diagnostics.get(uri, ())), None))
    found: list[dict[str, Any]] = await editor.text_document_code_action_async(  # type: ignore[assignment]
        types.CodeActionParams(
            types.TextDocumentIdentifier(uri),
            diagnostic.range,
            types.CodeActionContext([diagnostic], [types.CodeActionKind.QuickFix]),
        )
    )
    outcome = {}
    for action in found:
        assert action["diagnostics"][0]["code"] == diagnostic.code
        (edit,) = action["edit"]["changes"][uri]
        start, end = edit["range"]["start"], edit["range"]["end"]
        lines = text.split("\n")
        before = "\n".join([*lines[: start["line"]], lines[start["line"]][: start["character"]]])
        after = "\n".join([lines[end["line"]][end["character"] :], *lines[end["line"] + 1 :]])
        outcome[action["title"]] = before + edit["newText"] + after
    return outcome


async def test_a_misspelt_base_is_offered_its_nearest_names(editor: Editor, tmp_path: Path) -> None:
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: smolm2-135m\n---\ntext\n"
    found = await fixes(editor, editor.open(tmp_path / "new.dlm", text), text)
    assert found["Change to `smollm2-135m`"] == text.replace("smolm2", "smollm2")


async def test_a_model_of_the_hub_is_offered_with_its_scheme(editor: Editor, tmp_path: Path) -> None:
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n---\ntext\n"
    found = await fixes(editor, editor.open(tmp_path / "new.dlm", text), text)
    assert list(found) == ["Change to `smollm2-135m`", "Change to `hf:HuggingFaceTB/SmolLM2-135M-Instruct`"]


async def test_a_document_without_an_id_gets_one_of_its_own(editor: Editor, tmp_path: Path) -> None:
    text = "---\nbase_model: builtin:tiny\n---\ntext\n"
    mended = set()
    for number in range(2):
        uri = editor.open(tmp_path / f"{number}.dlm", text)
        mended.add((await fixes(editor, uri, text))["Give this document an id of its own"])
    assert len(mended) == 2
    assert all(parse(each).trainable for each in mended)


@pytest.mark.parametrize("text", ["", "My notes, as they are.\n", "\ufeffMy notes.\n"])
async def test_an_empty_file_and_a_plain_text_are_offered_a_frontmatter(
    editor: Editor, tmp_path: Path, text: str
) -> None:
    found = await fixes(editor, editor.open(tmp_path / "new.dlm", text), text)
    mended = found["Begin with a frontmatter"]
    assert mended.removeprefix("\ufeff").endswith(text.removeprefix("\ufeff"))
    document = parse(mended)
    assert not document.problems
    assert document.frontmatter is not None and document.frontmatter.base_model == "builtin:tiny"


async def preferred(editor: Editor, uri: str) -> dict[str, bool]:
    """Every quick fix of the first diagnostic, and whether the client may make it unasked."""
    diagnostic = await editor.until(lambda: next(iter(editor.diagnostics.get(uri, ())), None))
    context = types.CodeActionContext([diagnostic], [types.CodeActionKind.QuickFix])
    found: list[dict[str, Any]] = await editor.text_document_code_action_async(  # type: ignore[assignment]
        types.CodeActionParams(types.TextDocumentIdentifier(uri), diagnostic.range, context)
    )
    return {action["title"]: action["isPreferred"] for action in found}


async def test_a_fix_is_preferred_when_it_is_the_only_one(editor: Editor, tmp_path: Path) -> None:
    head = f"---\ndlm_id: {DLM_ID}\nbase_model: "
    one = editor.open(tmp_path / "one.dlm", f"{head}builtin:tny\n---\ntext\n")
    assert await preferred(editor, one) == {"Change to `builtin:tiny`": True}
    many = editor.open(tmp_path / "many.dlm", f"{head}hf:SmolLM2-135M\n---\ntext\n")
    found = await preferred(editor, many)
    assert next(iter(found)) == "Change to `smollm2-135m`"
    assert set(found.values()) == {False}


async def test_an_old_document_is_migrated_in_place(editor: Editor, tmp_path: Path) -> None:
    old = "training:\n  dpo:\n    beta: 0.2  # mild\n    old: 1\n"
    new = "training:\n  preference:\n    method: dpo\n    hyperparams:\n      beta: 0.2  # mild\n"
    text, wanted = (
        f"---\ndlm_id: {DLM_ID}\n{version}base_model: builtin:tiny\n{part}---\ntext\n"
        for version, part in (("", old), ("dlm_version: 15\n", new))
    )
    uri = editor.open(tmp_path / "old.dlm", text)
    diagnostic = await editor.until(
        lambda: next((each for each in editor.diagnostics.get(uri, ()) if each.code == "ignored-key"), None)
    )
    for kind in (types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite):
        found: Any = await editor.text_document_code_action_async(
            types.CodeActionParams(
                types.TextDocumentIdentifier(uri), diagnostic.range, types.CodeActionContext([diagnostic], [kind])
            )
        )
        (action,) = [each for each in found if each["title"] == "Write `dlm_version: 15`"]
        assert action["kind"] == kind.value
        made = text.split("\n")
        for edit in reversed(action["edit"]["changes"][uri]):
            start, end = edit["range"]["start"], edit["range"]["end"]
            assert (start["character"], end["character"]) == (0, 0), "whole lines"
            made[start["line"] : end["line"]] = edit["newText"].removesuffix("\n").split("\n")
        assert "\n".join(made) == wanted
