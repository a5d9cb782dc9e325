"""Whatever is offered can be taken: every choice of the schema, at every place, in documents that stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from lsprotocol import types
from pydantic import BaseModel

from dlm_lsp.document import Frontmatter, Position, Severity, describe_key, parse
from dlm_lsp.document.adapters import adapter_names
from dlm_lsp.document.cursor import AtFence, AtHeader, AtKey, AtPath, Cursor, cursor_at
from dlm_lsp.document.model import KeyPath
from dlm_lsp.server.completion import Offer, complete
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.nearby import NearBase

ID = "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7"


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from literals(part)


def choices(model: type[BaseModel] = Frontmatter, path: KeyPath = ()) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    """Every key of the schema that has a choice of words, read from the models themselves."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        if found := tuple(literals(field.annotation)):
            yield here, found
        elif field.annotation is bool:
            yield here, ("true", "false")
        for below in models(field.annotation):
            free = here if name not in ("adapters", "sources") else (*here, "tone" if name == "adapters" else 0)
            yield from choices(below, free)


CHOICES = dict(choices())


def nested(path: KeyPath) -> str:
    """The lines that lead to a key, and its colon."""
    lines, indent = [], 0
    dash = ""
    for step in path:
        if isinstance(step, int):
            dash = "- "
            continue
        lines.append(f"{' ' * indent}{dash}{step}:")
        indent += 2 + len(dash)
        dash = ""
    return "\n".join(lines)


def at(lines: list[str], place: Position, adapters: tuple[str, ...] = ()) -> tuple[Cursor | None, list[Any]]:
    cursor = cursor_at(lines, place)
    if cursor is None:
        return None, []
    near = (NearBase("models/own", None), NearBase("models/", None))
    names = [
        ("a b.md", False),
        ("notes", True),
        ('q"uote.md', False),
        ("été: #x.md", False),
        ("*.md", False),
        ("end\\", False),
    ]
    offer = Offer(cursor, adapters, paths=lambda part: names, snippets=False, bases=near)
    return cursor, complete(offer, Positions("\n".join(lines), "utf-32"))


def test_there_are_choices_to_test() -> None:
    assert len(CHOICES) > 15
    assert CHOICES["training", "preference", "method"] == ("dpo", "orpo")
    assert ("training", "adapters", "tone", "adapter") in CHOICES


@pytest.mark.parametrize("path", CHOICES, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("typed", [" ", " x", ' "'])
def test_every_choice_of_the_schema_is_offered(path: KeyPath, typed: str) -> None:
    text = f"---\n{nested(path)}{typed}\n---\n"
    lines = text.split("\n")
    line = len(lines) - 3
    _, items = at(lines, Position(line, len(lines[line])))
    assert [item.label for item in items] == [str(each) for each in CHOICES[path]]
    info = describe_key(path)
    assert info is not None
    assert [item.label for item in items if item.detail == "default"] == (
        [info.default] if info.default in CHOICES[path] else []
    )


DOCUMENT = f"""\
---
{ID}
base_model: builtin:tiny
# about training

training:
  lora_r: 8
  lr_scheduler: cosine

  adapters:
    tone: {{}}
    facts:
      lora_r: 4
  sources:
    - path: notes
      include: [
        "*.md",

      ]
    - path: "more"

  audio: {{auto_resample: true}}
system_prompt: |
  You answer.

  In one sentence.
export:
  default_quant: "Q8_0"

---

# Harbour

The quay.

```
::not a fence

```

::instruction#tone::
### Q
When?

At night?

### A
At seven.

::image path="quay.png"::
A caption.

::preference::
### Prompt
p
### Chosen
c

### Rejected
r

::prose#facts::
The end.

"""


def places() -> Iterator[Position]:
    for number, line in enumerate(DOCUMENT.split("\n")):
        columns = {0, len(line), *(match.start() for match in re.finditer(r"\b|[^\w\s]", line))}
        yield from (Position(number, column) for column in sorted(columns))


def test_what_is_offered_in_a_whole_document_leaves_it_whole() -> None:
    before = parse(DOCUMENT)
    assert before.trainable
    lines, adapters = DOCUMENT.split("\n"), adapter_names(before)
    tried = set()
    for place in places():
        cursor, items = at(lines, place, adapters)
        if isinstance(cursor, AtHeader):
            items = [item for item in items if item.label == cursor.due]
        for item in items:
            if (cursor, item.label) in tried:
                continue
            tried.add((cursor, item.label))
            check(lines, before.text, cursor, item)
    kinds = {type(cursor).__name__ for cursor, _ in tried}
    assert kinds == {"AtKey", "AtValue", "AtFence", "AtAdapter", "AtAttribute", "AtPath", "AtHeader"}


def check(lines: list[str], text: str, cursor: Cursor | None, item: types.CompletionItem) -> None:
    edit = item.text_edit
    assert isinstance(edit, types.TextEdit)
    start, end = edit.range.start, edit.range.end
    assert start.line == end.line
    line = lines[start.line]
    made = [
        *lines[: start.line],
        line[: start.character] + edit.new_text + line[end.character :],
        *lines[start.line + 1 :],
    ]
    after = parse("\n".join(made))
    new = [problem for problem in after.problems if problem.severity is Severity.ERROR]
    # What is still to be written: the value of a key that was chosen, or what stands below one that was renamed.
    allowed = {"bad-value", "missing-key", "conflicting-keys"} if isinstance(cursor, AtKey) else set()
    allowed |= {"unknown-key"} if isinstance(cursor, AtKey) and not cursor.alone else set()
    assert {problem.code for problem in new} <= allowed, (cursor, item.label, new)
    assert "::::" not in "\n".join(made)
    if isinstance(cursor, AtFence):
        assert len(after.sections) >= len(parse(text).sections)


@pytest.mark.parametrize(
    ("line", "column"),
    [("  In one sentence.", 2), ('        "*.md",', 8), ("", 0)],
)
def test_nothing_is_offered_within_texts_and_lists_over_lines(line: str, column: int) -> None:
    lines = DOCUMENT.split("\n")
    number = lines.index(line) if line else lines.index("  In one sentence.") - 1
    assert at(lines, Position(number, column)) == (None, [])


@pytest.mark.parametrize(("typed", "offered"), [("", True), ("  ", True), (":", True), ("text", False)])
def test_fences_are_offered_on_the_last_line(typed: str, offered: bool) -> None:
    lines = [*DOCUMENT.rstrip("\n").split("\n"), typed]
    _, items = at(lines, Position(len(lines) - 1, len(typed)))
    assert ("::instruction::" in [item.label for item in items]) is offered


def test_the_header_that_is_due_comes_first() -> None:
    for above, due in [([], "### Q"), (["### Q", "q"], "### A"), (["### Q !probe", "q", "### A", "a"], "### Q")]:
        lines = [*f"---\n{ID}\n---\n::instruction::".split("\n"), *above, "##"]
        _, items = at(lines, Position(len(lines) - 1, 2))
        assert min(items, key=lambda item: item.sort_text or "").label == due
        assert len(items) == 3


def test_only_paths_that_can_be_written_there_are_offered() -> None:
    lines = DOCUMENT.split("\n")
    plain = lines.index("    - path: notes")
    quoted = lines.index('    - path: "more"')
    cursor, items = at(lines, Position(plain, 12))
    assert isinstance(cursor, AtPath)
    assert [item.label for item in items] == ["a b.md", "notes/", "end\\"]
    _, items = at(lines, Position(quoted, 13))
    assert [item.label for item in items] == ["a b.md", "notes/", "*.md"]
