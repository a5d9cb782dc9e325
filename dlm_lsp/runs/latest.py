"""The newest outcome of a computation, for whoever asks again about the very same objects."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Keeps what a pure function made of the values that it was given last, of `most` different ones."""

    def __init__(self, compute: Callable[..., T], most: int = 1) -> None:
        self._compute = compute
        self._most = most
        self._kept: tuple[tuple[tuple[Any, ...], T], ...] = ()

    def of(self, *values: Any) -> T:
        for known, outcome in self._kept:
            if all(map(is_, values, known)):
                return outcome
        outcome = self._compute(*values)
        self._kept = ((values, outcome), *self._kept[: self._most - 1])
        return outcome
