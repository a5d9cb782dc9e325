"""The outline, the tokens and the selections of a document, and the cursor: exact on examples, sound on any text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlm_lsp.document import LineIndex, Position, Range, parse
from dlm_lsp.document.cursor import (
    AtAdapter,
    AtAttribute,
    AtFence,
    AtHeader,
    AtKey,
    AtPath,
    AtValue,
    Cursor,
    cursor_at,
)
from dlm_lsp.document.outline import Node, outline
from dlm_lsp.document.selection import enclosing
from dlm_lsp.document.text import normalised
from dlm_lsp.document.tokens import tokens
from tests.document.test_properties import BODIES, HEAD, REAL, YAML, calm

EXAMPLE = """\
---
dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7
base_model: builtin:tiny   # offline
training:
  lora_r: 8
  sources:
    - path: notes
      include: ["*.md"]
system_prompt: |
  Be brief.
  # no comment
---

# Harbour
The quay.

```py
::prose::
```
## Ferries
Two of them.

::instruction#tone::
<!-- dlm-auto-harvest: source="x" -->
### Q
When does the ferry leave?

### A
At seven.

### Q
And on Sundays?

::image path="quay.png" alt="The quay"::
A caption.
"""


def drawn(nodes: Sequence[Node], depth: int = 0) -> list[str]:
    """The tree as lines: depth, kind, name, and the lines from and to which it reaches."""
    found = []
    for node in nodes:
        detail = f" ({node.detail})" if node.detail else ""
        lines = f"{node.range.start.line}-{node.last_line}"
        found.append(f"{'  ' * depth}{node.kind} {node.name}{detail} {lines}")
        found += drawn(node.children, depth + 1)
    return found


def test_the_outline_of_a_document() -> None:
    assert drawn(outline(parse(EXAMPLE))) == [
        "frontmatter Frontmatter 0-11",
        "  key dlm_id (01HZ4X7TGZM3J1A2B3C4D5E6F7) 1-1",
        "  key base_model (builtin:tiny) 2-2",
        "  key training 3-7",
        "    key lora_r (8) 4-4",
        "    key sources 5-7",
        "      key [0] (notes) 6-7",
        "        key path (notes) 6-6",
        "        key include 7-7",
        '          key [0] ("*.md") 7-7',
        "  key system_prompt 8-10",
        "section prose (Harbour) 13-20",
        "  heading Harbour 13-20",
        "    code py 16-18",
        "    heading Ferries 19-20",
        "section instruction#tone (1 exchange) 22-31",
        "  markers provenance 23-23",
        "  exchange When does the ferry leave? 24-28",
        "    part ### Q 24-25",
        "    part ### A 27-28",
        "  part ### Q 30-31",
        "section image (quay.png) 33-34",
    ]


def test_what_each_word_is() -> None:
    document = parse(EXAMPLE)
    lines = EXAMPLE.split("\n")
    said = [
        (token.kind, lines[token.range.start.line][token.range.start.column : token.range.end.column])
        for token in tokens(document, outline(document))
    ]
    assert said == [
        ("property", "dlm_id"), ("string", "01HZ4X7TGZM3J1A2B3C4D5E6F7"),
        ("property", "base_model"), ("string", "builtin:tiny"), ("comment", "# offline"),
        ("property", "training"), ("property", "lora_r"), ("number", "8"),
        ("property", "sources"), ("property", "path"), ("string", "notes"),
        ("property", "include"), ("string", '"*.md"'),
        ("property", "system_prompt"), ("string", "|"), ("string", "Be brief."), ("string", "# no comment"),
        ("keyword", "::instruction"), ("variable", "#tone"), ("keyword", "::"),
        ("comment", '<!-- dlm-auto-harvest: source="x" -->'),
        ("decorator", "### Q"), ("decorator", "### A"), ("decorator", "### Q"),
        ("keyword", "::image"), ("property", "path"), ("string", '"quay.png"'),
        ("property", "alt"), ("string", '"The quay"'), ("keyword", "::"),
    ]  # fmt: skip


def test_a_selection_grows_from_the_word_to_the_text() -> None:
    document = parse(EXAMPLE)
    lines = EXAMPLE.split("\n")
    place = Position(25, lines[25].index("ferry") + 2)
    said = [(found.start.line, found.end.line) for found in enclosing(outline(document), lines, place)]
    word, *_, whole = enclosing(outline(document), lines, place)
    assert lines[25][word.start.column : word.end.column] == "ferry"
    assert said == [(25, 25), (25, 25), (24, 25), (24, 28), (22, 32), (0, 35)]
    assert whole.end == Position(35, 0)


def walked(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from walked(node.children)


def check(text: str) -> None:
    document = parse(text)
    index = LineIndex(text)
    nodes = outline(document)
    lines = normalised(text).split("\n")

    def ordered(level: Sequence[Node], inside: Range | None) -> None:
        for node, following in zip_longest(level, level[1:]):
            assert node.range.start <= node.selection.start <= node.selection.end <= node.range.end
            assert index.clamp(node.range.end) == node.range.end
            assert node.range.start.line <= node.last_line <= node.range.end.line
            if inside is not None:
                assert inside.start <= node.range.start <= node.range.end <= inside.end
            if following is not None:
                assert node.range.end <= following.range.start
            ordered(node.children, node.range)

    ordered(nodes, None)
    last = Position(0, 0)
    for token in tokens(document, nodes):
        assert last <= token.range.start < token.range.end
        assert token.range.start.line == token.range.end.line
        assert index.clamp(token.range.end) == token.range.end
        last = token.range.end
    for line in range(len(lines)):
        place = Position(line, len(lines[line]) // 2)
        chain = enclosing(nodes, lines, place)
        assert all(outer.start <= inner.start and inner.end <= outer.end for inner, outer in pairwise(chain))
        cursor_at(lines, place)


@pytest.mark.parametrize("text", REAL)
def test_every_real_text_has_a_sound_structure(text: str) -> None:
    check(text)


@calm
@given(BODIES)
@example("::instruction::\n\n")
def test_any_body_has_a_sound_structure(body: str) -> None:
    check(HEAD + body)


@calm
@given(YAML, st.sampled_from(["\n", "\r\n"]))
def test_any_frontmatter_has_a_sound_structure(yaml: str, end: str) -> None:
    check(f"---\ndlm_id: 1\n{yaml}\n---\ntext".replace("\n", end))


def at(text: str) -> Cursor | None:
    """What stands at the place marked with `|>`."""
    start = text.index("|>")
    lines = text.replace("|>", "").split("\n")
    return cursor_at(lines, Position(text.count("\n", 0, start), start - (text.rfind("\n", 0, start) + 1)))


@pytest.mark.parametrize(
    ("yaml", "parent", "written"),
    [
        ("tr|>", (), {"dlm_id"}),
        ("|>", (), {"dlm_id"}),
        ("training:\n  |>\n  seed: 1", ("training",), {"seed"}),
        ("training:\n  lora_r: 8\nex|>", (), {"dlm_id", "training"}),
        ("training:\n  sources:\n    - path: a\n      in|>\n    - path: b", ("training", "sources", 0), {"path"}),
        ("training:\n  sources:\n  - path: a\n  - |>", ("training", "sources", 1), set()),
        ("training:\n  sources:\n  - path: a\n  se|>", ("training",), {"sources"}),
        ("training:\n  adapters:\n    tone:\n      lo|>", ("training", "adapters", "tone"), set()),
        ("system_prompt: |\n  a: b\n\nex|>", (), {"dlm_id", "system_prompt"}),
        (
            "training:\n  preference:\n    hyperparams:\n      be|>ta: 0.1",
            ("training", "preference", "hyperparams"),
            set(),
        ),
    ],
)
def test_a_key_is_known_by_its_indentation(yaml: str, parent: tuple[Any, ...], written: set[str]) -> None:
    found = at(f"---\ndlm_id: x\n{yaml}\n---\n")
    assert isinstance(found, AtKey)
    assert (found.parent, set(found.written)) == (parent, written)


@pytest.mark.parametrize("yaml", ["system_prompt: |\n  he|>", "# co|>", "training:|>", "a: b # c|>"])
def test_nothing_is_offered_in_block_scalars_and_comments(yaml: str) -> None:
    assert at(f"---\ndlm_id: x\n{yaml}\n---\n") is None


def test_values_and_paths() -> None:
    found = at('---\nexport:\n  default_quant: "Q|>4"\n---\n')
    assert isinstance(found, AtValue)
    assert (found.path, found.text) == (("export", "default_quant"), "Q")
    assert (found.range.start.column, found.range.end.column) == (18, 20)
    found = at("---\ntraining:\n  sources:\n  - path: notes/a|>\n---\n")
    assert isinstance(found, AtPath)
    assert found.text == "notes/a"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("|>", AtFence),
        ("::ins|>", AtFence),
        ("::instruction#t|>one::", AtAdapter),
        ("::image |>", AtAttribute),
        ('::image path="a/|>"::', AtPath),
        ("::instruction::\n#|>", AtHeader),
        ("::instruction::\n### Q\nhe|>", None),
        ("some text|>", None),
        ("```\n::|>", None),
        ("# Head|>", None),
    ],
)
def test_in_the_body(body: str, expected: type | None) -> None:
    found = at(f"---\ndlm_id: x\n---\n{body}")
    assert found is None if expected is None else isinstance(found, expected)
