"""Before and after: what the adapter answered to a version's new questions without it, and with it.

Nothing of this is stored: versions lie on disk, so any two can be asked at any time. It is asked when somebody looks,
never because of a save; what was answered is kept in memory. Lives on the event-loop thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.document import Document, Lesson, Position, Range, Section
from dlm_lsp.runs import events
from dlm_lsp.runs.questions import AskRefused, Subject
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Known, Store, StoreError, version_name
from dlm_lsp.training.protocol import LearnerError

log = logging.getLogger(__name__)

MOST_QUESTIONS = 12  # of one version
MOST_TOKENS = 64  # of one answer
BASE = 0  # the bare base, in the place of a version
_KEPT = 1024  # answers, and glances


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, or its first `MOST_TOKENS` tokens if it is `cut`."""

    text: str
    cut: bool = False

    @property
    def shown(self) -> str:
        return f"{self.text} …" if self.cut else self.text


@dataclass(frozen=True, slots=True)
class Compared:
    """One question, the answer that the document teaches, and those given; None by a version that is gone.

    `now` is the current version's answer, None when that is `after`. `range` is the exchange's.
    """

    question: str
    expected: str
    section_id: str
    range: Range
    learned: bool
    before: Said | None
    after: Said | None
    now: Said | None = None

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def exact(self) -> bool:
        """Whether the answer after is the taught one, word for word."""
        return self.after is not None and matches(self.after, self.expected)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The questions that `version` was the first to learn and the document still holds, in its order.

    `before`: the version that it replaced, `BASE` for the bare base. `left_out` counts questions beyond the bound.
    """

    version: int
    before: int
    current: int
    answers: tuple[Compared, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Exchange:
    lesson: Lesson
    section_id: str
    range: Range


_Key = tuple[Path, int, float, str, str | None, str]
_Glance = tuple[Path, str, Known, int | None, str | None]


def _key(subject: Subject, speaker: int, since: float, question: str) -> _Key:
    """All that an answer depends on. `since`: when that version was made, as a lost store begins to count anew."""
    frontmatter = subject.frontmatter
    return subject.store.root, speaker, since, frontmatter.base_model, frontmatter.system_prompt, question


def matches(said: Said, expected: str) -> bool:
    """Whether an answer is the taught one, as far as it goes."""
    text, whole = said.text.strip(), expected.strip()
    return whole.startswith(text) if said.cut and text else text == whole


def named(version: int) -> str:
    return version_name(version) if version != BASE else "the base model"


class Answers:
    """Asks for comparisons, and remembers what was answered."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._said: dict[_Key, Said] = {}
        self._glances: dict[_Glance, Comparison] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked: _Glance | None = None  # what that task asks for
        supervisor.subscribe(self._hear)

    async def of(self, path: Path, version: int | None = None) -> Comparison:
        """Before and after `version` (None: the current one). Loads the model if need be.

        Raises AskRefused, LearnerError or StoreError with one sentence: why not.
        """
        return await self._compare(self._subject(path), version)

    def glance(self, path: Path, place: Position) -> Comparison | None:
        """What is known of the exchange at `place`, at once: before and after the version that learned it.

        What is not known is asked for, so that the next glance finds it; but not while a run waits or goes on, and not
        if a model had to be loaded for it.
        """
        document, status = self._supervisor.document(path), self._supervisor.status(path)
        exchange = next(_at(document, place), None) if document is not None else None
        known = self._supervisor.known(path, exchange.lesson.identity) if exchange is not None else None
        if document is None or document.frontmatter is None or status is None or exchange is None or known is None:
            return None
        key = (path, exchange.lesson.identity, known, status.version, document.frontmatter.system_prompt)
        if key not in self._glances and key != self._asked and status.warm and self._may_ask():
            subject, version = self._subject(path), known.version
            self._begin(key, lambda: self._compare(subject, version, exchange))
        return self._glances.get(key)

    async def settled(self) -> None:
        """Returns when nothing is being asked for a glance."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _may_ask(self) -> bool:
        return self._supervisor.trusted and not self._supervisor.busy

    def _subject(self, path: Path) -> Subject:
        """Raises AskRefused."""
        subject = self._supervisor.subject(path)
        if isinstance(subject, AskRefused):
            raise subject
        return subject

    async def _compare(self, subject: Subject, version: int | None, only: _Exchange | None = None) -> Comparison:
        facts = await asyncio.to_thread(_facts, subject.store, version)
        new = [only] if only is not None else list(_new(subject.document, facts.lessons, facts.version))
        wanted = new[:MOST_QUESTIONS]
        said: dict[tuple[int, str], Said] = {}
        for speaker in dict.fromkeys((facts.before, facts.version, facts.current)):
            # All questions to one version, and then the next: its weights change places once.
            if speaker in facts.made:
                try:
                    for each in wanted:
                        question = each.lesson.prompt
                        said[speaker, question] = await self._answer(subject, speaker, facts.made[speaker], question)
                except AskRefused as refusal:
                    # It was pruned meanwhile, or learned on another base: what the others say can be told all the same.
                    if speaker == facts.version or refusal.code not in ("no-such-version", "other-base"):
                        raise
        compared = tuple(
            Compared(
                question=each.lesson.prompt,
                expected=each.lesson.answer,
                section_id=each.section_id,
                range=each.range,
                learned=(known := facts.lessons.get(each.lesson.identity)) is not None and known.learned,
                before=said.get((facts.before, each.lesson.prompt)),
                after=said.get((facts.version, each.lesson.prompt)),
                now=said.get((facts.current, each.lesson.prompt)) if facts.current != facts.version else None,
            )
            for each in wanted
        )
        return Comparison(facts.version, facts.before, facts.current, compared, len(new) - len(wanted))

    async def _answer(self, subject: Subject, speaker: int, since: float, question: str) -> Said:
        key = _key(subject, speaker, since, question)
        if (kept := self._said.get(key)) is not None:
            return kept
        answer = self._supervisor.ask(subject.path, question, version=speaker, max_new_tokens=MOST_TOKENS)
        try:
            text = await answer.text()
        finally:
            answer.cancel()  # if nobody waits for it any more
        spoken = answer.spoken
        said = Said(text, cut=spoken is not None and spoken.end != "end")
        _keep(self._said, key, said)
        return said

    # -- glances

    def _begin(self, key: _Glance, work: Callable[[], Coroutine[Any, Any, Comparison]]) -> None:
        """Asks for one glance; what was asked for another one is not looked at any more."""
        self._stop()

        async def ask() -> None:
            try:
                _keep(self._glances, key, await work())
            except (AskRefused, LearnerError, StoreError) as error:
                log.debug("before and after could not be asked: %s", error)

        self._asked = key
        self._task = asyncio.get_running_loop().create_task(ask())
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task is self._task:
            self._task = self._asked = None

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _hear(self, event: events.Event | None, status: DocumentStatus) -> None:
        """A run is asked for: it does not wait for what nobody has asked for in words."""
        if isinstance(event, events.Queued):
            self._stop()


@dataclass(frozen=True, slots=True)
class _Facts:
    """`made`: when each of the three versions was made, those that are on disk; `lessons`: what `version` knew."""

    version: int
    before: int
    current: int
    made: dict[int, float]
    lessons: dict[str, Known]


def _facts(store: Store, version: int | None) -> _Facts:
    """Read on another thread. Raises AskRefused and StoreError."""
    current = store.current()
    if current is None:
        raise AskRefused("nothing is learned yet, so there is no before and after", "no-such-version")
    number = version or current.number
    record = store.record(number)
    if record is None:
        raise AskRefused(
            f"version {version_name(number)} is gone, or another tool made it: there is no record of what it learned",
            "no-such-version",
        )
    there = [each.number for each in store.versions()]
    replaced = record.run.replaced
    if replaced is None:  # the first one, or a record of an earlier release
        replaced = max((each for each in there if each < number), default=BASE)
    made = {each: _made(store, each) for each in (replaced, number, current.number) if each in (*there, BASE)}
    return _Facts(number, replaced, current.number, made, dict(record.ledger.lessons))


def _made(store: Store, number: int) -> float:
    record = store.record(number) if number != BASE else None
    return record.run.ended_at if record is not None else 0.0


def _exchanges(sections: Iterable[Section]) -> Iterator[_Exchange]:
    for section in sections:
        for lesson, exchange in zip(section.lessons, section.exchanges, strict=False):
            yield _Exchange(lesson, section.section_id, exchange.range)


def _at(document: Document, place: Position) -> Iterator[_Exchange]:
    near = (each for each in document.sections if each.range.start.line <= place.line and place <= each.range.end)
    return (each for each in _exchanges(near) if each.range.start.line <= place.line and place < each.range.end)


def _new(document: Document, lessons: dict[str, Known], version: int) -> Iterator[_Exchange]:
    for each in _exchanges(document.sections):
        known = lessons.get(each.lesson.identity)
        if known is not None and known.version == version:
            yield each


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """The newest last; the oldest go when there are too many."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
