"""The globs of `training.sources`: `*` and `?` stay within a name, `**` spans any number of directories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate


class Glob:
    """One pattern, matched against the whole of a relative path. Case counts; `[` stands for itself."""

    def __init__(self, pattern: str) -> None:
        parts = pattern.strip("/").split("/")
        self._whole_tree = parts[-1] == "**"
        if self._whole_tree:
            parts.append("*")  # `docs/**` is everything below docs, not docs itself
        self._parts = [None if part == "**" else _Name(part) for part in parts]

    def matches(self, path: Sequence[str]) -> bool:
        """Whether the path of these names matches. Never backtracks: no pattern is slow."""
        return self._accepts(path, len(self._parts))

    def covers(self, directory: Sequence[str]) -> bool:
        """Whether all that lies below `directory` is sure to match."""
        return self._whole_tree and self._accepts(directory, len(self._parts) - 1)

    def spells(self, name: str) -> bool:
        """Whether a part of the pattern that is not all wildcards matches `name`: then it is meant."""
        return any(part is not None and part.is_spelt and part.matches(name) for part in self._parts)

    def _accepts(self, path: Sequence[str], end: int) -> bool:
        """Whether the first `end` parts can stand for `path`: follows all places in the pattern at once."""
        places = self._with_empty({0})
        for name in path:
            places = self._with_empty(
                {
                    place if part is None else place + 1
                    for place in places
                    if place < len(self._parts) and ((part := self._parts[place]) is None or part.matches(name))
                }
            )
        return end in places

    def _with_empty(self, places: set[int]) -> set[int]:
        """`places`, and those behind a `**` that stands for no directory at all."""
        for place, part in enumerate(self._parts):
            if part is None and place in places:
                places.add(place + 1)
        return places


class _Name:
    """The part of a pattern that stands for one name."""

    def __init__(self, pattern: str) -> None:
        self.is_spelt = any(character.isalnum() for character in pattern)
        self._compiled = re.compile(translate(pattern.replace("[", "[[]")))

    def matches(self, name: str) -> bool:
        return self._compiled.match(name) is not None


def any_matches(globs: Iterable[Glob], path: Sequence[str]) -> bool:
    return any(glob.matches(path) for glob in globs)
