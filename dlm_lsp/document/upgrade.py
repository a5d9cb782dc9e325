"""Changes of the frontmatter that an author may ask for: the newest schema version, an adapter that is declared.

Comments, layout and line ends stay. A change is offered only if the document says the same with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dlm_lsp.document.formatting import Change, apply_edits, in_its_line_ends
from dlm_lsp.document.migrations import Migrated, migrate
from dlm_lsp.document.model import Document, KeyPath, Position, Range, Severity
from dlm_lsp.document.parse import parse
from dlm_lsp.document.schema import SCHEMA_VERSION
from dlm_lsp.document.text import span
from dlm_lsp.document.yaml_edit import Edit, YamlEditError, set_value, value_at

_VERSION = ("dlm_version",)
_OLD, _NEW = ("training", "dpo"), ("training", "preference")
_STEP = 2


def declaration(text: str, document: Document, line: int) -> tuple[str, Edit] | None:
    """The adapter's name in the fence at `line` that nothing declares, and the edit that does."""
    section = next((each for each in document.sections if each.range.start.line == line), None)
    name = section.adapter if section is not None else None
    if name is None or ("training", "adapters", name) in document.keys:
        return None
    try:
        edit = set_value(text, ("training", "adapters", name), {})
    except YamlEditError:
        return None
    made = parse(apply_edits(text, (edit,)), document)
    if ("training", "adapters", name) not in made.keys or _errors(made) > _errors(document):
        return None  # such as flat settings that do not go together with named adapters
    return name, edit


def migration(text: str, document: Document) -> tuple[Edit, ...]:
    """What makes the document one of the newest schema version; nothing where that is not certain, or not needed."""
    if document.frontmatter is None:
        return ()
    try:
        version = value_at(text, _VERSION)
        training = value_at(text, ("training",))
        if version == SCHEMA_VERSION or not isinstance(version, int | None):
            return ()
        lines = document.text.split("\n")
        changes: list[Change] = []
        if version in (None, 1) and isinstance(training, Mapping) and "dpo" in training:
            changes += _Dpo(document, lines, migrate({"training": training}, 1)).changes()
        edits = (*in_its_line_ends(text, changes), _numbered(text, document))
    except (YamlEditError, _OtherwiseError):
        return ()
    made = parse(apply_edits(text, edits))
    same = made.frontmatter == document.frontmatter and made.sections == _moved(document, made)
    return tuple(sorted(edits)) if same and not any(each.code == "ignored-key" for each in made.problems) else ()


class _OtherwiseError(Exception):
    """The old mapping is written in a way that is left to its author."""


def _errors(document: Document) -> int:
    return sum(problem.severity is Severity.ERROR for problem in document.problems)


def _moved(document: Document, made: Document) -> tuple[object, ...]:
    """The sections of `document` where the longer or shorter frontmatter of `made` puts them."""
    lines = made.text.count("\n") - document.text.count("\n")
    return tuple(section.moved(lines) for section in document.sections)


def _numbered(text: str, document: Document) -> Edit:
    place = document.keys.get(("dlm_id",))
    if _VERSION in document.keys or place is None or place.key.start.column > 0:
        return set_value(text, _VERSION, SCHEMA_VERSION)
    below = Position(place.value.end.line + 1, 0)  # beside the id, where tools write it
    (edit,) = in_its_line_ends(text, [Change(Range(below, below), f"dlm_version: {SCHEMA_VERSION}\n")])
    return edit


class _Dpo:
    """The text of version 1's `training.dpo`, as the `training.preference` of today."""

    def __init__(self, document: Document, lines: Sequence[str], migrated: Migrated) -> None:
        self._keys = document.keys
        self._lines = lines
        self._migrated = migrated
        self._new: dict[KeyPath, KeyPath] = {old: new for new, old in migrated.written.items() if len(old) == 3}

    def changes(self) -> Iterator[Change]:
        if _NEW in self._migrated.ignored:
            raise _OtherwiseError  # both are written: the author should see which one counts
        children = self._children()
        place = self._keys[_OLD]
        if _NEW not in self._migrated.written:
            yield self._removed(_OLD)
        elif not children:
            yield Change(place.key, "preference")
            if place.value.start < place.value.end:  # `{}`
                yield Change(place.value, "{method: dpo}")
        elif self._slice(Range(place.value.start, self._after(place.value.start))) == "{":
            yield Change(place.key, "preference")
            yield Change(place.value, self._flow(children))
        else:
            yield self._block(children)

    def _children(self) -> list[KeyPath]:
        inside = self._keys[_OLD].value
        found = [path for path in self._keys if len(path) == 3 and path[:2] == _OLD]
        if any(not inside.start <= self._keys[path].key.start <= inside.end for path in found):
            raise _OtherwiseError  # an alias or a merge
        return sorted(found, key=lambda path: self._keys[path].key)

    def _flow(self, children: Sequence[KeyPath]) -> str:
        if self._keys[_OLD].value.start.line != self._keys[_OLD].value.end.line:
            raise _OtherwiseError
        plain = ["method: dpo"]
        deep: list[str] = []
        for path in children:
            if path in self._new:
                place = self._keys[path]
                written = f"{self._slice(Range(place.key.start, place.value.start))}{self._value(path)}"
                (deep if self._is_deep(path) else plain).append(written)
        deep = [f"hyperparams: {{{', '.join(deep)}}}"] if deep else []
        return f"{{{', '.join((*plain, *deep))}}}"

    def _block(self, children: Sequence[KeyPath]) -> Change:
        """Whole lines: each key goes with the comments above it; the nested ones come together at the end."""
        key = self._keys[_OLD].key
        column = self._keys[children[0]].key.start.column
        plain, deep = [f"{' ' * column}method: dpo"], []
        first = key.start.line + 1
        if self._keys[children[0]].key.start.line < first:
            raise _OtherwiseError
        for path in children:
            start, end = self._keys[path].key.start, self._keys[path].value.end
            if start.column != column:
                raise _OtherwiseError
            lines = list(self._lines[first : end.line + 1])
            first = end.line + 1
            if path not in self._new:
                lines = [line for line in lines if line.lstrip().startswith("#")]
            elif (value := self._value(path)) != self._slice(self._keys[path].value):
                lines[-1] = self._lines[start.line].replace(self._slice(self._keys[path].value), value, 1)
            if self._is_deep(path):
                deep += [f"{' ' * _STEP}{line}" if line.strip() else line for line in lines]
            else:
                plain += lines
        deep = [f"{' ' * column}hyperparams:", *deep] if deep else []
        named = self._lines[key.start.line]
        named = f"{named[: key.start.column]}preference{named[key.end.column :]}"
        return Change(
            Range(Position(key.start.line, 0), Position(first, 0)),
            "".join(f"{line}\n" for line in (named, *plain, *deep)),
        )

    def _is_deep(self, path: KeyPath) -> bool:
        return len(self._new.get(path, ())) == 4

    def _value(self, path: KeyPath) -> str:
        """The value as it is written, or what the newer schema calls it."""
        new = self._new[path]
        if new[-1] == "reference":
            preference = self._migrated.data["training"]["preference"]
            return str(preference["reference"])
        return self._slice(self._keys[path].value)

    def _removed(self, path: KeyPath) -> Change:
        place = self._keys[path]
        first, last = place.key.start.line, max(place.key.end, place.value.end).line
        if self._lines[first][: place.key.start.column].strip():
            raise _OtherwiseError
        return Change(Range(Position(first, 0), Position(last + 1, 0)), "")

    def _slice(self, place: Range) -> str:
        if place.start.line != place.end.line:
            raise _OtherwiseError
        return self._lines[place.start.line][place.start.column : place.end.column]

    @staticmethod
    def _after(place: Position) -> Position:
        return span(place.line, place.column, place.column + 1).end
