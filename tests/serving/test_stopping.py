"""An answer ends before the stop that is complete first, wherever the pieces were cut; nothing leaves too soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.serving.stopping import until


async def told(pieces: list[str], stops: tuple[str, ...]) -> list[str]:
    async def coming() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    return [piece async for piece in until(coming(), stops)]


async def test_a_stop_over_the_border_of_two_pieces() -> None:
    assert await told(["one E", "ND two"], ("END",)) == ["one "]


async def test_what_only_looked_like_a_stop_is_told() -> None:
    assert await told(["an E", "N", "T"], ("END",)) == ["an ", "ENT"]


async def test_without_stops_pieces_go_through_as_they_come() -> None:
    assert await told(["a", "b", "c"], ()) == ["a", "b", "c"]


async def test_the_stop_that_is_complete_first_counts_even_where_a_longer_one_began_before_it() -> None:
    assert await told(["a", "b", "E"], ("b", "abE")) == await told(["abE"], ("b", "abE")) == ["a"]


async def test_of_two_stops_with_one_end_the_longer_counts() -> None:
    assert await told(["one EN", "D"], ("D", "END")) == ["one "]


@settings(max_examples=500)
@given(st.lists(st.text("abE", max_size=4), max_size=8), st.lists(st.text("abE", min_size=1, max_size=3), max_size=3))
def test_it_is_the_text_up_to_the_first_complete_stop(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    found = [(at + len(stop), at) for stop in stops if (at := whole.find(stop)) >= 0]
    kept = min(found)[1] if found else len(whole)
    assert "".join(asyncio.run(told(pieces, tuple(stops)))) == whole[:kept]
