"""What a save does to the run that is going on: nothing, absorb, or stop early and restart. Decided here, pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dlm_lsp.document import Document, Frontmatter
from dlm_lsp.runs.fingerprints import changed_shape_keys, config_of, shape_of, shape_value


class Change(StrEnum):
    """How the newest saved text differs from the one that a run began with."""

    NONE = "none"  # in nothing that is trained
    DATA = "data"  # in sections alone (or perhaps in sourced files): the run takes them in
    CONFIG = "config"  # in a setting that fits the adapter: the run ends early and begins anew with it
    SHAPE = "shape"  # in what fixes the adapter's tensors: the run ends early, and the adapter can't go on


@dataclass(frozen=True, slots=True)
class Difference:
    """`keys` names the changed settings by their dotted frontmatter keys, with the new values as text."""

    change: Change
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def told(self) -> str:
        """The changed settings in words, such as `learning_rate 0.001`."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.keys)


def difference(before: Document, after: Document, path: Path) -> Difference:
    """How two trainable texts of the document at `path` differ for a run. Reads no other file than a base's folder."""
    old, new = before.frontmatter, after.frontmatter
    assert old is not None and new is not None, "a document without errors has a frontmatter"
    shape = changed_shape_keys(shape_of(old, path), after_shape := shape_of(new, path))
    if shape:
        return Difference(Change.SHAPE, tuple((key, _text(shape_value(after_shape, key))) for key in shape))
    if config := _changed_config(old, new):
        return Difference(Change.CONFIG, config)
    # What sourced files hold is read by the worker, so with sources only the worker can tell that nothing changed.
    if new.training.sources or old.training.sources or _identities(before) != _identities(after):
        return Difference(Change.DATA)
    return Difference(Change.NONE)


def _changed_config(old: Frontmatter, new: Frontmatter) -> tuple[tuple[str, str], ...]:
    before, after = config_of(old), config_of(new)
    return tuple((key, _text(after[key])) for key in after if after[key] != before[key])


def _identities(document: Document) -> frozenset[str]:
    return document.identities


def _text(value: object) -> str:
    return "as by default" if value is None else " ".join(str(value).split())[:60]
