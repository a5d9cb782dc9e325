"""Decides what a save, a command or a setting does; the newest saved text wins. Lives on the event-loop thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from dlm_lsp._teardown import Stage, Teardown
from dlm_lsp.document import Document
from dlm_lsp.runs.clock import Clock, SystemClock
from dlm_lsp.runs.memory import Memory, Recall
from dlm_lsp.runs.questions import Answer, AskRefused, Speaker, Subject, Wish, subject_of, untrusted
from dlm_lsp.runs.queue import RunQueue
from dlm_lsp.runs.reasons import NOT_TRUSTED, SaveReason, why_not
from dlm_lsp.runs.records import Listener, Record
from dlm_lsp.runs.reverting import revert
from dlm_lsp.runs.settings import OnSave, RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import count
from dlm_lsp.runs.truth import Truth
from dlm_lsp.runs.warmth import Learners
from dlm_lsp.store import Known, Store, StoreError, version_name
from dlm_lsp.training.protocol import RunKind, Turn


class Supervisor:
    """Decides when to train. `learner` is called on the worker thread, when first something must be trained."""

    def __init__(self, *, learner: Learners, settings: RunSettings, clock: Clock | None = None) -> None:
        self._queue = RunQueue(learner, settings, clock or SystemClock())
        self._records = self._queue.records
        self._warmth = self._queue.warmth
        self._memory = Memory()
        self.hooks = self._queue.hooking

    # -- life

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the worker thread; `loop` is the running loop, which owns this supervisor from now on."""
        self._queue.start(loop)

    def configure(self, settings: RunSettings) -> None:
        """New settings hold from the next save on; a changed home is another store for every document.

        Switching training off takes back what was said of earlier saves, and calls off what only they asked for.
        """
        before = self._queue.settings
        self._queue.configure(settings)
        self._records.move(settings.home)
        if settings.on_save == "off" and before.on_save != "off":
            for record in self._records:
                if record.pending is not None and not record.pending.unfinished:
                    self._queue.drop(record)
                last = record.status.last
                settled = last is not None and last.outcome in ("skipped", "failed")
                record.status = replace(record.status, last=None if settled else last)
                record.failed = None
                self._records.note(record, "")

    @property
    def trusted(self) -> bool:
        """Whether anything may be trained, loaded, written, or read beside the documents themselves."""
        return self._records.trusted

    def trust(self, trusted: bool) -> None:
        """The editor's user trusts the workspace, or not any more; what goes on is stopped then."""
        self._records.trusted = trusted
        self.hooks.allow(self._queue.settings.hooks)
        if not trusted:
            self._warmth.make_way()
            self.cancel()
            self._queue.asking.refuse_all(untrusted())

    @property
    def on_save(self) -> OnSave:
        """What a save does, by the settings."""
        return self._queue.settings.on_save

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called after every change of a status; the event is None when no run caused it."""
        return self._records.subscribe(listener)

    async def shutdown(self, deadline: float = 2.0) -> bool:
        """Stops everything: waiting runs are cancelled, the running one ends at its next step. May be repeated.

        True if the worker was done within `deadline` seconds; it is a daemon and dies with the process if not.
        """
        return await self._queue.shutdown(deadline)

    def ends_with(self, teardown: Teardown, patience: float) -> None:
        """Has `teardown` do what `shutdown` does, in its stages; the run may take `patience` seconds to stop."""
        teardown.add(Stage.STOP, "what waits", self._queue.stop)
        teardown.add(Stage.SETTLE, "the run to stop at its next step", lambda: self._queue.settled(patience))
        teardown.add(Stage.RELEASE, "the learner", self._queue.released)

    @property
    def busy(self) -> bool:
        return any(record.busy for record in self._records)

    # -- what the editor tells

    def opened(self, path: Path, text: str) -> DocumentStatus:
        """Reads the document; writes nothing and trains nothing. Its session may be warmed in a while."""
        record = self._seen(path, text)
        record.open = True
        record.status = replace(record.status, warm=self._warmth.keeps(record.status.dlm_id))
        settings = self._queue.settings
        if self.trusted and settings.warm_on_open and settings.on_save == "train" and record.document:
            store, learned = self._records.store(record), record.view.version is not None
            self._warmth.consider(path, record.document, store, learned=learned)
        self.hooks.changed(path)
        return record.status

    def looked_at(self, path: Path) -> DocumentStatus:
        """The record of the file as it is on disk; nothing is warmed, so no loop and no worker are needed."""
        return self._seen(path, None).status

    def changed(self, path: Path, text: str) -> DocumentStatus:
        """The text that is being written: new problems and section states; a notice about the last save goes."""
        record = self._records.of(path)
        self._records.read(record, text)
        last = record.status.last
        skipped = last is not None and last.outcome == "skipped" and not last.notes
        record.status = replace(record.status, last=None if skipped else last)
        self._records.note(record, "")
        return record.status

    def saved(self, path: Path, text: str | None, *, reason: SaveReason = SaveReason.MANUAL) -> None:
        """A save: asks for a cycle after the debounce, unless the settings or the document stand against it."""
        record = self._records.of(path)
        document = self._records.read(record, text)
        if document is None or self._queue.closing:
            return
        self._records.look(record)
        settings = self._queue.settings
        if note := why_not(settings, document, reason, trusted=self.trusted):
            held = self._queue.succession.hold(record) if not document.trainable else ""
            self._records.note(record, f"{note}; {held}" if held else note)
            return
        self._queue.add(record, "cycle", document)
        record.debouncer.touch(settings.debounce_ms / 1000, settings.max_wait_ms / 1000)

    def closed(self, path: Path) -> None:
        """The editor closed the document; a run for its saved text goes on, and then it is forgotten."""
        self._warmth.closed(path)
        if (record := self._records.get(path)) is not None:
            record.open = False
            if record.pending is not None and record.pending.held:  # nobody is there to mend the text
                self._queue.drop(record)
            if not record.busy:
                self.hooks.forget(path)
            self._records.tidy(record)

    def on_disk(self, path: Path, note: str) -> None:
        """What became of the file without a save, as a sentence; empty when it is what was opened or saved."""
        record = self._records.get(path)
        if record is not None and record.status.disk != note:
            record.status = replace(record.status, disk=note)
            self._records.refresh(record)

    # -- what the author commands

    def train_now(self, path: Path) -> str:
        """A cycle over the saved text at once, whatever the settings say; a sentence that says what happens."""
        return self._command(path, "cycle")

    def train_sections(self, path: Path, sections: Collection[str]) -> str:
        """A cycle over just these sections (ids) of the saved text, learned before or not; says what happens.

        What a save that waits already has asked for is trained with them. Raises ValueError: why not.
        """
        return self._command(path, "cycle", only=frozenset(sections))

    def full_retrain(self, path: Path) -> str:
        """A run from the base's weights over the whole saved text; a sentence that says what happens."""
        return self._command(path, "full")

    def would_discard(self, path: Path) -> str | None:
        """What a full retrain would start over from, as a sentence; None when there is nothing yet."""
        record = self._records.of(path, open=False)
        self._records.look(record)
        version = record.view.version
        self._records.tidy(record)
        if version is None:
            return None
        return (
            f"{path.name} has learned up to {version_name(version)}. A full retrain starts from the base "
            "model and learns the whole document anew; older versions are kept until they are pruned."
        )

    def cancel(self, path: Path | None = None) -> str:
        """Calls off the waiting run and stops the running one at its next step; of all documents without `path`."""
        if path is None:
            engaged = [record for record in self._records if record.engaged]
            return " ".join(self._queue.cancel(record) for record in engaged) or "nothing is running"
        record = self._records.get(path)
        return self._queue.cancel(record) if record is not None else "nothing is running"

    def unlock(self, path: Path) -> str:
        """Removes the store's lock if its holder is dead; a sentence that says what was done or why not."""
        if not self.trusted:
            return NOT_TRUSTED
        record = self._records.of(path, open=False)
        store = self._records.store(record)
        self._records.tidy(record)
        if store is None:
            return "the document has no valid dlm_id, so it has no store"
        try:
            return store.unlock()
        except StoreError as error:
            return str(error)

    async def revert(self, path: Path, version: int | None = None) -> str:
        """Makes an earlier version current (None: the one before); says so. Raises StoreError: why not.

        The worker does it between two runs; a save that comes meanwhile is learned after it.
        """
        record = self._records.of(path)
        if record.document is None:
            self._records.read(record, None)
        store = self._records.store(record)
        if store is None:
            raise StoreError("the document has no valid dlm_id, so it has no store", "bad-id")
        if record.busy:
            raise StoreError("a run waits or goes on: cancel it or let it end, then revert", "store-busy")
        said = await self._queue.worker.call(lambda: revert(store, version))
        record.status = replace(record.status, last=None)  # what it tells of is not current any more
        self._records.look(record)
        self._records.refresh(record)
        return said

    def ask(
        self,
        path: Path,
        prompt: str,
        *,
        version: Speaker = None,
        earlier: tuple[Turn, ...] = (),
        system: str | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Answer:
        """A question to what the document has taught; why there is no answer is raised by the answer itself.

        `version` None: the one that is current when it is answered; 0: the bare base; "live": the weights of the run
        that goes on, or the current version if none does. Questions are answered in their order, between two steps of
        a run; they are no runs, and `wait_for_idle` does not wait for them.
        """
        subject = self.subject(path)
        wanted = Wish(prompt, version, earlier, system, max_new_tokens, temperature, top_p, seed)
        if not isinstance(subject, AskRefused):
            self._warmth.make_way(path)
        return self._queue.asking.ask(subject, wanted)

    def subject(self, path: Path) -> Subject | AskRefused:
        """Whom a question about the document at `path` is put to, or why nothing can be asked."""
        return subject_of(path, self.document(path), self.store(path)) if self.trusted else untrusted()

    # -- what anybody may ask

    def status(self, path: Path) -> DocumentStatus | None:
        record = self._records.get(path)
        return record.status if record else None

    def statuses(self) -> list[DocumentStatus]:
        """Those of all documents."""
        return [record.status for record in self._records]

    def store(self, path: Path) -> Store | None:
        """The store of a known document's id, to be read."""
        record = self._records.get(path)
        return self._records.store(record) if record else None

    def known(self, path: Path, identity: str) -> Known | None:
        """What the current version knows of a lesson, as it was when the store was last looked at."""
        record = self._records.get(path)
        return record.view.ledger.lessons.get(identity) if record else None

    def document(self, path: Path) -> Document | None:
        """The newest text, saved or not, with everything that is wrong with it."""
        record = self._records.get(path)
        return record.document if record else None

    def truth(self, path: Path) -> Truth | None:
        """What is true of the sections and exchanges of the newest text; None where there is no text."""
        record = self._records.get(path)
        if record is None or record.document is None:
            return None
        known = record.truth
        if known is not None and known.status is record.status and known.document is record.document:
            return known
        record.truth = Truth(
            document=record.document,
            status=record.status,
            view=record.view,
            queued=record.queued,
            learning=record.learning,
            failure=record.failure,
            sourced=record.sourced,
        )
        return record.truth

    async def recall(self, truth: Truth, *, removed: bool = False) -> Recall:
        """What the store remembers beyond the ledger; with `removed`, how the removed lessons began, too."""
        if (known := self.recalled(truth, removed=removed)) is not None:
            return known
        return await asyncio.to_thread(self.recall_now, truth, removed=removed)

    def recall_now(self, truth: Truth, *, removed: bool = False) -> Recall:
        """The same where there is no loop: reads files."""
        if (known := self.recalled(truth, removed=removed)) is not None:
            return known
        record = self._records.get(truth.status.document)
        if record is None or record.store is None:
            return Recall()
        return self._memory.recall(record.store, truth.view.ledger, _sections(truth, removed=removed))

    def recalled(self, truth: Truth, *, removed: bool = False) -> Recall | None:
        """The same as far as it is at hand without reading; None if it is not."""
        record = self._records.get(truth.status.document)
        if not self.trusted or record is None or record.store is None or not truth.view.ledger.lessons:
            return Recall()
        return self._memory.at_hand(record.store, truth.view.ledger, _sections(truth, removed=removed))

    def learned_from(self, path: Path) -> str | None:
        """The path of the document that the store's current version was learned from, as the store names it."""
        record = self._records.get(path)
        return record.view.learned_from if record else None

    async def wait_for_idle(self, path: Path | None = None) -> None:
        """Returns once no run is waiting or going on, for `path` or for every document."""
        for record in self._records:
            while record.busy and path in (None, record.path):
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                record.idle.append(future)
                await future

    # -- deciding

    def _seen(self, path: Path, text: str | None) -> Record:
        record = self._records.of(path)
        self._records.read(record, text)
        self._records.look(record)
        self._records.refresh(record)
        return record

    def _command(self, path: Path, kind: RunKind, only: frozenset[str] | None = None) -> str:
        """`only`: the ids of the sections that are asked for; None for all that is new."""
        if not self.trusted:
            return NOT_TRUSTED
        record = self._records.of(path, open=False)
        document = self._records.read(record, None)
        if document is None:
            self._records.tidy(record)
            return record.status.note
        self._records.look(record)
        if not document.trainable:
            self._records.refresh(record)
            self._records.tidy(record)
            return f"{path.name} has errors; nothing was trained"
        if only is not None and (refusal := _refusal(document, only)):
            self._records.refresh(record)
            self._records.tidy(record)
            raise ValueError(refusal)
        self._queue.add(record, kind, document, unfinished=True, only=only or frozenset())
        record.debouncer.cancel()
        self._queue.make_ready(record)
        if only is not None:
            return f"{count(len(only), 'section')} queued for training"
        return "full retrain is queued" if kind == "full" else "training is queued"


def _sections(truth: Truth, *, removed: bool) -> frozenset[str]:
    """The sections in which the removed lessons were learned last."""
    lessons = truth.view.ledger.lessons
    return frozenset(lessons[identity].section_id for identity in truth.left) if removed else frozenset()


def _refusal(document: Document, only: frozenset[str]) -> str:
    """Why the sections `only` can't be trained, as a sentence; empty when they can.

    What comes from sourced files is known to the run alone.
    """
    assert document.frontmatter is not None, "a document without errors has a frontmatter"
    there = {section.section_id for section in document.sections if section.lessons}
    if only & there or (only and document.frontmatter.training.sources):
        return ""
    return "the saved text has none of these sections with anything to train; save first, if they changed"
