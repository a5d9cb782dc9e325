"""YAML 1.1 with places: what PyYAML's safe loader makes of a text, where each key and value stands, within
bounds.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dlm_lsp.document.model import KeyPath

MAX_DEPTH = 64
MAX_NODES = 20_000
"""Nodes of the tree with every alias written out: what an alias bomb makes many of."""
_MAX_NUMBER = 4_300  # digits; Python refuses to read longer integers, and reading them costs quadratic time

_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

Span = tuple[int, int]
"""Offsets in the text: start, and the first that no longer belongs to it."""


class YamlError(Exception):
    """The text is no YAML, or beyond the bounds (`limit`). Offsets are in code points."""

    def __init__(self, message: str, offset: int, *, context: Span | None = None, limit: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.context = context
        self.limit = limit


@dataclass(frozen=True, slots=True)
class KeySpan:
    key: Span
    value: Span


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that is written again in the same mapping."""

    path: KeyPath
    first: Span
    again: Span


@dataclass(slots=True)
class YamlText:
    """What a text says: its value, and the place of every key and list entry.

    `odd_keys` are keys that are no text for YAML (`1`, `yes`, …): they are left out of `value`.
    """

    value: object
    places: dict[KeyPath, KeySpan] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)
    odd_keys: list[tuple[KeyPath, object]] = field(default_factory=list)


def read_yaml(text: str) -> YamlText:
    """Reads one YAML document. Raises YamlError; takes linear time in the length of `text`."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return YamlText(None)
        result = YamlText(loader.construct_document(root))
        result.value = _Walk(text, loader, result).tree(root, result.value)
        return result
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        raise _from_marked(error) from error
    except yaml.reader.ReaderError as error:
        message = f"the character U+{error.character:04X} is not allowed; remove it"
        raise YamlError(message, error.position) from error
    except Exception as error:  # malformed escapes and directives end in bare Python errors inside PyYAML
        raise YamlError(str(error) or type(error).__name__, loader.index if loader else 0) from error


# What an author can do, by a part of what PyYAML says. The first that fits is told.
_ADVICE = {
    r"character '\\t'": "Indent with blanks; YAML takes no tabs",
    "that cannot start any token": "Put the value into quotes",
    "(scanning an|undefined) (alias|anchor)": "Put the value into quotes",
    "quoted scalar: found unexpected end": "Close the quote",
    "flow (mapping|sequence)": "Close the bracket, and put commas between its values",
    "mapping values are not allowed": "Put a value that holds a colon into quotes, "
    "and indent the keys of one level alike",
    "could not find expected ':'": "Write `key: value`",
    "sequence entries are not allowed": "Begin the list on the line below its key",
    "expected <block end>": "Indent what belongs together alike",
}


def _from_marked(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    context = error.context_mark if error.context_mark is not mark else None
    message = ": ".join(part for part in (error.context, error.problem or error.note) if part)
    if advice := next((told for pattern, told in _ADVICE.items() if re.search(pattern, message)), ""):
        message = f"{message}. {advice}"
    span = (context.index, context.index) if context else None
    return YamlError(message or "malformed", mark.index if mark else 0, context=span)


class _Loader(yaml.SafeLoader):
    """The safe loader, with bounds on depth and size that hold before anything grows, and errors with
    places.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.index: int
        self.depth = 0
        self.count = 0  # nodes so far, aliases written out
        self.extent: dict[Node, tuple[int, int]] = {}  # nodes and levels of a finished tree, aliases written out
        self.entries: dict[Node, list[tuple[Node, Node]]] = {}  # of a mapping, before `<<` is resolved

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise self._limit(f"brackets are nested deeper than {MAX_DEPTH} levels", self.index)
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        start = event.start_mark.index
        if self.depth == MAX_DEPTH:
            raise self._limit(f"it is nested deeper than {MAX_DEPTH} levels", start)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return None
        if not isinstance(event, AliasEvent):
            below = [self.extent[child] for child in _children(node)]
            self.extent[node] = (
                1 + sum(nodes for nodes, _ in below),
                1 + max((deep for _, deep in below), default=0),
            )
            self.count += 1
            if isinstance(node, MappingNode):
                self.entries[node] = list(node.value)
        elif node in self.extent:
            self.count += self.extent[node][0]
        else:
            raise self._limit("an alias refers to the value that it stands in", start)
        if self.count > MAX_NODES:
            raise self._limit(f"it holds more than {MAX_NODES} values (aliases written out)", start)
        if self.depth + self.extent[node][1] > MAX_DEPTH:
            raise self._limit(f"it is nested deeper than {MAX_DEPTH} levels (aliases written out)", start)
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        if node.tag in _NUMBERS and isinstance(node, ScalarNode) and len(node.value) > _MAX_NUMBER:
            raise self._limit(f"a number has more than {_MAX_NUMBER} digits", node.start_mark.index)
        try:
            return super().construct_object(node, deep)
        except (YamlError, yaml.YAMLError):
            raise
        except Exception as error:  # such as the 45th of a month, or `!!int` of a word
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"not a valid {kind} ({error})", node.start_mark) from error

    @staticmethod
    def _limit(message: str, offset: int) -> YamlError:
        return YamlError(message, offset, limit=True)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, SequenceNode):
        yield from node.value
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value


class _Walk:
    """Goes through a constructed tree beside its nodes and notes places, duplicates and odd keys."""

    def __init__(self, text: str, loader: _Loader, result: YamlText) -> None:
        self._text = text
        self._loader = loader
        self._result = result

    def tree(self, node: Node, value: object, path: KeyPath = ()) -> object:
        """`value` without keys that are no text; everything found on the way goes into the result."""
        if isinstance(node, MappingNode) and isinstance(value, dict):
            return self._mapping(node, value, path)
        if isinstance(node, SequenceNode) and isinstance(value, list) and len(value) == len(node.value):
            items = []
            for index, (child, item) in enumerate(zip(node.value, value, strict=True)):
                span = span_of(child, self._text)
                self._result.places[(*path, index)] = KeySpan(span, span)
                items.append(self.tree(child, item, (*path, index)))
            return items
        return value

    def _mapping(self, node: MappingNode, value: dict[Hashable, object], path: KeyPath) -> dict[str, object]:
        first: dict[Hashable, Node] = {}
        for key_node, _ in self._loader.entries.get(node, ()):
            if key_node.tag == _MERGE or not isinstance(key_node, ScalarNode):
                continue
            key = self._loader.construct_object(key_node)
            if key in first:
                name = key_node.value
                self._result.duplicates.append(
                    Duplicate((*path, name), span_of(first[key], self._text), span_of(key_node, self._text))
                )
            else:
                first[key] = key_node
        last = {
            self._loader.construct_object(key_node, deep=True): (key_node, value_node)
            for key_node, value_node in node.value
        }
        kept: dict[str, object] = {}
        for key, item in value.items():
            key_node, value_node = last.get(key, (node, node))  # not found: not-a-number, unequal to itself
            name = key if isinstance(key, str) else str(getattr(key_node, "value", key))
            self._result.places[(*path, name)] = KeySpan(span_of(key_node, self._text), span_of(value_node, self._text))
            if isinstance(key, str) and _is_text(key):
                kept[name] = self.tree(value_node, item, (*path, name))
            else:
                self._result.odd_keys.append(((*path, name), key))
        return kept


def span_of(node: Node, text: str) -> Span:
    """A node's place in `text`, without the line ends and comments that PyYAML counts to a block's end."""
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, ScalarNode):
        if node.style in ("|", ">"):
            end = start + len(text[start:end].rstrip())
    elif isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
        end = max(start, span_of(last, text)[1]) if last.start_mark.index >= start else end
    return (start, end)


def _is_text(key: str) -> bool:
    """Whether a key can be written as UTF-8: an escape in YAML may name half of a UTF-16 pair."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
