"""The frontmatter: from its lines to a validated value, with every problem at its key or value."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dlm_lsp.document.keys import describe_key, keys_at
from dlm_lsp.document.migrations import migrate
from dlm_lsp.document.model import Fix, KeyPath, KeyPlace, Position, Range, Related
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.schema import SCHEMA_VERSION, Frontmatter
from dlm_lsp.document.text import LineIndex, span
from dlm_lsp.document.yaml_text import KeySpan, Span, YamlError, YamlText, read_yaml

DELIMITER = "---"
MAX_LENGTH = 256 * 1024
"""Longest frontmatter that is read, in characters: PyYAML reads about that much in a second."""


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a document as line numbers. `body` is None when no line closes the frontmatter."""

    opener: Range
    body: int | None
    end: Position  # of the frontmatter, its closing line included


@dataclass(slots=True)
class FrontmatterText:
    """What the frontmatter says; `frontmatter` is None when it is not valid."""

    frontmatter: Frontmatter | None = None
    keys: dict[KeyPath, KeyPlace] = field(default_factory=dict)


def split(lines: Sequence[str], first_column: int, problems: ProblemList) -> Split | None:
    """Finds the frontmatter's lines, or says why there are none.

    `lines` are without byte order mark; `first_column` is 1 when the text had one. The delimiters must fill
    their lines. One with blanks around it is an error, and taken for what it was meant to be.
    """
    opener = span(0, first_column, first_column + len(lines[0]))
    if lines[0] != DELIMITER:
        almost = lines[0].strip() == DELIMITER
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        fixes = []
        if almost:
            advice = "remove the blanks around it"
            fixes = [Fix("Remove the blanks around `---`", opener, DELIMITER)]
        elif lines[first].strip() == DELIMITER:
            advice = "remove what stands above it"
            above = Range(opener.start, span(first, 0, 0).start)
            fixes = [Fix("Remove the blank lines above `---`", above, "")]
        elif ":" in lines[first]:
            advice = "put a line of three hyphens before the frontmatter"
        else:
            advice = "a quick fix of the editor writes them, and `dlm-lsp init --from` makes a document of a text"
        problems.add(
            "frontmatter-missing",
            opener,
            f"The frontmatter delimiters are missing: the first line must be exactly `---`; {advice}.",
            fixes=fixes,
        )
        if not almost:
            return None
    closer = next((number for number, line in enumerate(lines[1:], 1) if line == DELIMITER), None)
    if closer is None:
        closer = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == DELIMITER), None)
        related, fixes = [], []
        advice = "put a line of exactly three hyphens after the last key"
        if closer is not None:
            advice = f"remove the blanks around the hyphens in line {closer + 1}"
            place = span(closer, 0, len(lines[closer]))
            related.append(Related("This line has blanks around the hyphens.", place))
            fixes.append(Fix("Remove the blanks around `---`", place, DELIMITER))
        message = f"No line `---` closes the frontmatter: {advice}."
        problems.add("frontmatter-not-closed", opener, message, related, fixes)
    if closer is None:
        return Split(opener, None, opener.end)
    return Split(opener, closer + 1, Position(closer, len(lines[closer])))


def read(lines: Sequence[str], opener: Range, problems: ProblemList) -> FrontmatterText:
    """Reads and validates the lines between the delimiters; `opener` is the place of the first delimiter."""
    text = "\n".join(lines)
    if len(text) > MAX_LENGTH:
        message = f"The frontmatter is longer than {MAX_LENGTH} characters: move text to the body."
        problems.add("frontmatter-too-large", opener, message)
        return FrontmatterText()
    return _Reader(text, opener, problems).read()


class _Reader:
    """One reading of one frontmatter."""

    def __init__(self, text: str, opener: Range, problems: ProblemList) -> None:
        self._text = text
        self._opener = opener
        self._problems = problems
        self._index = LineIndex(text)
        self._keys: dict[KeyPath, KeyPlace] = {}

    def read(self) -> FrontmatterText:
        before = self._problems.errors
        data = self._mapping()
        if data is None:
            return FrontmatterText()
        version = self._version(data)
        if version is None:
            return FrontmatterText(keys=self._keys)
        migrated = migrate(data, version)
        for path, written in migrated.written.items():
            if written in self._keys:
                self._keys[path] = self._keys[written]
        for path in migrated.ignored:
            message = f"`{_dotted(path)}` has no effect in a document of schema version {version}; remove it."
            self._problems.add("ignored-key", self._key_range(path), message)
        frontmatter: Frontmatter | None = None
        try:
            frontmatter = Frontmatter.model_validate(migrated.data)
        except ValidationError as error:
            self._report(error.errors(include_url=False, include_input=False))
        if self._problems.errors > before:
            frontmatter = None
        return FrontmatterText(frontmatter, self._keys)

    # --- YAML ---

    def _mapping(self) -> dict[str, Any] | None:
        if not self._text.strip():
            return {}
        try:
            found = read_yaml(self._text)
        except YamlError as error:
            code = "frontmatter-too-large" if error.limit else "frontmatter-yaml"
            related = []
            if error.context is not None:
                related.append(Related("The surrounding value begins here.", self._range(error.context)))
            message = f"This frontmatter is not valid YAML: {error.message}."
            if error.limit:
                message = f"This frontmatter is too large to read: {error.message}."
            place = (error.offset, min(error.offset + 1, self._line_end(error.offset)))
            self._problems.add(code, self._range(place), message, related)
            return None
        if not isinstance(found.value, dict):
            message = "The frontmatter must be `key: value` lines, such as `base_model: builtin:tiny`."
            self._problems.add("frontmatter-not-mapping", self._range((0, len(self._text))), message)
            return None
        self._note_keys(found)
        return found.value

    def _note_keys(self, found: YamlText) -> None:
        self._keys = {path: self._place(place) for path, place in found.places.items()}
        for duplicate in found.duplicates:
            self._problems.add(
                "duplicate-key",
                self._range(duplicate.again),
                f"`{_dotted(duplicate.path)}` is written twice, and only the last one counts: remove one.",
                [Related("The first one is here.", self._range(duplicate.first))],
            )
        for path, key in found.odd_keys:
            message = f"`{path[-1]}` is read by YAML as {_kind(key)}, and a key must be text: quote or correct it."
            self._problems.add("unknown-key", self._keys[path].key, message)

    def _version(self, data: dict[str, Any]) -> int | None:
        """The version to migrate from, or None when the rest can't be judged."""
        if "dlm_version" not in data:
            return 1
        version = data["dlm_version"]
        place = self._value_range(("dlm_version",))
        if isinstance(version, bool) or not isinstance(version, int):
            shown = self._shown(("dlm_version",))
            expected = f"an integer from 1 to {SCHEMA_VERSION}, without quotes"
            message = f"`dlm_version` can't be {shown}: expected {expected}."
            self._problems.add("bad-value", place, message)
            data["dlm_version"] = SCHEMA_VERSION
            return SCHEMA_VERSION
        if version > SCHEMA_VERSION:
            message = (
                f"`dlm_version` is newer than this parser, which knows {SCHEMA_VERSION} at most: upgrade this program."
            )
            self._problems.add("version-too-new", place, message)
            return None
        if version < 1:
            message = f"There is no `dlm_version` below 1: write {SCHEMA_VERSION}, or remove the key."
            newest = str(SCHEMA_VERSION)
            self._problems.add("version-too-old", place, message, fixes=_changes(newest, place))
            return None
        return version

    # --- validation errors, each to its place ---

    def _report(self, errors: Sequence[ErrorDetails]) -> None:
        bad: dict[KeyPath, None] = {}
        for error in errors:
            path = self._path(error["loc"])
            if error["type"] == "missing":
                self._missing((*path, str(error["loc"][-1])))
            elif error["type"] == "extra_forbidden":
                self._unknown(path)
            elif error["type"] == "conflicting_keys":
                for below, sentence in error["ctx"]["places"]:
                    self._conflict((*path, *below), sentence, is_value=not below)
            else:
                bad[path] = None
        above = {path[:length] for path in bad for length in range(len(path))}
        for path in bad:
            if path not in above:  # of a union's complaints only the one inside the list says something
                self._bad_value(path)

    def _path(self, location: Sequence[str | int]) -> KeyPath:
        """The written key path of an error's location, which also names missing keys and union members."""
        path: KeyPath = ()
        for step in location:
            if (*path, step) in self._keys:
                path = (*path, step)
        return path

    def _missing(self, path: KeyPath) -> None:
        parent = path[:-1]
        info = describe_key(path)
        place = self._key_range(parent) if parent else self._opener
        what = f" {info.meaning}" if info else ""
        fixes = []
        if path == ("base_model",):
            below = Position(self._opener.end.line + 1, 0)
            fixes.append(Fix("Use the built-in base", Range(below, below), "base_model: builtin:tiny\n"))
        self._problems.add("missing-key", place, f"`{_dotted(path)}` is missing: add it.{what}", fixes=fixes)

    def _unknown(self, path: KeyPath) -> None:
        names = keys_at(path[:-1])
        where = f"in `{_dotted(path[:-1])}`" if path[:-1] else "at the top level"
        near = self._nearest(str(path[-1]), names)
        advice = _meant(near)
        if not advice and len(path) > 1 and path[-1] in keys_at(()):
            advice = " It belongs to the top level: indent it less."
        advice = advice or f" Known keys here: {', '.join(names)}."
        place = self._key_range(path)
        message = f"There is no key `{path[-1]}` {where}.{advice}"
        self._problems.add("unknown-key", place, message, fixes=_changes(near, place))

    def _conflict(self, path: KeyPath, sentence: str, *, is_value: bool) -> None:
        place = self._value_range(path) if is_value else self._key_range(path)
        code = "bad-value" if is_value or path[:-1] == ("training", "adapters") else "conflicting-keys"
        self._problems.add(code, place, f"`{_dotted(path)}` {sentence}.")

    def _bad_value(self, path: KeyPath) -> None:
        info = describe_key(path)
        expected = info.expected if info else "another value"
        shown = self._shown(path)
        near = self._nearest(shown.strip("`'\""), info.allowed) if info else None
        message = f"`{_dotted(path)}` can't be {shown}: expected {expected}.{_meant(near)}"
        place = self._value_range(path)
        self._problems.add("bad-value", place, message, fixes=_changes(near, place))

    def _nearest(self, word: str, words: Sequence[str]) -> str | None:
        if self._problems.full or len(word) > 64:
            return None
        found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
        return found[0] if found else None

    # --- places ---

    def _shown(self, path: KeyPath) -> str:
        """The value as it is written, short enough for a message."""
        place = self._value_range(path)
        if path not in self._keys or self._keys[path].value.start == self._keys[path].value.end:
            return "left empty"
        start = self._index.offset(Position(place.start.line - 1, place.start.column))
        end = self._index.offset(Position(place.end.line - 1, place.end.column))
        written = self._text[start : min(end, start + 41)].partition("\n")[0]
        return f"`{written}`" if len(written) == end - start else f"`{written[:40]}…`"

    def _key_range(self, path: KeyPath) -> Range:
        while path and path not in self._keys:
            path = path[:-1]
        return self._keys[path].key if path else self._opener

    def _value_range(self, path: KeyPath) -> Range:
        """The place of a value; of an empty one, its key."""
        while path and path not in self._keys:
            path = path[:-1]
        if not path:
            return self._opener
        place = self._keys[path]
        return place.value if place.value.start != place.value.end else place.key

    def _place(self, place: KeySpan) -> KeyPlace:
        return KeyPlace(self._range(place.key), self._range(place.value))

    def _range(self, place: Span) -> Range:
        start, end = (self._index.position(offset) for offset in place)
        return Range(Position(start.line + 1, start.column), Position(end.line + 1, end.column))

    def _line_end(self, offset: int) -> int:
        end = self._text.find("\n", offset)
        return len(self._text) if end < 0 else end


def _meant(near: str | None) -> str:
    return f" Did you mean `{near}`?" if near is not None else ""


def _changes(near: str | None, place: Range) -> tuple[Fix, ...]:
    return (Fix(f"Change to `{near}`", place, near),) if near is not None else ()


def _dotted(path: KeyPath) -> str:
    return ".".join(str(step) for step in path)


def _kind(key: object) -> str:
    if isinstance(key, bool):
        return "true or false"
    if isinstance(key, int | float):
        return "a number"
    return "nothing" if key is None else "something other than text"
