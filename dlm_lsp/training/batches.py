"""Which rows a step holds, and how they are divided into micro batches. A function of seed and step alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row

_T = TypeVar("_T")

_FRESH_PART = 2  # while there are known lessons to rehearse, fresh rows fill at most one in so many places
_LEARNED_PART = 4  # of the fresh rows' places, one in so many rehearses what the run has learned already
_AT_ONCE = 32  # pending rows by turns at once: of more, each would be met too seldom within the cap to be learned
_WORTH_SPLITTING = 96  # padding tokens saved that make up for the fixed cost of one more micro batch, on a CPU


def order(count: int, seed: int, turn: int) -> list[int]:
    """The `turn`-th shuffle of `range(count)` under `seed`."""
    places = list(range(count))
    random.Random(f"order {seed} {turn}").shuffle(places)
    return places


class CycleMix:
    """Each step of a cycle: fresh rows first, then known lessons to rehearse, `size` rows together.

    Fresh rows are taken by turns, in a seeded order, the first 32 that are not learned yet: each comes up once before
    any comes up again. Rows in `first` (some of `fresh`) take their first turn before all others.
    """

    def __init__(
        self, fresh: Sequence[Row], rehearsal: Rehearsal, size: int, seed: int, first: Sequence[Row] = ()
    ) -> None:
        self.first = list(first)
        self.fresh = [fresh[place] for place in order(len(fresh), seed, 0)]
        self.rehearsal = rehearsal
        self.size = size

    def step(self, number: int, learned: Callable[[Row], bool]) -> list[Row]:
        """The rows of the adapter's optimizer step `number` (from 0). Rows that are `learned` make room."""
        share = min(len(self.fresh), max(1, self.size // _FRESH_PART) if self.rehearsal else self.size)
        held = self._fresh(number, share, learned)
        longest = max((len(row.tokens) for row in held), default=0)
        start = number * (self.size - share)
        return held + self.rehearsal.rows(number, start, self.size - len(held), longest)

    def _fresh(self, number: int, share: int, learned: Callable[[Row], bool]) -> list[Row]:
        """Mostly pending rows; some places rehearse what the run has learned itself, lest it drift away."""
        pending = [row for row in self.fresh if not learned(row)][:_AT_ONCE]
        ahead, self.first = self.first[:share], self.first[share:]
        if ahead:
            rest = [row for row in pending if row not in ahead]
            return [*ahead, *_by_turns(rest, number * (share - len(ahead)), share - len(ahead))]
        done = [row for row in self.fresh if learned(row)]
        spare = 0 if self.rehearsal else share - len(pending)
        count = max(spare, min(len(done), share // _LEARNED_PART))
        return [
            *_by_turns(pending, number * (share - count), share - count),
            *_by_turns(done, number * count, count),
        ]


def epoch(rows: Sequence[Row], size: int, seed: int, number: int) -> list[list[Row]]:
    """The steps of epoch `number` (from 0): each row once, `size` rows a step, the last step what is left."""
    shuffled = [rows[place] for place in order(len(rows), seed, number)]
    return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]


def _by_turns(items: Sequence[_T], start: int, count: int) -> list[_T]:
    """`count` different ones (or all) of the endless round over `items`, from place `start` on."""
    return [items[(start + turn) % len(items)] for turn in range(min(count, len(items)))]


def micro_batches(rows: Sequence[Row], count: int, tokens: int, places: int) -> list[list[Row]]:
    """Divides a step's rows into batches of at most `count` rows, `tokens` padded tokens and `places` targets.

    A row that is longer than `tokens`, or has more targets than `places`, is a batch of its own. Rows of like length go
    together, and a batch ends early where that saves more padding than it costs.
    """
    batches: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: -len(row.tokens)):  # stable: equal lengths keep their order
        current = batches[-1] if batches else None
        if (
            current is None
            or len(current) == count
            or len(current[0].tokens) * (len(current) + 1) > tokens
            or sum(each.targets for each in current) + row.targets > places
            or _padding_saved(current, row, rows) > _WORTH_SPLITTING
        ):
            batches.append([row])
        else:
            current.append(row)
    return batches


def _padding_saved(current: Sequence[Row], row: Row, rows: Sequence[Row]) -> int:
    """Padding tokens saved when `row` and all rows not longer begin a batch of their own."""
    shorter = sum(1 for other in rows if len(other.tokens) <= len(row.tokens))
    return (len(current[0].tokens) - len(row.tokens)) * shorter
