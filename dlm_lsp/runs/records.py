"""The records of all documents: the newest text, the store, the runs, and the status that everybody is told.

Only the event-loop thread touches them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlm_lsp.document import Document
from dlm_lsp.runs import events, views
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.continuing import Continuing
from dlm_lsp.runs.control import RunRequest
from dlm_lsp.runs.debounce import Debouncer
from dlm_lsp.runs.narrate import after
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.status import DocumentStatus, Failure
from dlm_lsp.runs.steering import Steering
from dlm_lsp.runs.stopping import EarlyStop
from dlm_lsp.runs.truth import Truth
from dlm_lsp.store import Store, dlm_home, read_regular
from dlm_lsp.training.protocol import RunKind

log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES = 256 * 2**20

Listener = Callable[[events.Event | None, DocumentStatus], None]


@dataclass(slots=True)
class Pending:
    """The one waiting run of a document, always for the newest saved text.

    `unfinished`: continue lessons that a cap ended, too. `ready`: the debounce is over. `offered`: the run that goes
    on may take the text in, and then this one is not needed any more. `restart`: what it restarts with, to finish what
    the run before had to leave; empty where none ends for it. `held`: the newest saved text has errors, and the restart
    waits for one without. `named`: ids of sections that are trained whether they were learned or not; `named_only`:
    nobody asked for more.
    """

    run: int
    kind: RunKind
    document: Document
    unfinished: bool = False
    ready: bool = False
    offered: bool = False
    restart: str = ""
    held: bool = False
    named: frozenset[str] = frozenset()
    named_only: bool = False

    def joined(self, other: Pending) -> None:
        """Takes in an older wish: of both, what was asked for stays; the text is this one's."""
        self.kind = "full" if "full" in (self.kind, other.kind) else "cycle"
        self.unfinished |= other.unfinished
        self.named |= other.named
        self.named_only &= other.named_only


@dataclass(slots=True)
class Running:
    """The run that the worker has, and how it is steered."""

    request: RunRequest
    steering: Steering
    early: EarlyStop


@dataclass(slots=True)
class Record:
    """Everything about one document.

    `document` is the newest text, saved or not; `sourced` the lessons of its sourced files at the last run.
    `queued` and `learning` are the lessons of the runs below. `failed`: the last run of this process, if it failed.
    `broken`: the newest saved text has errors. `restarts`: how many runs in a row ended early for a newer text.
    `truth`: the last look at what is above, see `Supervisor.truth`.
    `rest_until`: before that moment (monotonic seconds) no save begins a run. `open`: somebody looks at it.
    """

    status: DocumentStatus
    debouncer: Debouncer
    document: Document | None = None
    sourced: frozenset[str] | None = None
    store: Store | None = None
    view: views.StoreView = field(default_factory=views.StoreView)
    lately: views.Lately = field(default_factory=views.Lately)
    pending: Pending | None = None
    running: Running | None = None
    lock_timer: Timer | None = None
    queued: frozenset[str] = frozenset()
    learning: frozenset[str] = frozenset()
    failed: Failure | None = None
    broken: bool = False
    restarts: int = 0
    truth: Truth | None = None
    rest_until: float = 0.0
    continuing: Continuing = field(default_factory=Continuing)
    open: bool = True
    idle: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.status.document

    @property
    def failure(self) -> Failure | None:
        """The last run that failed, of this process or (from the store) of another."""
        return self.failed or self.view.failure

    @property
    def busy(self) -> bool:
        """Whether something goes on, or will without anybody's doing."""
        return self.running is not None or (self.pending is not None and not self.pending.held)

    @property
    def engaged(self) -> bool:
        """Whether there is a run that could be called off."""
        return self.running is not None or self.pending is not None

    def forget_lock_timer(self) -> None:
        if self.lock_timer is not None:
            self.lock_timer.cancel()
            self.lock_timer = None


class Records:
    """Makes records, keeps their statuses true, and tells listeners. `due` is called when a debounce is over."""

    def __init__(self, clock: Clock, home: Path | None, due: Callable[[Record], None]) -> None:
        self.trusted = True  # where not, a base beside the document is not looked at
        self._clock = clock
        self._home = home
        self._due = due
        self._by_path: dict[Path, Record] = {}
        self._listeners: list[Listener] = []
        self._sequence = itertools.count(1)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._by_path.values()))

    def get(self, path: Path) -> Record | None:
        return self._by_path.get(path)

    def of(self, path: Path, *, open: bool = True) -> Record:  # noqa: A002 - as the field is called
        """The record of `path`, made at its first mention; then `open` says whether somebody looks at it."""
        if path not in self._by_path:
            debouncer = Debouncer(self._clock, lambda: self._due(record))
            record = self._by_path[path] = Record(DocumentStatus(document=path), debouncer, open=open)
        return self._by_path[path]

    def tidy(self, record: Record) -> None:
        """Forgets a document that nobody looks at and nothing runs for; of a failed run its sentence is kept."""
        if record.open or record.busy:
            return
        last = record.status.last
        if last is None or last.outcome != "failed":
            self._by_path.pop(record.path, None)
            return
        record.document = record.store = record.sourced = record.truth = None
        record.view, record.lately = views.StoreView(), views.Lately()
        record.status = DocumentStatus(document=record.path, generation=record.status.generation, last=last)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def move(self, home: Path | None) -> None:
        """Stores live elsewhere from now on."""
        if home != self._home:
            self._home = home
            for record in self:
                record.store = None
                self.look(record)
                self.refresh(record)

    def read(self, record: Record, text: str | None) -> Document | None:
        """Parses `text` (None: the file's content) as the newest text; None, and a note, if it can't be read."""
        content: str | bytes
        try:
            content = read_regular(record.path, MAX_DOCUMENT_BYTES) if text is None else text
        except OSError as error:
            reason = error.strerror or error
            record.status = replace(record.status, note=f"{record.path.name} cannot be read: {reason}")
            self.refresh(record)
            return None
        record.document = read(content, record.path if self.trusted else None, record.document)
        return record.document

    def store(self, record: Record, document: Document | None = None) -> Store | None:
        """The store of the document's id; the last one known while its frontmatter is broken."""
        document = document or record.document
        if document is not None and document.frontmatter is not None:
            dlm_id = document.frontmatter.dlm_id
            if record.store is None or record.status.dlm_id != dlm_id:
                record.store = Store(dlm_home(self._home), dlm_id, clock=self._clock.now)
                record.status = replace(record.status, dlm_id=dlm_id)
        return record.store

    def look(self, record: Record) -> None:
        """Reads again what the store says: after opening, saving and the end of a run."""
        before, now = record.view, views.look(self.store(record), record.view)
        if now.version is None and now.root == before.root:
            now = replace(now, lost=before.version or before.lost)
        record.view = now

    def note(self, record: Record, note: str) -> None:
        """Puts one sentence into the status."""
        record.status = replace(record.status, note=note)
        self.refresh(record)

    def refresh(self, record: Record, event: events.Event | None = None) -> None:
        """Recomputes what follows from the newest text, the store and the runs, and tells everybody."""
        running, pending, ledger = record.running, record.pending, record.view.ledger
        going_on = _run_of(running.request) if running else None
        waiting = _run_of(pending) if pending else None
        record.learning = record.lately.wanted(going_on, ledger)
        record.queued = record.lately.wanted(waiting, ledger)
        status = views.with_facts(
            record.status,
            record.document,
            record.view,
            record.sourced,
            learning=record.learning,
            queued=record.queued,
            failure=record.failure,
            lately=record.lately,
        )
        record.status = replace(status, sections_generation=status.generation + 1)
        self.announce(record, event)

    def change(self, record: Record, event: events.Event) -> None:
        """Applies an event, numbered in the order of their coming, and tells everybody."""
        event = replace(event, sequence=next(self._sequence))
        record.status = after(record.status, event)
        if isinstance(event, events.Step | events.Phase):
            self.announce(record, event)
            return
        if isinstance(event, events.TERMINAL):
            record.failed = None if isinstance(event, events.Finished | events.Cancelled) else record.failed
            self.look(record)
        self.refresh(record, event)
        if isinstance(event, events.Finished):
            self._tell_namesakes(record)

    def _tell_namesakes(self, record: Record) -> None:
        """A store belongs to its id, not to a path: a renamed document is open anew while the old one's run ends."""
        for other in self:
            if other is not record and other.status.dlm_id == record.status.dlm_id:
                self.look(other)
                self.refresh(other)

    def tell(self, record: Record, event: type[events.Event], /, *, run: int, **fields: Any) -> None:
        """An event of the loop's own, about a run that the worker does not have or does not know of."""
        self.change(record, event(document=record.path, run=run, at=self._clock.now(), **fields))

    def announce(self, record: Record, event: events.Event | None) -> None:
        """Tells the status as it stands. A listener that fails does not keep the others from hearing."""
        record.status = replace(record.status, generation=record.status.generation + 1)
        for listener in tuple(self._listeners):
            try:
                listener(event, record.status)
            except Exception:
                log.exception("a listener failed on %s", type(event).__name__)


def _run_of(run: Pending | RunRequest) -> views.RunOf:
    return views.RunOf(run.kind, run.document, run.named, run.named_only)
