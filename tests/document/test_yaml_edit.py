"""Changes of one value of the frontmatter: what the author wrote beside it stays to the character."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlm_lsp.document import parse
from dlm_lsp.document.text import normalised
from dlm_lsp.document.yaml_edit import YamlEditError, append_item, apply_edit, remove_key, set_value, value_at
from dlm_lsp.document.yaml_text import read_yaml

HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7  # mine\nbase_model: smollm2-135m   # small\n"
BODY = "---\n\n# Text\n\n---\nnot frontmatter\n"
SOURCE = {"path": "notes", "include": ["**/*"]}

LAYOUTS = {
    "nothing": ("", "training:\n  sources:\n    - path: notes\n      include: ['**/*']\n"),
    "a block": (
        "training:\n  lora_r: 8  # rank\n",
        "training:\n  lora_r: 8  # rank\n  sources:\n    - path: notes\n      include: ['**/*']\n",
    ),
    "four blanks, comments, another key": (
        "training:\n    lora_r: 8\n    # last word\n\n# about export\nexport: {}\n",
        "training:\n    lora_r: 8\n    # last word\n    sources:\n        - path: notes\n          include: ['**/*']\n"
        "\n# about export\nexport: {}\n",
    ),
    "an empty key with a comment": (
        "training:  # soon\nexport: {}\n",
        "training:  # soon\n  sources:\n    - path: notes\n      include: ['**/*']\nexport: {}\n",
    ),
    "null": ("training: ~  # none\n", "training:  # none\n  sources:\n    - path: notes\n      include: ['**/*']\n"),
    "flow": (
        "training: {lora_r: 8}  # rank\n",
        "training: {lora_r: 8, sources: [{path: notes, include: ['**/*']}]}  # rank\n",
    ),
    "empty flow": ("training: {}\n", "training: {sources: [{path: notes, include: ['**/*']}]}\n"),
    "a block of sources": (
        "training:\n  sources:\n    - path: a\n      # of a\n    - path: b  # of b\n  seed: 1\n",
        "training:\n  sources:\n    - path: a\n      # of a\n    - path: b  # of b\n    - path: notes\n"
        "      include: ['**/*']\n  seed: 1\n",
    ),
    "sources that are not indented": (
        "training:\n  sources:\n  - path: a\n  seed: 1\n",
        "training:\n  sources:\n  - path: a\n  - path: notes\n    include: ['**/*']\n  seed: 1\n",
    ),
    "flow sources": (
        "training:\n  sources: [{path: a}]  # one\n",
        "training:\n  sources: [{path: a}, {path: notes, include: ['**/*']}]  # one\n",
    ),
    "flow sources on many lines": (
        "training:\n  sources: [\n    {path: a},  # one\n  ]\n",
        "training:\n  sources: [\n    {path: a}, {path: notes, include: ['**/*']},  # one\n  ]\n",
    ),
    "no sources yet": (
        "training:\n  sources:\n  seed: 1\n",
        "training:\n  sources:\n    - path: notes\n      include: ['**/*']\n  seed: 1\n",
    ),
    "after a text that keeps its blank lines": (
        "system_prompt: |+\n  Be kind.\n\n\nexport: {}\n",
        "system_prompt: |+\n  Be kind.\n\n\nexport: {}\n"
        "training:\n  sources:\n    - path: notes\n      include: ['**/*']\n",
    ),
    "before a text at the very end, which would get a line end": (
        "# who speaks\nsystem_prompt: |\n  Be kind.\n",
        "training:\n  sources:\n    - path: notes\n      include: ['**/*']\n"
        "# who speaks\nsystem_prompt: |\n  Be kind.\n",
    ),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_goes_into_every_layout(layout: str, line_end: str) -> None:
    before, after = LAYOUTS[layout]
    text = (HEAD + before + BODY).replace("\n", line_end)
    edit = append_item(text, ("training", "sources"), SOURCE)
    expected = (HEAD + after.replace("'**/*'", '"**/*"') + BODY).replace("\n", line_end)
    assert apply_edit(text, edit).replace("'*'", '"*"') == expected
    document = parse(apply_edit(text, edit))
    assert document.frontmatter is not None and not document.problems
    assert document.frontmatter.training.sources[-1].path == "notes"  # type: ignore[index]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("base_model: smollm2-135m   # small", "base_model: qwen2.5-0.5b   # small"),
        ("base_model: 'smollm2-135m' # small", "base_model: qwen2.5-0.5b # small"),
        ("base_model:", "base_model: qwen2.5-0.5b"),
        ("base_model:   # to be chosen", "base_model: qwen2.5-0.5b   # to be chosen"),
        ("base_model:\n  smollm2-135m", "base_model:\n  qwen2.5-0.5b"),
        ("base_model: !!str x", "base_model: qwen2.5-0.5b"),
        ('"base_model": x', '"base_model": qwen2.5-0.5b'),
        ("seed_of: x", "seed_of: x\nbase_model: qwen2.5-0.5b"),
    ],
)
def test_a_base_is_set_and_its_comment_stays(before: str, after: str) -> None:
    text = f"\ufeff---\ndlm_id: 1\n{before}\n---\nbase_model: no frontmatter\n"
    assert apply_edit(text, set_value(text, ("base_model",), "qwen2.5-0.5b")) == text.replace(before, after, 1)


def test_an_adapter_is_declared_beside_the_others_or_as_the_first() -> None:
    text = f"{HEAD}training:\n  adapters:\n    calm:\n      lora_r: 4\n{BODY}"
    more = apply_edit(text, set_value(text, ("training", "adapters", "bold"), {}))
    assert more == text.replace("lora_r: 4\n", "lora_r: 4\n    bold: {}\n")
    first = apply_edit(HEAD + BODY, set_value(HEAD + BODY, ("training", "adapters", "bold"), {"lora_r": 4}))
    assert first == f"{HEAD}training:\n  adapters:\n    bold:\n      lora_r: 4\n{BODY}"


def test_a_merged_mapping_gets_a_value_of_its_own() -> None:
    """The text that both share is not what is changed."""
    text = "---\none: &a {k: 1}\ntwo:\n  <<: *a\n---\n"
    assert apply_edit(text, set_value(text, ("two", "k"), 2)) == "---\none: &a {k: 1}\ntwo:\n  <<: *a\n  k: 2\n---\n"


def test_an_alias_is_replaced_and_what_it_stands_for_is_not() -> None:
    text = "---\none: &a x\ntwo: *a  # same\n---\n"
    assert apply_edit(text, set_value(text, ("two",), "y")) == "---\none: &a x\ntwo: y  # same\n---\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base_model: x\n", "no frontmatter"),
        ("---\nbase_model: x\n", "no frontmatter"),
        (" ---\nbase_model: x\n---\n", "no frontmatter"),
        ("---\nbase_model: [\n---\n", "not valid YAML"),
        ("---\ntraining: 5\n---\n", "no mapping that could hold"),
        ("---\ntraining:\n  sources: notes\n---\n", "something else than a list"),
        ("---\na: &a {sources: []}\ntraining: *a\n---\n", "without touching something else"),
    ],
)
def test_what_is_not_certain_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(YamlEditError, match=said):
        append_item(text, ("training", "sources"), SOURCE)


def test_what_is_written_can_be_asked_for() -> None:
    text = f"{HEAD}training:\n  sources: [{{path: a}}]\n{BODY}"
    assert value_at(text, ("training", "sources", 0, "path")) == "a"
    assert value_at(text, ("training", "seed")) is None
    assert value_at(text, ("training", "sources", 4)) is None


NAMES = st.sampled_from(["a", "b", "training", "sources", "0", "yes", "x y", "ü"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.text(alphabet="ab:-[]{}&*!|>'\"#?,%@ \n\t\\~.0189=<yesno", max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES.filter(lambda n: n not in ("0",)), inner, max_size=3)
    ),
    max_leaves=6,
)
LINES = st.sampled_from(
    ["training:", "training: {}", "training: {b: 1}", "training: &t", "  sources:", "  sources: []", "  - a", "    - a",
     "    - path: a", "      include: [x]", "  b: 1  # c", "# c", "  # c", "", "b: |", "  text", "a: *t", "  <<: *t",
     "b: >-", "a: 'x", "  x'", "b: [1,", "  2]", "sources:", "- x", "? a", ": b", "a: !!str 5", "yes: 1"]
)  # fmt: skip
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
calm = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def _inner(text: str) -> str:
    return "\n".join(normalised(text).split("\n")[1 : normalised(text).split("\n").index("---", 1)])


@calm
@given(st.lists(LINES, max_size=9), PATHS, VALUES, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_after_any_change_only_that_value_differs(
    lines: list[str], path: tuple[str, ...], value: object, append: bool, line_end: str
) -> None:
    text = line_end.join(["---", *lines, "---", "Text", "---", ""])
    try:
        edit = (append_item if append else set_value)(text, path, value)
    except YamlEditError:
        return
    after = apply_edit(text, edit)
    before_says, says = read_yaml(_inner(text)).value, read_yaml(_inner(after)).value
    assert after.endswith(line_end.join(["---", "Text", "---", ""])), "the body was touched"
    assert line_end == "\n" or "\n" not in after.replace("\r\n", "")
    found = value_at(after, path)
    assert repr(found[-1] if append else found) == repr(value)  # type: ignore[index]
    assert repr(_without(before_says, path)) == repr(_without(says, path))


@settings(calm, max_examples=60)
@given(VALUES)
def test_every_value_can_be_written_into_a_plain_frontmatter(value: object) -> None:
    for before in ("", "k: 1\n", "a: {b: 1}\n", "a:\n  b: 1\n"):
        text = f"---\n{before}---\n"
        after = apply_edit(text, set_value(text, ("a", "new"), value))
        assert repr(value_at(after, ("a", "new"))) == repr(value)


def _without(value: object, path: tuple[str, ...]) -> object:
    """`value` without what stands at `path`, and without mappings that hold nothing else."""
    if not path or not isinstance(value, dict):
        return None
    rest = _without(value.get(path[0]), path[1:])
    kept = {key: item for key, item in sorted(value.items()) if key != path[0]}
    return {**kept, path[0]: rest} if rest else kept or None


# Where `training.lora_r` is taken out of: what is there before, and what stays.
REMOVALS = {
    "a block": ("training:\n  lora_r: 8  # rank\n  seed: 1\n", "training:\n  seed: 1\n"),
    "the last of a block": ("training:\n  seed: 1\n  lora_r: 8\nexport: {}\n", "training:\n  seed: 1\nexport: {}\n"),
    "the only one of a block": ("training:  # mine\n  lora_r: 8\nexport: {}\n", "export: {}\n"),
    "the only one, at the end": ("export: {}\ntraining:\n  lora_r: 8\n", "export: {}\n"),
    "four blanks, comments around": (
        "training:\n    seed: 1\n    # rank\n    lora_r: 8\n    # after\n    num_epochs: 2\n",
        "training:\n    seed: 1\n    # rank\n    # after\n    num_epochs: 2\n",
    ),
    "the first of a flow": ("training: {lora_r: 8, seed: 1}  # x\n", "training: {seed: 1}  # x\n"),
    "the last of a flow": ("training: {seed: 1, lora_r: 8}\n", "training: {seed: 1}\n"),
    "the middle of a flow": ("training: {seed: 1, lora_r: 8, num_epochs: 2}\n", "training: {seed: 1, num_epochs: 2}\n"),
    "the only one of a flow": ("training: {lora_r: 8}\nexport: {}\n", "export: {}\n"),
    "a flow on many lines": ("training: {\n  seed: 1,\n  lora_r: 8,\n}\n", "training: {\n  seed: 1,\n}\n"),
    "before a nested one": (
        "training:\n  lora_r: 8\n  sources:\n    - path: a\n",
        "training:\n  sources:\n    - path: a\n",
    ),
    "after a text that keeps its blank lines": (
        "system_prompt: |+\n  Be kind.\n\n\ntraining:\n  lora_r: 8\nexport: {}\n",
        "system_prompt: |+\n  Be kind.\n\n\nexport: {}\n",
    ),
    "a quoted key": ('training:\n  "lora_r": 8\n  seed: 1\n', "training:\n  seed: 1\n"),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("layout", REMOVALS)
def test_a_key_is_removed_in_every_layout(layout: str, end: str) -> None:
    before, after = (f"{HEAD}{lines}{BODY}".replace("\n", end) for lines in REMOVALS[layout])
    edit = remove_key(before, ("training", "lora_r"))
    assert edit is not None
    assert apply_edit(before, edit) == after


def test_a_list_is_removed_with_all_of_its_lines() -> None:
    text = f"{HEAD}training:\n  target_modules:\n    - q_proj\n    - v_proj  # two\n  seed: 1\n{BODY}"
    edit = remove_key(text, ("training", "target_modules"))
    assert edit is not None
    assert apply_edit(text, edit) == f"{HEAD}training:\n  seed: 1\n{BODY}"


def test_what_is_not_written_is_not_removed() -> None:
    assert remove_key(HEAD + BODY, ("training", "lora_r")) is None
    assert remove_key(f"{HEAD}training:\n  seed: 1\n{BODY}", ("training", "lora_r")) is None


def test_what_others_share_is_not_removed() -> None:
    text = f"{HEAD}export: &all {{lora_r: 8, x: 1}}\ntraining: *all\n{BODY}"
    with pytest.raises(YamlEditError):
        remove_key(text, ("training", "lora_r"))
