"""Which problems follow from a document and its status: pure, so every state can be looked at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.documents import document as large
from dlm_lsp.document import Problem, Range, Severity, parse
from dlm_lsp.runs.status import (
    DocumentStatus,
    LastRun,
    LockView,
    RunState,
    RunView,
    SectionState,
    SectionStatus,
)
from dlm_lsp.server.diagnostics import CODES, MAX_MARKS, problems

TEXT = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n---\nProse over\ntwo lines.\n"
DOCUMENT = parse(TEXT)
PATH = Path("a.dlm")


def shown(**fields: object) -> list[Problem]:
    return problems(DOCUMENT, DocumentStatus(document=PATH, **fields))  # type: ignore[arg-type]


def section(state: SectionState, reason: str = "") -> SectionStatus:
    (only,) = DOCUMENT.sections
    return SectionStatus(only.section_id, only.kind, only.range, state, reason)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (SectionState.NEW, "not-learned"),
        (SectionState.CHANGED, "not-learned"),
        (SectionState.WAITING, "not-learned"),
        (SectionState.LEARNING, "not-learned"),
        (SectionState.PARTLY, "partly-learned"),
        (SectionState.UNTRAINED, "not-trained"),
        (SectionState.LEARNED, None),
        (SectionState.EMPTY, None),
    ],
)
def test_a_sections_state_marks_its_first_line(state: SectionState, code: str | None) -> None:
    found = shown(sections=(section(state, "The reason."),))
    assert [problem.code for problem in found] == ([code] if code else [])
    for problem in found:
        assert problem.severity is CODES[problem.code][0]
        assert (problem.range.start.line, problem.range.end.line) == (4, 4)
        assert problem.range.end.column == len("Prose over")


def test_of_thousands_of_sections_the_first_are_marked_and_the_rest_are_counted() -> None:
    document = parse(large(1_000, seed=1))
    states = {0: SectionState.PARTLY, 1: SectionState.LEARNED}
    sections = tuple(
        SectionStatus(each.section_id, each.kind, each.range, states.get(number, SectionState.NEW))
        for number, each in enumerate(document.sections)
    )
    found = problems(document, DocumentStatus(document=PATH, sections=sections))
    marks = [problem for problem in found if problem.range.start.line and problem.code != "two-answers"]
    assert [problem.code for problem in marks] == ["partly-learned", *["not-learned"] * MAX_MARKS]
    assert [problem.range for problem in marks[1:]] == [
        Range(each.range.start, each.range.start._replace(column=len("::instruction::")))
        for each in document.sections[2 : MAX_MARKS + 2]
    ]
    (rest,) = [problem for problem in found if not problem.range.start.line]
    assert (rest.code, rest.severity) == ("not-learned", Severity.HINT)
    assert rest.message == "798 more sections are not learned yet; the first 200 are marked where they are."
    few = problems(document, DocumentStatus(document=PATH, sections=sections[: MAX_MARKS + 2]))
    assert not [problem for problem in few if not problem.range.start.line]


def test_a_failure_marks_the_key_it_is_about_or_the_first_line() -> None:
    last = LastRun(run=1, kind="cycle", outcome="failed", message="No.", key="base_model")
    (at_key,) = shown(last=last)
    assert (at_key.code, at_key.range.start.line, at_key.message) == ("run-failed", 2, "No.")
    (at_top,) = shown(last=LastRun(run=1, kind="cycle", outcome="failed", message="No.", key="training.lora_r"))
    assert at_top.range.start.line == 0


def test_a_skipped_save_is_told_until_the_next_one_is_queued() -> None:
    last = LastRun(run=1, kind="cycle", outcome="skipped", message="no new content, skipping")
    assert [problem.code for problem in shown(last=last)] == ["no-new-content"]
    assert shown(last=last, run=RunView(run=2, kind="cycle", state=RunState.QUEUED)) == []


def test_a_held_lock_names_its_holder() -> None:
    run = RunView(run=1, kind="cycle", state=RunState.WAITING)
    (problem,) = shown(run=run, lock=LockView(pid=42, host="anvil", since=0.0, detail="held by process 42 on anvil"))
    assert problem.code == "store-locked"
    assert problem.message == (
        "The store is locked: held by process 42 on anvil. Training begins by itself when it is free."
    )
    assert problem.range.start.line == 1


def test_finished_and_cancelled_runs_leave_no_mark() -> None:
    for outcome in ("finished", "cancelled"):
        assert shown(last=LastRun(run=1, kind="cycle", outcome=outcome, message="")) == []  # type: ignore[arg-type]


def test_the_documents_own_problems_come_first_in_the_order_of_the_text() -> None:
    broken = parse("---\nbase_model: builtin:tiny\n---\n::nonsense::\n")
    status = DocumentStatus(document=PATH, note="saved, not trained: the document has errors")
    found = problems(broken, status)
    assert {problem.code for problem in broken.problems} < {problem.code for problem in found}
    assert [problem.range.start for problem in found] == sorted(problem.range.start for problem in found)


def test_the_table_of_codes_in_the_documentation_is_the_one_in_the_source() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning|information|hint) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(code, str(severity), meaning) for code, (severity, meaning) in CODES.items()]
    assert all(isinstance(severity, Severity) for severity, _ in CODES.values())
