"""What an author sees from a save to a version: the real server process, a learner that only pretends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types

from tests.fakes import BREAK, FAIL, NOISE, Gate
from tests.server.editor import HEAD, Editor, capabilities, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


async def test_opening_shows_what_is_new_and_trains_and_writes_nothing(editor: Editor, tmp_path: Path) -> None:
    uri = editor.open(tmp_path / "a.dlm", ONE)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    await editor.idle()
    assert not (tmp_path / "home").exists()
    assert editor.shown() == []


async def test_a_save_is_queued_at_once_and_then_learned(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    editor.save(path, TWO)
    await editor.state(uri, "queued")
    status = await editor.idle(uri)
    assert (status["state"], status["version"], status["pending"]) == ("idle", 1, 0)
    await editor.until(lambda: editor.codes(uri) == [])
    assert [section["state"] for section in status["sections"]] == ["learned", "learned"]
    begin, *reports, end = editor.shown()[0]
    assert isinstance(begin, types.WorkDoneProgressBegin)
    assert isinstance(end, types.WorkDoneProgressEnd)
    assert (begin.cancellable, begin.percentage is not None) == (True, True)
    assert all(isinstance(report, types.WorkDoneProgressReport) for report in reports)
    assert "5 steps" in (end.message or "")


async def test_progress_says_step_loss_and_percentage_and_never_goes_back(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    editor.open(path, "")
    editor.save(path, ONE)
    gate.allow(2)
    report = await editor.until(
        lambda: next((each for run in editor.shown() for each in run if "step 2/5" in (each.message or "")), None)
    )
    assert "loss 1.50" in report.message
    gate.allow(3)
    await editor.idle()
    (run,) = editor.shown()
    percentages = [each.percentage for each in run[:-1]]
    assert percentages == sorted(percentages)
    steps = editor.all("dlm/trainingProgress")
    assert (
        steps[-1]
        == {
            "run_id": 1,
            "step": 5,
            "total_steps": 5,
            "loss": 0.6,
            "phase": "train",
            "uri": path.as_uri(),
        }
        or steps[-1]["phase"] == "write"
    )


async def test_an_unchanged_save_is_skipped_and_the_notice_goes_with_the_next_change(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    editor.save(path, ONE)
    await editor.idle()
    editor.save(path, ONE)
    await editor.until(lambda: editor.codes(uri) == ["no-new-content"])
    notice = editor.diagnostics[uri][0]
    assert notice.range.start.line == 0
    assert notice.severity is types.DiagnosticSeverity.Information
    assert "no new content, skipping" in notice.message
    editor.change(uri, TWO)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    assert len(editor.shown()) == 1


async def test_a_save_during_a_run_waits_and_is_learned_after_it(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.state(uri, "training")
    editor.save(path, TWO)
    gate.allow(10)
    status = await editor.idle(uri)
    assert (status["version"], status["pending"]) == (2, 0)
    assert [len(run) >= 2 for run in editor.shown()] == [True, True]


async def test_a_file_is_read_when_the_client_does_not_send_the_text(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    editor.save(path, TWO, with_text=False)
    status = await editor.idle(uri)
    assert len(status["sections"]) == 2
    assert status["pending"] == 0


async def test_a_document_with_errors_trains_nothing_and_keeps_what_was_learned(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.idle()
    editor.save(path, "---\nbase_model: [\n---\n" + exchange("Q?", "A."))
    status = await editor.idle(uri)
    assert status["version"] == 1
    assert len(editor.shown()) == 1
    assert any(each.severity is types.DiagnosticSeverity.Error for each in editor.diagnostics[uri])
    editor.save(path, TWO)
    assert (await editor.idle(uri))["version"] == 2


@pytest.mark.parametrize(
    ("word", "message"), [(FAIL, "The base can't be had."), (BREAK, "ZeroDivisionError: nobody foresaw this")]
)
async def test_a_failed_run_says_why_and_the_next_one_is_as_good_as_new(
    editor: Editor, tmp_path: Path, word: str, message: str
) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + exchange("What?", word))
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    failure = next(each for each in editor.diagnostics[uri] if each.code == "run-failed")
    assert message in failure.message
    assert failure.severity is types.DiagnosticSeverity.Error
    assert failure.range.start.line == (2 if word == FAIL else 0)
    editor.save(path, ONE)
    status = await editor.idle(uri)
    assert status["version"] == 1
    assert editor.codes(uri) == []
    for run in filter(None, editor.shown()):
        assert isinstance(run[-1], types.WorkDoneProgressEnd)
    assert editor.messages == []


@pytest.mark.parametrize("reason", [types.TextDocumentSaveReason.AfterDelay, types.TextDocumentSaveReason.FocusOut])
async def test_r06_auto_save_marks_and_a_manual_save_trains(
    editor: Editor, tmp_path: Path, reason: types.TextDocumentSaveReason
) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE, reason=reason)
    await editor.until(lambda: "saved-not-trained" in editor.codes(uri))
    assert (await editor.idle(uri))["version"] is None
    editor.save(path, ONE)
    assert (await editor.idle(uri))["version"] == 1


async def test_r06_auto_save_trains_if_asked_to(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(settings={"trainOnAutoSave": True})
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE, reason=types.TextDocumentSaveReason.AfterDelay)
    assert (await editor.idle(uri))["version"] == 1


async def test_r17_noise_of_libraries_does_not_get_into_the_protocol(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(environment={"PYTHONUNBUFFERED": "1"})
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + exchange("What?", NOISE))
    assert (await editor.idle(uri))["version"] == 1
    assert await editor.hover(uri, 1)


async def test_a_client_that_declares_nothing_is_sent_nothing_but_diagnostics(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=types.ClientCapabilities())
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    assert (await editor.idle(uri))["version"] == 1
    assert {method for method, _ in editor.received} == {types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS}


async def test_a_refused_progress_keeps_nothing_from_being_learned(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()

    def refuse(params: types.WorkDoneProgressCreateParams) -> None:
        raise PermissionError("no progress here")

    editor.protocol.fm.features[types.WINDOW_WORK_DONE_PROGRESS_CREATE] = refuse
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    assert (await editor.idle(uri))["version"] == 1
    assert editor.all(types.PROGRESS) == []
    assert editor.messages == []


@pytest.mark.parametrize("encoding", list(types.PositionEncodingKind))
async def test_ranges_are_in_the_clients_units(
    begin: Begin, tmp_path: Path, encoding: types.PositionEncodingKind
) -> None:
    wanted = types.GeneralClientCapabilities(position_encodings=[encoding])
    editor = await begin(client=capabilities(general=wanted))
    text = HEAD + "Prose 😀é𝒳 here.\n"
    uri = editor.open(tmp_path / "a.dlm", text)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    (mark,) = editor.diagnostics[uri]
    assert mark.range.start == types.Position(4, 0)
    widths = {
        types.PositionEncodingKind.Utf8: 6 + 4 + 2 + 4 + 6,
        types.PositionEncodingKind.Utf16: 6 + 2 + 1 + 2 + 6,
        types.PositionEncodingKind.Utf32: 6 + 1 + 1 + 1 + 6,
    }
    assert mark.range.end == types.Position(4, widths[encoding])


async def test_diagnostics_carry_the_version_of_the_text_and_go_when_it_is_closed(
    editor: Editor, tmp_path: Path
) -> None:
    uri = editor.open(tmp_path / "a.dlm", ONE)
    version = editor.change(uri, TWO)
    published = types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS
    await editor.until(lambda: any(params.version == version for params in editor.all(published)))
    editor.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    await editor.until(lambda: editor.codes(uri) == [])


async def test_a_document_that_is_no_file_is_checked_and_never_trained(editor: Editor) -> None:
    uri = "untitled:Untitled-1"
    item = types.TextDocumentItem(uri, "dlm", 1, "---\nbase_model: 5\n---\n")
    editor.text_document_did_open(types.DidOpenTextDocumentParams(item))
    await editor.until(lambda: editor.diagnostics.get(uri))
    result = await editor.command("dlm.trainNow", uri)
    assert result["ok"] is False
    assert "Save it as a file first" in result["message"]


async def test_the_servers_status_is_told_when_it_changes(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.idle()
    told = editor.all("experimental/serverStatus")
    assert [each["quiescent"] for each in told] == [True, False, True]
    assert {each["health"] for each in told} == {"ok"}


async def test_a_bad_setting_is_told_without_a_popup(begin: Begin) -> None:
    editor = await begin(settings={"maxSteps": "many"})
    told = await editor.until(
        lambda: next((each for each in editor.all("experimental/serverStatus") if each["message"]), None)
    )
    assert told["health"] == "warning"
    assert "`dlm.maxSteps` is 'many'" in told["message"]
    assert editor.messages == []


async def test_changed_settings_hold_from_the_next_save_on(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.set_configuration({"dlm": {"onSave": "mark"}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    await editor.until(lambda: len(editor.all(types.WORKSPACE_CONFIGURATION)) == 2)
    editor.save(path, ONE)
    await editor.until(lambda: "saved-not-trained" in editor.codes(uri))
    assert (await editor.idle(uri))["version"] is None
