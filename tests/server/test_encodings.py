"""The language features in UTF-8, UTF-16 and UTF-32, with astral characters and CRLF, held against plain counting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types

from dlm_lsp.document import parse
from tests.server.conftest import Begin
from tests.server.editor import DLM_ID, Editor
from tests.server.test_language import writing

LINES = f"""\
---
dlm_id: {DLM_ID}
base_model: smolm2-135m # 🚢 misspelt
system_prompt:   "🚢 𝔸hoy"   # 🚢 spoken
training:
    lr_scheduler: cosin # 🚢
    adapters: {{tone: {{}}}}
---
# 🚢 Harbour 🚢

::instruction#tone::
### Q
Wann fährt das 🚢 von 𝔸 nach 𝔹?
### A
Um ☕ sieben 🚢.

::instruction#other::
### Q
Who steers the 🚢🚢?
### A
Mira.

::image path="quay.png"  alt="a"::
A 🚢 caption.


::instructoin::""".split("\n")

ENCODINGS = ["utf-8", "utf-16", "utf-32"]


class Client:
    """An editor with one document, and what its own counting says of places."""

    def __init__(self, editor: Editor, uri: str, text: str, encoding: str) -> None:
        self.editor, self.uri, self.text = editor, uri, text
        self.identifier = types.TextDocumentIdentifier(uri)
        self.width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
        self.codec = encoding if encoding == "utf-8" else f"{encoding}-le"
        self.lines = text.split("\r\n")

    def place(self, what: str, after: int = 0) -> types.Position:
        """Where `what` begins, and `after` characters on."""
        number = next(number for number, line in enumerate(self.lines) if what in line)
        before = self.lines[number][: self.lines[number].index(what) + after]
        return types.Position(number, len(before.encode(self.codec)) // self.width)

    def range(self, what: str) -> types.Range:
        return types.Range(self.place(what), self.place(what, len(what)))

    def offset(self, place: types.Position) -> int:
        """In characters. Fails for a place that is in no line, or within a character."""
        raw = self.lines[place.line].encode(self.codec)
        assert place.character * self.width <= len(raw), place
        column = len(raw[: place.character * self.width].decode(self.codec))
        return sum(len(line) + 2 for line in self.lines[: place.line]) + column

    def covered(self, found: types.Range) -> str:
        return self.text[self.offset(found.start) : self.offset(found.end)]

    def applied(self, edits: list[types.TextEdit]) -> str:
        made = self.text
        for edit in sorted(edits, key=lambda edit: (edit.range.start.line, edit.range.start.character), reverse=True):
            made = made[: self.offset(edit.range.start)] + edit.new_text + made[self.offset(edit.range.end) :]
        return made

    async def actions(self, at: types.Range) -> dict[str, str]:
        """What each action with an edit makes of the text, by its title."""
        context = types.CodeActionContext(list(self.editor.diagnostics.get(self.uri, ())))
        params = types.CodeActionParams(self.identifier, at, context)
        found: Any = await self.editor.text_document_code_action_async(params)
        structure = self.editor.protocol._converter.structure
        return {
            action["title"]: self.applied(
                [structure(each, types.TextEdit) for each in action["edit"]["changes"][self.uri]]
            )
            for action in found
            if action.get("edit")
        }


@pytest_asyncio.fixture(params=ENCODINGS)
async def client(request: pytest.FixtureRequest, begin: Begin, tmp_path: Path) -> Client:
    encoding = request.param
    general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(encoding)])
    able = writing(general=general)
    assert able.text_document is not None
    able.text_document.code_action = types.CodeActionClientCapabilities(
        code_action_literal_support=types.ClientCodeActionLiteralOptions(types.ClientCodeActionKindOptions([]))
    )
    editor = await begin(client=able)
    (tmp_path / "quay.png").write_bytes(b"x")
    text = "\r\n".join(LINES)
    uri = editor.open(tmp_path / "harbour.dlm", text)
    await editor.until(lambda: uri in editor.diagnostics or None)
    return Client(editor, uri, text, encoding)


def trees(nodes: list[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        yield from trees(node.children or [])


async def symbols_folds_selections_and_links(client: Client) -> None:
    editor, identifier = client.editor, client.identifier
    symbols = list(
        trees(await editor.text_document_document_symbol_async(types.DocumentSymbolParams(identifier)) or [])
    )
    for node in symbols:
        assert client.offset(node.range.start) <= client.offset(node.selection_range.start)
        assert client.offset(node.selection_range.end) <= client.offset(node.range.end)
    named = {node.name: client.covered(node.selection_range) for node in symbols}
    assert named["system_prompt"] == "system_prompt"
    assert "🚢🚢" in named["Who steers the 🚢🚢?"] or named["Who steers the 🚢🚢?"] == "### Q"

    folds = await editor.text_document_folding_range_async(types.FoldingRangeParams(identifier))
    assert (0, LINES.index("---", 1)) in [(each.start_line, each.end_line) for each in folds or ()]

    params = types.SelectionRangeParams(identifier, [client.place("nach", 1), client.place("sieben", 6)])
    selections = await editor.text_document_selection_range_async(params)
    for found, word in zip(selections or (), ["nach", "sieben"], strict=True):
        grown = []
        each: types.SelectionRange | None = found
        while each is not None:
            grown.append(client.covered(each.range))
            each = each.parent
        assert grown[0] == word
        assert grown[1] == next(line for line in LINES if word in line)
        assert all(one in other for one, other in pairwise(grown))
        assert grown[-1] == client.text

    links = await editor.text_document_document_link_async(types.DocumentLinkParams(identifier))
    assert [client.covered(each.range) for each in links or ()] == ["quay.png"]


async def completion_hover_and_diagnostics(client: Client) -> None:
    editor, identifier = client.editor, client.identifier
    at = client.place("smolm2", 3)
    found: Any = await editor.text_document_completion_async(types.CompletionParams(identifier, at))
    item = next(item for item in found if item.label == "smollm2-135m")
    assert client.covered(item.text_edit.range) == "smolm2-135m"
    assert parse(client.applied([item.text_edit])).frontmatter is None, "another value is still misspelt"

    found = await editor.text_document_completion_async(types.CompletionParams(identifier, client.place("cosin", 5)))
    (item,) = [item for item in found if item.label == "cosine"]
    assert "lr_scheduler: cosine # 🚢\r\n" in client.applied([item.text_edit])

    hover = await editor.text_document_hover_async(types.HoverParams(identifier, client.place("𝔸hoy", 2)))
    assert hover is not None
    assert hover.range is not None
    assert client.covered(hover.range) == 'system_prompt:   "🚢 𝔸hoy"'

    said = {client.covered(each.range) for each in editor.diagnostics[client.uri]}
    assert {"cosin", "::instructoin::"} <= said


async def semantic_tokens(client: Client) -> None:
    editor, identifier = client.editor, client.identifier
    found = await editor.text_document_semantic_tokens_full_async(types.SemanticTokensParams(identifier))
    assert found is not None
    line, column, said = 0, 0, []
    for start in range(0, len(found.data), 5):
        delta, step, length = found.data[start : start + 3]
        line, column = line + delta, step + (0 if delta else column)
        said.append(client.covered(types.Range(types.Position(line, column), types.Position(line, column + length))))
    assert {"dlm_id", '"🚢 𝔸hoy"', "# 🚢 spoken", "#tone", "### Q", '"quay.png"'} <= set(said)


async def names_are_renamed(client: Client) -> None:
    editor, identifier = client.editor, client.identifier
    at = client.place("#tone", 2)
    edit = await editor.text_document_rename_async(types.RenameParams(identifier, at, "voice"))
    assert edit is not None
    assert edit.changes is not None
    assert client.applied(list(edit.changes[client.uri])) == client.text.replace("tone", "voice")


async def formatting_changes_blanks_alone(client: Client) -> None:
    editor, identifier = client.editor, client.identifier
    options = types.FormattingOptions(tab_size=8, insert_spaces=False)
    found = await editor.text_document_formatting_async(types.DocumentFormattingParams(identifier, options))
    made = client.applied(list(found or ()))
    expected = client.text.replace('prompt:   "', 'prompt: "').replace("\r\n    lr", "\r\n  lr")
    expected = expected.replace("\r\n    adapters", "\r\n  adapters").replace('"  alt', '" alt')
    expected = expected.replace("---\r\n# 🚢", "---\r\n\r\n# 🚢").replace("caption.\r\n\r\n\r\n", "caption.\r\n\r\n")
    assert made == expected + "\r\n"
    before, after = parse(client.text), parse(made)
    assert [each.section_id for each in after.sections] == [each.section_id for each in before.sections]

    within = types.Range(client.place("system_prompt"), client.place("spoken", 6))
    params = types.DocumentRangeFormattingParams(identifier, within, options)
    found = await editor.text_document_range_formatting_async(params)
    assert client.applied(list(found or ())) == client.text.replace('prompt:   "', 'prompt: "')

    editor.change(client.uri, made)
    assert await editor.text_document_formatting_async(types.DocumentFormattingParams(identifier, options)) in ([], ())
    editor.change(client.uri, client.text)


async def code_actions(client: Client) -> None:
    text = client.text
    found = await client.actions(client.range("cosin #"))
    assert found["Change to `cosine`"] == text.replace("cosin #", "cosine #")
    found = await client.actions(client.range("::instructoin::"))
    assert found["Change to `::instruction::`"] == text.replace("::instructoin::", "::instruction::")
    assert found["Put it into a code block, as text"] == text.replace(
        "::instructoin::", "```\r\n::instructoin::\r\n```"
    )
    found = await client.actions(client.range("#other"))
    assert found["Declare the adapter `other`"] == text.replace("{tone: {}}", "{tone: {}, other: {}}")

    mended = text.replace("cosin #", "cosine #").replace("::instructoin::", "::prose::")
    client.editor.change(client.uri, mended)
    client.text, client.lines = mended, mended.split("\r\n")
    found = await client.actions(types.Range(types.Position(0, 0), types.Position(0, 0)))
    wanted = mended.replace(f"{DLM_ID}\r\n", f"{DLM_ID}\r\ndlm_version: 15\r\n")
    assert found["Write `dlm_version: 15`"] == wanted

    broken = mended.replace('"🚢 𝔸hoy"', "🚢: 𝔸hoy")
    version = client.editor.change(client.uri, broken)
    client.text, client.lines = broken, broken.split("\r\n")
    await client.editor.until(lambda: "frontmatter-yaml" in client.editor.codes(client.uri) or None)
    assert version
    at = next(each.range for each in client.editor.diagnostics[client.uri] if each.code == "frontmatter-yaml")
    assert (await client.actions(at))["Quote the value of `system_prompt`"] == broken.replace("🚢: 𝔸hoy", '"🚢: 𝔸hoy"')


async def test_every_range_is_that_of_plain_counting(client: Client) -> None:
    """One server for all features: what each of them answers is checked above."""
    await symbols_folds_selections_and_links(client)
    await completion_hover_and_diagnostics(client)
    await semantic_tokens(client)
    await names_are_renamed(client)
    await formatting_changes_blanks_alone(client)
    await code_actions(client)


@pytest.mark.parametrize("where", ["frontmatter", "body"])
async def test_ten_thousand_brackets_are_answered_at_once(
    editor: Editor, tmp_path: Path, where: str, record_property: Callable[[str, Any], None]
) -> None:
    """The goal is 50 ms for each; the bound here allows for a busy machine."""
    brackets = "[" * 10_000 + "]" * 10_000
    head = f"training: {brackets}\n" if where == "frontmatter" else ""
    text = (
        f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{head}---\n\n::instruction::\n### Q\n{brackets}\n### A\na\n"
    )
    uri = editor.open(tmp_path / "brackets.dlm", text)
    identifier = types.TextDocumentIdentifier(uri)
    line = next(number for number, each in enumerate(text.split("\n")) if "[[" in each)
    at = types.Position(line, 5_000)
    whole = types.Range(types.Position(line, 0), at)
    options = types.FormattingOptions(tab_size=2, insert_spaces=True)
    asked: dict[str, Any] = {
        "completion": lambda: editor.text_document_completion_async(types.CompletionParams(identifier, at)),
        "hover": lambda: editor.text_document_hover_async(types.HoverParams(identifier, at)),
        "symbols": lambda: editor.text_document_document_symbol_async(types.DocumentSymbolParams(identifier)),
        "folds": lambda: editor.text_document_folding_range_async(types.FoldingRangeParams(identifier)),
        "selections": lambda: editor.text_document_selection_range_async(types.SelectionRangeParams(identifier, [at])),
        "tokens": lambda: editor.text_document_semantic_tokens_full_async(types.SemanticTokensParams(identifier)),
        "formatting": lambda: editor.text_document_formatting_async(
            types.DocumentFormattingParams(identifier, options)
        ),
        "actions": lambda: editor.text_document_code_action_async(
            types.CodeActionParams(identifier, whole, types.CodeActionContext([]))
        ),
    }  # fmt: skip
    taken = {}
    for name, ask in asked.items():
        times = []
        for _ in range(3):
            began = time.perf_counter()
            await ask()
            times.append(time.perf_counter() - began)
        taken[name] = min(times)
    record_property("milliseconds", {name: round(seconds * 1000, 1) for name, seconds in taken.items()})
    assert max(taken.values()) < 0.5, taken
