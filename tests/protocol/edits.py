"""Random edits of awkward texts, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.protocol.reference import Place

# Everything that ends a line somewhere, is counted differently, joins its neighbour, or is not there to be seen.
ODD = [
    *("\n", "\r", "\r\n", "\n\r", "\r\r\n"),
    *("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"),
    *("\x00", "\t", "\ufeff", "\u200b", "\u00ad", "\ufffd", "\uffff", "\U0010ffff"),
    *("é", "e\u0301", "ß", "中", "𝒳", "😀", "👩\u200d👩\u200d👧", "🇩🇪", "עברית"),
    *("a", "b", "word", " ", "---\n", "::instruction::\n", "### Q\n"),
]
texts = st.lists(st.sampled_from(ODD), max_size=24).map("".join)


def places() -> st.SearchStrategy[Place]:
    """Mostly inside of a short text; beyond a line, beyond the text and inside a character, too."""
    line = st.one_of(st.integers(0, 12), st.sampled_from([40, 2**31 - 1]))
    character = st.one_of(st.integers(0, 16), st.sampled_from([40, 2**31 - 1]))
    return st.builds(lambda line, character: {"line": line, "character": character}, line, character)


def changes() -> st.SearchStrategy[dict[str, Any]]:
    ranged = st.builds(
        lambda start, end, text: {"range": {"start": start, "end": end}, "text": text}, places(), places(), texts
    )
    return st.one_of(ranged, ranged, ranged, ranged, st.builds(lambda text: {"text": text}, texts))


def histories() -> st.SearchStrategy[list[list[dict[str, Any]]]]:
    """Messages, each with a few changes."""
    return st.lists(st.lists(changes(), max_size=4), min_size=1, max_size=6)
