"""What users of language servers complain about, as promises: what is shown, when, and when it goes again.

The numbers are those of the list in docs/reliability.md.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types

import dlm_lsp
from dlm_lsp.runs.status import RunState, RunView
from dlm_lsp.runs.telling import progress_message
from dlm_lsp.server.diagnostics import CODES
from dlm_lsp.store import Store, dlm_home
from tests.fakes import BREAK, FAIL, QUIT, Gate
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")

# Everything that this server may ever send on its own. Nothing in it opens a window, moves the focus or pops up.
QUIET = {
    types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS,
    types.PROGRESS,
    types.WINDOW_WORK_DONE_PROGRESS_CREATE,
    types.WORKSPACE_CODE_LENS_REFRESH,
    types.WORKSPACE_INLAY_HINT_REFRESH,
    types.WORKSPACE_CONFIGURATION,
    types.CLIENT_REGISTER_CAPABILITY,
    "dlm/trainingStatus",
    "dlm/trainingProgress",
    "dlm/sectionStatesChanged",
    "experimental/serverStatus",
}


async def test_r01_every_begin_has_exactly_one_end_and_r12_nothing_pops_up(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    """Success, skip, failure, a defect, a library that ends the interpreter, cancel, conflict; in one session."""
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)

    async def run(text: str, outcome: str) -> None:
        editor.save(path, text)
        status = await editor.idle(uri)
        assert status["last"]["outcome"] == outcome, status["last"]

    gate.allow(5)
    await run(ONE, "finished")
    await run(ONE, "skipped")
    for word in (FAIL, BREAK, QUIT):
        await run(ONE + exchange("What?", word), "failed")
        assert "run-failed" in editor.codes(uri)

    editor.save(path, TWO)
    await editor.state(uri, "training")
    await editor.command("dlm.cancel", uri)
    assert (await editor.idle(uri))["last"]["outcome"] == "cancelled"

    with Store(dlm_home(tmp_path / "home"), DLM_ID).try_lock():  # type: ignore[union-attr]
        editor.save(path, TWO)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
    gate.allow(5)
    assert (await editor.idle(uri))["last"]["outcome"] == "finished"

    editor.save(path, TWO + exchange("Who ends this?", "The server."))
    await editor.state(uri, "training")  # and so the server ends in the middle of a run
    assert await editor.end() == 0
    editor.check_progress()
    assert [outcome for _, outcome in editor.runs(uri)] == [
        *("finished", "skipped", "failed", "failed", "failed", "cancelled", "finished", "cancelled")
    ]
    assert len([story for story in editor.shown() if story]) >= 4
    assert editor.messages == editor.questions == []
    assert {method for method, _ in editor.received} <= QUIET


async def test_r02_a_run_is_shown_once_the_client_took_its_token_and_never_by_another_ones(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    for number in range(3):
        editor.save(path, HEAD + exchange("Which?", f"Number {number}."))
        await editor.state(uri, "training")
        gate.allow(5)
        await editor.idle(uri)
    order = [method for method, _ in editor.received if "rogress" in method and not method.startswith("dlm/")]
    asked = [params.token for params in editor.all(types.WINDOW_WORK_DONE_PROGRESS_CREATE)]
    assert len(set(asked)) == 3
    assert order[0] == types.WINDOW_WORK_DONE_PROGRESS_CREATE
    assert [params.token for params in editor.all(types.PROGRESS) if params.value["kind"] == "begin"] == asked


async def test_r08_diagnostics_name_the_run_they_follow_from_and_go_when_training_is_switched_off(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    assert [each.data for each in editor.diagnostics[uri]] == [{"run": 0}]
    for number, (text, codes) in enumerate(
        [(ONE, []), (ONE, ["no-new-content"]), (ONE + exchange("What?", FAIL), ["not-learned", "run-failed"])], 1
    ):
        editor.save(path, text)
        await editor.idle(uri)
        await editor.until(lambda codes=codes: editor.codes(uri) == codes)  # type: ignore[misc]
        assert {each.data["run"] for each in editor.diagnostics[uri]} <= {number}
    assert [each.version for each in editor.all(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)][-1] is not None

    editor.set_configuration({"dlm": {"onSave": "off", "debounceMs": 20}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    await editor.until(lambda: editor.codes(uri) == [])
    editor.save(path, "---\nbase_model: 5\n---\n")
    await editor.until(lambda: editor.codes(uri))
    assert not set(editor.codes(uri)) & set(CODES), "of learning nothing is said; the document's own problems are"
    editor.set_configuration({"dlm": {"onSave": "train", "debounceMs": 20}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    editor.change(uri, TWO)
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])


async def test_r09_what_is_still_true_stays_until_the_new_result_is_there(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + exchange("What?", FAIL))
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    editor.save(path, ONE)
    await editor.state(uri, "training")
    gate.allow(4)
    await editor.until(lambda: any(each["step"] == 4 for each in editor.all("dlm/trainingProgress")))
    assert editor.codes(uri) == ["not-learned", "run-failed"]
    told = len(editor.received)
    gate.allow(1)
    await editor.idle(uri)
    await editor.until(lambda: editor.codes(uri) == [])
    after = [params for method, params in editor.received[told:] if method == types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS]
    assert [list(params.diagnostics) for params in after] == [[]], "replaced in one piece by the new result"


def test_r11_nothing_in_the_source_can_take_the_focus() -> None:
    """Windows are opened and messages shown by a command's handler alone; logs go to standard error."""
    forbidden = (
        "SHOW_DOCUMENT",
        "SHOW_MESSAGE",
        "LOG_MESSAGE",
        "LOG_TRACE",
        "APPLY_EDIT",
        "show_message",
        "log_message",
    )
    found = set()
    for path in (Path(dlm_lsp.__file__).parent / "server").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        found |= {(path.name, name) for name in names if any(word in name for word in forbidden)}
    assert found == {
        ("commands.py", "WINDOW_SHOW_MESSAGE"),
        ("commands.py", "WINDOW_SHOW_MESSAGE_REQUEST"),
        ("interchange.py", "WINDOW_SHOW_MESSAGE"),
        ("interchange.py", "WORKSPACE_APPLY_EDIT"),  # the frontmatter's edit that a command asked for
        ("app.py", "WINDOW_SHOW_MESSAGE_REQUEST"),  # to know that a person may take any time to answer
    }


@pytest.mark.parametrize("declared", [None, types.ClientCapabilities()], ids=["everything", "nothing"])
async def test_r20_a_save_shows_at_once_that_it_was_taken(
    begin: Begin, tmp_path: Path, declared: types.ClientCapabilities | None
) -> None:
    """Also to a client that declares nothing, and with the product's debounce. The quickest of three counts."""
    editor = await begin(settings={"debounceMs": 400}, client=declared)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    waits = []
    for number in range(3):
        began = time.monotonic()
        editor.save(path, HEAD + exchange("Which?", f"Number {number}."))
        await editor.until(lambda: any("queued run" in each.message for each in editor.diagnostics.get(uri, ())))
        waits.append(time.monotonic() - began)
        await editor.idle(uri)
    assert min(waits) <= 0.3, waits


@pytest.mark.parametrize(
    ("state", "phase", "said"),
    [
        (RunState.LOADING, "import", "importing torch and transformers"),
        (RunState.LOADING, "download", "downloading the base model"),
        (RunState.LOADING, "load", "loading the model"),
        (RunState.PREPARING, "tokenise", "tokenising"),
        (RunState.TRAINING, "train", "training"),
        (RunState.WRITING, "write", "writing the new version"),
    ],
)
def test_r20_each_phase_has_a_name(state: RunState, phase: str, said: str) -> None:
    assert progress_message(RunView(run=1, kind="cycle", state=state, phase=phase)) == said  # type: ignore[arg-type]
