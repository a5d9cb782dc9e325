"""Taking a change of the adapter's shape back: the old values stand in the text again, in the author's own layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.document.yaml_edit import YamlEditError, apply_edit
from dlm_lsp.runs.fingerprints import shape_of
from dlm_lsp.runs.reshaping import reverted
from tests.runs.conftest import DLM_ID

PATH = Path("/documents/notes.dlm")
HEAD = f"---\ndlm_id: {DLM_ID}  # mine\n"
BODY = "---\n\n# Text\n\n---\nnot frontmatter\n"
BASE = "base_model: builtin:tiny\n"

# The lines that the version was trained with, those that changed its shape, and those after the change is taken back.
LAYOUTS = {
    "written in a block": (
        f"{BASE}training:\n  lora_r: 4\n",
        f"{BASE}training:\n  lora_r: 16  # wide\n  seed: 1\n",
        f"{BASE}training:\n  lora_r: 4  # wide\n  seed: 1\n",
    ),
    "a default before, in a block": (
        BASE,
        f"{BASE}training:\n  seed: 1\n  lora_r: 16  # wide\n",
        f"{BASE}training:\n  seed: 1\n",
    ),
    "a default before, alone in its block": (BASE, f"{BASE}training:\n  lora_r: 16\n", BASE),
    "four blanks and comments": (
        f"{BASE}training:\n    lora_r: 4\n",
        f"{BASE}training:\n    # how wide\n    lora_r: 16\n    # last word\n",
        f"{BASE}training:\n    # how wide\n    lora_r: 4\n    # last word\n",
    ),
    "flow": (
        f"{BASE}training: {{lora_r: 4}}\n",
        f"{BASE}training: {{lora_r: 16, seed: 1}}  # rank\n",
        f"{BASE}training: {{lora_r: 4, seed: 1}}  # rank\n",
    ),
    "a default before, in flow": (
        BASE,
        f"{BASE}training: {{seed: 1, lora_r: 16}}\n",
        f"{BASE}training: {{seed: 1}}\n",
    ),
    "flow on many lines": (
        BASE,
        f"{BASE}training: {{\n  lora_r: 16,  # wide\n  seed: 1,\n}}\n",
        f"{BASE}training: {{\n  seed: 1,\n}}\n",
    ),
    "a key that left the text": (
        f"{BASE}training:\n  lora_r: 4\n  seed: 1\n",
        f"{BASE}training:\n  seed: 1\n",
        f"{BASE}training:\n  seed: 1\n  lora_r: 4\n",
    ),
    "a block that left the text": (f"{BASE}training:\n  lora_r: 4\n", BASE, f"{BASE}training:\n  lora_r: 4\n"),
    "an empty key": (f"{BASE}training:\n  lora_r: 4\n", f"{BASE}training: {{}}\n", f"{BASE}training: {{lora_r: 4}}\n"),
    "a list instead of the default": (
        BASE,
        f"{BASE}training:\n  target_modules:\n    - q_proj\n    - v_proj\n  seed: 1\n",
        f"{BASE}training:\n  seed: 1\n",
    ),
    "another list": (
        f"{BASE}training:\n  target_modules: [q_proj]\n",
        f"{BASE}training:\n  target_modules: [v_proj, o_proj]  # two\n",
        f"{BASE}training:\n  target_modules: [q_proj]  # two\n",
    ),
    "the kind": (BASE, f"{BASE}training:\n  adapter: dora\n  seed: 1\n", f"{BASE}training:\n  seed: 1\n"),
    "the base": (
        "base_model: smollm2-135m\n",
        "base_model: builtin:tiny  # small\n",
        "base_model: smollm2-135m  # small\n",
    ),
    "a base beside the document": (
        "base_model: ./bases/mine\n",
        "base_model: builtin:tiny\n",
        "base_model: ./bases/mine\n",
    ),
    "all of them at once": (
        f"{BASE}training:\n  lora_r: 4\n",
        "base_model: smollm2-135m  # other\ntraining:\n  adapter: dora\n  seed: 1\n  lora_r: 16\n",
        f"{BASE.rstrip()}  # other\ntraining:\n  seed: 1\n  lora_r: 4\n",
    ),
    "a quoted value": (
        f"{BASE}training:\n  lora_r: 4\n",
        f"{BASE}training:\n  'lora_r': 16\n",
        f"{BASE}training:\n  'lora_r': 4\n",
    ),
}


def shape(text: str) -> str:
    frontmatter = parse(text).frontmatter
    assert frontmatter is not None, parse(text).problems
    return shape_of(frontmatter, PATH)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_old_values_are_put_back_in_every_layout(layout: str, end: str) -> None:
    before, changed, after = (f"{HEAD}{lines}{BODY}".replace("\n", end) for lines in LAYOUTS[layout])
    assert shape(before) != shape(changed)
    edit = reverted(changed, parse(changed), PATH, shape(before))
    assert edit is not None
    made = apply_edit(changed, edit)
    assert made == after
    assert shape(made) == shape(before)
    assert reverted(made, parse(made), PATH, shape(before)) is None


def test_nothing_is_offered_where_nothing_is_recorded_or_the_text_cannot_be_read() -> None:
    text = f"{HEAD}{BASE}{BODY}"
    assert reverted(text, parse(text), PATH, "") is None
    broken = f"{HEAD}{BASE}training:\n  lora_r: [\n{BODY}"
    assert reverted(broken, parse(broken), PATH, shape(text)) is None


@pytest.mark.parametrize("record", ["{", "[]", "{}"])
def test_a_record_that_cannot_be_read_is_refused_with_a_sentence(record: str) -> None:
    text = f"{HEAD}{BASE}{BODY}"
    with pytest.raises(YamlEditError, match="cannot be read from its record"):
        reverted(text, parse(text), PATH, record)


def test_what_an_alias_shares_is_left_to_the_author() -> None:
    text = f"{HEAD}{BASE}export: &all {{}}\ntraining: *all\n{BODY}"
    wide = f"{HEAD}{BASE}training:\n  lora_r: 16\n{BODY}"
    with pytest.raises(YamlEditError):
        reverted(text, parse(text), PATH, shape(wide))
