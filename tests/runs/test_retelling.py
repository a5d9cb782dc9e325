"""The states of sections after an edit: equal to those that are told from nothing, and few of them are told anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.documents import document as large
from dlm_lsp.document import Document, parse
from dlm_lsp.runs.retelling import Retelling
from dlm_lsp.runs.sections import section_statuses
from dlm_lsp.runs.status import SectionStatus
from dlm_lsp.store import Known, Ledger
from tests.document.test_reading import EDITS, HEAD, TEXTS


def ledger(document: Document, *, every: int) -> Ledger:
    """Knows every so many of the document's lessons."""
    lessons = [lesson for section in document.sections for lesson in section.lessons]
    known = Known(1, 3, complete=True, learned=True, anchor="", section_id="", learned_at="2026-01-01T00:00:00")
    return Ledger(lessons={each.identity: replace(known, anchor=each.anchor) for each in lessons[::every]})


@settings(max_examples=150, deadline=None)
@given(TEXTS, EDITS, st.integers(1, 3), st.lists(st.booleans(), min_size=8, max_size=8))
def test_they_are_those_of_a_fresh_telling(
    text: str, edits: list[tuple[float, int, str]], every: int, queued: list[bool]
) -> None:
    text, told = HEAD + text, Retelling()
    document = parse(text)
    known = ledger(document, every=every)
    for (share, length, insert), waits in zip([(0.0, 0, ""), *edits], [False, *queued], strict=False):
        start = int(share * len(text))
        text = text[:start] + insert + text[start + length :]
        document = parse(text, document)
        waiting = {each.identity for section in document.sections for each in section.lessons} if waits else set()

        def tell(part: Document, waiting: set[str] = waiting) -> tuple[SectionStatus, ...]:
            return section_statuses(part, known, queued=waiting)

        assert told.statuses(document, (known, waiting), tell) == tell(document)


@pytest.mark.parametrize(("typed", "again"), [("x", 1), ("\n", 1), ("\n\n::prose::\nmore\n", 2)])
def test_a_keystroke_tells_of_the_section_that_it_is_in(typed: str, again: int) -> None:
    text, told, asked = large(1_000, seed=1), Retelling(), []
    known = Ledger()

    def tell(part: Document) -> tuple[SectionStatus, ...]:
        asked.append(len(part.sections))
        return section_statuses(part, known)

    before = parse(text)
    told.statuses(before, (known,), tell)
    middle = text.index("keeps the", len(text) // 2)
    after = parse(text[:middle] + typed + text[middle:], before)
    assert told.statuses(after, (known,), tell) == section_statuses(after, known)
    assert asked == [1_000, again]
    assert told.statuses(after, (known,), tell) == section_statuses(after, known)
    assert asked == [1_000, again], "nothing changed"
    told.statuses(after, (Ledger(),), tell)
    assert asked[-1] == len(after.sections), "another ledger: everything may be different"
