"""The states of sections after an edit or an event: equal to fresh ones, and few of them are told anew."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.documents import document as large
from dlm_lsp.document import Document, Lesson, parse
from dlm_lsp.runs.retelling import Facts, Retelling
from dlm_lsp.runs.sections import section_statuses
from dlm_lsp.runs.status import Failure, SectionStatus
from dlm_lsp.store import Known, Ledger
from tests.document.test_reading import EDITS, HEAD, TEXTS

KNOWN = Known(1, 3, complete=True, learned=True, anchor="", section_id="", learned_at="2026-01-01T00:00:00")
FORGOTTEN = replace(KNOWN, forgotten_since=2, sound_in=1)
FAILED = "the run failed"


def lessons(document: Document) -> list[Lesson]:
    return [lesson for section in document.sections for lesson in section.lessons]


def facts(document: Document, chance: Random) -> Facts:
    """Some of the document's lessons are known, wait, are learned or failed."""

    def some(share: float) -> list[Lesson]:
        return [lesson for lesson in lessons(document) if chance.random() < share]

    entries = {
        each.identity: replace(chance.choice((KNOWN, FORGOTTEN)), anchor=each.anchor, times_seen=chance.randint(1, 2))
        for each in some(0.7)
    }
    failed = frozenset(each.identity for each in some(0.5))
    return Facts(
        ledger=Ledger(lessons=entries),
        queued=frozenset(each.identity for each in some(0.3)),
        learning=frozenset(each.identity for each in some(0.3)),
        failure=chance.choice((None, Failure(failed, FAILED, 1.0))),
        versions=frozenset(chance.sample((1, 2), chance.randint(0, 2))),
        anchors=frozenset(each.anchor for each in (*entries.values(), *some(0.2))),
    )


def fresh(document: Document, by: Facts) -> tuple[SectionStatus, ...]:
    return section_statuses(
        document,
        by.ledger,
        queued=by.queued,
        learning=by.learning,
        failure=by.failure,
        versions=by.versions,
        anchors=by.anchors,
    )


@settings(max_examples=150, deadline=None)
@given(TEXTS, EDITS, st.integers(0, 2**32), st.lists(st.booleans(), min_size=8, max_size=8))
def test_they_are_those_of_a_fresh_telling(
    text: str, edits: list[tuple[float, int, str]], seed: int, others: list[bool]
) -> None:
    text, told, chance = HEAD + text, Retelling(), Random(seed)
    document = parse(text)
    by = facts(document, chance)
    for (share, length, insert), other in zip([(0.0, 0, ""), *edits], [False, *others], strict=False):
        start = int(share * len(text))
        text = text[:start] + insert + text[start + length :]
        document = parse(text, document)
        by = facts(document, chance) if other else by
        assert told.statuses(document, by, partial(fresh, by=by)) == fresh(document, by)


@pytest.mark.parametrize(("typed", "again"), [("x", 1), ("\n", 1), ("\n\n::prose::\nmore\n", 2)])
def test_a_keystroke_tells_of_the_section_that_it_is_in(typed: str, again: int) -> None:
    text, told, asked = large(1_000, seed=1), Retelling(), []
    known = Ledger()

    def tell(part: Document) -> tuple[SectionStatus, ...]:
        asked.append(len(part.sections))
        return section_statuses(part, known)

    before, by = parse(text), Facts(known)
    told.statuses(before, by, tell)
    middle = text.index("keeps the", len(text) // 2)
    after = parse(text[:middle] + typed + text[middle:], before)
    assert told.statuses(after, by, tell) == section_statuses(after, known)
    assert asked == [1_000, again]
    assert told.statuses(after, by, tell) == section_statuses(after, known)
    assert asked == [1_000, again], "nothing changed"


def test_an_event_tells_of_the_sections_that_it_is_about() -> None:
    told, asked = Retelling(), []
    document = parse(large(1_000, seed=1))
    some = [each.identity for each in lessons(document)[400:403]]
    ledger = Ledger(lessons={each.identity: replace(KNOWN, anchor=each.anchor) for each in lessons(document)})
    other = replace(ledger, lessons={**ledger.lessons, some[0]: replace(KNOWN, times_seen=9)})
    for by in (
        Facts(ledger),
        Facts(ledger, queued=frozenset(some)),
        Facts(ledger, learning=frozenset(some)),
        Facts(other, versions=frozenset({1})),
        Facts(other, failure=Failure(frozenset(some[:1]), FAILED, 1.0)),
    ):

        def tell(part: Document, by: Facts = by) -> tuple[SectionStatus, ...]:
            asked.append(len(part.sections))
            return fresh(part, by)

        assert told.statuses(document, by, tell) == fresh(document, by)
    assert asked == [1_000, 3, 3, 3, 1]
