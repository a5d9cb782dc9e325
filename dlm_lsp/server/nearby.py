"""Base models that are on this machine: snapshots in the hub's cache, and directories beside the document.

Disks are asked on threads that nobody waits for long; what was found a moment ago is known without asking.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlm_lsp.server.links import names_below
from dlm_lsp.training.bases import BaseFacts, base_facts, cached_bases, registry

_PATIENCE = 0.25  # seconds that an author waits for names; those that come later are known the next time
_FRESH = 5.0  # seconds
_MOST = 100  # directories that are looked into
_PLAIN = re.compile(r"[\w.~/][\w.~/+-]*", re.ASCII)  # what YAML takes as it is


@dataclass(frozen=True, slots=True)
class NearBase:
    """A base that can be named; without `facts`, a folder that leads on to some."""

    name: str
    facts: BaseFacts | None


class Nearby:
    """Knows what was found. To be used on the loop's thread."""

    def __init__(self) -> None:
        self._found: dict[object, tuple[float, tuple[NearBase, ...]]] = {}
        self._looking: dict[object, asyncio.Future[tuple[NearBase, ...]]] = {}

    async def bases(self, folder: Path | None, part: str) -> tuple[NearBase, ...]:
        """The models in the hub's cache, and the directories that a path beginning with `part` may go on to.

        `folder`: where relative paths begin; None for a text that is no file.
        """
        cached = await self._look("hub", lambda: tuple(NearBase(each.reference, each) for each in cached_bases()))
        if folder is None or part.startswith(("hf:", "builtin:")):
            return cached
        inside = part.rpartition("/")[0] + "/" if "/" in part else "./" if part.startswith(".") else ""
        return (*cached, *await self._look((folder, inside), lambda: _directories(folder, inside)))

    async def _look(self, key: object, look: Callable[[], tuple[NearBase, ...]]) -> tuple[NearBase, ...]:
        loop = asyncio.get_running_loop()
        at, found = self._found.get(key, (float("-inf"), ()))
        if loop.time() - at < _FRESH:
            return found
        if key not in self._looking:
            self._looking[key] = loop.create_future()
            threading.Thread(target=self._run, args=(loop, key, look), name="dlm-nearby", daemon=True).start()
        future = self._looking[key]
        done, _ = await asyncio.wait({future}, timeout=_PATIENCE)
        return future.result() if done else found

    def _run(self, loop: asyncio.AbstractEventLoop, key: object, look: Callable[[], tuple[NearBase, ...]]) -> None:
        """On a thread of its own; a disk that does not answer keeps nothing but this."""
        found: tuple[NearBase, ...] = ()
        try:
            found = look()
        finally:
            try:
                loop.call_soon_threadsafe(self._done, key, found)
            except RuntimeError:  # the loop is closed: nobody wants to know any more
                return

    def _done(self, key: object, found: tuple[NearBase, ...]) -> None:
        if len(self._found) > _MOST:
            self._found.clear()
        self._found[key] = (asyncio.get_running_loop().time(), found)
        self._looking.pop(key).set_result(found)


def _directories(folder: Path, inside: str) -> tuple[NearBase, ...]:
    """Directories in `folder`/`inside` that hold a base (at the document, two levels deep), and others to go on to."""
    found = []
    names = [f"{inside}{name}" for name, is_folder in names_below(folder, inside) if is_folder][:_MOST]
    if not inside:
        deeper = [f"{name}/{each}" for name in names for each, is_folder in names_below(folder, name) if is_folder]
        names += deeper[:_MOST]
    for name in filter(_PLAIN.fullmatch, names):
        if _is_base(folder, name):
            reference = f"./{name}" if name in registry() else name
            found.append(NearBase(reference, base_facts(reference, folder)))
        elif inside:
            found.append(NearBase(f"{name}/", None))
    return tuple(found)


def _is_base(folder: Path, name: str) -> bool:
    try:
        return (folder / Path(name).expanduser() / "config.json").is_file()
    except (OSError, ValueError, RuntimeError):
        return False
