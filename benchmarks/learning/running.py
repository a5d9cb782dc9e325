"""One history with one method, through the real path: parse, delta, plan, learner, commit to a store of its own."""

from __future__ import annotations

import random
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.learning.histories import History, Save
from benchmarks.learning.measuring import Look, drift, held_out, look
from benchmarks.learning.methods import Method
from dlm_lsp.document.model import Lesson
from dlm_lsp.runs import events
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.control import RunControl, RunRequest
from dlm_lsp.runs.run import execute, session_request
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.steering import Steering
from dlm_lsp.store import Store
from dlm_lsp.training.bases import resolve
from dlm_lsp.training.learner import InProcessLearner, Teach
from dlm_lsp.training.protocol import RunKind, Unwatched
from dlm_lsp.training.session import Session

SAMPLE = 64  # old exchanges looked at after a save in between; all of them after the last one


@dataclass(frozen=True, slots=True)
class Figures:
    """After one save. Shares are (right, asked); losses in nats per token; `steps` 0 where the save needed no run."""

    history: str
    seed: int
    method: str
    save: int
    exchanges: int
    steps: int
    seconds: float
    end: str
    recall: tuple[int, int]
    recall_loss: float | None
    recall_rank: float | None  # median rank of the first answer token
    correction: tuple[int, int]
    retention: tuple[int, int]
    retention_loss: float | None
    prose_loss: float | None
    drift: float
    removed_known: tuple[int, int] | None = None  # of what was removed or corrected away: still answered

    def json(self) -> dict[str, object]:
        return asdict(self)


class Desk:
    """A document's folder, its store, and a learner that teaches by one method."""

    def __init__(self, folder: Path, max_steps: int, teach: Teach | None = None) -> None:
        self.path = folder / "notes.dlm"
        self.home = folder / "home"
        self.learner = _Open(resolve, teach)
        self.max_steps = max_steps
        self._run = 0
        self._clock = SystemClock()

    def save(self, text: str, kind: RunKind = "cycle") -> events.Finished | None:
        """The end of the save's run; None if it needed none. Raises SystemExit if it failed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text, encoding="utf-8")
        document = read(text, self.path)
        if document.frontmatter is None:
            raise SystemExit(f"the text has no frontmatter: {document.problems}")
        store = Store(self.home, document.frontmatter.dlm_id)
        self._run += 1
        request = RunRequest(self._run, kind, self.path, document, store, self.max_steps, 2, margin=0.3)
        ends: list[events.Event] = []
        control = RunControl(request, Steering(document), ends.append, self._clock)
        execute(request, lambda: self.learner, control, self._clock)
        end = ends[-1]
        if isinstance(end, events.Failed):
            raise SystemExit(end.message)
        return end if isinstance(end, events.Finished) else None

    def wake(self, text: str) -> None:
        """Loads what the store holds."""
        document = read(text, self.path)
        assert document.frontmatter is not None
        store = Store(self.home, document.frontmatter.dlm_id)
        self.learner.warm(session_request(document.frontmatter, self.path, store), Unwatched())

    def session(self) -> Session:
        return self.learner.session()

    def close(self) -> None:
        self.learner.close()


def run(
    history: History, method: Method, folder: Path, max_steps: int, begun: Path | None, tell: Callable[[Figures], None]
) -> None:
    """Saves all of `history` and tells the figures after each save; `begun` is the home where the first is learned."""
    if begun is not None:
        shutil.copytree(begun, folder / "home")
    desk = Desk(folder, max_steps, method.teach())
    before = {lesson.prompt: lesson for lesson in _exchanges(history.saves[0].text)}
    gone: list[Lesson] = []
    last = len(history.saves) - 1
    for number, save in enumerate(history.saves[1:], 1):
        now = {lesson.prompt: lesson for lesson in _exchanges(save.text)}
        gone += [lesson for prompt, lesson in before.items() if now.get(prompt) != lesson]
        before = now
        if method.kind == "full" and not method.measured(number, last):
            continue  # does not depend on the versions before
        end = desk.save(save.text, method.kind)
        tell(_figures(history, method, number, save, now, gone, end, desk, all_of_it=number == last))
    desk.close()


def begin(history: History, folder: Path) -> Path:
    """Learns a history's first text with a full retrain; the home of its store."""
    desk = Desk(folder, 100)
    desk.save(history.saves[0].text, "full")
    desk.close()
    return desk.home


def _figures(
    history: History,
    method: Method,
    number: int,
    save: Save,
    now: dict[str, Lesson],
    gone: Sequence[Lesson],
    end: events.Finished | None,
    desk: Desk,
    *,
    all_of_it: bool,
) -> Figures:
    if end is None and desk.learner.asleep:  # nothing to learn yet: what is known stands in the store
        desk.wake(save.text)
    session = desk.session()
    new = [now[fact.question] for fact in save.added]
    corrected = [now[fact.question] for fact, _ in save.corrected]
    touched = {lesson.identity for lesson in (*new, *corrected)}
    old = [lesson for lesson in now.values() if lesson.identity not in touched]
    if not all_of_it and len(old) > SAMPLE:
        old = random.Random(f"sample {history.seed} {number}").sample(old, SAMPLE)
    seen = look(session, [*new, *corrected, *old])
    still = look(session, gone) if all_of_it or method.kind == "full" else None
    return Figures(
        history=history.name,
        seed=history.seed,
        method=method.name,
        save=number,
        exchanges=len(now),
        steps=end.learned.steps if end else 0,
        seconds=end.seconds if end else 0.0,
        end=end.learned.end if end else "skipped",
        recall=_share(seen, new),
        recall_loss=_mean([seen[each.identity].loss for each in new]),
        recall_rank=statistics.median([seen[each.identity].rank for each in new]) if new else None,
        correction=_share(seen, corrected),
        retention=_share(seen, old),
        retention_loss=_mean([seen[each.identity].loss for each in old]),
        prose_loss=held_out(session, _prose(save.text)),
        drift=drift(session),
        removed_known=_share(still, gone) if still is not None else None,
    )


class _Open(InProcessLearner):
    """A learner whose one session can be looked at."""

    @property
    def asleep(self) -> bool:
        return not self._residents

    def session(self) -> Session:
        (resident,) = self._residents.values()
        return resident.session


def _share(seen: dict[str, Look], lessons: Sequence[Lesson]) -> tuple[int, int]:
    return sum(seen[each.identity].exact for each in lessons), len(lessons)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _lessons(text: str) -> list[Lesson]:
    return [lesson for section in read(text).sections for lesson in section.lessons]


def _exchanges(text: str) -> list[Lesson]:
    return [lesson for lesson in _lessons(text) if lesson.kind == "exchange"]


def _prose(text: str) -> list[Lesson]:
    return [lesson for lesson in _lessons(text) if lesson.kind == "prose"]
