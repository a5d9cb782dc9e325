"""The statuses of sections after an edit or an event: those that it left alone are taken over, or only moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from dlm_lsp.document import Document, Section
from dlm_lsp.runs.status import Failure, SectionStatus
from dlm_lsp.store import Ledger

Tell = Callable[[Document], tuple[SectionStatus, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the state of a section follows from beside its text; `anchors` are those of the whole ledger.

    `queued` and `learning` hold the lessons of runs, `versions` those on disk.
    """

    ledger: Ledger = field(default_factory=Ledger)
    queued: frozenset[str] = frozenset()
    learning: frozenset[str] = frozenset()
    failure: Failure | None = None
    versions: frozenset[int] = frozenset()
    anchors: frozenset[str] = frozenset()


class Retelling:
    """Remembers the sections that were told of last, and by which facts. The outcome never depends on it."""

    def __init__(self) -> None:
        self._facts = Facts()
        self._sections: tuple[Section, ...] = ()
        self._told: tuple[SectionStatus, ...] = ()

    def statuses(self, document: Document, facts: Facts, tell: Tell) -> tuple[SectionStatus, ...]:
        """What `tell` says of `document` by `facts`, one status a section.

        It is asked only for the sections that are new, and for those of which the facts are others than before.
        """
        known = self._by(facts, document, tell)
        told = self._again(document, known, tell)
        self._facts, self._sections, self._told = facts, document.sections, told
        return told

    def _by(self, facts: Facts, document: Document, tell: Tell) -> tuple[SectionStatus, ...]:
        """The statuses of the sections before, by the new facts."""
        told, stale = self._told, set[int]()
        names, anchors = _changed(self._facts, facts) if told else (set[str](), frozenset[str]())
        sections = self._sections
        if names:
            stale.update([n for n, section in enumerate(sections) if not names.isdisjoint(section.identities)])
        if anchors:
            stale.update([n for n, each in enumerate(sections) for lesson in each.lessons if lesson.anchor in anchors])
        if self._facts.versions != facts.versions:
            stale.update([number for number, status in enumerate(told) if status.forgotten])
        if not stale:
            return told
        numbers = sorted(stale)
        part = replace(document, sections=tuple(self._sections[number] for number in numbers))
        now = list(told)
        for number, status in zip(numbers, tell(part), strict=True):
            now[number] = status
        return tuple(now)

    def _again(self, document: Document, told: tuple[SectionStatus, ...], tell: Tell) -> tuple[SectionStatus, ...]:
        """`told` of the sections before, for those of `document`."""
        before, now = self._sections, document.sections
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


def _changed(before: Facts, now: Facts) -> tuple[set[str], frozenset[str]]:
    """The identities of lessons, and the anchors, of which the facts are others than before, but for `versions`."""
    names = set(before.queued ^ now.queued) if before.queued is not now.queued else set()
    if before.learning is not now.learning:
        names |= before.learning ^ now.learning
    if before.failure is not now.failure and before.failure != now.failure:
        names.update(*(failure.lessons for failure in (before.failure, now.failure) if failure is not None))
    old, new = before.ledger.lessons, now.ledger.lessons
    if old is not new:
        names.update([each for each, known in new.items() if old.get(each) is not known and old.get(each) != known])
        names |= old.keys() - new.keys()
    return names, before.anchors ^ now.anchors if before.anchors is not now.anchors else frozenset()


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
