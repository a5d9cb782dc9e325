"""Formatting: tidier, the same meaning, and once is enough."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlm_lsp.document import Document, Position, Range, parse
from dlm_lsp.document.formatting import apply_edits, changes, formatted, in_its_line_ends, says_the_same
from dlm_lsp.document.yaml_text import YamlError, read_yaml
from tests.document.test_properties import BODIES, HEAD, LINES, REAL, VECTORS, calm

LINE_END = re.compile("\r\n|\r|\n")
ID = "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7"


def tidied(text: str) -> str:
    return apply_edits(text, formatted(text, parse(text)))


def raw(document: Document) -> object:
    """The frontmatter's value, whatever the schema says of it."""
    place = document.frontmatter_range
    assert place is not None
    try:
        return repr(read_yaml("\n".join(document.text.split("\n")[1 : place.end.line])).value)
    except YamlError as error:
        return error.message


def check(text: str) -> str:
    """What holds for every text; returns the formatted one."""
    before = parse(text)
    edits = formatted(text, before)
    assert edits == in_its_line_ends(text, changes(before)), "the guard had nothing to refuse"
    places = [edit.range for edit in edits]
    assert places == sorted(places)
    assert all(one.end <= other.start for one, other in pairwise(places))
    made = apply_edits(text, edits)
    after = parse(made)
    if edits:
        assert raw(after) == raw(before)
    assert after.frontmatter == before.frontmatter
    assert [each.section_id for each in after.sections] == [each.section_id for each in before.sections]
    assert [each.lessons for each in after.sections] == [each.lessons for each in before.sections]
    assert [each.adapter for each in after.sections] == [each.adapter for each in before.sections]
    for one, other in zip(before.sections, after.sections, strict=True):
        if one.kind not in ("image", "audio"):
            assert one.content == other.content
    assert [each.code for each in after.problems] == [each.code for each in before.problems]
    assert "".join(made.split()) == "".join(text.split())
    assert made.startswith("\ufeff") == text.startswith("\ufeff")
    assert set(LINE_END.findall(made)) <= set(LINE_END.findall(text))
    assert formatted(made, after) == (), "once is enough"
    return made


UNTIDY = f"""\
---

{ID}   # the name\t
base_model :   m


training:
      lora_r:  8   # rank
      # of the adapter
      adapters:
         tone: {{ }}
         # nothing yet
      target_modules:
        -   q_proj
        - k_proj
      sources:
      -   path:   notes
          include: [
             "*.md" ,
          ]
   # of what follows
       # of what is above
system_prompt: |+
        Two   blanks
          deeper\x20\x20

        kept
export:
    default_quant:   "Q8_0"

---
::image   path="a  b.png"\t alt="x"  ::


A caption.\x20\x20
continued


::prose::


::instruction::
### Q\x20\x20
q

### A
a


::audio path="a.wav" transcript="b"::
::prose::
  text
end"""

TIDY = f"""\
---
{ID}   # the name
base_model: m

training:
  lora_r: 8   # rank
  # of the adapter
  adapters:
    tone: {{ }}
    # nothing yet
  target_modules:
    - q_proj
    - k_proj
  sources:
  - path: notes
    include: [
       "*.md" ,
    ]
# of what follows
  # of what is above
system_prompt: |+
  Two   blanks
    deeper\x20\x20

  kept
export:
  default_quant: "Q8_0"
---

::image path="a  b.png" alt="x"::

A caption.\x20\x20
continued

::prose::

::instruction::
### Q\x20\x20
q

### A
a


::audio path="a.wav" transcript="b"::

::prose::
  text
end
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_blanks_that_mean_nothing_are_put_in_order(end: str, mark: str) -> None:
    text = mark + UNTIDY.replace("\n", end)
    assert not [each for each in parse(text).problems if each.code.startswith("frontmatter")]
    assert check(text) == mark + TIDY.replace("\n", end)


def test_a_text_in_order_stays_as_it_is() -> None:
    assert formatted(TIDY, parse(TIDY)) == ()


def test_edits_are_small() -> None:
    text = TIDY.replace("  lora_r: 8", "    lora_r: 8").replace("  adapters", "    adapters")
    edits = formatted(text.replace('Q8_0"', 'Q8_0"  '), parse(text.replace('Q8_0"', 'Q8_0"  ')))
    assert all(len(edit.text) <= 8 and edit.range.start.line == edit.range.end.line for edit in edits)


@pytest.mark.parametrize(
    "text",
    [
        "no frontmatter at all  \n",
        "---\nbase_model:   m\n",
        "---   \nbase_model:   m\n---\n",
        "---\nbase_model:   m\n--- \n",
    ],
)
def test_a_document_without_a_closed_frontmatter_is_left_alone(text: str) -> None:
    assert formatted(text, parse(text)) == ()


def test_of_a_broken_frontmatter_the_body_is_formatted() -> None:
    assert check('---\nx:  [\n---\n::image  path="a"::\n\n\n') == '---\nx:  [\n---\n\n::image path="a"::\n'


def test_only_the_lines_of_the_range_are_touched() -> None:
    text = f"---\n{ID}\nbase_model:   m\ntraining:\n    lora_r:   8\n    seed:   1\n---\n\ntext"
    within = Range(Position(4, 0), Position(5, 0))
    edits = formatted(text, parse(text), within)
    assert apply_edits(text, edits) == text.replace("lora_r:   8", "lora_r: 8"), "one key alone cannot be moved"
    within = Range(Position(3, 0), Position(5, 99))
    edits = formatted(text, parse(text), within)
    assert apply_edits(text, edits) == text.replace("    lora_r:   8\n    seed:   1", "  lora_r: 8\n  seed: 1")


@pytest.mark.parametrize("text", REAL)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_case_of_the_format_keeps_its_meaning(text: str, end: str) -> None:
    check(text.replace("\n", end))


@pytest.mark.parametrize(
    "body", [case["body"] for kind in ("instruction_bodies", "preference_bodies") for case in VECTORS[kind]]
)
@pytest.mark.parametrize("kind", ["instruction", "preference", "prose"])
def test_every_body_of_the_format_keeps_its_meaning(body: str, kind: str) -> None:
    check(f'{HEAD}::{kind}::\n{body}\n::image   path="x"::\n{body}\n\n::prose::\n')


def test_meaning_is_told_from_layout() -> None:
    """The guard before edits are sent really looks."""
    one = parse(TIDY)
    assert says_the_same(one, one)
    for old, new in [
        ("q\n\n", "q\n"),
        ("lora_r: 8", "lora_r: 9"),
        ("  kept", " kept"),
        ("::prose::\n  ", "::prose::\n"),
    ]:
        assert old in TIDY
        assert not says_the_same(one, parse(TIDY.replace(old, new, 1)))


BLANKS = st.sampled_from(["", " ", "  ", "\t", "   \t", "\x0c"])
BODY_LINES = LINES | BLANKS | st.sampled_from(['::image  path="a"\talt="" ::', "::prose#a::", "::image::", "caption"])


@calm
@given(st.lists(BODY_LINES, max_size=14).map("\n".join) | BODIES, st.sampled_from(["\n", "\r\n", "\r"]))
@example("\n \n::prose::\n", "\n")
@example(" \ntext", "\n")
def test_any_body_keeps_its_meaning(body: str, end: str) -> None:
    check((HEAD + body).replace("\n", end))


KEY = st.sampled_from(["a", "b", "c d", "'e'", '"f"', "g"])
INLINE = st.sampled_from(
    ["1", "x y", "'q  r'", '"s"', "[1,  2]", "{a:  1}", "", "  # c", "&x 1", "!!str 1", "v # c", "[1,\n 2,\n  {z: 3}]",
     '"two\n   lines  \n\n more"', "plain\n     goes on\n     # no\n", "|\n     lit\n       deep  \n\n\n",
     ">-\n    fold\n     more", "|2\n      odd\n", "|+\n     keep\n\n\n", "|-\n     strip\n\n  ", "'it''s'"]
)  # fmt: skip


def block(depth: int) -> st.SearchStrategy[list[str]]:
    """Lines of a block collection in column 0, in all kinds of layouts."""
    if depth == 0:
        return INLINE.map(lambda value: [f"k:  {value}"])
    below = block(depth - 1)
    gap = st.sampled_from([" ", "  ", "\t"])
    nested = st.tuples(KEY, st.integers(1, 5), below, st.sampled_from(["", "  ", " # c"])).map(
        lambda made: [f"{made[0]}:{made[3]}", *(" " * made[1] + line for line in made[2])]
    )
    flat = st.tuples(KEY, st.sampled_from(["", " "]), gap, INLINE).map(
        lambda made: [f"{made[0]}{made[1]}:{made[2]}{made[3]}"]
    )
    listed = st.tuples(
        KEY, st.integers(0, 4), st.lists(st.tuples(st.integers(1, 3), below), min_size=1, max_size=2)
    ).map(lambda made: [f"{made[0]}:", *(line for wide, item in made[2] for line in dashed(made[1], wide, item))])
    between = st.lists(st.sampled_from(["", "  ", "# c", "   # c", "\t# t"]), max_size=2)
    entries = st.lists(st.tuples(nested | flat | listed, between), min_size=1, max_size=3)
    return entries.map(lambda made: [line for entry, more in made for line in (*entry, *more)])


def dashed(indent: int, wide: int, item: list[str]) -> list[str]:
    first, *others = item
    return [f"{' ' * indent}-{' ' * wide}{first}", *(" " * (indent + 1 + wide) + line for line in others)]


@calm
@given(block(2).map("\n".join), st.sampled_from(["\n", "\r\n"]))
def test_any_frontmatter_keeps_its_meaning(yaml: str, end: str) -> None:
    check(f"---\n{yaml}\n---\ntext\n".replace("\n", end))
