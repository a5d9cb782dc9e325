"""What users of language servers complain about, as promises: when it trains, what, and when it leaves off.

The numbers are those of the list in docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types

from dlm_lsp.document import parse
from dlm_lsp.store import Store, dlm_home
from tests.fakes import FakeLearner, Gate
from tests.runs.conftest import HandClock
from tests.server.editor import DLM_ID, HEAD, Editor, exchange
from tests.server.inside import inside

Begin = Callable[..., Awaitable[Editor]]

REAL = ("-m", "dlm_lsp")
ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


async def test_r05_an_unchanged_save_does_not_even_import_torch(begin: Begin, tmp_path: Path) -> None:
    """The real server, in which importing torch ends the process: it lives through the save, and not through more."""
    path = tmp_path / "a.dlm"
    first = await begin()
    first.open(path, HEAD)
    first.save(path, ONE)
    assert (await first.idle(path.as_uri()))["version"] == 1
    assert await first.end() == 0

    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "torch.py").write_text("import os; os._exit(70)")
    editor = await begin(server=REAL, environment={"PYTHONPATH": str(poison)}, settings={"warmOnOpen": False})
    uri = editor.open(path, ONE)
    editor.save(path, ONE)
    await editor.until(lambda: editor.codes(uri) == ["no-new-content"])
    editor.save(path, TWO)
    assert await asyncio.wait_for(editor.process.wait(), 30) == 70, "the poison works"


async def test_r05_a_hundred_saves_in_a_second_make_one_run_or_two_and_the_last_text_wins(
    begin: Begin, tmp_path: Path
) -> None:
    editor = await begin(settings={"debounceMs": 150})
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    for number in range(100):  # sent without a pause: well within the second on a machine that is not loaded
        editor.save(path, HEAD + exchange("Which save?", f"Number {number}."))
    status = await editor.idle(uri)
    assert status["pending"] == 0
    assert len(editor.runs(uri)) <= 2
    assert {outcome for _, outcome in editor.runs(uri)} == {"finished"}
    store = Store(dlm_home(tmp_path / "home"), DLM_ID)
    assert any("Number 99." in section.content for section in store.replay().read())


async def test_r07_a_save_is_taken_in_five_milliseconds_and_never_waited_for(tmp_path: Path) -> None:
    """The whole of the handler, from bytes to what is shown; a document of twenty sections, the quickest of ten.

    Counted is the computing time of the loop's thread, so that whatever else the machine does is left out.
    """
    text = HEAD + "".join(exchange(f"What is number {number}?", f"It is {number}.") for number in range(20))
    async with inside(tmp_path / "home", FakeLearner()) as client:
        path = tmp_path / "a.dlm"
        client.open(path, text)
        took = []
        for number in range(10):
            saved = text + exchange("Which?", f"Number {number}.")
            message = {"textDocument": {"uri": path.as_uri()}, "text": saved}
            client.change(path.as_uri(), saved)
            began = time.thread_time()
            client.notify("textDocument/didSave", message)
            took.append(time.thread_time() - began)
            await client.request("dlm/waitForIdle", {"uri": path.as_uri()})
    assert min(took) <= 0.005, [f"{each * 1000:.1f} ms" for each in took]


async def test_r10_a_watched_file_that_changes_is_told_and_not_trained(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.idle(uri)
    path.write_text(TWO)
    editor.watcher_saw(path)
    await editor.until(lambda: editor.codes(uri) == ["changed-on-disk"])
    mark = editor.diagnostics[uri][0]
    assert mark.severity is types.DiagnosticSeverity.Information
    assert mark.message.startswith("a.dlm was changed on disk without a save here.")
    status = await editor.idle(uri)
    assert status["disk"] == mark.message
    assert (status["version"], len(editor.shown())) == (1, 1)
    assert "changed on disk" in await editor.hover(uri, 0)
    editor.save(path, TWO)
    assert (await editor.idle(uri))["disk"] == ""
    await editor.until(lambda: editor.codes(uri) == [])
    asked = [each for params in editor.all(types.CLIENT_REGISTER_CAPABILITY) for each in params.registrations]
    assert types.WORKSPACE_DID_CHANGE_WATCHED_FILES in {each.method for each in asked}
    assert editor.messages == []


async def test_r10_without_a_watcher_it_is_noticed_when_somebody_asks(tmp_path: Path) -> None:
    clock = HandClock()
    async with inside(tmp_path / "home", FakeLearner(), clock, debounceMs=0) as client:
        path = tmp_path / "a.dlm"
        uri = client.open(path, ONE)
        path.write_text(TWO)
        clock.advance(2)
        assert "changed on disk" in await client.hover(uri)
        path.write_text(ONE)
        clock.advance(2)
        assert "changed on disk" not in await client.hover(uri)
        path.unlink()
        clock.advance(2)
        assert "no longer on disk" in await client.hover(uri)
        path.mkdir()
        clock.advance(2)
        assert "no file any more" in await client.hover(uri)


async def test_r10_our_own_saves_are_not_mistaken_for_it(tmp_path: Path) -> None:
    """Whether the watcher tells before the editor or after it, and whatever line ends the editor writes."""
    clock = HandClock()
    async with inside(tmp_path / "home", FakeLearner(), clock, debounceMs=60_000) as client:
        path = tmp_path / "a.dlm"
        uri = client.open(path, HEAD)
        for text in (ONE, TWO):
            client.change(uri, text)
            path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
            client.watcher_saw(path)
            clock.advance(0.1)
            client.notify("textDocument/didSave", {"textDocument": {"uri": uri}, "text": text})
            client.watcher_saw(path)
            clock.advance(5)
            assert "changed on disk" not in await client.hover(uri)
        client.notify("textDocument/willSave", {"textDocument": {"uri": uri}, "reason": 1})
        path.write_text(ONE)
        client.watcher_saw(path)
        clock.advance(5)
        assert "changed on disk" not in await client.hover(uri), "a save was announced"


@pytest.mark.parametrize("how", ["progress", "command", "lens"])
async def test_r13_a_run_is_cancelled_from_progress_command_and_lens(
    begin: Begin, gate: Gate, tmp_path: Path, how: str
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    gate.allow(1)
    await editor.until(lambda: any(len(run) > 0 for run in editor.shown()))
    await editor.state(uri, "training")
    if how == "progress":
        (token,) = editor.progress_reports
        editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
        editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
        editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams("of somebody else"))
    elif how == "command":
        result = await editor.command("dlm.cancel", uri)
        assert result == {"ok": True, "message": "stopping after this step"}
    else:
        document = types.TextDocumentIdentifier(uri)
        lenses = await editor.text_document_code_lens_async(types.CodeLensParams(document))
        (cancel,) = [each.command for each in lenses or [] if each.command and each.command.title == "Cancel"]
        await editor.command(cancel.command, *(cancel.arguments or ()))
    status = await editor.idle(uri)
    assert status["version"] is None
    assert status["last"]["outcome"] == "cancelled"
    (run,) = editor.shown()
    assert isinstance(run[-1], types.WorkDoneProgressEnd)
    assert editor.messages == []


async def test_r18_exactly_the_saved_text_is_trained(begin: Begin, tmp_path: Path) -> None:
    """Typed in pieces that drift apart on odd characters, saved, and typed on before the run has begun."""
    editor = await begin(settings={"debounceMs": 200})
    path = tmp_path / "a.dlm"
    odd = "Wörter 😀 👩‍👩‍👧 e\u0301\u2028line\u2029para\x85nel\x0cfeed\ttab 𝒳."
    saved = (HEAD + exchange("What is 😀\u2028?", odd) + f"\nProse {odd}\n").replace("\n", "\r\n")
    uri = editor.open(path, HEAD)
    for number, piece in enumerate(saved, 2):
        end = types.Position(10_000, 0)
        change = types.TextDocumentContentChangePartial(types.Range(end, end), piece)
        whole = types.TextDocumentContentChangeWholeDocument("")
        editor.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(number, uri), [whole, change] if number == 2 else [change]
            )
        )
    path.write_text("what is on disk is something else", newline="")
    document = types.TextDocumentIdentifier(uri)
    editor.text_document_did_save(types.DidSaveTextDocumentParams(document, saved))
    editor.change(uri, saved + exchange("Typed?", "Not saved."))
    status = await editor.idle(uri)
    assert status["version"] == 1
    wanted = parse(saved)
    store = Store(dlm_home(tmp_path / "home"), DLM_ID)
    ledger = store.ledger()
    assert ledger is not None
    assert set(ledger.lessons) == {lesson.identity for section in wanted.sections for lesson in section.lessons}
    assert sorted(kept.content for kept in store.replay().read()) == sorted(each.content for each in wanted.sections)
    assert any(odd in kept.content for kept in store.replay().read())
