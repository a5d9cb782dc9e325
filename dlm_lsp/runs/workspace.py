"""The `.dlm` files of the workspace's folders, read in the background and kept fresh; open texts win over the disk.

Everything but `_Scan` lives on the event loop's thread. Nothing is looked at in an untrusted workspace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from dlm_lsp.document import Document, parse
from dlm_lsp.document.entry import Entry, entry_of, header_of, symbols_of
from dlm_lsp.document.text import PositionEncoding
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.worker import Worker
from dlm_lsp.store import Signature, read_regular, signature_of

log = logging.getLogger(__name__)

MAX_FILES = 5_000
MAX_FILE_BYTES = 8 * 2**20
MAX_BYTES = 256 * 2**20
MAX_DEPTH = 12
MAX_ENTRIES = 100_000
MAX_SYMBOLS = 200_000
"""The bounds of the index: documents, bytes of one and of all, folders on the way, directory entries, symbols."""

_SKIPPED = frozenset({"node_modules", "venv", "env", "__pycache__", "site-packages"})
# Without a watcher, a question that finds the index older than this has it read again (seconds).
_STALE = 5.0

Known = Mapping[Path, tuple[Signature, Entry]]


@dataclass(slots=True)
class _Found:
    """What one reading of the folders found."""

    files: dict[Path, tuple[Signature, Entry]] = field(default_factory=dict)
    cut: str = ""  # which bound ended it, for the log
    seconds: float = 0.0


@dataclass(slots=True)
class _Open:
    """A document that is open in the editor; `whole`: its entry has the symbols."""

    document: Document
    entry: Entry
    whole: bool = False


class Workspace:
    """The index. `changed` is called with the ids whose documents came, went or moved."""

    def __init__(self, worker: Worker, clock: Clock, changed: Callable[[set[str]], None]) -> None:
        self.encoding: PositionEncoding = "utf-16"
        self._worker = worker
        self._clock = clock
        self._changed = changed
        self._folders: tuple[Path, ...] = ()
        self._trusted = False
        self._files: dict[Path, tuple[Signature, Entry]] = {}
        self._open: dict[Path, _Open] = {}
        self._by_id: dict[str, set[Path]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._again = False
        self._read_at: float | None = None  # monotonic

    # -- what it is told

    def look_at(self, folders: Iterable[Path], *, trusted: bool) -> None:
        """These are the folders from now on; untrusted ones are forgotten and not looked at."""
        self._folders, self._trusted = tuple(dict.fromkeys(folders)), trusted
        if not trusted:
            self._files, self._read_at = {}, None
            self._reindex()
        self.refresh()

    def refresh(self) -> None:
        """Reads what changed in the folders since the last time, in the background."""
        if not self._trusted or not (self._folders or self._files):
            return
        if self._reading is not None and not self._reading.done():
            self._again = True
            return
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def opened(self, path: Path, document: Document) -> None:
        """The newest text of an open document. Cheap: its symbols are looked for when they are asked for."""
        opened = self._open.get(path)
        if opened is not None and opened.document is document:
            return
        before, header = self.entry(path), header_of(document, self.encoding)
        self._open[path] = _Open(document, header)
        self._moved(path, before, header)

    def closed(self, path: Path) -> None:
        """What is on disk counts again."""
        before = self._open.pop(path, None)
        self._moved(path, before.entry if before else None, self.entry(path))
        self.refresh()

    # -- what it is asked

    @property
    def known(self) -> bool:
        """Whether the folders have been read; without any there is nothing to read."""
        return self._read_at is not None or not self._trusted or not self._folders

    async def settled(self) -> None:
        """Returns once no reading goes on any more."""
        while self._reading is not None and not self._reading.done():
            await asyncio.wait([self._reading])

    def paths(self) -> Iterator[Path]:
        """Every document, open ones first."""
        yield from self._open
        yield from (path for path in self._files if path not in self._open)

    def entry(self, path: Path) -> Entry | None:
        """Of an open document as it is in the editor, before `complete` without its symbols."""
        if path in self._open:
            return self._open[path].entry
        found = self._files.get(path)
        return found[1] if found else None

    async def complete(self) -> None:
        """Returns once the entries of open documents have their symbols; a long text takes its time for them."""
        for path, opened in list(self._open.items()):
            if not opened.whole:
                document, encoding = opened.document, self.encoding
                symbols = await self._worker.call(partial(symbols_of, document, encoding))
                if self._open.get(path) is opened:
                    opened.entry, opened.whole = replace(opened.entry, symbols=symbols), True

    def headers(self) -> list[tuple[Path, Entry]]:
        """Every document's entry; of open ones maybe without their symbols."""
        return [(path, entry) for path in self.paths() if (entry := self.entry(path)) is not None]

    def namesakes(self, path: Path) -> list[tuple[Path, Entry]]:
        """The other documents with the id of the one at `path`, by path."""
        mine = self.entry(path)
        if mine is None or mine.dlm_id is None:
            return []
        others = sorted(self._by_id.get(mine.dlm_id, set()) - {path})
        return [(other, entry) for other in others if (entry := self.entry(other)) is not None]

    def glance(self) -> None:
        """Somebody asks: what is old is read again."""
        if self._read_at is not None and self._clock.monotonic() - self._read_at > _STALE:
            self.refresh()

    # -- reading

    async def _read(self) -> None:
        self._again = True
        while self._again and self._trusted:
            self._again = False
            scan = _Scan(self._folders, dict(self._files), self.encoding)
            try:
                found = await self._worker.call(scan.run)
            except Exception:
                log.exception("the workspace's documents could not be read")
                return
            if self._trusted:
                self._take(found)

    def _take(self, found: _Found) -> None:
        if self._read_at is None or found.cut:
            log.info("%d documents of the workspace were read in %.2f s%s", len(found.files), found.seconds, found.cut)
        self._files, self._read_at = found.files, self._clock.monotonic()
        self._reindex()

    def _reindex(self) -> None:
        before, self._by_id = self._by_id, {}
        for path, entry in self.headers():
            if entry.dlm_id is not None:
                self._by_id.setdefault(entry.dlm_id, set()).add(path)
        touched = {each for each in {*before, *self._by_id} if before.get(each) != self._by_id.get(each)}
        self._tell(touched, before)

    def _moved(self, path: Path, before: Entry | None, now: Entry | None) -> None:
        """The entry of one document is another one."""
        old, new = (entry.dlm_id if entry else None for entry in (before, now))
        if old == new and (before is None or now is None or before.id_range == now.id_range):
            if new is not None:
                self._by_id.setdefault(new, set()).add(path)
            return
        sets = {each: set(self._by_id.get(each, ())) for each in (old, new) if each is not None}
        if old is not None:
            self._by_id.get(old, set()).discard(path)
        if new is not None:
            self._by_id.setdefault(new, set()).add(path)
        self._tell(set(sets), sets)

    def _tell(self, touched: set[str], before: Mapping[str, set[Path]]) -> None:
        """An id that one document has before and after is nobody's news."""
        shared = {each for each in touched if max(len(before.get(each, ())), len(self._by_id.get(each, ()))) > 1}
        if shared:
            self._changed(shared)


class _Scan:
    """One reading of the folders, on the worker's thread; what did not change on disk is taken over."""

    def __init__(self, folders: Sequence[Path], known: Known, encoding: PositionEncoding) -> None:
        self._folders = folders
        self._known = known
        self._encoding = encoding
        self._found = _Found()
        self._entries = self._bytes = self._symbols = 0

    def run(self) -> _Found:
        began = time.monotonic()
        for folder in self._folders:
            for path in self._documents(str(folder)):
                if not self._take(path):
                    break
        self._found.seconds = time.monotonic() - began
        return self._found

    def _documents(self, root: str) -> Iterator[str]:
        """The paths of `.dlm` files below `root`, the nearest first; links to directories are not followed."""
        waiting = [(root, 0)]
        for folder, depth in waiting:
            try:
                with os.scandir(folder) as found:
                    most = MAX_ENTRIES - self._entries + 1  # one more than will be looked at
                    entries = sorted(islice(found, most), key=lambda entry: entry.name)
            except OSError as error:
                log.debug("%s cannot be looked at: %s", folder, error.strerror)
                continue
            self._entries += len(entries)
            if self._entries > MAX_ENTRIES:
                self._found.cut = f"; there are more than {MAX_ENTRIES:,} files and folders"
                return
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if depth < MAX_DEPTH and _entered(entry, Path(folder)):
                            waiting.append((entry.path, depth + 1))
                    elif entry.name.endswith(".dlm"):
                        yield entry.path
                except OSError:  # it went meanwhile
                    continue

    def _take(self, written: str) -> bool:
        """Reads one document; False when no more can be taken."""
        try:
            path = Path(os.path.normcase(os.path.realpath(written)))
            status = path.stat()
            signature = signature_of(status)
            if path in self._found.files or status.st_size > MAX_FILE_BYTES:
                return True
            self._bytes += status.st_size
            if len(self._found.files) >= MAX_FILES or self._bytes > MAX_BYTES or self._symbols > MAX_SYMBOLS:
                self._found.cut = "; the others are too many"
                return False
            known = self._known.get(path)
            if known is not None and known[0] == signature:
                entry = known[1]
            else:
                entry = entry_of(parse(read_regular(path, MAX_FILE_BYTES)), self._encoding)
        except (OSError, ValueError) as error:
            log.debug("%s cannot be read: %s", written, error)
            return True
        self._symbols += len(entry.symbols)
        self._found.files[path] = (signature, entry)
        return True


def _entered(folder: os.DirEntry[str], parent: Path) -> bool:
    """Whether documents are looked for in it: not in tools' folders, virtual environments and hidden ones.

    A folder `.dlm` may hold the document of the folder around it.
    """
    if parent.name == ".dlm" or (folder.name.startswith(".") and folder.name != ".dlm"):
        return False
    return folder.name not in _SKIPPED and not Path(folder.path, "pyvenv.cfg").exists()
