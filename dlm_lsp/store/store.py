"""One document's store, as the rest of the system sees it. Making a `Store` touches nothing on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.store import commit as committing
from dlm_lsp.store import curves as pictures
from dlm_lsp.store import disk, dlm_lock, failure, journal, live, lock, manifest, recovery, versions
from dlm_lsp.store import revert as reverting
from dlm_lsp.store.commit import Commit
from dlm_lsp.store.curves import Curve
from dlm_lsp.store.errors import StoreError, reported
from dlm_lsp.store.failure import FailedRun
from dlm_lsp.store.history import NOTHING, Chronicle, Histories
from dlm_lsp.store.journal import JournalEntry
from dlm_lsp.store.kept import Kept
from dlm_lsp.store.ledger import Ledger
from dlm_lsp.store.live import Door
from dlm_lsp.store.lock import Held, Holder
from dlm_lsp.store.manifest import Manifest
from dlm_lsp.store.paths import Layout
from dlm_lsp.store.replay import Replay
from dlm_lsp.store.versions import Checker, Version, VersionRecord


@dataclass(frozen=True, slots=True)
class Inspection:
    """A look at a store: the current version, what the next run would repair, who holds the lock."""

    version: Version | None
    leftovers: tuple[str, ...]
    holder: Holder | None


class Store:
    """The store of document `dlm_id` under `home` (see `dlm_home`). Raises StoreError for a wrong id.

    Reading never creates anything, and may be done from any thread; `recover`, `commit` and `revert` need the lock
    and belong to one thread. `clock` gives seconds since the epoch.
    """

    def __init__(self, home: Path, dlm_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._layout = Layout.of(home, dlm_id)
        self._clock = clock
        self._checker = Checker()
        self._replay = Replay(self._layout.replay)
        self._failed: Kept[FailedRun | None] = Kept()

    @property
    def root(self) -> Path:
        return self._layout.root

    @property
    def dlm_id(self) -> str:
        return self._layout.dlm_id

    @property
    def layout(self) -> Layout:
        return self._layout

    def exists(self) -> bool:
        """Whether there is such a store, by whichever tool."""
        with reported("read the store", self.root):
            return disk.is_folder(self.root)

    # --- reading

    def current(self) -> Version | None:
        """The version that answers questions, None while there is none."""
        with reported("read the current version", self._layout.current):
            return versions.current(self._layout)

    def versions(self) -> tuple[Version, ...]:
        """All version folders, ascending; whether they are complete is judged by `recover` and `inspect`."""
        with reported("list the versions", self._layout.versions):
            return tuple(Version(n, self._layout.version(n)) for n in versions.numbers(self._layout))

    def record(self, number: int) -> VersionRecord | None:
        """How version `number` came to be, and its ledger; None for another tool's version. Cached."""
        path = self._layout.record(number)
        with reported("read the store", path):
            return self._checker.newest.of(path, lambda: versions.read_record(self._layout, number))

    def ledger(self) -> Ledger | None:
        """What the current version knows; None without a version, or when another tool made it. Cached."""
        now = self.current()
        record = self.record(now.number) if now else None
        return record.ledger if record else None

    def manifest(self) -> Manifest | None:
        """The manifest, None when there is none. Raises StoreError when damaged or of a newer dlm. Cached."""
        with reported("read the store", self._layout.manifest):
            found = manifest.look(self._layout, self._checker.manifest)
        return found.manifest if found else None

    def ever_learned(self) -> frozenset[str]:
        """The ids of all sections that a version on disk has learned, the current one or another."""
        now = self.manifest()
        ids = set(now.content_hashes) if now else set()
        for version in self.versions():
            with reported("read the store", self._layout.records):
                record = self._checker.record(self._layout, version.number)
            ids.update(record.sections if record else ())
        return frozenset(ids)

    def replay(self) -> Replay:
        """The remembered sections: `ids()` is cheap, `read()` unpacks all of them."""
        return self._replay

    def training_state(self, version: Version) -> bytes | None:
        """The bytes of the version's `training_state.pt` if they match their digest; load them weights-only."""
        with reported("read the training state", version.path):
            return versions.read_training_state(version.path)

    def dlm_lock(self) -> Mapping[str, Any] | None:
        """The values of `dlm.lock`, None when missing or unreadable."""
        with reported("read dlm.lock", self._layout.dlm_lock):
            return dlm_lock.read_dlm_lock(self._layout)

    def journal(self) -> tuple[JournalEntry, ...]:
        """What happened in this store, oldest first."""
        with reported("read the journal", self._layout.journal):
            return journal.read(self._layout.journal)

    def failed(self) -> FailedRun | None:
        """What the last run was to learn, if it failed and no version was committed since. Cached."""
        with reported("read the store", self._layout.failed):
            found = self._failed.of(self._layout.failed, lambda: failure.read(self._layout.failed))
        now = self.current() if found else None
        record = self.record(now.number) if now else None
        return found if found and (record is None or record.run.ended_at < found.at) else None

    def chronicle(self, histories: Histories) -> Chronicle:
        """What happened to each lesson in the newest versions. `histories` keeps what was read before."""
        with reported("read the history", self._layout.records):
            now = versions.pointed(self._layout)
            return NOTHING if now is None else histories.read(self._layout, now)

    def curves(self) -> tuple[Curve, ...]:
        """How the runs went that committed a version here, oldest first."""
        with reported("read the curves", self._layout.curves):
            return pictures.read(self._layout.curves)

    def holder(self) -> Holder | None:
        """Who holds the lock, None when nobody does."""
        with reported("read the lock", self._layout.lock):
            return lock.holder(self._layout, self._clock)

    def inspect(self) -> Inspection:
        """Everything that is not as it should be, without touching it."""
        with reported("look at the store", self.root):
            left = recovery.leftovers(self._layout, self._checker, self._replay, self._clock())
            return Inspection(versions.current(self._layout), left, lock.holder(self._layout, self._clock))

    # --- writing

    def try_lock(self) -> Held | Holder:
        """Takes the lock at once, or says who holds it. Creates the store's folder.

        Raises StoreError: `manifest-newer` before anything is written, else when the folder cannot be written.
        """
        self._refuse_newer()
        return lock.try_acquire(self._layout, self._clock)

    def unlock(self) -> str:
        """Removes a dead holder's lock, never a living one's. Says what it did, or why not."""
        self._refuse_newer()
        return lock.unlock(self._layout, self._clock)

    def recover(self, held: Held) -> tuple[str, ...]:
        """Repairs what crashes left; called at the begin of each run. Returns sentences, none when sound."""
        held.check()
        with reported("repair the store", self.root):
            return recovery.recover(self._layout, self._checker, self._replay, self._clock())

    def exercise(self) -> None:
        """Has the first commit of this process take no longer than others; only reads."""
        committing.exercise()
        self.inspect()

    def commit(self, held: Held, what: Commit) -> Version:
        """Commits a run as the next version and makes it current. Raises StoreError, then nothing changed."""
        return committing.commit(self._layout, held, what, self._replay, self._checker)

    def revert(self, held: Held, number: int | None = None) -> Version:
        """Makes version `number` (None: the one before) current in a recovered store. Raises StoreError: why not."""
        return reverting.revert(self._layout, held, self._checker, number, self._clock())

    def note(self, entry: JournalEntry) -> None:
        """Adds to the journal what no commit tells: a run that started, failed or was cancelled."""
        if disk.is_folder(self._layout.ours):
            with reported("write the journal", self._layout.journal):
                journal.append(self._layout.journal, entry)

    def note_failure(self, failed: FailedRun | None) -> None:
        """Keeps what a failed run was to learn; None: the last run did not fail."""
        with reported("write the failed run", self._layout.failed):
            if failed is not None and disk.is_folder(self._layout.ours):
                failure.write(self._layout.failed, failed)
            elif failed is None:
                disk.remove(self._layout.failed)

    def keep_curve(self, held: Held, curve: Curve) -> None:
        """Remembers how a run went; called with the lock held, after its commit."""
        held.check()
        with reported("write the curves", self._layout.curves):
            pictures.append(self._layout.curves, curve)

    # --- being listened to

    def open_door(self) -> Door | None:
        """A socket at which other processes can listen to this one; None before the first run made the store.

        Raises StoreError: a newer program's store, a full or foreign disk.
        """
        self._refuse_newer()
        with reported("open a socket", self._layout.live):
            return live.open_door(self._layout)

    def doors(self) -> dict[str, Path]:
        """The sockets of all processes that can be listened to, and of some that have ended, by name."""
        with reported("look for sockets", self._layout.live):
            return live.doors(self._layout)

    def _refuse_newer(self) -> None:
        """Raises StoreError `manifest-newer`; any other fault of the manifest is for `recover`."""
        try:
            self.manifest()
        except StoreError as error:
            if error.code == "manifest-newer":
                raise
