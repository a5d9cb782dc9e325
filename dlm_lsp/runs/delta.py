"""What a snapshot holds that the adapter has not learned: the decision whether a save needs a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dlm_lsp.document import Lesson
from dlm_lsp.runs.effective import base_request
from dlm_lsp.runs.fingerprints import changed_shape_keys
from dlm_lsp.runs.snapshot import Snapshot
from dlm_lsp.runs.telling import CONFIG_WAITS, count, still_known
from dlm_lsp.store import Ledger, Store
from dlm_lsp.training.bases import known_revision

BASE = "base_model"
NO_NEW_CONTENT = "no new content, skipping"
NOT_THERE = "nothing was trained: the sections asked for are not in the saved text"


@dataclass(frozen=True, slots=True)
class Delta:
    """`fresh` is to be learned, `known` was learned before, `removed` counts lessons that left the document.

    `partly` counts those of `known` that a cap or an early end left before they were learned.

    `base_replaced`: the document names the same base, and that is another one now, such as new files in its directory.
    """

    fresh: tuple[Lesson, ...]
    known: tuple[Lesson, ...]
    removed: int
    partly: int = 0
    shape_changed: tuple[str, ...] = ()
    base_replaced: bool = False
    config_changed: bool = False
    named_only: bool = False

    def skip_reason(self) -> str | None:
        """Why a save with this delta needs no run, as a sentence; None when it needs one.

        An adapter of another shape can't be continued: that is no reason to say nothing.
        """
        if self.fresh or self.shape_changed:
            return None
        if self.named_only:
            return NOT_THERE
        if not self.known:
            return "nothing to train: the document has no prose and no exchanges"
        told = [NO_NEW_CONTENT]
        if self.partly:
            told.append(f"{count(self.partly, 'lesson')} only partly learned: Train Now goes on")
        if self.config_changed:
            told.append(CONFIG_WAITS)
        if self.removed:
            told.append(still_known(self.removed))
        return "; ".join(told)

    def shape_message(self, base: str, version: str) -> str:
        """Why `version` cannot be continued, and what to do; `base` as the document names it."""
        if self.base_replaced:
            return (
                f"The base {base} is another one than {version} was learned on: its files have changed. "
                "Run Full Retrain to begin a new adapter on it, or bring the former files back."
            )
        keys = " and ".join(f"`{key}`" for key in self.shape_changed)
        return (
            f"{keys} changed, so version {version} cannot be continued. "
            "Run Full Retrain to begin a new adapter, or revert the change."
        )


def known_to(store: Store) -> Ledger:
    """What the store's current version knows; nothing without a version, or when another tool made it."""
    return store.ledger() or Ledger()


def resolved_revision(snapshot: Snapshot, ledger: Ledger) -> str | None:
    """What the snapshot's base is now, as `compare` wants it; None where nothing was learned on a known one."""
    if ledger.base_revision is None:
        return None
    return known_revision(base_request(snapshot.frontmatter, snapshot.path, ledger.base_revision))


def compare(
    snapshot: Snapshot,
    ledger: Ledger,
    *,
    unfinished: bool = False,
    named: Collection[str] = (),
    named_only: bool = False,
    revision: str | None = None,
) -> Delta:
    """Splits the snapshot's lessons by what the ledger says of them.

    A lesson is fresh when some of its tokens were in no committed step. With `unfinished` (the author asked to
    train now), or beside any fresh lesson, those count too that a cap ended before they were learned. So do those
    of the sections `named` by id, learned before or not; with `named_only` those and no others, and what was never
    trained is then not rehearsed either.

    `revision` is what the document's base resolves to now, None when that isn't known: on another one than the version
    was learned on the adapter means nothing, so it belongs to the shape.
    """
    entries = ledger.lessons
    lessons = snapshot.lessons
    asked = {each for section in snapshot.sections if section.section_id in named for each in section.identities}
    unseen, capped, met = [], [], list[Lesson]()
    for lesson in lessons:
        entry = entries.get(lesson.identity)
        if entry is not None:
            met.append(lesson)
        if entry is None or not entry.complete:
            unseen.append(lesson)
        elif not entry.learned:
            capped.append(lesson)
    new = (*unseen, *capped) if not named_only and (unseen or unfinished or asked) else ()
    named_lessons = [lesson for lesson in lessons if lesson.identity in asked] if asked else []
    fresh = tuple({lesson.identity: lesson for lesson in (*new, *named_lessons)}.values())
    chosen = {lesson.identity for lesson in fresh}
    shape = changed_shape_keys(ledger.shape, snapshot.fingerprints.shape) if ledger.shape else ()
    learned_on = ledger.base_revision if ledger.shape and BASE not in shape else None
    replaced = None not in (revision, learned_on) and revision != learned_on
    return Delta(
        fresh=fresh,
        known=tuple([lesson for lesson in met if lesson.identity not in chosen]),
        partly=sum(1 for lesson in capped if lesson.identity not in chosen),
        removed=len(entries) - len(met),
        shape_changed=(BASE, *shape) if replaced else shape,
        base_replaced=replaced,
        config_changed=bool(ledger.config) and ledger.config != snapshot.fingerprints.config,
        named_only=named_only,
    )
