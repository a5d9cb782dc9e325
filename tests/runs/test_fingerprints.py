"""Fingerprints: equal for what means the same, and each setting changes exactly its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.document import parse
from dlm_lsp.runs.fingerprints import Fingerprints, changed_shape_keys, fingerprints
from tests.runs.conftest import DLM_ID, exchange

PATH = Path("/documents/notes.dlm")


def of(settings: str = "", body: str = "", head: str = "", path: Path = PATH) -> Fingerprints:
    base = "" if "base_model" in head else "base_model: builtin:tiny\n"
    training = f"training:\n{settings}" if settings else ""
    document = parse(f"---\ndlm_id: {DLM_ID}\n{base}{head}{training}---\n{body}")
    assert document.frontmatter is not None, document.problems
    return fingerprints(document.frontmatter, path, document.identities)


PLAIN = of()
A, B = exchange("a?", "A."), exchange("b?", "B.")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  learning_rate: 2e-4\n", "  learning_rate: 0.0002\n"),
        ("  lora_r: 8\n", "  lora_r: 8.0\n"),
        ("  lora_r: 8\n", ""),
        ("  lora_r: 4\n  seed: 7\n", "  seed: 7  # lucky\n  lora_r: 4\n"),
        ("  lora_r: 4\n  lora_alpha: 4\n", "  lora_r: &both 4\n  lora_alpha: *both\n"),
        ("  target_modules: [q_proj, v_proj]\n", "  target_modules: [v_proj, q_proj]\n"),
    ],
)
def test_what_means_the_same_is_the_same(one: str, other: str) -> None:
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ("  lora_r: 4\n", "shape"),
        ("  adapter: dora\n", "shape"),
        ("  target_modules: [q_proj]\n", "shape"),
        ("  lora_alpha: 32\n", "config"),
        ("  lora_dropout: 0.1\n", "config"),
        ("  learning_rate: 1e-3\n", "config"),
        ("  num_epochs: 5\n", "config"),
        ("  sequence_len: 512\n", "config"),
        ("  micro_batch_size: 2\n", "config"),
        ("  grad_accum: 2\n", "config"),
        ("  lr_scheduler: linear\n", "config"),
        ("  warmup_ratio: 0.2\n", "config"),
        ("  precision: fp32\n", "config"),
        ("  seed: 7\n", "config"),
    ],
)
def test_each_setting_changes_its_own_fingerprint_alone(settings: str, changed: str) -> None:
    found = of(settings)
    assert {name for name in ("shape", "config", "data") if getattr(found, name) != getattr(PLAIN, name)} == {changed}


def test_base_system_prompt_and_sections() -> None:
    assert of(head="base_model: smollm2-135m\n").shape != PLAIN.shape
    assert of(head="system_prompt: Be brief.\n").config != PLAIN.config
    assert of(body=A + B).data == of(body=B + "\n\n" + A).data
    assert of(body=A).data != of(body=B).data


def test_a_directory_is_one_base_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "notes.dlm"
    relative, roundabout = of(head="base_model: ./models\n", path=path), of(head="base_model: x/../models\n", path=path)
    assert relative.shape == roundabout.shape


def test_a_changed_shape_names_its_keys() -> None:
    assert changed_shape_keys(PLAIN.shape, of("  lora_r: 4\n  adapter: dora\n").shape) == (
        "training.adapter",
        "training.lora_r",
    )
    assert "base_model" in changed_shape_keys("damaged", PLAIN.shape)


@given(
    rank=st.integers(1, 256),
    alpha=st.integers(1, 64),
    seed=st.integers(-(10**9), 10**9),
    rate=st.floats(1e-9, 1, allow_nan=False),
)
def test_key_order_and_notation_never_matter(rank: int, alpha: int, seed: int, rate: float) -> None:
    lines = [f"  lora_r: {rank}\n", f"  lora_alpha: {alpha}\n", f"  seed: {seed}\n", f"  learning_rate: {rate!r}\n"]
    other = [f"  lora_r: {rank}.0\n", f"  lora_alpha: {alpha}\n", f"  seed: {seed}\n", f"  learning_rate: '{rate!r}'\n"]
    assert of("".join(lines)) == of("".join(reversed(other)))


def test_a_base_that_cannot_be_a_path_has_a_shape_all_the_same() -> None:
    assert "~nobody-here/models" in of(head="base_model: ~nobody-here/models\n").shape
