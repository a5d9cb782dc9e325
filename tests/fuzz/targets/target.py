"""A target: its name and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.choices import Choices

LONGEST = 64 * 1024
"""The longest input, in bytes."""
SECONDS = 1.0
"""An input that takes longer is a finding."""


@dataclass(frozen=True, slots=True)
class Target:
    """`check` raises for an input that breaks what must hold. `fuzzed` are the packages that guide the mutator."""

    name: str
    check: Callable[[bytes], None]
    fuzzed: tuple[str, ...] = ("dlm_lsp",)


def built(data: bytes) -> Choices | None:
    """The choices that an input stands for; None when it is to be taken as it is, without its first byte."""
    return Choices(data[1:]) if data[:1] and data[0] & 1 else None
