"""The newest schema version, and adapters that are declared: in place, with comments, saying the same."""

from __future__ import annotations

import pytest

from dlm_lsp.document import LineIndex, parse
from dlm_lsp.document.formatting import apply_edits
from dlm_lsp.document.upgrade import declaration, migration

ID = "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7"
OLD = f"""\
---
{ID}  # the id
base_model: builtin:tiny
dlm_version: 1
training:
  # how much
  lora_r: 8
  dpo:  # learns from pairs
    # on
    enabled: true
    beta: 0.2  # strength
    logging: all
    # slow
    learning_rate: 1.0e-6

    reference: pre_dpo_adapter
  seed: 1
---
text
"""
NEW = f"""\
---
{ID}  # the id
base_model: builtin:tiny
dlm_version: 15
training:
  # how much
  lora_r: 8
  preference:  # learns from pairs
    method: dpo
    # on
    enabled: true

    reference: pre_adapter
    hyperparams:
      beta: 0.2  # strength
      # slow
      learning_rate: 1.0e-6
  seed: 1
---
text
"""


def migrated(text: str) -> str:
    return apply_edits(text, migration(text, parse(text)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_mapping_of_version_1_becomes_that_of_today(end: str, mark: str) -> None:
    text = mark + OLD.replace("\n", end)
    made = migrated(text)
    assert made == mark + NEW.replace("\n", end)
    assert parse(made).frontmatter == parse(text).frontmatter
    assert not parse(made).problems
    assert migration(made, parse(made)) == (), "once is enough"


@pytest.mark.parametrize(
    ("head", "becomes"),
    [
        (f"{ID}\nbase_model: m\ndlm_version: 7  # old", f"{ID}\nbase_model: m\ndlm_version: 15  # old"),
        (f"{ID}\nbase_model: m", f"{ID}\ndlm_version: 15\nbase_model: m"),
        (
            f"{ID}\nbase_model: m\ntraining: {{dpo: {{enabled: true, beta: 0.2, x: 1}}, seed: 1}}",
            f"{ID}\ndlm_version: 15\nbase_model: m\n"
            "training: {preference: {method: dpo, enabled: true, hyperparams: {beta: 0.2}}, seed: 1}",
        ),
        (
            f"{ID}\nbase_model: m\ntraining:\n  dpo:\n  seed: 1",
            f"{ID}\ndlm_version: 15\nbase_model: m\ntraining:\n  seed: 1",
        ),
    ],
)
def test_other_layouts_keep_theirs(head: str, becomes: str) -> None:
    text = f"---\n{head}\n---\ntext\n"
    assert migrated(text) == f"---\n{becomes}\n---\ntext\n"


@pytest.mark.parametrize(
    "head",
    [
        f"{ID}\nbase_model: m\ndlm_version: 15",
        f"{ID}\nbase_model: m\ndlm_version: 16",
        f"{ID}\nbase_model: m\ndlm_version: '7'",
        "base_model: m\ndlm_version: 7",
        f"{ID}\nbase_model: m\ntraining:\n  audio: &a\n    auto_resample: true\n  dpo:\n    <<: *a\n    enabled: true",
        f"{ID}\nbase_model: m\ntraining:\n  dpo: {{}}\n  preference:\n    method: orpo\n",
        f"{ID}\nbase_model: m\ntraining:\n  dpo:",  # `training` would be left empty
    ],
)
def test_what_is_new_or_not_certain_is_left_alone(head: str) -> None:
    text = f"---\n{head}\n---\ntext\n"
    assert migration(text, parse(text)) == ()


def declared(text: str) -> str | None:
    """`text` after the adapter of its fence was declared."""
    document = parse(text)
    found = declaration(text, document, LineIndex(text).position(text.index("#tone")).line)
    return None if found is None else apply_edits(text, (found[1],))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("training", "becomes"),
    [
        ("", "training:\n  adapters:\n    tone: {}\n"),
        ("training:\n  seed: 1  # x\n", "training:\n  seed: 1  # x\n  adapters:\n    tone: {}\n"),
        ("training: {seed: 1}\n", "training: {seed: 1, adapters: {tone: {}}}\n"),
        (
            "training:\n    adapters:\n        facts:\n            lora_r: 4\n    seed: 1\n",
            "training:\n    adapters:\n        facts:\n            lora_r: 4\n        tone: {}\n    seed: 1\n",
        ),
        ("training:\n  adapters: {facts: {}} # y\n", "training:\n  adapters: {facts: {}, tone: {}} # y\n"),
    ],
)
def test_an_adapter_is_declared_in_every_layout(training: str, becomes: str, end: str) -> None:
    text, wanted = (
        f"---\n{ID}\nbase_model: m\n{part}---\n::prose#tone::\ntext\n".replace("\n", end)
        for part in (training, becomes)
    )
    assert declared(text) == wanted
    assert not parse(wanted).problems


@pytest.mark.parametrize("training", ["training:\n  adapters:\n    tone: {}\n", "training:\n  lora_r: 16\n"])
def test_it_is_not_where_it_is_or_where_that_would_break_something(training: str) -> None:
    assert declared(f"---\n{ID}\nbase_model: m\n{training}---\n::prose#tone::\ntext\n") is None
