"""What stands around a document on this machine: its media, its sources, its base. Looked at in the background.

What was found is kept by what was asked (a path, a directive, a base), so that it stays true while text around it is
written; a document that asks for something new is looked at again. Nothing is looked at in an untrusted workspace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from dlm_lsp.document import Document, Frontmatter, Position, Problem, Range, Severity
from dlm_lsp.document.schema import SourceDirective
from dlm_lsp.runs import sources
from dlm_lsp.runs.base_check import BaseUse, base_use, check_base, media_refusal
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.latest import Latest
from dlm_lsp.runs.worker import Worker
from dlm_lsp.training.memory import free_memory

log = logging.getLogger(__name__)

MEDIA_MISSING = "media-missing"
MEDIA_NOT_TAKEN = "media-not-taken"
MOST = 500  # media and directives of one document: each one asks the file system
# The author may have brought a missing file meanwhile: who asks after so many seconds has it looked for again.
_STALE = 2.0

Found = tuple[str, Severity, str]
"""Code, severity and sentence of a problem whose place is known to who asks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a document names beside itself."""

    base: BaseUse
    policy: str
    media: tuple[tuple[str, str], ...] = ()  # kind and path, each once
    sources: tuple[SourceDirective, ...] = ()


@dataclass(slots=True)
class Looked:
    """What was found for `asked`."""

    asked: Asked
    media: dict[tuple[str, str], tuple[Found, ...]] = field(default_factory=dict)
    sources: dict[SourceDirective, tuple[Found, ...]] = field(default_factory=dict)
    base: tuple[Found, ...] = ()
    at: float = 0.0  # monotonic


@dataclass(slots=True)
class _Looking:
    """A look that goes on: what the document asks for by now, and whether another one is due."""

    newest: Asked
    again: bool = False


class Surroundings:
    """The findings of every open document. `changed` is called with the path whose findings are others now."""

    def __init__(self, worker: Worker, clock: Clock, changed: Callable[[Path], None]) -> None:
        self.trusted = False
        self._worker = worker
        self._clock = clock
        self._changed = changed
        self._looked: dict[Path, Looked] = {}
        self._looking: dict[Path, _Looking] = {}
        self._asked = Latest(asked_by)

    def problems(self, path: Path, document: Document) -> list[Problem]:
        """What is known by now; what is not is looked for, and told through `changed`."""
        asked = self._asked.of(document) if self.trusted else None
        if asked is None:
            return []
        looked = self._looked.get(path)
        if looked is None or looked.asked != asked:
            self._look(path, asked, anew=False)
        return list(placed(document, asked, looked)) if looked is not None else []

    def glance(self, path: Path) -> None:
        """Somebody asks about the document: what was found a while ago is looked at again."""
        looked = self._looked.get(path)
        if looked is not None and self._clock.monotonic() - looked.at > _STALE:
            self._look(path, looked.asked)

    def again(self, path: Path) -> None:
        """The document was saved, or files changed."""
        if (looking := self._looking.get(path)) is not None:
            looking.again = True
        elif (looked := self._looked.get(path)) is not None:
            self._look(path, looked.asked)

    def forget(self, path: Path | None = None) -> None:
        """The document was closed; without `path` all of them, as the workspace is not trusted any more."""
        for each in [path] if path is not None else [*self._looked, *self._looking]:
            self._looked.pop(each, None)
            self._looking.pop(each, None)

    def _look(self, path: Path, asked: Asked, *, anew: bool = True) -> None:
        """One at a time. What comes meanwhile has another follow; not `anew`: only if it asks for something else."""
        if not self.trusted:
            return
        waiting = self._looking.get(path)
        if waiting is not None:
            waiting.newest, waiting.again = asked, waiting.again or anew or waiting.newest != asked
            return
        look_at = self._looking[path] = _Looking(asked)
        outcome = self._worker.call(lambda: look(asked, path))
        outcome.add_done_callback(lambda done: self._found(path, look_at, done.exception() or done.result()))

    def _found(self, path: Path, looking: _Looking, found: Looked | BaseException) -> None:
        if self._looking.get(path) is not looking:
            return  # forgotten meanwhile
        del self._looking[path]
        if isinstance(found, BaseException):
            log.error("what is around %s could not be looked at: %s", path.name, found)
            return
        before, self._looked[path] = self._looked.get(path), replace(found, at=self._clock.monotonic())
        if before is None or found != replace(before, at=0.0):
            self._changed(path)
        if looking.again:
            self._look(path, looking.newest)


def asked_by(document: Document) -> Asked | None:
    """What `document` names beside itself; None while its frontmatter is broken."""
    frontmatter: Frontmatter | None = document.frontmatter
    if frontmatter is None:
        return None
    media = {(section.kind, section.media_path): None for section in document.sections if section.media_path}
    return Asked(
        base_use(document, frontmatter),
        frontmatter.training.sources_policy,
        tuple(islice(media, MOST)),
        (frontmatter.training.sources or ())[:MOST],
    )


def look(asked: Asked, path: Path) -> Looked:
    """Looks at all of it, on a thread that may wait for a disk. Nothing that is found is opened but a base's facts."""
    found = Looked(asked)
    refused = media_refusal(asked.base, path.parent) if asked.media else {}
    for kind, written in asked.media:
        told = [(MEDIA_NOT_TAKEN, Severity.INFORMATION, refused[kind])] if kind in refused else []
        if missing := _missing(path.parent, written):
            told.append((MEDIA_MISSING, Severity.WARNING, f"The {kind} {missing}"))
        found.media[kind, written] = tuple(told)
    for directive in asked.sources:
        problems = sources.look(directive, asked.policy, path)
        found.sources[directive] = tuple((each.code, each.severity, each.message) for each in problems)
    found.base = check_base(asked.base, path.parent, free_memory())
    return found


def placed(document: Document, asked: Asked, looked: Looked) -> Iterator[Problem]:
    """The findings at their places in the newest text; those of what it does not name any more are left out."""
    lines = document.text.split("\n") if any(looked.media.values()) else []
    for section in document.sections:
        if section.media_path is None:
            continue
        number = section.range.start.line
        for code, severity, message in looked.media.get((section.kind, section.media_path), ()):
            place = _fence(lines[number], number, section.media_path if code == MEDIA_MISSING else None)
            yield Problem(code, severity, message, place)
    for index, directive in enumerate(asked.sources):
        for code, severity, message in looked.sources.get(directive, ()):
            yield Problem(code, severity, message, sources.place_of(document, index))
    key = document.keys.get(("base_model",))
    if key is not None and asked.base.reference == looked.asked.base.reference:
        for code, severity, message in looked.base:
            yield Problem(code, severity, message, key.value)


def _missing(folder: Path, written: str) -> str | None:
    """What is wrong with a file that should be there, as a sentence without its subject."""
    try:
        target = folder / Path(written).expanduser()
        if target.is_file():
            return None
        if target.exists():
            return f"{written} is no file: write the path of one, relative to the document."
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, a home that cannot be found
        pass
    return f"{written} does not exist (relative paths begin at the document's directory): correct it, or put it there."


def _fence(line: str, number: int, path: str | None) -> Range:
    """The fence's line, or in it the path."""
    start = line.find(f'path="{path}"') + len('path="') if path is not None and f'path="{path}"' in line else 0
    end = start + len(path) if start and path is not None else len(line)
    return Range(Position(number, start), Position(number, end))
