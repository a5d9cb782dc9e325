"""One truth per section, everywhere it is shown: hover, inlay hints, lenses, `dlm/sectionStates`, the command line."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from typer.testing import CliRunner

from dlm_lsp.cli import app
from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.truth import Truth
from dlm_lsp.store import Store
from tests.fakes import FAIL, FakeLearner, Gate
from tests.server.editor import DLM_ID, HEAD, Editor, capabilities, exchange
from tests.server.inside import inside

Begin = Callable[..., Awaitable[Editor]]

LIGHT = exchange("Who keeps the light?", "Mira does.")
FERRY = exchange("When does the ferry leave?", "At seven.")
TWO = LIGHT + "\n### Q\nWhere is the light?\n\n### A\nAt Orvane.\n"
WHOLE = types.Range(types.Position(0, 0), types.Position(10_000, 0))


async def hints(editor: Editor, uri: str, place: types.Range = WHOLE) -> list[types.InlayHint]:
    params = types.InlayHintParams(types.TextDocumentIdentifier(uri), place)
    return list(await editor.text_document_inlay_hint_async(params) or [])


async def shown(editor: Editor, uri: str) -> list[str]:
    """The hints' words."""
    return [str(hint.label) for hint in await hints(editor, uri)]


async def states(editor: Editor, uri: str, **more: Any) -> dict[str, Any]:
    asked = editor.protocol.send_request_async("dlm/sectionStates", {"uri": uri, **more})
    return await asked  # type: ignore[no-any-return]


async def lenses(editor: Editor, uri: str) -> list[tuple[int, str]]:
    """All but those that ask."""
    found = await editor.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))
    return [
        (lens.range.start.line, lens.command.title)
        for lens in found or []
        if lens.command and lens.command.title != "Ask"
    ]


def on_the_command_line(path: Path, home: Path, *options: str) -> str:
    told = CliRunner().invoke(app, ["status", str(path), "--home", str(home), *options])
    assert told.exit_code == 0, told.output
    return told.output


async def test_every_state_is_told_alike_everywhere(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    editor = await begin(gate=gate, settings={"codeLens": "sections", "debounceMs": 0})
    path, home = tmp_path / "a.dlm", tmp_path / "home"
    light, ferry = 5, 12

    async def told(uri: str, words: dict[int, str], sentences: dict[int, str]) -> None:
        """The same words in hints, lenses and sectionStates, the same sentence in hover."""
        answer = await states(editor, uri)
        assert {each["range"]["start"]["line"]: each["label"] for each in answer["sections"]} == words
        assert await shown(editor, uri) == list(words.values())
        assert (await lenses(editor, uri))[-len(words) :] == list(words.items())
        for line, sentence in sentences.items():
            assert sentence in await editor.hover(uri, line + 2)

    text = HEAD + LIGHT
    uri = editor.open(path, text)
    await told(uri, {light: "new"}, {light: "New: not learned yet"})
    assert "1 new" in on_the_command_line(path, home)

    editor.save(path, text)
    await editor.state(uri, "training")
    await told(uri, {light: "learning…"}, {light: "Being learned now"})
    text += FERRY
    editor.save(path, text)
    await told(uri, {light: "learning…", ferry: "waiting"}, {ferry: "Waiting for its run"})
    gate.allow(10)
    await editor.idle(uri)
    words = {light: "learned v1 · 0.50", ferry: "learned v1 · 0.50"}  # it was taken in after the first step
    await told(uri, words, {light: "seen 6 times · loss 3.00 → 0.50", ferry: "seen 5 times · loss 3.00 → 0.50"})
    assert "2 sections: 2 learned" in on_the_command_line(path, home)

    text = text.replace("At seven.", "At eight.")
    editor.change(uri, text)
    await told(uri, {light: "learned v1 · 0.50", ferry: "changed"}, {ferry: "Changed since it was learned"})
    failing = text.replace("At eight.", FAIL)
    editor.save(path, failing)
    await editor.idle(uri)
    await told(uri, {light: "learned v1 · 0.50", ferry: "failed"}, {ferry: "failed: The base can't be had"})
    assert "1 learned, 1 failed" in on_the_command_line(path, home)
    assert "failed: base-missing" in on_the_command_line(path, home)
    assert "not-learned" in editor.codes(uri)

    gate.allow(5)
    editor.save(path, HEAD + FERRY)
    await editor.idle(uri)
    answer = await states(editor, uri)
    assert answer["summary"] == "1 section: 1 learned · 1 removed but remembered"
    (removed,) = answer["removed"]
    assert (removed["version"], removed["times_seen"], removed["words"]) == (1, 6, "Who keeps the light?")
    assert "`Who keeps the light?` · learned in v0001" in await editor.hover(uri, 0)
    plain = json.loads(on_the_command_line(path, home, "--json", "--history"))
    assert plain["summary"] == answer["summary"]
    assert plain["removed_lessons"] == [{**removed, "words": "", "kind": None}], "this is for reports: no text in it"
    assert [each["state"] for each in plain["sections"]] == ["learned"]
    assert "“Who keeps the light?” · learned in v0001" in on_the_command_line(path, home)


async def test_kinds_that_are_not_trained_and_texts_with_errors_say_so(editor: Editor, tmp_path: Path) -> None:
    preference = "\n::preference::\n### Prompt\nA\n### Chosen\nB\n### Rejected\nC\n"
    uri = editor.open(tmp_path / "a.dlm", HEAD + preference + "\n::instruction::\n### Q\nNo answer?\n")
    assert await shown(editor, uri) == ["not trained", "has an error"]
    assert "DPO" in await editor.hover(uri, 7)
    assert "It has an error" in await editor.hover(uri, 13)


async def test_each_exchange_tells_its_own_truth_first_and_its_story(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    for text in (TWO, TWO.replace("Orvane", "Tarn")):
        editor.save(path, HEAD + text)
        await editor.idle(uri)
    assert await shown(editor, uri) == ["learned v2 · 0.60", "learned v1 · 0.60", "learned v2 · 0.60"]
    answer = await states(editor, uri, exchanges=True, history=True)
    (section,) = answer["sections"]
    first, second = section["exchanges"]
    assert [first["range"]["start"]["line"], second["range"]["start"]["line"]] == [6, 12]
    assert [each["event"] for each in second["history"]] == ["learned", "learned"]
    assert [each["earlier"] for each in second["history"]] == [True, False]

    hover = await editor.hover(uri, 13)
    assert hover.startswith("**exchange 2**  \nLearned in v0002 · seen 5 times")
    assert "History: v0001 learned (an earlier text) · loss 3.00 → 0.60; v0002 learned · loss 3.00 → 0.60." in hover
    assert f"Its section `{section['section_id']}`: learned v2 · 0.60." in hover
    assert (await editor.hover(uri, 5)).startswith("**instruction**")

    hint = (await hints(editor, uri))[2]
    assert hint.tooltip is None
    resolved = await editor.inlay_hint_resolve_async(hint)
    assert isinstance(resolved.tooltip, types.MarkupContent)
    assert resolved.tooltip.value == hover
    editor.change(uri, HEAD + FERRY)
    gone = await editor.inlay_hint_resolve_async(hint)
    assert gone.tooltip is None
    told = on_the_command_line(path, tmp_path / "home", "--history")
    assert "v0001 learned 1 exchange (an earlier text)" in told
    assert "exchange 2" in told


async def test_hints_stand_at_line_ends_in_the_client_s_units_and_only_where_asked(
    editor: Editor, tmp_path: Path
) -> None:
    """A character beyond the basic plane is two UTF-16 units; lines end with CRLF."""
    text = (HEAD + "# The 🗼 light\n\nIt is white.\n" + FERRY).replace("\n", "\r\n")
    uri = editor.open(tmp_path / "a.dlm", text)
    first, second = await hints(editor, uri)
    assert first.position == types.Position(4, len("# The 🗼 light") + 1)
    assert second.position == types.Position(8, len("::instruction::"))
    below = types.Range(types.Position(5, 0), types.Position(7, 0))
    assert await hints(editor, uri, below) == []


async def test_what_is_switched_off_goes_at_once_and_comes_back(editor: Editor, tmp_path: Path) -> None:
    uri = editor.open(tmp_path / "a.dlm", HEAD + LIGHT)
    assert [title for _, title in await lenses(editor, uri)][1:] == ["Train now", "Full retrain"]

    async def switch(**settings: str) -> None:
        for each in (types.WORKSPACE_INLAY_HINT_REFRESH, types.WORKSPACE_CODE_LENS_REFRESH):
            editor.received = [entry for entry in editor.received if entry[0] != each]
        editor.set_configuration({"dlm": {"debounceMs": 20, **settings}})
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        await editor.until(lambda: editor.received and any("refresh" in method for method, _ in editor.received))

    await switch(inlayHints="off")
    assert await hints(editor, uri) == []
    await switch(codeLens="sections")
    assert (5, "new") in await lenses(editor, uri)
    await switch(codeLens="off")
    assert await lenses(editor, uri) == []
    await switch(inlayHints="on")
    assert await shown(editor, uri) == ["new"]


async def test_a_client_that_cannot_refresh_or_resolve_is_not_asked_to(begin: Begin, tmp_path: Path) -> None:
    client = capabilities(workspace=None, experimental=None)
    assert client.text_document is not None
    client.text_document.inlay_hint = None
    editor = await begin(client=client)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + LIGHT)
    await editor.idle(uri)
    assert [(hint.label, hint.data) for hint in await hints(editor, uri)] == [("learned v1 · 0.60", None)]
    methods = {method for method, _ in editor.received}
    assert not {method for method in methods if "refresh" in method or method.startswith("dlm/")}


async def test_news_are_tiny_and_an_answer_that_is_known_is_not_repeated(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + LIGHT)
    await editor.state(uri, "training")
    first = await states(editor, uri)
    gate.allow(2)
    await editor.until(lambda: any(each["step"] == 2 for each in editor.all("dlm/trainingProgress")) or None)
    again = await states(editor, uri, since=first["generation"])
    assert again == {
        "uri": uri,
        "generation": first["generation"],
        "document_version": first["document_version"],
        "version": None,
        "unchanged": True,
    }, "steps change no state"
    gate.allow(3)
    await editor.idle(uri)
    news = await editor.until(
        lambda: next((each for each in editor.all("dlm/sectionStatesChanged") if each["version"] == 1), None)
    )
    assert set(news) == {"uri", "generation", "version"}
    later = await states(editor, uri, since=first["generation"])
    assert later["unchanged"] is False
    assert later["generation"] == news["generation"]
    assert later["sections"][0]["state"] == "learned"


UNFIT: tuple[Any, ...] = (
    None,
    {},
    {"uri": 3},
    {"uri": "file:///nowhere.dlm"},
    {"since": "x"},
    {"since": True},
    {"range": 3},
    {"range": {"start": {"line": 0}, "end": {"line": "1"}}},
    {"range": {"start": {"line": -1}, "end": {"line": 3}}},
)


async def test_params_that_do_not_fit_are_refused(editor: Editor, tmp_path: Path) -> None:
    uri = editor.open(tmp_path / "a.dlm", HEAD)
    for params in UNFIT:
        given = {"uri": uri, **params} if params and "uri" not in params else params
        with pytest.raises(JsonRpcInvalidParams):
            await editor.protocol.send_request_async("dlm/sectionStates", given)
    strange = types.InlayHint(types.Position(0, 0), "not ours", data={"uri": 3})
    assert (await editor.inlay_hint_resolve_async(strange)).label == "not ours"


async def test_an_untrusted_workspace_shows_states_and_reads_no_history(begin: Begin, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    first = await begin()
    uri = first.open(path, HEAD)
    for text in (LIGHT, LIGHT + FERRY):
        first.save(path, HEAD + text)
        await first.idle(uri)
    assert await first.end() == 0
    editor = await begin(settings={"workspaceTrusted": False})
    editor.open(path, HEAD + FERRY)
    assert await shown(editor, uri) == ["learned v2 · 0.60"]
    answer = await states(editor, uri, history=True)
    assert answer["sections"][0]["history"] == []
    assert [(each["version"], each["words"]) for each in answer["removed"]] == [(1, "")]


async def test_of_five_thousand_sections_a_window_costs_what_a_window_of_fifty_costs(tmp_path: Path) -> None:
    """Inlay hints of 60 lines, and pages of states that never hold more than 200 sections."""

    async def cost(count: int) -> tuple[float, list[Any], str, Any]:
        body = "".join(exchange(f"Which is number {number}?", f"{number}.") for number in range(count))
        uri = client.open(tmp_path / f"{count}.dlm", HEAD.replace(DLM_ID, f"{count:026}") + body)
        middle = body.count("\n") // 2
        place = {"start": {"line": middle, "character": 0}, "end": {"line": middle + 60, "character": 0}}
        params = {"textDocument": {"uri": uri}, "range": place}
        found = await client.request("textDocument/inlayHint", params)
        times = []
        for _ in range(15):
            began = time.perf_counter()
            await client.request("textDocument/inlayHint", params)
            times.append(time.perf_counter() - began)
        return min(times), found, uri, place

    async with inside(tmp_path / "home", FakeLearner()) as client:
        small, few, _, _ = await cost(50)
        large, many, uri, place = await cost(5_000)
        assert len(few) == len(many) <= 10
        assert large < 3 * small + 0.001
        window = await client.request("dlm/sectionStates", {"uri": uri, "range": place})
        assert len(window["sections"]) in (len(many), len(many) + 1)
        lines, line = [], 0
        while line is not None:
            page = await client.request(
                "dlm/sectionStates",
                {
                    "uri": uri,
                    "range": {"start": {"line": line, "character": 0}, "end": {"line": 10**6, "character": 0}},
                },
            )
            assert len(page["sections"]) <= 200
            lines += [each["range"]["start"]["line"] for each in page["sections"]]
            line = page["next_line"]
        assert len(lines) == len(set(lines)) == 5_000


async def test_a_store_that_is_slow_to_read_keeps_no_hover_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes without the history; once that was read, the next one has it."""
    readable, read = threading.Event(), threading.Event()
    real = Supervisor.recall_now

    def slow(self: Supervisor, truth: Truth, *, removed: bool = False) -> Recall:
        assert readable.wait(20)
        found = real(self, truth, removed=removed)
        read.set()
        return found

    async with inside(tmp_path / "home", FakeLearner(), debounceMs=0) as client:
        path = tmp_path / "a.dlm"
        uri = client.open(path, HEAD)
        for text in (FERRY, FERRY.replace("seven", "eight")):
            client.save(path, HEAD + text)
            await client.request("dlm/waitForIdle", {"uri": uri})
        monkeypatch.setattr(Supervisor, "recall_now", slow)
        hover = await client.hover(uri, 7)
        assert "Learned in v0002" in hover
        assert "History" not in hover
        readable.set()
        assert await asyncio.to_thread(read.wait, 20)
        assert "History: v0001 learned (an earlier text)" in await client.hover(uri, 7)


async def test_the_store_of_another_tool_has_no_states_of_ours(editor: Editor, tmp_path: Path) -> None:
    """Nobody recorded how well its version learned, nor which rows it held out: so nothing is claimed."""
    path, home = tmp_path / "a.dlm", tmp_path / "home"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + LIGHT)
    await editor.idle(uri)
    Store(home, DLM_ID).layout.record(1).unlink()
    editor.close(uri)
    editor.open(path, HEAD + LIGHT)
    assert await shown(editor, uri) == ["new"]
    assert (await states(editor, uri, history=True))["removed"] == []
