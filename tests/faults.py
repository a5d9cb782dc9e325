"""Faults for a server process, switched on and off from outside while it runs.

Only the tests' own server scripts install them. They wrap the small functions at the end of `store/disk.py`, the only
ones that change the disk, and do what a small file says at that moment. An *instant* is named by what is about to be
done and to which file of the store, such as `before replace adapter/current.txt` or `torn write manifest.json`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.store import disk

CHANGES = ("open", "write", "sync", "sync_folder", "mkdir", "replace", "unlink", "rmdir")

_STORE = re.compile(r"^.*/store/[0-9A-HJKMNP-TV-Z]{26}(/|$)")
_TEMPORARY = re.compile(r"(^|/)\.([^/]+)\.[0-9a-f]{12}\.lsp-tmp(?=/|$)")


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do from now on; everything off by default.

    `kill`: the process ends at the `nth` coming of this instant. `record`: every instant is written to `<file>.log`.
    `error`: a name of `errno` that every change of a kind in `changes` (empty: of every kind) fails with, if the file's
    role matches `where`; with `read` among `changes`, reading fails, too. `torn`: a write stops half-way: before it
    fails, or without saying so when there is no `error`. `clock`: seconds that the wall clock is off.
    """

    kill: str = ""
    nth: int = 1
    record: bool = False
    error: str = ""
    changes: Sequence[str] = ()
    where: str = ""
    torn: bool = False
    clock: float = 0.0


class Switch:
    """The outside's end: writes the orders. The file is replaced whole, so that none is read half."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.off()

    def set(self, orders: Orders) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(orders)))
        beside.replace(self.path)

    def off(self) -> None:
        self.set(Orders())

    def recorded(self) -> list[str]:
        """The instants since the last call, in their order."""
        log = self.path.with_suffix(".log")
        names = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return names


def install(path: Path) -> None:
    """From now on this process obeys what `path` says."""
    _Faults(path)


def role(path: Path | str) -> str:
    """What a path is in its store, the same for every document, version and temporary name."""
    inside, found = _STORE.subn("", str(path))
    if not found:
        return "the store's parent"
    inside = _TEMPORARY.sub(r"\1\2~", inside)
    inside = re.sub(r"train-\d+-\d+T\d+", "train-N", re.sub(r"\bv\d{4,}", "vN", inside))
    return inside or "the store"


class _Faults:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = b""
        self._orders = Orders()
        self._seen: Counter[str] = Counter()
        self._paths: dict[int, str] = {}
        self._lock = threading.RLock()
        self._time = time.time
        for change in CHANGES:
            setattr(disk, f"_{change}", self._wrapped(change, getattr(disk, f"_{change}")))
        self._read = disk.read
        disk.read = self._read_or_fail
        time.time = self._now

    def _wrapped(self, change: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            subject = arguments[1] if change == "replace" else arguments[0]
            what = role(self._paths.get(subject, "") if isinstance(subject, int) else subject)
            with self._lock:
                orders = self._obey()
                self._come(orders, f"before {change} {what}")
                if change == "write":
                    torn = self._dies_at(orders, f"torn write {what}") or (
                        orders.torn and self._meant(orders, change, what)
                    )
                    if torn:
                        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                    self._come(orders, f"torn write {what}")
                    if torn and not orders.error:
                        return None
                if orders.error and self._meant(orders, change, what):
                    raise _error(orders.error, subject)
            result = real(*arguments)
            if change == "open":
                self._paths[result] = str(subject)
            return result

        return call

    def _read_or_fail(self, path: Path) -> bytes | None:
        with self._lock:
            orders = self._obey()
            if "read" in orders.changes and self._meant(orders, "read", role(path)):
                raise _error(orders.error, path)
        return self._read(path)

    def _obey(self) -> Orders:
        text = self._path.read_bytes()
        if text != self._text:
            self._text, self._orders = text, Orders(**json.loads(text))
            self._seen.clear()
        return self._orders

    def _come(self, orders: Orders, instant: str) -> None:
        self._seen[instant] += 1
        if orders.record:
            with self._path.with_suffix(".log").open("a") as log:
                log.write(f"{instant}\n")
        if instant == orders.kill and self._seen[instant] == orders.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def _dies_at(self, orders: Orders, instant: str) -> bool:
        """Whether the coming of `instant` that is next is the one to die at: the ones before it are as any other."""
        return instant == orders.kill and self._seen[instant] + 1 == orders.nth

    def _meant(self, orders: Orders, change: str, what: str) -> bool:
        return (not orders.changes or change in orders.changes) and re.search(orders.where, what) is not None

    def _now(self) -> float:
        with self._lock:
            return self._time() + self._obey().clock


def _error(name: str, subject: object) -> OSError:
    """As the system raises it: an error of a descriptor does not say which file it is about."""
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), str(subject) if isinstance(subject, Path) else None)
