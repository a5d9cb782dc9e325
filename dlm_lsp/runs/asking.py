"""Questions to what a document has taught: asked on the event-loop thread, answered on the worker's, in their order.

Between two runs the worker answers them as jobs of its own; while one goes on, the learner takes them at its step
boundaries (`RunControl.question`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from dlm_lsp.document import Frontmatter
from dlm_lsp.runs.records import Record, Records
from dlm_lsp.runs.run import session_request
from dlm_lsp.runs.telling import count
from dlm_lsp.runs.worker import on_loop
from dlm_lsp.store import Store, StoreError, Version, version_name
from dlm_lsp.training.protocol import (
    GenerateRequest,
    Learner,
    LearnerError,
    LearningCancelled,
    PhaseName,
    Question,
    Spoken,
    Turn,
    Unwatched,
)

log = logging.getLogger(__name__)

ENDING = "the server is ending, so the question is not answered"
NOT_TRUSTED = (
    "this workspace is not trusted, so no model is loaded and nothing can be asked; trust it in the editor first"
)

_NAMED = 10  # so many versions are named to who asks for one that is not there

Speaker = int | Literal["live"] | None
AskCode = Literal["not-trusted", "unknown-document", "bad-id", "no-such-version", "other-base", "ending"]


class AskRefused(Exception):  # noqa: N818 - a refusal, with the sentence to show
    """Nothing can be asked here; the message is one clear sentence."""

    def __init__(self, message: str, code: AskCode) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a question is put to: a document as its newest text has it, and its store."""

    path: Path
    frontmatter: Frontmatter
    store: Store


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked, and of whom.

    `version` None: the current one; 0: the bare base; "live": the weights of the run that goes on.
    `system` None: the document's own system prompt.
    """

    prompt: str
    version: Speaker = None
    earlier: tuple[Turn, ...] = ()
    system: str | None = None
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def subject(path: Path, record: Record | None, records: Records) -> Subject | AskRefused:
    """What can be asked about the document of `record`, or why nothing can."""
    if record is None or record.document is None:
        return AskRefused(f"the document {path.name} is not open: open it first", "unknown-document")
    frontmatter, store = record.document.frontmatter, records.store(record)
    if frontmatter is None or store is None:
        return AskRefused(
            f"the frontmatter of {path.name} has errors, so it is not known whom to ask; its problems name them",
            "bad-id",
        )
    return Subject(path, frontmatter, store)


def untrusted() -> AskRefused:
    return AskRefused(NOT_TRUSTED, "not-trusted")


class Answer:
    """An answer as it comes: an asynchronous iterator of pieces of text. Lives on the event-loop thread.

    `version` is the version that speaks (None: the bare base) and `live` whether it is the unfinished run that began
    from it; both are known once `started` returns, and before the first piece. `spoken` says how it ended.
    """

    def __init__(self, wish: Wish, waits_for: Callable[[Answer], str], cancel: Callable[[Answer], None]) -> None:
        self.wish = wish
        self.version: int | None = None
        self.live = False
        self.detail = ""  # what is loaded or downloaded before the first word
        self.spoken: Spoken | None = None
        self.cancelled = False
        self._waits_for = waits_for
        self._cancel = cancel
        self._error: Exception | None = None
        self._over = False
        self._speaks = False
        self._pieces: deque[str] = deque()
        self._news = asyncio.Event()

    @property
    def waits_for(self) -> str:
        """What it waits for, as a phrase; empty once it speaks or has ended."""
        return "" if self._speaks or self._over else self.detail or self._waits_for(self)

    @property
    def speaker(self) -> str:
        """Who speaks, such as "v0003", "the run after v0003" or "the base model"."""
        named = "the base model" if self.version is None else version_name(self.version)
        return f"the run after {named}" if self.live else named

    def cancel(self) -> None:
        """Nobody wants more of it: the iteration ends at once, without an error. May be repeated."""
        if not self._over:
            self.cancelled = True
            self._end(None, None)
            self._cancel(self)

    async def started(self) -> None:
        """Returns when it is known who speaks, or when it was cancelled. Raises as the iteration does."""
        while not self._speaks and not self._over:
            await self._next_news()
        if self._error is not None and not self._speaks:
            raise self._error

    async def text(self) -> str:
        """The whole of what is still to come."""
        return "".join([piece async for piece in self])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """Raises AskRefused, LearnerError or StoreError: why there is no (whole) answer."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            await self._next_news()
        return self._pieces.popleft()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    # -- told by the worker, on the loop

    def _begin(self, version: int | None, live: bool) -> None:
        self._speaks, self.version, self.live = True, version, live
        self._news.set()

    def _add(self, piece: str) -> None:
        if not self._over:
            self._pieces.append(piece)
            self._news.set()

    def _end(self, spoken: Spoken | None, error: Exception | None) -> None:
        if not self._over:
            self._over, self.spoken, self._error = True, spoken, error
            if self.cancelled:
                self._pieces.clear()
            self._news.set()


class _Waiting:
    """A question in the worker's hands. What is told twice (it is asked again after a run) is heard once."""

    def __init__(
        self, number: int, subject: Subject, answer: Answer, on_loop: Callable[[Callable[[], None]], None]
    ) -> None:
        self.number = number
        self.subject = subject
        self.answer = answer
        self.wish = answer.wish
        self.stop = threading.Event()
        self.after_run = False  # it can't be answered before the run that goes on has ended
        self._on_loop = on_loop
        self._speaker: tuple[int | None, bool] = (None, False)
        self._told = 0  # characters that the asker has
        self._spoken = 0  # characters of this attempt

    @property
    def version(self) -> Speaker:
        """Who is to speak; who has begun, goes on."""
        return self._speaker[0] if self._told else self.wish.version

    def begin(self, version: int | None, live: bool) -> None:
        """The asker hears of it with the first piece: till then another version may become the current one."""
        self._speaker, self._spoken = (version, live), 0

    def detail(self, text: str) -> None:
        self._on_loop(lambda: setattr(self.answer, "detail", text))

    def piece(self, text: str) -> None:
        if not self._told:
            self._announce()
        begin, self._spoken = self._spoken, self._spoken + len(text)
        if self._spoken > self._told:
            new = text[max(0, self._told - begin) :]
            self._told = self._spoken
            self._on_loop(lambda: self.answer._add(new))

    def end(self, outcome: Spoken | Exception) -> None:
        if isinstance(outcome, Spoken):
            self._announce()
            self._on_loop(lambda: self.answer._end(outcome, None))
        else:
            self._on_loop(lambda: self.answer._end(None, outcome))

    def _announce(self) -> None:
        version, live = self._speaker
        self._on_loop(lambda: self.answer._begin(version, live))


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
        self._queue: list[_Waiting] = []
        self._speaking: _Waiting | None = None
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
            self._queue.append(_Waiting(next(self._numbers), subject, answer, self._on_loop))
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

    def _speak(self, waiting: _Waiting, request: GenerateRequest) -> None:
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

    def _request(self, waiting: _Waiting, *, live: bool) -> GenerateRequest | None:
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

    def _take(self, waiting: _Waiting) -> None:
        self._queue.remove(waiting)
        waiting.after_run = False
        self._speaking = waiting

    def _done(self, waiting: _Waiting) -> None:
        with self._guard:
            if self._speaking is waiting:
                self._speaking = None

    def _put_back(self, waiting: _Waiting) -> None:
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

    def __init__(self, asking: Asking, waiting: _Waiting, request: GenerateRequest) -> None:
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

    def __init__(self, waiting: _Waiting) -> None:
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


def _unforeseen(waiting: _Waiting, error: BaseException) -> LearnerError:
    log.error("a question about %s failed", waiting.subject.path, exc_info=error)
    return LearnerError(f"{type(error).__name__}: {error}".splitlines()[0][:300], code="internal-error")
