"""What lies around a document and changes it: its hooks file and what `training.sources` names. Noticed, and bounded.

Who watches (an editor, or `FileWatch` where it can't) is told what by `wanted`, and tells what changed to `Watching`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.document.schema import SourceDirective
from dlm_lsp.runs import sources
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.hooks import hooks_path
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.worker import Worker, on_loop

log = logging.getLogger(__name__)

# A folder is watched with so many folders below it at most, and for a document so many sources.
MOST_FOLDERS = 2_000
MOST_SOURCES = 64
# What is written in one go (a checkout, a formatter) is looked at once, in seconds.
_SETTLE = 0.1
# How soon a watch notices that it is to end, in milliseconds.
_LOOK = 200


@dataclass(frozen=True, slots=True, order=True)
class Watched:
    """A folder: the files `names` directly in it, or without names everything below it."""

    folder: Path
    names: tuple[str, ...] = ()

    def holds(self, path: Path) -> bool:
        return (
            path.is_relative_to(self.folder)
            if not self.names
            else path.parent == self.folder and path.name in self.names
        )


def of_sources(document: Document | None, path: Path) -> tuple[Watched, ...]:
    """Where the sources of the document at `path` lie. Reads names of the file system; what is too wide is left out."""
    if document is None or document.frontmatter is None:
        return ()
    training = document.frontmatter.training
    found = (_watched(each, training.sources_policy, path) for each in (training.sources or ())[:MOST_SOURCES])
    return tuple(sorted({each for each in found if each is not None}))


def _watched(directive: SourceDirective, policy: str, path: Path) -> Watched | None:
    home = sources.home_of(path)
    try:
        root = (home / Path(directive.path).expanduser()).resolve()
        if policy == "strict" and not root.is_relative_to(home):
            return None
        if not root.is_dir():
            return Watched(root.parent, (root.name,)) if root.parent.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None
    if _too_wide(root):
        log.info("%s is too wide to be watched; saving the document takes in what changed there", root)
        return None
    return Watched(root)


def _too_wide(root: Path) -> bool:
    """A home directory, what holds one, or a tree with more folders than are watched."""
    if Path.home().resolve().is_relative_to(root):
        return True
    return any(number > MOST_FOLDERS for number, _ in enumerate(os.walk(root)))


@dataclass(slots=True)
class _Watch:
    """What is known of one document. `fingerprint`: of its sources when they were last looked at."""

    asked: object = None
    sources: tuple[Watched, ...] = ()
    fingerprint: str | None = None
    timer: Timer | None = field(default=None)


class Watching:
    """Of the open documents. `install` gets what is to be watched, whenever that changes.

    `changed` is called with a document whose sources hold something else now.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        clock: Clock,
        changed: Callable[[Path], None],
        install: Callable[[tuple[Watched, ...]], None] = lambda wanted: None,
    ) -> None:
        self.install = install
        self._supervisor = supervisor
        self._clock = clock
        self._changed = changed
        self._reader = Worker("dlm-sources")
        self._watches: dict[Path, _Watch] = {}
        self._installed: tuple[Watched, ...] = ()

    def look(self, path: Path) -> None:
        """The document at `path` was opened or saved, or the settings changed: it may name other sources now."""
        watch = self._watches.setdefault(path, _Watch())
        document = self._supervisor.document(path)
        frontmatter = document.frontmatter if document is not None else None
        if frontmatter is None and watch.asked is not None:
            return  # a broken text names the same for now
        asked = (frontmatter.training.sources, frontmatter.training.sources_policy) if frontmatter else ()
        if not self._supervisor.trusted:
            asked, watch.asked, watch.sources, watch.fingerprint = (), None, (), None
        elif asked != watch.asked:
            watch.asked = asked
            self._read(path, watch, document, told=False)
        self._install()

    def closed(self, path: Path) -> None:
        if (watch := self._watches.pop(path, None)) is not None and watch.timer is not None:
            watch.timer.cancel()
        self._install()

    def all(self) -> None:
        """Settings or trust are others now."""
        for path in list(self._watches):
            self.look(path)

    def told(self, paths: Iterable[Path]) -> None:
        """Something happened to these files."""
        changed = set(paths)
        for document, watch in list(self._watches.items()):
            if hooks_path(document) in changed:
                self._supervisor.hooks.changed(document)
            if watch.timer is None and any(each.holds(path) for each in watch.sources for path in changed):
                watch.timer = self._clock.call_later(_SETTLE, lambda at=document, of=watch: self._settled(at, of))  # type: ignore[misc]

    def stop(self) -> None:
        self._reader.stop()

    def _settled(self, path: Path, watch: _Watch) -> None:
        watch.timer = None
        self._read(path, watch, self._supervisor.document(path), told=True)

    def _read(self, path: Path, watch: _Watch, document: Document | None, *, told: bool) -> None:
        """Looks at the sources; where they hold something else than before, that is `told`."""
        if document is None or document.frontmatter is None or not self._supervisor.trusted:
            return
        if not document.frontmatter.training.sources:
            watch.sources, watch.fingerprint = (), None
            return
        if not self._reader.started:
            self._reader.start()

        def read() -> tuple[tuple[Watched, ...], str]:
            return of_sources(document, path), sources.expand(document, path).fingerprint

        done = self._reader.call(read)
        done.add_done_callback(lambda outcome: self._found(path, watch, outcome, told))

    def _found(
        self, path: Path, watch: _Watch, outcome: asyncio.Future[tuple[tuple[Watched, ...], str]], told: bool
    ) -> None:
        if self._watches.get(path) is not watch or not self._supervisor.trusted:
            return
        if (error := outcome.exception()) is not None:
            log.error("the sources of %s could not be looked at: %s", path.name, error)
            return
        before = watch.fingerprint
        watch.sources, watch.fingerprint = outcome.result()
        self._install()
        if told and before is not None and before != watch.fingerprint:
            self._changed(path)

    def _install(self) -> None:
        wanted: set[Watched] = set()
        if self._supervisor.trusted:
            for path, watch in self._watches.items():
                wanted.update(watch.sources)
                if self._supervisor.hooks.allowed:
                    wanted.add(Watched(path.parent, (hooks_path(path).name,)))
        if (ordered := tuple(sorted(wanted))) != self._installed:
            self._installed = ordered
            self.install(ordered)


class FileWatch:
    """Watches for those who have nobody to do it: two daemon threads, for folders alone and for whole trees.

    `changed` is called on the loop's thread with the paths that something happened to, and once a watch stands with the
    files it was asked for, as nobody knows what happened before.
    """

    def __init__(self, changed: Callable[[set[Path]], None]) -> None:
        self._changed = changed
        self._watches: dict[bool, tuple[tuple[Watched, ...], threading.Event]] = {}

    def install(self, wanted: tuple[Watched, ...]) -> None:
        """Watches these from now on, and nothing else."""
        loop = asyncio.get_running_loop()
        for deep in (False, True):
            mine = tuple(each for each in wanted if bool(each.names) is not deep)
            known, stop = self._watches.get(deep, ((), threading.Event()))
            if mine == known:
                continue
            stop.set()
            stop = threading.Event()
            self._watches[deep] = (mine, stop)
            if mine:
                arguments = (loop, mine, deep, stop)
                threading.Thread(target=self._watch, args=arguments, name="dlm-watch", daemon=True).start()

    def _watch(
        self, loop: asyncio.AbstractEventLoop, wanted: tuple[Watched, ...], deep: bool, stop: threading.Event
    ) -> None:
        from watchfiles import watch

        folders = sorted({each.folder for each in wanted if each.folder.is_dir()})
        first = {each.folder / name for each in wanted for name in each.names or (".",)}
        try:
            changes = watch(
                *folders,
                watch_filter=None,
                recursive=deep,
                debounce=50,
                step=10,
                rust_timeout=_LOOK,
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
            )
            for group in changes:
                paths = {Path(path) for _, path in group} | first
                first = set()
                if paths and not stop.is_set():
                    on_loop(loop, self._changed, paths)
        except Exception as error:  # such as no watches left in the system
            log.warning("files cannot be watched (%s); saving the document takes in what changed", error)
