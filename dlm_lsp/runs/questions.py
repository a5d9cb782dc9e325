"""A question to what a document has taught: whom it is put to, what is asked, and the answer as it comes.

`asking` has the queue of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from dlm_lsp.document import Document, Frontmatter
from dlm_lsp.store import Store, version_name
from dlm_lsp.training.protocol import Spoken, Turn

NOT_TRUSTED = (
    "this workspace is not trusted, so no model is loaded and nothing can be asked; trust it in the editor first"
)

Speaker = int | Literal["live"] | None
AskCode = Literal["not-trusted", "unknown-document", "bad-id", "no-such-version", "other-base", "ending"]


class AskRefused(Exception):  # noqa: N818 - a refusal, with the sentence to show
    """Nothing can be asked here; the message is one clear sentence."""

    def __init__(self, message: str, code: AskCode) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a question is put to: a document as its newest text has it (`frontmatter` is its own), and its store."""

    path: Path
    document: Document
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


def subject_of(path: Path, document: Document | None, store: Store | None) -> Subject | AskRefused:
    """What can be asked about the document at `path`, or why nothing can."""
    if document is None:
        return AskRefused(f"the document {path.name} is not open: open it first", "unknown-document")
    if document.frontmatter is None or store is None:
        return AskRefused(
            f"the frontmatter of {path.name} has errors, so it is not known whom to ask; its problems name them",
            "bad-id",
        )
    return Subject(path, document, document.frontmatter, store)


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


class Waiting:
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
