"""Which known lessons a cycle rehearses: what is at risk first, and what was found wrong until it is right again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice, zip_longest

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.judge import Measured
from dlm_lsp.training.rows import Row

CONFIRMATIONS = 2  # so often a known exchange that was found wrong must be right before it is settled
_REPAIRED_PART = 2  # what was found wrong fills at most one in so many places
_LONGEST = 128  # tokens: a rehearsed text is cropped to this, or to the longest fresh row if longer

Key = tuple[str, int]


class Rehearsal:
    """Chooses among `known`; `risks` names by identity what comes up before all others, once.

    The others come up by turns, in a seeded order. The rows of a lesson are made (`rows_of`) only when it comes up, so
    that a step costs the same in a long document.
    """

    def __init__(
        self, known: Sequence[Lesson], rows_of: Callable[[Lesson], Sequence[Row]], seed: int, risks: Sequence[str] = ()
    ) -> None:
        self.known = list(known)
        random.Random(f"order {seed} 1").shuffle(self.known)
        self.rows_of = rows_of
        self.seed = seed
        self._identities = {lesson.identity: lesson for lesson in self.known}
        self._risks = [self._identities[identity] for identity in risks if identity in self._identities]
        self._ahead = list(self._risks)
        self._looked_at = 0  # lessons in the looks so far, where they had no room for all
        self._wrong: dict[Key, tuple[Row, int]] = {}  # how often it must be right yet

    def __len__(self) -> int:
        return len(self.known)

    @property
    def sound(self) -> bool:
        """Whether nothing that came up is wrong."""
        return not self._wrong

    def rows(self, number: int, start: int, count: int, longest: int) -> list[Row]:
        """`count` different rows (or all) for step `number`; the turns of this step begin at place `start`.

        Of a long text one row, and of that a part of at most `longest` tokens, is drawn.
        """
        found = dict(islice(self._repaired(number), (count + 1) // _REPAIRED_PART))
        lessons = self._next(start, count - len(found), {identity for identity, _ in found})
        return [*found.values(), *(self._row(lesson, number, max(_LONGEST, longest)) for lesson in lessons)]

    def wrong(self) -> list[Row]:
        """What came up and is not settled."""
        return [row for row, _ in self._wrong.values()]

    def hear(self, measured: Iterable[Measured], *, surely: bool = False) -> None:
        """What a step saw of rows; those that are not known here are passed over.

        What was seen right `surely`, without dropout, is settled at once.
        """
        for each in measured:
            row = each.row
            if row.kind != "exchange" or row.identity not in self._identities:
                continue
            key = (row.identity, row.index)
            if not each.exact:
                self._wrong[key] = row, CONFIRMATIONS
            elif (found := self._wrong.pop(key, None)) is not None and found[1] > 1 and not surely:
                self._wrong[key] = row, found[1] - 1

    def to_look_at(self, start: int, tokens: int) -> list[Row]:
        """Rows of known exchanges, `tokens` long together at most: by turns what is at risk, and what comes up next.

        Each look begins with what the one before had no room for.
        """
        place = (start + self._looked_at) % max(1, len(self.known))
        coming = (lesson for lesson in (*self.known[place:], *self.known[:place]))
        mixed = chain.from_iterable(zip_longest(self._risks, coming))
        rows: list[Row] = []
        exchanges = dict.fromkeys(lesson for lesson in mixed if lesson is not None and lesson.kind == "exchange")
        for number, lesson in enumerate(exchanges):
            found = self.rows_of(lesson)
            tokens -= sum(len(row.tokens) for row in found)
            if tokens < 0:
                self._looked_at += number
                break
            rows += found
        return rows

    def _repaired(self, number: int) -> Iterable[tuple[Key, Row]]:
        """What was found wrong, another one first in each step."""
        wrong = list(self._wrong.items())
        place = number % max(1, len(wrong))
        return ((key, row) for key, (row, _) in (*wrong[place:], *wrong[:place]))

    def _next(self, start: int, count: int, without: set[str]) -> list[Lesson]:
        ahead = [lesson for lesson in self._ahead if lesson.identity not in without][:count]
        self._ahead = self._ahead[count:]
        without = without | {lesson.identity for lesson in ahead}
        turns = (self.known[(start + turn) % len(self.known)] for turn in range(len(self.known)))
        return [*ahead, *islice((each for each in turns if each.identity not in without), count - len(ahead))]

    def _row(self, lesson: Lesson, number: int, longest: int) -> Row:
        choice = random.Random(f"rehearse {self.seed} {number} {lesson.identity}")
        rows = self.rows_of(lesson)
        row = rows[choice.randrange(len(rows))]
        if row.kind == "prose" and len(row.tokens) > longest:
            return row.crop(longest, choice.randint(0, len(row.tokens) - longest))
        return row
