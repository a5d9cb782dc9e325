"""Bytes as decisions: lets a mutator of bytes write inputs that are almost right, so that they get deep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Each decision takes bytes from the front; when none is left, every decision is the first and simplest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def byte(self) -> int:
        if not self.left:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1, `bound` at least 1."""
        value = self.byte()
        if bound > 256:
            value = value << 8 | self.byte()
        return value % bound

    def flag(self, one_in: int = 2) -> bool:
        return self.byte() % one_in == 1

    def pick(self, among: Sequence[T]) -> T:
        return among[self.below(len(among))]

    def several(self, most: int) -> Iterator[None]:
        """Goes round up to `most` times, while there are bytes."""
        for _ in range(self.below(most + 1)):
            if not self.left:
                return
            yield

    def raw(self, most: int) -> bytes:
        """Up to `most` bytes as they are."""
        size = min(self.below(most + 1), self.left)
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        found = self._data[self._at :]
        self._at = len(self._data)
        return found

    def text(self, most: int) -> str:
        """Up to `most` bytes as text; what is no UTF-8 becomes half a surrogate pair, which JSON can carry, too."""
        return as_text(self.raw(most))


def as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
