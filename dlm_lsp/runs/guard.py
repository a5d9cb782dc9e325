"""The forgetting guard: which lessons are looked at after a run, and which of them count as forgotten. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import heapify, heappop
from itertools import chain, islice
from typing import Any

from dlm_lsp.document import Lesson
from dlm_lsp.store import Known
from dlm_lsp.training.protocol import LessonScore

# More than the learner's budget of tokens ever holds.
_MOST = 128


def guarded(known: Iterable[Lesson], entries: Mapping[str, Known]) -> tuple[str, ...]:
    """The identities of what was learned before, in the order in which it is to be looked at.

    By turns what was not looked at (or trained) for longest, so that everything comes up within some runs, and
    what is most at risk: forgotten already (it may have come back), or of the highest loss.
    """
    by_age: list[tuple[int, str]] = []
    by_risk: list[tuple[bool, float, str]] = []
    for lesson in known:  # of thousands, at each save
        identity = lesson.identity
        entry = entries.get(identity)
        if entry is not None and entry.learned:
            by_age.append((_last_seen(entry), identity))
            loss = entry.score if entry.score is not None else entry.loss_after or 0.0
            by_risk.append((entry.forgotten_since is None, -loss, identity))
    by_turns = chain.from_iterable(zip(_in_order(by_age), _in_order(by_risk), strict=True))
    return tuple(islice(_once(by_turns), _MOST))


def _in_order(found: list[Any]) -> Iterator[str]:
    """The last part of each item, the smallest item first; the first ones cost less than sorting all."""
    heapify(found)
    while found:
        yield heappop(found)[-1]


def _once(identities: Iterable[str]) -> Iterator[str]:
    seen = set[str]()
    for identity in identities:
        if identity not in seen:
            seen.add(identity)
            yield identity


def after_look(entry: Known, score: LessonScore, margin: float, *, exchange: bool) -> Known:
    """`entry` after a look at it: forgotten, known, or known again.

    Forgotten is what lost more than `margin` (nats per token) since it was learned, and an exchange whose answer
    is not word for word any more.
    """
    looked = replace(entry, score=score.loss, exact=score.exact, scored_in=0)
    lost = entry.loss_after is not None and score.loss > entry.loss_after + margin
    if not lost and not (exchange and not score.exact):
        return remembered(looked)
    since = 0 if entry.forgotten_since is None else entry.forgotten_since
    sound = _last_seen(entry) if entry.forgotten_since is None else entry.sound_in
    return replace(looked, forgotten_since=since, sound_in=sound)


def remembered(entry: Known) -> Known:
    """`entry` as one that is not forgotten."""
    return replace(entry, forgotten_since=None, sound_in=None)


def _last_seen(entry: Known) -> int:
    """The last version of which it is known how well it knows the lesson."""
    return entry.version if entry.scored_in is None else max(entry.version, entry.scored_in)
