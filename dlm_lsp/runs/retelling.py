"""The statuses of a document's sections after an edit: those that it left alone are taken over, or only moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from dlm_lsp.document import Document, Section
from dlm_lsp.runs.status import SectionStatus

Tell = Callable[[Document], tuple[SectionStatus, ...]]


class Retelling:
    """Remembers the sections that were told of last, and by which facts. The outcome never depends on it."""

    def __init__(self) -> None:
        self._facts: tuple[Any, ...] = ()
        self._sections: tuple[Section, ...] = ()
        self._told: tuple[SectionStatus, ...] = ()

    def statuses(self, document: Document, facts: tuple[Any, ...], tell: Tell) -> tuple[SectionStatus, ...]:
        """What `tell` says of `document`, one status a section.

        It is asked for the sections that are new only, as long as `facts` (all else that it goes by) are the same.
        """
        known = len(self._facts) == len(facts) and all(_same(*pair) for pair in zip(facts, self._facts, strict=True))
        told = self._again(document, tell) if known else tell(document)
        self._facts, self._sections, self._told = facts, document.sections, told
        return told

    def _again(self, document: Document, tell: Tell) -> tuple[SectionStatus, ...]:
        before, now, told = self._sections, document.sections, self._told
        if before is now:
            return told
        short = min(len(before), len(now))
        pairs = zip(before, now, strict=False)
        first = next((number for number, (one, other) in enumerate(pairs) if one is not other), short)
        # A section that only moved has the very same id object as before.
        backwards = enumerate(zip(reversed(before), reversed(now), strict=False))
        rest = next((number for number, (one, other) in backwards if one.section_id is not other.section_id), short)
        rest = min(rest, short - first)
        middle = now[first : len(now) - rest]
        new = tell(replace(document, sections=middle)) if middle else ()
        ends = zip(told[len(told) - rest :], before[len(before) - rest :], now[len(now) - rest :], strict=True)
        after = [status if one is other else _moved(status, other) for status, one, other in ends]
        sure = [status for status in after if status is not None]
        return (*told[:first], *new, *sure) if len(sure) == rest else tell(document)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, set | frozenset) and one == other)


def _moved(status: SectionStatus, section: Section) -> SectionStatus | None:
    """The status of a section that moved; None for one that names places within it, which is told anew."""
    said = status.__dict__
    if any(said[name] for name in _PLACES):
        return None
    moved = object.__new__(SectionStatus)  # thousands of them for one new line; `replace` takes many times as long
    moved.__dict__.update(said, range=section.range)
    return moved


# Whatever a status lists may have places of its own.
_PLACES = tuple(each.name for each in fields(SectionStatus) if str(each.type).startswith("tuple"))
