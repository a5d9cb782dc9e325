"""Broken frontmatter is mended where one reading is certain, and only there."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlm_lsp.document import parse
from dlm_lsp.document.formatting import apply_edits
from dlm_lsp.document.mending import mendings
from tests.document.test_properties import YAML, calm

TOP = "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n"


def offers(text: str) -> dict[str, str]:
    """What each mending makes of `text`, by its title."""
    document = parse(text)
    found = [each for problem in document.problems for each in mendings(document, problem)]
    return {each.title: apply_edits(text, each.edits) for each in found}


@pytest.mark.parametrize(
    ("yaml", "title", "becomes"),
    [
        ("system_prompt: Note: be brief", "Quote the value of `system_prompt`", 'system_prompt: "Note: be brief"'),
        ("system_prompt: be brief:  # x", "Quote the value of `system_prompt`", 'system_prompt: "be brief:"  # x'),
        ("system_prompt: @home", "Quote the value of `system_prompt`", 'system_prompt: "@home"'),
        ("system_prompt: %s", "Quote the value of `system_prompt`", 'system_prompt: "%s"'),
        ("system_prompt: *loud*", "Quote the value of `system_prompt`", 'system_prompt: "*loud*"'),
        ("system_prompt: `code`", "Quote the value of `system_prompt`", 'system_prompt: "`code`"'),
        ('system_prompt: say: "yes"', "Quote the value of `system_prompt`", "system_prompt: 'say: \"yes\"'"),
        ('system_prompt: "be brief', "Close the quote", 'system_prompt: "be brief"'),
        ("system_prompt: 'be brief", "Close the quote", "system_prompt: 'be brief'"),
        ("system_prompt: 'it's here'", "Escape the quotes inside", "system_prompt: 'it''s here'"),
        ('system_prompt: "say "yes" now"', "Escape the quotes inside", 'system_prompt: "say \\"yes\\" now"'),
        ("system_prompt: “Note: be brief”", "Change to straight quotes", 'system_prompt: "Note: be brief"'),
        ("training:\n  lr_scheduler: “cosine”", "Change to straight quotes", 'training:\n  lr_scheduler: "cosine"'),
        ("training:\n  lora_r:8", "Put a blank after the colon", "training:\n  lora_r: 8"),
        ("dlm_version:15", "Put a blank after the colon", "dlm_version: 15"),
        (
            "training:\n\tlora_r: 8\n\tseed: 1",
            "Indent with blanks instead of tabs",
            "training:\n  lora_r: 8\n  seed: 1",
        ),
        ("training:\n  lora_r: 8\n   seed: 1", "Correct the indentation", "training:\n  lora_r: 8\n  seed: 1"),
        ("training:\n  lora_r: 8\n seed: 1", "Correct the indentation", "training:\n  lora_r: 8\n  seed: 1"),
        (
            "training:\n  sources:\n    - path: *.md",
            "Quote the value of `path`",
            'training:\n  sources:\n    - path: "*.md"',
        ),
        (
            "training:\n  sources:\n    - path: notes\n      include:\n        - *.md\n        - **/*.rst",
            "Correct 2 lines of the frontmatter",
            'training:\n  sources:\n    - path: notes\n      include:\n        - "*.md"\n        - "**/*.rst"',
        ),
        (
            "system_prompt: a: b\nexport:\n  default_quant: “Q8_0\"\ntraining:\n\tseed: 1",
            "Correct 2 lines of the frontmatter",
            "system_prompt: \"a: b\"\nexport:\n  default_quant: “Q8_0\"\ntraining:\n  seed: 1",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_slip_is_mended(yaml: str, title: str, becomes: str, end: str) -> None:
    text, wanted = (f"---\n{TOP}{part}\n---\ntext\n".replace("\n", end) for part in (yaml, becomes))
    assert offers(text)[title] == wanted
    assert parse(wanted).trainable or "“" in wanted


@pytest.mark.parametrize(
    "yaml",
    [
        "system_prompt: [a, b",  # where the list was to end, nobody knows
        "system_prompt: {a: b",
        'system_prompt: "be brief # and kind',  # a comment or not?
        "unknown:5\nother: 'x",
        "training: Note: be brief",  # a text is none of its values
        "training:\n  lora_r: 8\n  : 1",
        "system_prompt: &a *a",
        "system_prompt: “fine as it is”",
    ],
)
def test_what_is_not_certain_is_left_to_the_author(yaml: str) -> None:
    assert offers(f"---\n{TOP}{yaml}\n---\ntext\n") == {}


def test_a_huge_frontmatter_is_not_tried() -> None:
    assert offers(f"---\n{TOP}system_prompt: a: b\n#{'x' * 9_000}\n---\n") == {}


SLIPS = st.sampled_from(
    ["training:", "  seed: 1", "\tseed: 1", "a: b: c", "system_prompt: 'x", "x:1", "system_prompt: “a”", " - *b",
     "  lora_r: 8", 'q: "a "b" c"']
)  # fmt: skip


@calm
@given(YAML | st.lists(SLIPS, max_size=6).map("\n".join))
@example("system_prompt: “a”\nsystem_prompt: “a”\n - *b")
@example("training:\nsystem_prompt: “a”\nsystem_prompt: “a”\n - *b")
def test_what_is_offered_mends(yaml: str) -> None:
    text = f"---\n{TOP}{yaml}\n---\nx"
    before = parse(text)
    for problem in before.problems:
        for each in mendings(before, problem):
            after = parse(apply_edits(text, each.edits))
            assert len(after.problems) < len(before.problems) or problem.code.startswith("frontmatter-")
            assert not any(found.code in ("frontmatter-yaml", "frontmatter-not-mapping") for found in after.problems)
            assert after.sections == before.sections
