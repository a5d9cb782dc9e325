"""An immutable picture of a document at one save: a run is bound to the snapshot it began with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dlm_lsp.document import Document, Frontmatter, Lesson, Problem, Section, parse
from dlm_lsp.runs.fingerprints import Fingerprints, fingerprints
from dlm_lsp.runs.sources import expand
from dlm_lsp.runs.unsupported import with_base_refusal, with_unsupported


@dataclass(frozen=True)
class Snapshot:
    """`sections` are the document's own and those of its sourced files, in that order."""

    path: Path
    document: Document
    frontmatter: Frontmatter
    sections: tuple[Section, ...]
    fingerprints: Fingerprints
    source_problems: tuple[Problem, ...] = ()

    @cached_property
    def lessons(self) -> tuple[Lesson, ...]:
        """Every lesson once, in document order."""
        return tuple({lesson.identity: lesson for section in self.sections for lesson in section.lessons}.values())

    @property
    def sourced_lessons(self) -> frozenset[str]:
        """The identities of the lessons that come from sourced files."""
        return frozenset(
            identity for section in self.sections if section.origin is not None for identity in section.identities
        )


def read(text: str | bytes, path: Path | None = None, before: Document | None = None) -> Document:
    """The document that `text` says, with the settings that have no effect among its problems.

    A document at `path` also says when its base could not be trained: directories are looked for beside it.
    `before` is another state of it, which makes reading cheaper and changes nothing else.
    """
    document = with_unsupported(parse(text, before))
    return document if path is None else with_base_refusal(document, path)


def take(path: Path, document: Document) -> Snapshot:
    """The snapshot of a trainable document; reads its sourced files. Raises ValueError if it is not trainable."""
    if document.frontmatter is None or not document.trainable:
        raise ValueError("a document with errors has no snapshot")
    sourced = expand(document, path)
    identities = document.identities.union(*[section.identities for section in sourced.sections])
    return Snapshot(
        path=path,
        document=document,
        frontmatter=document.frontmatter,
        sections=(*document.sections, *sourced.sections),
        fingerprints=fingerprints(document.frontmatter, path, identities),
        source_problems=sourced.problems,
    )
