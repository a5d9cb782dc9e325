"""Over the whole schema: each setting changes exactly its own fingerprint, and no notation changes any."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.document import Document, keys_at, parse
from dlm_lsp.document.model import KeyPath
from dlm_lsp.document.schema import AdapterConfig, TrainingConfig
from dlm_lsp.runs.fingerprints import Fingerprints, config_of, fingerprints
from dlm_lsp.runs.reload import Change, difference
from tests.runs.conftest import DLM_ID, exchange

PATH = Path("/documents/notes.dlm")
BODY = exchange("a?", "A.") + exchange("b?", "B.")
Tree = dict[str, Any]

# Every key of the schema: which fingerprint it belongs to, and a value that is not its default. "nothing": this version
# trains the same with any value. "files": it chooses sourced files, and what they hold is data.
CLASSES: dict[str, tuple[str, Any]] = {
    "dlm_id": ("nothing", "01HZ4X7TGZM3J1A2B3C4D5E6F8"),  # another document altogether, with a store of its own
    "dlm_version": ("nothing", 15),
    "base_model": ("shape", "smollm2-135m"),
    "system_prompt": ("config", "Be brief."),
    "training.adapter": ("shape", "dora"),
    "training.lora_r": ("shape", 4),
    "training.target_modules": ("shape", ["q_proj"]),
    "training.lora_alpha": ("config", 32),
    "training.lora_dropout": ("config", 0.1),
    "training.sequence_len": ("config", 512),
    "training.micro_batch_size": ("config", 2),
    "training.grad_accum": ("config", 2),
    "training.learning_rate": ("config", 0.001),
    "training.num_epochs": ("config", 5),
    "training.optimizer": ("config", "galore_adamw"),
    "training.lr_scheduler": ("config", "linear"),
    "training.warmup_ratio": ("config", 0.2),
    "training.precision": ("config", "fp32"),
    "training.seed": ("config", 7),
    "training.sources_policy": ("files", "strict"),
    "training.sources.0.path": ("files", "other"),
    "training.sources.0.include": ("files", ["*.md"]),
    "training.sources.0.exclude": ("files", ["*.txt"]),
    "training.sources.0.max_bytes_per_file": ("files", 9),
    "training.sources.0.max_files": ("files", 9),
    "training.preference.enabled": ("nothing", True),
    "training.preference.method": ("nothing", "orpo"),
    "training.preference.hyperparams.beta": ("nothing", 0.3),
    "training.preference.hyperparams.alpha": ("nothing", 0.3),
    "training.preference.hyperparams.learning_rate": ("nothing", 0.1),
    "training.preference.hyperparams.num_epochs": ("nothing", 2),
    "training.preference.loss_type": ("nothing", "ipo"),
    "training.preference.reference": ("nothing", "base"),
    "training.cpt.schedule": ("nothing", "dapt"),
    "training.cpt.embed_warmup_steps": ("nothing", 1),
    "training.gate.enabled": ("nothing", True),
    "training.gate.hidden_proj_dim": ("nothing", 32),
    "training.gate.steps": ("nothing", 2),
    "training.gate.lr": ("nothing", 0.1),
    "training.gate.cold_start_floor": ("nothing", 2),
    "training.gate.entropy_lambda": ("nothing", 0.1),
    "training.cache.enabled": ("nothing", False),
    "training.cache.max_bytes": ("nothing", 1),
    "training.cache.prune_older_than_days": ("nothing", 1),
    "training.audio.auto_resample": ("nothing", True),
    "training.adapters.one.adapter": ("nothing", "dora"),
    "training.adapters.one.lora_r": ("nothing", 4),
    "training.adapters.one.lora_alpha": ("nothing", 4),
    "training.adapters.one.lora_dropout": ("nothing", 0.1),
    "training.adapters.one.target_modules": ("nothing", ["q_proj"]),
    "training.adapters.one.learning_rate": ("nothing", 0.1),
    "export.default_quant": ("nothing", "Q8_0"),
    "export.default_temperature": ("nothing", 0.5),
    "export.default_top_p": ("nothing", 0.5),
}


def leaves(path: KeyPath = ()) -> Iterator[str]:
    """Every key of the schema that holds a value of its own, dotted."""
    for key in keys_at(path):
        here = (*path, key)
        below = [leaf for inner in (here, (*here, "one"), (*here, 0)) for leaf in leaves(inner)]
        yield from below or [".".join(map(str, here))]


def read(tree: Tree, spelling: random.Random | None = None) -> Document:
    lines = list(_lines(tree, spelling, ""))
    document = parse("---\n" + "\n".join(lines) + "\n---\n" + BODY)
    assert document.frontmatter is not None, (lines, document.problems)
    return document


def of(document: Document) -> Fingerprints:
    assert document.frontmatter is not None
    return fingerprints(document.frontmatter, PATH, document.identities)


def test_every_key_of_the_schema_has_a_class_of_fingerprint() -> None:
    """A new key fails here until somebody says which fingerprint it belongs to, and proves it with the test below."""
    assert set(leaves()) == set(CLASSES)


@pytest.mark.parametrize("key", CLASSES)
def test_each_key_changes_exactly_the_fingerprint_that_it_belongs_to(key: str) -> None:
    kind, value = CLASSES[key]
    before: Tree = {"dlm_id": DLM_ID, "base_model": "builtin:tiny", "training": {}, "export": {}}
    if key.startswith(("training.adapters", "training.gate")):
        before["training"]["adapters"] = {"one": {}, "two": {}}
    if key.startswith("training.sources."):
        before["training"]["sources"] = [{"path": "here"}]
    after = copy.deepcopy(before)
    place: Any = after
    *above, last = [int(step) if step.isdigit() else step for step in key.split(".")]
    for step in above:
        place = place[step] if isinstance(place, list) else place.setdefault(step, {})
    place[last] = value

    old, new = read(before), read(after)
    changed = {name for name in ("shape", "config", "data") if getattr(of(old), name) != getattr(of(new), name)}
    assert changed == {kind} - {"nothing", "files"}
    found = difference(old, new, PATH)
    expected = {"nothing": Change.NONE, "files": Change.DATA, "config": Change.CONFIG, "shape": Change.SHAPE}
    assert found.change is (Change.NONE if key == "training.sources_policy" else expected[kind])
    assert [name for name, _ in found.keys] == ([key] if kind in ("shape", "config") else [])


# -- notation

_INTEGERS = {
    "lora_r": st.integers(1, 256),
    "lora_alpha": st.integers(1, 10**6),
    "sequence_len": st.integers(64, 32768),
    "num_epochs": st.integers(1, 99),
    "seed": st.integers(-(2**31), 2**31),
}
_FLOATS = {
    "learning_rate": st.floats(1e-300, 1e3),
    "warmup_ratio": st.floats(0, 0.5),
    "lora_dropout": st.floats(0, 0.5),
}
_CHOICES = {"adapter": ["lora", "dora"], "lr_scheduler": ["cosine", "linear", "constant"], "precision": ["bf16", None],
            "micro_batch_size": ["auto", 1, 8], "grad_accum": ["auto", 1, 3]}  # fmt: skip
_MODULES = st.just("auto") | st.lists(st.sampled_from(["q_proj", "k_proj", "v_proj", "o_proj"]), min_size=1)
TREES = st.fixed_dictionaries(
    {"dlm_id": st.just(DLM_ID), "base_model": st.sampled_from(["builtin:tiny", "smollm2-135m", "hf:a/b"])},
    optional={
        "system_prompt": st.sampled_from(["Be brief.", "Sei knapp: ja", "# no comment", "1", "yes"]),
        "training": st.fixed_dictionaries(
            {},
            optional={
                **_INTEGERS,
                **_FLOATS,
                **{key: st.sampled_from(values) for key, values in _CHOICES.items()},
                "target_modules": _MODULES,
                "cache": st.fixed_dictionaries({}, optional={"enabled": st.booleans()}),
            },
        ),
    },
)


def filled(tree: Tree, chance: random.Random) -> Tree:
    """The same with some defaults written out. A rate and epochs that nobody wrote are chosen by rule, so not those."""
    full = copy.deepcopy(tree)
    training = full.setdefault("training", {})
    for name, field in TrainingConfig.model_fields.items():
        default = field.get_default(call_default_factory=False)
        if isinstance(default, str | int | float) and name not in training and chance.random() < 0.5:
            training |= {name: default} if name not in ("learning_rate", "num_epochs") else {}
    return full


@settings(max_examples=150, deadline=None)
@given(TREES, st.integers(0, 2**32))
def test_no_notation_changes_any_fingerprint(tree: Tree, chance: int) -> None:
    dice = random.Random(chance)
    plain, respelt = read(tree), read(filled(tree, dice), dice)
    assert of(respelt) == of(plain)
    assert difference(plain, respelt, PATH).change is Change.NONE


@settings(max_examples=150, deadline=None)
@given(TREES, TREES)
def test_equal_fingerprints_mean_equal_settings(one: Tree, other: Tree) -> None:
    first, second = read(one), read(other)
    assert first.frontmatter is not None
    assert second.frontmatter is not None
    same = config_of(first.frontmatter) == config_of(second.frontmatter)
    assert (of(first).config == of(second).config) is same
    same_shape = json.loads(of(first).shape) == json.loads(of(second).shape)
    assert (of(first).shape == of(second).shape) is same_shape


def test_a_named_adapter_has_the_keys_that_the_walk_finds() -> None:
    assert {f"training.adapters.one.{name}" for name in AdapterConfig.model_fields} <= set(leaves())


def _lines(tree: Tree, dice: random.Random | None, indent: str) -> Iterator[str]:
    """The tree as YAML; with `dice` in any order, with comments and blank lines, in any spelling."""
    for key, value in _shuffled(tree.items(), dice):
        if dice and dice.random() < 0.3:
            yield dice.choice(("", f"{indent}# lora_r: 256", "   "))
        comment = "  # learning_rate: 1" if dice and dice.random() < 0.3 else ""
        name = f'"{key}"' if dice and dice.random() < 0.2 else key
        if isinstance(value, dict) and value and not (dice and dice.random() < 0.3):
            yield f"{indent}{name}:{comment}"
            yield from _lines(value, dice, indent + (dice.choice(("  ", "    ", " ")) if dice else "  "))
        else:
            yield f"{indent}{name}: {_value(key, value, dice)}{comment}"


def _value(key: str, value: Any, dice: random.Random | None) -> str:
    if isinstance(value, dict):
        pairs = (f"{name}: {_value(name, item, dice)}" for name, item in _shuffled(value.items(), dice))
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        items = _shuffled([*value, *value] if dice and key == "target_modules" else value, dice)
        return f"[{', '.join(_value('', item, dice) for item in items)}]"
    if value is None or isinstance(value, bool):
        words = {None: ("null", "~"), True: ("true", "yes", "on"), False: ("false", "no", "off")}[value]
        return dice.choice(words) if dice else words[0]
    if isinstance(value, int):
        return dice.choice((f"{value}", f"{value}.0", f"'{value}'", f"{value:+}")) if dice else str(value)
    if isinstance(value, float):
        plain = format(Decimal(repr(value)), "f")
        spellings = (repr(value), f"'{value!r}'", f"{value:.17e}", plain, repr(value).replace("e", "E"))
        return dice.choice(spellings) if dice else repr(value)
    return json.dumps(value, ensure_ascii=False)


def _shuffled(items: Any, dice: random.Random | None) -> list[Any]:
    found = list(items)
    if dice:
        dice.shuffle(found)
    return found
