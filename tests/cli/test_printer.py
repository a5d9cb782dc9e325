"""What a run looks like: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from dlm_lsp.cli.printer import Printer
from dlm_lsp.document import parse
from dlm_lsp.runs import events, narrate
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import end_message
from dlm_lsp.training.protocol import Learned, LessonResult

PATH = Path("/documents/notes.dlm")


def told(*, terminal: bool, steps: int) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100)
    status = DocumentStatus(document=PATH)
    sequence = iter(range(1, 10_000))

    def hear(printer: Printer, told_of: type[events.Event], /, **fields: object) -> None:
        nonlocal status
        number = next(sequence)
        event = told_of(document=PATH, run=1, sequence=number, at=float(number), **fields)  # type: ignore[arg-type]
        status = narrate.after(status, event)
        printer(event, status)

    with Printer(console, PATH) as printer:
        hear(printer, events.Queued, kind="cycle")
        hear(printer, events.Started, kind="cycle", fresh=2, known=8)
        hear(printer, events.Phase, name="train")
        for step in range(1, steps + 1):
            hear(printer, events.Step, step=step, total=steps, loss=1.5, learning_rate=1e-3, tokens=9)
        hear(printer, events.Cancelled, version=3)
    return output.getvalue()


def test_plain_lines_are_few_however_many_steps_there_are() -> None:
    lines = told(terminal=False, steps=1000).splitlines()
    assert lines[0] == "learning 2 lessons (8 known)"
    assert lines[1].startswith("  step 1/1000 · loss 1.50")
    assert lines[-1] == "cancelled; v0003 stays current"
    assert len(lines) == 13
    assert not any("\x1b" in line for line in lines)


def test_a_terminal_shows_a_bar_and_takes_it_away_at_the_end() -> None:
    output = told(terminal=True, steps=50)
    assert "━" in output
    assert "cancelled; v0003 stays current" in output
    assert output.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def learned(end: Literal["cap", "epochs"], *results: bool) -> Learned:
    lessons = tuple(
        LessonResult(str(number), 9, complete=True, learned=each, loss_before=5.0, loss_after=0.5)
        for number, each in enumerate(results)
    )
    return Learned({}, end, 9, 90, 0.5, lessons, "builtin:tiny", None, "cpu", 0)


def test_what_a_cap_has_left_is_gone_on_with_by_a_command_that_can_be_typed() -> None:
    outcome = learned("cap", True, False)
    end = events.Finished(
        document=PATH,
        run=1,
        sequence=1,
        at=1.0,
        kind="cycle",
        version=1,
        learned=outcome,
        seconds=1.0,
        message=end_message(outcome, 1),
    )
    for next_steps in (True, False):
        output = io.StringIO()
        Printer(Console(file=output, width=100), PATH, next_steps=next_steps)(end, DocumentStatus(document=PATH))
        first, *then = output.getvalue().splitlines()
        assert first == "stopped at the cap of 9 steps (v0001); 1 of 2 lessons not learned yet · loss 0.50 · 1.0 s"
        told = "`dlm-lsp train /documents/notes.dlm` goes on with it, and --continue-when-idle does so by itself"
        assert then == [told] * next_steps


def test_a_full_retrain_says_what_its_epochs_did_not_learn() -> None:
    assert end_message(learned("epochs", True, False), 2).endswith("(v0002); 1 of 2 lessons not learned yet")
    assert end_message(learned("epochs", True, True), 2) == "trained all epochs in 9 steps (v0002)"


def test_editors_names_of_commands_are_said_as_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    Printer(Console(file=output, width=100), tmp_path / "my notes.dlm").say("Run Full Retrain, or Train Now.")
    assert output.getvalue() == "Run `dlm-lsp train 'my notes.dlm' --full`, or `dlm-lsp train 'my notes.dlm'`.\n"


def test_a_note_is_said_once_however_often_its_record_is_told() -> None:
    output = io.StringIO()
    printer, status = Printer(Console(file=output, width=100), PATH), DocumentStatus(document=PATH)
    for note in ("", "saved", "saved", "", "saved"):
        printer(None, replace(status, note=note))
    assert output.getvalue() == "saved\nsaved\n"


@pytest.mark.parametrize("head", ["", "dlm_id: my-notes\n"])
def test_a_document_without_an_id_is_told_one_that_it_can_take(head: str) -> None:
    output = io.StringIO()
    text = f"---\n{head}base_model: builtin:tiny\n---\nhello\n"
    Printer(Console(file=output, width=100), PATH).problems(parse(text))
    offered = output.getvalue().splitlines()[-1].removeprefix("a new one: ")
    assert parse(text.replace(head, "", 1).replace("---\n", f"---\n{offered}\n", 1)).trainable
