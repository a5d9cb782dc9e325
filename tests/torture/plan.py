"""What is to be killed when: every named instant of every operation, and random ones, in an order fixed by a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import Literal

Operation = Literal["cycle", "full retrain", "prune", "revert", "recovery"]

RANDOM = "a random instant"
_RANDOM_OF: tuple[Operation, ...] = ("cycle", "full retrain", "revert", "recovery")


@dataclass(frozen=True, slots=True)
class Instant:
    """The `nth` coming of a named instant within one operation."""

    name: str
    nth: int = 1

    @property
    def phase(self) -> str:
        return phase_of(self.name)


@dataclass(frozen=True, slots=True)
class Target:
    """A kill to make. `at` None: at random. A recovery is that of an operation killed at `first` before."""

    operation: Operation
    at: Instant | None
    first: tuple[Operation, Instant] | None = None

    @property
    def phase(self) -> str:
        return self.at.phase if self.at else RANDOM


def phase_of(name: str) -> str:
    """The step of a commit (docs/store.md) that an instant belongs to."""
    _, change, role = name.split(" ", 2)
    plain = role.replace("~", "")
    removing = change in ("unlink", "rmdir")
    if plain in (".lock", "lsp/lock", "lsp", "the store", "the store's parent"):
        return "release" if removing else "lock"
    if plain.startswith("adapter/versions/"):
        if removing or (change == "replace" and role.endswith("~")):
            return "removal of a version"
        return "rename of the version" if plain == role else "files of the version"
    if plain == "adapter/versions":
        return "rename of the version"
    if plain.startswith("lsp/versions"):
        return "removal of a version" if removing else "record"
    for start, phase in (
        ("adapter", "pointer"),
        ("lsp/intent", "intent, removed" if removing else "intent"),
        ("lsp/journal", "journal"),
        ("replay", "replay corpus"),
        ("logs", "summary"),
        ("manifest", "manifest"),
        ("dlm.lock", "dlm.lock"),
    ):
        if plain.startswith(start):
            return phase
    return "other"


def numbered(names: Iterable[str]) -> list[Instant]:
    """The instants of one recorded operation, counted."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for name in names:
        seen[name] += 1
        found.append(Instant(name, seen[name]))
    return found


def order(named: Sequence[Target], kills: int, random_share: float, seed: int) -> Iterator[Target]:
    """`kills` or more targets: named ones so that every operation and phase comes early, mixed with random ones."""
    choose = Random(f"order {seed}")
    while True:
        groups: Mapping[tuple[str, str], list[Target]] = defaultdict(list)
        for target in choose.sample(named, len(named)):
            groups[target.operation, target.phase].append(target)
        rounds = zip_longest(*choose.sample(list(groups.values()), len(groups)))
        for target in (target for one in rounds for target in one if target is not None):
            yield target
            if choose.random() < random_share / (1 - random_share):
                yield Target(choose.choice(_RANDOM_OF), None)
