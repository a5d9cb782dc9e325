"""The status as JSON, put together from what was told before: equal to one that is made from nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.document import Position, Range
from dlm_lsp.runs.status import DocumentStatus, Forgotten, SectionState, SectionStatus
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.payloads import StatusTexts, status_payload

POSITIONS = Positions("a line\n" * 100, "utf-16")


def section(name: int, line: int, state: SectionState, *, forgotten: bool) -> SectionStatus:
    place = Range(Position(line, 0), Position(line + 2, 3))
    lost = (Forgotten(place, 0.1, 2.0, False, 3, None),) if forgotten else ()
    return SectionStatus(f"{name:016x}", "instruction", place, state, forgotten=lost)


SECTIONS = st.lists(
    st.builds(
        section,
        st.integers(0, 5),
        st.integers(0, 90),
        st.sampled_from((SectionState.NEW, SectionState.LEARNED)),
        forgotten=st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SECTIONS, st.integers(0, 75), st.integers(0, 40), st.integers(0, 3)), max_size=5))
def test_it_is_that_of_a_fresh_telling(edits: list[tuple[list[SectionStatus], int, int, int]]) -> None:
    texts = StatusTexts()
    told = tuple(section(6 + number, 1, SectionState.LEARNED, forgotten=False) for number in range(70))
    status = DocumentStatus(document=Path("/notes.dlm"))
    for new, start, length, lines in edits:
        moved = [
            replace(each, range=Range(*(Position(place.line + lines, place.column) for place in each.range)))
            if lines
            else each
            for each in told[start + length :]
        ]
        told = (*told[:start], *new, *moved)
        status = replace(status, sections=told)
        assert json.loads(b"".join(texts.of("file:///notes.dlm", status, POSITIONS))) == json.loads(
            json.dumps(status_payload("file:///notes.dlm", status, POSITIONS))
        )
