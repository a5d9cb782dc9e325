"""What a run looks like: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from dlm_lsp.cli.printer import Printer
from dlm_lsp.runs import events, narrate
from dlm_lsp.runs.status import DocumentStatus

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
