"""What the store and the document say, put into the status record."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.runs.delta import known_to
from dlm_lsp.runs.fingerprints import config_digest
from dlm_lsp.runs.latest import Latest
from dlm_lsp.runs.retelling import Facts, Retelling
from dlm_lsp.runs.sections import section_statuses
from dlm_lsp.runs.status import DocumentStatus, Failure, SectionStatus
from dlm_lsp.store import Ledger, Store, StoreError, readable
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
    failure: Failure | None = None
    anchors: frozenset[str] = frozenset()
    learned_from: str | None = None  # the path that the last run's document had
    versions: frozenset[int] = frozenset()  # on disk


def look(store: Store | None, before: StoreView | None = None) -> StoreView:
    """Reads the store without changing it, as far as it can be read; the next run tells why it can't.

    `before` is an earlier look, of which what is the same is taken over.
    """
    if store is None:
        return StoreView()
    view = StoreView(root=store.root)
    try:
        current = store.current()
        view = replace(view, version=current.number if current else None)
        ledger = known_to(store)
        if before is not None and before.ledger is ledger:
            anchors = before.anchors
        else:
            anchors = frozenset(each.anchor for each in ledger.lessons.values())
        view = replace(view, ledger=ledger, anchors=anchors)
        view = replace(view, versions=frozenset(each.number for each in store.versions()))
        if (failed := store.failed()) is not None:
            view = replace(view, failure=Failure(failed.lessons, failed_sentence(failed.at, failed.code), failed.at))
        manifest = store.manifest()
        view = replace(view, learned_from=manifest.source_path if manifest and current else None)
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
    named: frozenset[str] = frozenset()
    named_only: bool = False


class Lately:
    """What was computed of one document last, so that an edit or an event costs what it touched."""

    def __init__(self) -> None:
        self.told = Retelling()
        self.removed = Latest(_removed)
        self._wanted = Latest(_wanted, most=2)

    def wanted(self, run: RunOf | None, ledger: Ledger) -> frozenset[str]:
        """The lessons that a run is for; the same as `wanted` says."""
        if run is None:
            return frozenset()
        return self._wanted.of(run.kind, run.document, run.named, run.named_only, ledger)


def with_facts(
    status: DocumentStatus,
    document: Document | None,
    store: StoreView,
    sourced: frozenset[str] | None = None,
    *,
    queued: frozenset[str] = frozenset(),
    learning: frozenset[str] = frozenset(),
    failure: Failure | None = None,
    lately: Lately | None = None,
) -> DocumentStatus:
    """The record with everything that follows from the newest text, the store and the runs.

    `sourced` are the lessons of the document's sourced files, None while they have not been read; `queued` and
    `learning` those of a run that waits or goes on, as `wanted` tells them. `lately` remembers one call for the next.
    """

    def tell(part: Document) -> tuple[SectionStatus, ...]:
        return section_statuses(
            part,
            store.ledger,
            queued=queued,
            learning=learning,
            failure=failure,
            versions=store.versions,
            anchors=store.anchors,
        )

    lately = lately or Lately()
    facts = Facts(store.ledger, queued, learning, failure, store.versions, store.anchors)
    frontmatter = document.frontmatter if document else None
    return replace(
        status,
        base=frontmatter.base_model if frontmatter else status.base,
        store=store.root,
        version=store.version,
        version_at=store.at,
        version_steps=store.steps,
        version_loss=store.loss,
        config_changed=_config_changed(document, store.ledger),
        removed=lately.removed.of(document, store.ledger, sourced, status.removed),
        sections=lately.told.statuses(document, facts, tell) if document else (),
    )


def _config_changed(document: Document | None, ledger: Ledger) -> bool:
    if document is None or document.frontmatter is None or not ledger.config:
        return False
    return config_digest(document.frontmatter) != ledger.config


def _removed(document: Document | None, ledger: Ledger, sourced: frozenset[str] | None, before: int) -> int:
    """How many lessons the adapter knows that left the document; 0 where that cannot be told (yet).

    A section with an error has no lessons, and has not left the document for that: then it is as it was `before`.
    """
    if document is None or document.frontmatter is None:
        return 0
    if document.frontmatter.training.sources and sourced is None:
        return 0
    if not document.trainable:
        return min(before, len(ledger.lessons))
    if not ledger.lessons:
        return 0
    left = ledger.lessons.keys() - document.identities
    return len(left - sourced) if sourced else len(left)


def failed_sentence(at: float, why: str) -> str:
    """Which run failed, and why."""
    return f"The run of {readable(at)} failed: {why.strip().rstrip('.')}"


def wanted(run: RunOf | None, ledger: Ledger) -> frozenset[str]:
    """The lessons that a run is for."""
    return frozenset() if run is None else _wanted(run.kind, run.document, run.named, run.named_only, ledger)


def _wanted(
    kind: RunKind, document: Document, named: frozenset[str], named_only: bool, ledger: Ledger
) -> frozenset[str]:
    sections, known = document.sections, ledger.lessons
    if kind == "full":
        return document.identities
    asked = [identity for each in sections if each.section_id in named for identity in each.identities]
    if named_only:
        return frozenset(asked)
    lessons = chain.from_iterable([section.identities for section in sections])  # in the order of their memory
    return frozenset(asked).union([each for each in lessons if (entry := known.get(each)) is None or not entry.learned])
