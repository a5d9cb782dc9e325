"""Changes or removes one value of the frontmatter and nothing else: comments, line ends, indentation and style stay.

A change is proposed from the places of the YAML nodes, and taken only if the text it makes reads as the old value
with exactly that one difference. What cannot be changed with certainty (such as an alias that others share) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dlm_lsp.document.frontmatter import MAX_LENGTH, split
from dlm_lsp.document.model import KeyPath, Position, Range
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.text import BYTE_ORDER_MARK, LineIndex, normalised
from dlm_lsp.document.yaml_text import YamlError, read_yaml, span_of
from dlm_lsp.document.yaml_writing import block, flow

_STEP = 2  # blanks of one level, where the frontmatter has no nested mapping to imitate
_WIDTH = 100  # a flow value is not wrapped; this keeps long ones in block style


class YamlEditError(ValueError):
    """The change cannot be made with certainty; the message is a sentence that says why and what to do."""


class Edit(NamedTuple):
    """`text` in place of `range`, in the text as the editor holds it: its columns, its line ends."""

    range: Range
    text: str


class _Change(NamedTuple):
    """The same in offsets of the frontmatter's lines, joined by LF."""

    start: int
    end: int
    text: str


def set_value(text: str, path: KeyPath, value: object) -> Edit:
    """Gives the key at `path` this value; the key, and mappings above it, are made where they are not written.

    `value` is of plain YAML types (text, numbers, true, null, lists and mappings of them). Raises YamlEditError.
    """
    return _Frontmatter(text).edit(path, value, append=False)


def remove_key(text: str, path: KeyPath) -> Edit | None:
    """Takes the key at `path` out, with mappings above it that would be empty then; None if it is not written.

    Comments on its own line go with it, others stay. Raises YamlEditError.
    """
    return _Frontmatter(text).removal(path)


def append_item(text: str, path: KeyPath, value: object) -> Edit:
    """Adds `value` at the end of the list at `path`, which is made where it is not written. Raises YamlEditError."""
    return _Frontmatter(text).edit(path, value, append=True)


def apply_edit(text: str, edit: Edit) -> str:
    """`text` after `edit`."""
    index = LineIndex(text)
    return text[: index.offset(edit.range.start)] + edit.text + text[index.offset(edit.range.end) :]


def value_at(text: str, path: KeyPath) -> object:
    """What the frontmatter says at `path`, before it is validated; None for what is not written.

    Raises YamlEditError if there is no frontmatter, or it is no YAML.
    """
    found = _Frontmatter(text).value
    for step in path:
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and isinstance(step, int) and 0 <= step < len(found):
            found = found[step]
        else:
            return None
    return found


class _Frontmatter:
    """The lines between the delimiters, read as YAML with places."""

    def __init__(self, text: str) -> None:
        lines = normalised(text).split("\n")
        problems = ProblemList()
        parts = split(lines, 1 if text.startswith(BYTE_ORDER_MARK) else 0, problems)
        if parts is None or parts.body is None or problems.count:
            raise YamlEditError("The document has no frontmatter between two lines of `---`: write it first.")
        self._eol = "\r\n" if "\r\n" in text else "\r" if "\r" in text and "\n" not in text else "\n"
        inner = lines[1 : parts.body - 1]
        self._text = "".join(f"{line}\n" for line in inner)
        if len(self._text) > MAX_LENGTH:
            raise YamlEditError("The frontmatter is too long to be changed: move text to the body.")
        self._index = LineIndex(self._text)
        try:
            self.value = self._read(self._text)
            self._root = yaml.compose(self._text, Loader=yaml.SafeLoader)  # within the bounds that were just checked
        except YamlError as error:
            raise YamlEditError(f"The frontmatter is not valid YAML ({error.message}): correct that first.") from None
        self._step = self._indentation()

    def edit(self, path: KeyPath, value: object, *, append: bool) -> Edit:
        wanted = _canonical(_with(self.value, path, value, append=append))
        return self._first(self._changes(path, value, append=append), wanted, path)

    def removal(self, path: KeyPath) -> Edit | None:
        while len(path) > 1 and self._is_alone(path):
            path = path[:-1]
        parent, _, depth = self._written(path[:-1])
        if depth < len(path) - 1 or not isinstance(parent, MappingNode):
            return None
        pairs = parent.value
        at = next((number for number, (key, _) in enumerate(pairs) if key.value == path[-1]), None)
        if at is None:
            return None
        return self._first(self._without(parent, at), _canonical(_less(self.value, path)), path)

    def _is_alone(self, path: KeyPath) -> bool:
        node, _, depth = self._written(path[:-1])
        if depth < len(path) - 1 or not isinstance(node, MappingNode) or len(node.value) != 1:
            return False
        return bool(node.value[0][0].value == path[-1])

    def _without(self, parent: MappingNode, at: int) -> Iterator[_Change]:
        """The parent's entry number `at` taken out."""
        key, node = parent.value[at]
        start, end = key.start_mark.index, max(self._end(node), key.end_mark.index)
        if not parent.flow_style:
            yield _Change(start - key.start_mark.column, self._next_line(end) or len(self._text), "")
            return
        if at + 1 < len(parent.value):
            yield _Change(start, parent.value[at + 1][0].start_mark.index, "")
        if at:
            yield _Change(max(self._end(each) for each in parent.value[at - 1]), end, "")
        yield _Change(start, end, "")

    def _first(self, changes: Iterator[_Change], wanted: str, path: KeyPath) -> Edit:
        """The first of `changes` that says what is wanted, and nothing else."""
        for change in changes:
            made = self._text[: change.start] + change.text + self._text[change.end :]
            if self._says(made, wanted):
                return self._edit(change)
        dotted = ".".join(map(str, path))
        raise YamlEditError(f"`{dotted}` cannot be changed without touching something else: write it by hand.")

    @staticmethod
    def _read(text: str) -> object:
        """As the document's reader takes it: a text at the end has no line end before the delimiter."""
        return read_yaml(text.removesuffix("\n")).value

    @classmethod
    def _says(cls, text: str, wanted: str) -> bool:
        if len(text) > MAX_LENGTH or "---" in text.split("\n"):
            return False
        try:
            return _canonical(cls._read(text)) == wanted
        except YamlError:
            return False

    def _edit(self, change: _Change) -> Edit:
        start, end = (self._index.position(offset) for offset in (change.start, change.end))
        place = Range(Position(start.line + 1, start.column), Position(end.line + 1, end.column))
        return Edit(place, change.text.replace("\n", self._eol))

    # --- what could be changed, the best first ---

    def _changes(self, path: KeyPath, value: object, *, append: bool) -> Iterator[_Change]:
        node, key, depth = self._written(path)
        rest = path[depth:]
        if rest or not append:
            value = _nested(rest[1:], [value] if append else value)
        elif isinstance(node, SequenceNode):
            yield from self._into_sequence(node, value)
            return
        else:
            value = [value]
        if not rest:
            yield from self._in_place(node, key, value)
        elif isinstance(node, MappingNode):
            yield from self._into_mapping(node, rest[0], value)
        elif node is None or (isinstance(node, ScalarNode) and node.tag.endswith(":null")):
            yield from self._in_place(node, key, {rest[0]: value})

    def _written(self, path: KeyPath) -> tuple[Node | None, Node | None, int]:
        """The deepest node of `path` that is written, its key, and how many steps lead to it."""
        node, key = self._root, None
        for depth, step in enumerate(path):
            found = None
            if isinstance(node, MappingNode):
                pairs = [pair for pair in node.value if isinstance(pair[0], ScalarNode) and pair[0].value == step]
                found = pairs[-1] if pairs else None
            elif isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
                found = (None, node.value[step])
            if found is None:
                return node, key, depth
            key, node = found
        return node, key, len(path)

    def _in_place(self, node: Node | None, key: Node | None, value: object) -> Iterator[_Change]:
        """Another value where one is written, or none yet."""
        end_of_text = len(self._text)
        if node is None:
            yield _Change(end_of_text, end_of_text, block(value, 0, self._step))
            return
        start, end = node.start_mark.index, self._end(node)
        written = flow(value)
        nested = isinstance(value, Mapping | list) and bool(value)
        if key is None:
            yield _Change(start, end, written)
            return
        line = self._text.find("\n", key.end_mark.index) + 1 or end_of_text
        column = key.start_mark.column + self._step
        lines = block(value, column, self._step) if nested else ""
        colon = self._text.find(":", key.end_mark.index) + 1
        if start == end:
            if nested:
                yield _Change(line, line, lines)
            yield _Change(colon, colon, f" {written}")
            return
        if nested and isinstance(node, ScalarNode) and len(written) < _WIDTH:
            stop = self._text.find("\n", end)
            comment = self._text[end:stop]
            yield _Change(colon, stop + 1, f"{comment.rstrip()}\n{lines}")
        yield _Change(start, end, written)
        yield _Change(colon, end, f" {written}")
        code = self._text[colon : line - 1]
        words = code.split(" #")[0].rstrip()
        yield _Change(colon, colon + len(words), f" {written}")

    def _into_mapping(self, node: MappingNode, key: str | int, value: object) -> Iterator[_Change]:
        if node.flow_style:
            yield from self._into_flow(node, flow({key: value})[1:-1])
            return
        keys = [key for key, _ in node.value]
        yield from self._into_block(node, keys, block({key: value}, keys[0].start_mark.column, self._step))

    def _into_sequence(self, node: SequenceNode, value: object) -> Iterator[_Change]:
        if node.flow_style:
            yield from self._into_flow(node, flow(value))
        else:
            yield from self._into_block(node, [node], block([value], node.start_mark.column, self._step))

    def _into_block(self, node: Node, entries: Sequence[Node], lines: str) -> Iterator[_Change]:
        """`lines` after `node`; where that would change a text at its end, before that text or before all of it."""
        first = entries[0]
        last = self._next_line(self._end(node))
        for at in (self._below_comments(last, first.start_mark.column), last, self._next_line(node.end_mark.index)):
            yield _Change(at, at, lines)
        for entry in (entries[-1], first):
            start = self._above_comments(entry.start_mark.index - entry.start_mark.column)
            yield _Change(start, start, lines)

    def _into_flow(self, node: MappingNode | SequenceNode, item: str) -> Iterator[_Change]:
        inside = node.end_mark.index - 1
        if not node.value:
            yield _Change(inside, inside, item)
            return
        last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
        end = last.end_mark.index
        yield _Change(end, end, f", {item}")
        yield _Change(inside, inside, f" {item}" if self._text[inside - 1] == "," else item)
        yield _Change(inside, inside, f", {item}")

    # --- places ---

    def _end(self, node: Node) -> int:
        return span_of(node, self._text)[1]

    def _next_line(self, offset: int) -> int:
        """Where the line after `offset` begins; `offset` itself where it begins one."""
        return offset if offset and self._text[offset - 1] == "\n" else self._text.find("\n", offset) + 1

    def _below_comments(self, start: int, column: int) -> int:
        """Below the comments that are indented to `column` or more, and so belong to what stands above them."""
        while self._text.startswith(" " * column, start) and self._text[start:].lstrip(" ").startswith("#"):
            start = self._text.find("\n", start) + 1
        return start

    def _above_comments(self, start: int) -> int:
        """Above the comments that stand right above a line, and so belong to it."""
        while start and self._text[self._text.rfind("\n", 0, start - 1) + 1 : start].lstrip(" ").startswith("#"):
            start = self._text.rfind("\n", 0, start - 1) + 1
        return start

    def _indentation(self) -> int:
        """How far the first nested mapping is indented."""
        if isinstance(self._root, MappingNode) and not self._root.flow_style:
            for _, node in self._root.value:
                if isinstance(node, MappingNode) and not node.flow_style and node.start_mark.column:
                    return min(int(node.start_mark.column), 8)
        return _STEP


def _with(whole: object, path: KeyPath, value: object, *, append: bool) -> object:
    """A copy of `whole` that says `value` at `path`. Raises YamlEditError where something else is in the way."""
    if not path:
        if not append:
            return value
        if whole is None or isinstance(whole, list):
            return [*(whole or ()), value]
        raise YamlEditError("There is something else than a list where one is needed: correct that first.")
    step, rest = path[0], path[1:]
    if isinstance(whole, list) and isinstance(step, int) and 0 <= step < len(whole):
        return [*whole[:step], _with(whole[step], rest, value, append=append), *whole[step + 1 :]]
    if whole is None or isinstance(whole, dict):
        table = whole or {}
        return {**table, step: _with(table.get(step), rest, value, append=append)}
    raise YamlEditError(f"There is no mapping that could hold `{step}`: correct what is written there first.")


def _less(whole: object, path: KeyPath) -> object:
    """A copy of `whole` without the key at `path`, which is there."""
    assert isinstance(whole, dict), "it was found in a mapping"
    step, rest = path[0], path[1:]
    if not rest:
        return {key: value for key, value in whole.items() if key != step}
    return {**whole, step: _less(whole[step], rest)}


def _nested(path: KeyPath, value: object) -> object:
    for step in reversed(path):
        value = {step: value}
    return value


def _canonical(value: object) -> str:
    """Equal for equal values of equal types, whatever the order of keys."""
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{key!r}:{_canonical(item)}" for key, item in value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return repr(value)
