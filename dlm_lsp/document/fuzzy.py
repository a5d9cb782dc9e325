"""How well a name answers what somebody types to find it. Pure."""

from __future__ import annotations

_START, _WORD, _INSIDE, _SCATTERED = 4_000, 3_000, 2_000, 1_000


def score(query: str, name: str) -> int | None:
    """Higher is better; None where the letters of `query` do not all come in `name`, in their order.

    Letter case and blanks do not count. A name that begins with the query goes before one with a word that does,
    then one that holds it, then one that holds its letters; fewer gaps and shorter names first.
    """
    wanted = "".join(query.split()).casefold()
    if not wanted:
        return 0
    folded = name.casefold()
    length = min(len(folded), 200)
    squeezed = query.strip().casefold()
    at = folded.find(squeezed)
    while at > 0 and folded[at - 1].isalnum():
        following = folded.find(squeezed, at + 1)
        if following < 0:
            return _INSIDE - length
        at = following
    if at >= 0:
        return (_START if at == 0 else _WORD) - length
    gaps, at = 0, -1
    for letter in wanted:
        following = folded.find(letter, at + 1)
        if following < 0:
            return None
        gaps += following > at + 1 and at >= 0
        at = following
    return _SCATTERED - 10 * min(gaps, 70) - length
