"""Takes a change of the adapter's shape back: what the current version was trained with stands in the text again."""

from __future__ import annotations

import re
from pathlib import Path

from dlm_lsp.document import Document, Position, Range
from dlm_lsp.document.model import KeyPath
from dlm_lsp.document.schema import TrainingConfig
from dlm_lsp.document.yaml_edit import Edit, YamlEditError, apply_edit, remove_key, set_value
from dlm_lsp.runs.fingerprints import changed_shape_keys, shape_of, shape_value
from dlm_lsp.runs.sources import relative

_LINES = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


def reverted(text: str, document: Document, path: Path, shape: str) -> Edit | None:
    """One edit of `text` (which says `document`) after which it has the recorded `shape`; None if it has it.

    A value that is the default is not written out, but its key is removed. Raises YamlEditError: why not.
    """
    if document.frontmatter is None or not shape:
        return None
    changed = changed_shape_keys(shape, shape_of(document.frontmatter, path))
    try:
        before = {key: shape_value(shape, key) for key in changed}
    except (ValueError, LookupError, TypeError):
        raise YamlEditError("What the current version was trained with cannot be read from its record.") from None
    made, edits = text, []
    for dotted, value in before.items():
        edit = _put_back(made, tuple(dotted.split(".")), _written(value, path) if dotted == "base_model" else value)
        if edit is not None:
            edits.append(edit)
            made = apply_edit(made, edit)
    if made == text:
        return None
    return edits[0] if len(edits) == 1 else _whole(text, made)


def _put_back(text: str, path: KeyPath, value: object) -> Edit | None:
    field = TrainingConfig.model_fields.get(str(path[-1])) if len(path) > 1 else None
    if field is not None and field.default == value:
        try:
            return remove_key(text, path)
        except YamlEditError:  # an alias, say: then the default is written out, where that can be done
            pass
    return set_value(text, path, value)


def _written(base: object, path: Path) -> object:
    """A folder is recorded by its whole path; a document names it from where it lies."""
    if not isinstance(base, str) or not Path(base).is_absolute():
        return base
    near = relative(base, path.parent)
    return base if near is None else near if near.startswith("..") else f"./{near}"


def _whole(before: str, after: str) -> Edit:
    """From one text to the other in one edit of whole lines."""
    old, new = _LINES.split(before), _LINES.split(after)
    short = min(len(old), len(new))
    first = next((at for at in range(short) if old[at] != new[at]), short)
    same = next((at for at in range(short - first) if old[-1 - at] != new[-1 - at]), short - first)
    place = Range(Position(first, 0), Position(len(old) - same, 0))
    return Edit(place, "".join(new[first : len(new) - same]))
