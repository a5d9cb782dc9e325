"""Questions to what a document has taught: asked on the event-loop thread, answered on the worker's, in their order.

Between two runs the worker answers them as jobs of its own; while one goes on, the learner takes them at its step
boundaries (`RunControl.question`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dlm_lsp.runs.questions import Answer, AskRefused, Speaker, Subject, Waiting, Wish
from dlm_lsp.runs.run import session_request
from dlm_lsp.runs.telling import count
from dlm_lsp.runs.worker import on_loop
from dlm_lsp.store import StoreError, Version, version_name
from dlm_lsp.training.protocol import (
    GenerateRequest,
    Learner,
    LearnerError,
    LearningCancelled,
    PhaseName,
    Question,
    Spoken,
    Unwatched,
    unforeseen,
)

log = logging.getLogger(__name__)

ENDING = "the server is ending, so the question is not answered"
_NAMED = 10  # so many versions are named to who asks for one that is not there


class Asking:
    """The queue of all questions. `submit` hands the worker a job, `learner` is called there.

    `used` hears on the loop which session (path, key) was asked between two runs, and whether it has answered.
    """

    def __init__(
        self,
        learner: Callable[[], Learner],
        submit: Callable[[Callable[[], None]], None],
        used: Callable[[Path, str, bool], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._learner = learner
        self._submit = submit
        self._used = used
        self._guard = threading.Lock()  # of `_queue` and `_speaking`
        self._queue: list[Waiting] = []
        self._speaking: Waiting | None = None
        self._numbers = itertools.count(1)
        self._closed = False

    # -- on the event-loop thread

    def ask(self, subject: Subject | AskRefused, wish: Wish) -> Answer:
        """Puts a question at the end of the queue; a refusal is raised by the answer."""
        answer = Answer(wish, self._what_before, self._call_off)
        if self._closed:
            subject = AskRefused(ENDING, "ending")
        if isinstance(subject, AskRefused):
            answer._end(None, subject)
            return answer
        with self._guard:
            self._queue.append(Waiting(next(self._numbers), subject, answer, self._on_loop))
        self._submit(self._answer_one)
        return answer

    def refuse_all(self, refusal: AskRefused) -> None:
        """Ends everything that waits or speaks."""
        with self._guard:
            waiting = [*self._queue, *([self._speaking] if self._speaking else [])]
            self._queue.clear()
        for each in waiting:
            each.stop.set()
            each.answer._end(None, refusal)

    def close(self) -> None:
        """Ends everything, and takes no more questions."""
        self._closed = True
        self.refuse_all(AskRefused(ENDING, "ending"))

    def before(self, answer: Answer) -> int:
        """How many other questions are answered first."""
        with self._guard:
            queue = [each.answer for each in self._queue]
            return queue.index(answer) + (self._speaking is not None) if answer in queue else 0

    def _what_before(self, answer: Answer) -> str:
        others = self.before(answer)
        return count(others, "other question") if others else "the worker"

    def _call_off(self, answer: Answer) -> None:
        with self._guard:
            self._queue = [each for each in self._queue if each.answer is not answer]
            if self._speaking is not None and self._speaking.answer is answer:
                self._speaking.stop.set()

    # -- on the worker's thread

    def during_run(self, key: str) -> Question | None:
        """The next question for a step boundary of a run that trains session `key`."""
        with self._guard:
            waiting = next((each for each in self._queue if not each.after_run), None)
            if waiting is None:
                return None
            self._take(waiting)
        live = waiting.wish.version == "live" and waiting.subject.store.dlm_id == key
        request = self._request(waiting, live=live)
        return _InRun(self, waiting, request) if request is not None else self.during_run(key)

    def _answer_one(self) -> None:
        """A job between two runs: the question that waits longest."""
        with self._guard:
            waiting = self._queue[0] if self._queue else None
            if waiting is None:
                return
            self._take(waiting)
        try:
            request = self._request(waiting, live=False)
            if request is not None:
                self._speak(waiting, request)
        finally:
            self._done(waiting)

    def _speak(self, waiting: Waiting, request: GenerateRequest) -> None:
        warm = False
        try:
            pieces = self._learner().generate(request, _Listening(waiting))
            while True:
                waiting.piece(next(pieces))
        except StopIteration as stop:
            warm = True
            waiting.end(stop.value)
        except LearningCancelled:
            waiting.end(AskRefused(ENDING, "ending"))
        except (LearnerError, StoreError) as error:
            waiting.end(error)
        except BaseException as error:
            waiting.end(_unforeseen(waiting, error))
        finally:
            self._on_loop(lambda: self._used(waiting.subject.path, request.session.key, warm))

    def _request(self, waiting: Waiting, *, live: bool) -> GenerateRequest | None:
        """What the learner is asked; None if that is refused, which is told then."""
        subject, wish = waiting.subject, waiting.wish
        try:
            version = _version(subject, waiting.version)
            session = session_request(subject.frontmatter, subject.path, subject.store)
        except Exception as error:
            # Whatever it is: a run that goes on must not fail of a question.
            refused = isinstance(error, AskRefused | StoreError)
            waiting.end(error if refused else _unforeseen(waiting, error))
            self._done(waiting)
            return None
        waiting.begin(version.number if version else None, live)
        return GenerateRequest(
            session=replace(
                session,
                version_dir=str(version.path) if version else None,
                system_prompt=session.system_prompt if wish.system is None else wish.system,
            ),
            prompt=wish.prompt,
            max_new_tokens=wish.max_new_tokens,
            temperature=wish.temperature,
            top_p=wish.top_p,
            seed=wish.seed,
            earlier=wish.earlier,
            live=live,
        )

    def _take(self, waiting: Waiting) -> None:
        self._queue.remove(waiting)
        waiting.after_run = False
        self._speaking = waiting

    def _done(self, waiting: Waiting) -> None:
        with self._guard:
            if self._speaking is waiting:
                self._speaking = None

    def _put_back(self, waiting: Waiting) -> None:
        with self._guard:
            waiting.after_run = True
            self._speaking = None
            if not waiting.stop.is_set():
                self._queue.append(waiting)
                self._queue.sort(key=lambda each: each.number)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        on_loop(self.loop, callback)


class _InRun:
    """A question at a run's step boundary (see `Question`)."""

    def __init__(self, asking: Asking, waiting: Waiting, request: GenerateRequest) -> None:
        self.request = request
        self._asking = asking
        self._waiting = waiting

    def stop_requested(self) -> bool:
        return self._waiting.stop.is_set()

    def piece(self, text: str) -> None:
        self._waiting.piece(text)

    def end(self, outcome: Spoken | LearnerError) -> None:
        self._waiting.end(outcome)
        self._asking._done(self._waiting)

    def later(self) -> None:
        self._asking._put_back(self._waiting)


class _Listening(Unwatched):
    """The learner's control while it answers between two runs."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting.stop)
        self._waiting = waiting

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        done = f" {fraction:.0%}" if fraction is not None else ""
        said = {
            "import": "the first import of torch",
            "load": f"loading {detail}",
            "download": f"download of {detail}{done}",
        }
        self._waiting.detail(said.get(name, ""))


def _version(subject: Subject, speaker: Speaker) -> Version | None:
    """The version that is to speak, None for the bare base. Raises AskRefused and StoreError."""
    store = subject.store
    if speaker == 0:
        return None
    if not isinstance(speaker, int):
        version = store.current()
    else:
        found = {version.number: version for version in store.versions()}
        if speaker not in found:
            kept = ", ".join(version_name(number) for number in sorted(found)[-_NAMED:])
            there = f"there are: {kept}" if kept else "nothing is learned yet"
            raise AskRefused(f"there is no version {version_name(speaker)}; {there}", "no-such-version")
        version = found[speaker]
    record = store.record(version.number) if version is not None else None
    base = subject.frontmatter.base_model
    if version is not None and record is not None and record.run.base_model != base:
        raise AskRefused(
            f"the version {version_name(version.number)} was learned on the base {record.run.base_model}, and the "
            f"document names {base} now: bring the former back to ask it, or run Full Retrain",
            "other-base",
        )
    return version


def _unforeseen(waiting: Waiting, error: BaseException) -> LearnerError:
    log.error("a question about %s failed", waiting.subject.path, exc_info=error)
    return unforeseen(error)
