"""An answer ends before the first stop, wherever the pieces were cut, and gives out nothing too soon or too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
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


@given(st.lists(st.text("abE", max_size=4), max_size=8), st.lists(st.text("abE", min_size=1, max_size=3), max_size=3))
def test_it_is_the_text_up_to_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    ends = [at for at in (whole.find(stop) for stop in stops) if at >= 0]
    assert "".join(asyncio.run(told(pieces, tuple(stops)))) == whole[: min(ends, default=len(whole))]
