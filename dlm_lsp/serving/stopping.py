"""Ends an answer before the first of the texts that a request names, without ever giving out a part of one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator


async def until(pieces: AsyncIterator[str], stops: tuple[str, ...]) -> AsyncGenerator[str]:
    """`pieces` up to the stop that is complete first, which is left out; what may be the begin of one is held back.

    Of two stops that end at one place the longer counts. So the answer does not depend on how it was cut into pieces.
    """
    held = ""
    async for piece in pieces:
        held += piece
        found = [(at + len(stop), at) for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            if rest := held[: min(found)[1]]:
                yield rest
            return
        kept = _begun(held, stops)
        if free := held[: len(held) - kept]:
            yield free
        held = held[len(held) - kept :]
    if held:
        yield held


def _begun(text: str, stops: tuple[str, ...]) -> int:
    """How many characters at the end of `text` may be the begin of a stop."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    return next(
        (count for count in range(min(longest, len(text)), 0, -1) if any(s.startswith(text[-count:]) for s in stops)),
        0,
    )
