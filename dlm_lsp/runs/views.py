"""What the store and the document say, put into the status record."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.runs.delta import known_to
from dlm_lsp.runs.retelling import Retelling
from dlm_lsp.runs.sections import section_statuses
from dlm_lsp.runs.status import DocumentStatus, SectionStatus
from dlm_lsp.store import Ledger, Store, StoreError
from dlm_lsp.training.protocol import RunKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreView:
    """What a store held at one look: its ledger, and the facts of the current version.

    `lost` is the version that it held at an earlier look, if it holds none now.
    """

    root: Path | None = None
    ledger: Ledger = field(default_factory=Ledger)
    version: int | None = None
    at: str | None = None
    steps: int | None = None
    loss: float | None = None
    lost: int | None = None


def look(store: Store | None) -> StoreView:
    """Reads the store without changing it, as far as it can be read; the next run tells why it can't."""
    if store is None:
        return StoreView()
    view = StoreView(root=store.root)
    try:
        current = store.current()
        view = replace(view, version=current.number if current else None)
        view = replace(view, ledger=known_to(store))
        manifest = store.manifest()
        last = manifest.run_of(current.number) if manifest and current else None
        if last is not None:
            at = last.ended_at.isoformat() + "Z" if last.ended_at else None
            view = replace(view, at=at, steps=last.steps, loss=last.final_train_loss)
    except StoreError as error:
        log.warning("%s cannot be read: %s", store.root, error)
    return view


@dataclass(frozen=True, slots=True)
class RunOf:
    """The document of a run that waits or goes on."""

    kind: RunKind
    document: Document


def with_facts(
    status: DocumentStatus,
    document: Document | None,
    store: StoreView,
    sourced: frozenset[str] | None = None,
    *,
    queued: RunOf | None = None,
    learning: RunOf | None = None,
    told: Retelling | None = None,
) -> DocumentStatus:
    """The record with everything that follows from the newest text, the store and the runs.

    `sourced` are the lessons of the document's sourced files, None while they have not been read. `told` remembers
    the sections from one call to the next, so that an edit costs what it touched.
    """
    waiting, going_on = _wanted(queued, store.ledger), _wanted(learning, store.ledger)

    def tell(part: Document) -> tuple[SectionStatus, ...]:
        return section_statuses(part, store.ledger, queued=waiting, learning=going_on)

    facts = (store, waiting, going_on)
    frontmatter = document.frontmatter if document else None
    return replace(
        status,
        base=frontmatter.base_model if frontmatter else status.base,
        store=store.root,
        version=store.version,
        version_at=store.at,
        version_steps=store.steps,
        version_loss=store.loss,
        removed=_removed(document, store.ledger, sourced),
        sections=(told or Retelling()).statuses(document, facts, tell) if document else (),
    )


def _removed(document: Document | None, ledger: Ledger, sourced: frozenset[str] | None) -> int:
    """How many lessons the adapter knows that left the document; 0 where that cannot be told (yet)."""
    if document is None or document.frontmatter is None:
        return 0
    if document.frontmatter.training.sources and sourced is None:
        return 0
    if not ledger.lessons:
        return 0
    present = {lesson.identity for section in document.sections for lesson in section.lessons}
    return len(ledger.lessons.keys() - present - (sourced or frozenset()))


def _wanted(run: RunOf | None, ledger: Ledger) -> set[str]:
    """The lessons that a run is for."""
    if run is None:
        return set()
    lessons = [lesson.identity for section in run.document.sections for lesson in section.lessons]
    if run.kind == "full":
        return set(lessons)
    return {each for each in lessons if each not in ledger.lessons or not ledger.lessons[each].learned}
