"""What is fuzzed, and what must hold for any input of each."""

from __future__ import annotations

from tests.fuzz.targets import documents, files, messages
from tests.fuzz.targets.target import LONGEST, SECONDS, Target

TARGETS: dict[str, Target] = {target.name: target for target in (*documents.TARGETS, *files.TARGETS, *messages.TARGETS)}

__all__ = ["LONGEST", "SECONDS", "TARGETS", "Target"]
