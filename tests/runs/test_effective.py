"""From frontmatter to the learner: every setting arrives, or says on its key that it does not."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from dlm_lsp.document import Severity, parse
from dlm_lsp.document.schema import TrainingConfig
from dlm_lsp.runs.effective import adapter_shape, base_request, training_settings
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.unsupported import UNSUPPORTED
from dlm_lsp.training.protocol import AdapterShape, TrainingSettings
from tests.runs.conftest import DLM_ID

# Which settings reach the learner, and which are answered by a problem on their key instead.
SHAPE = {"adapter", "lora_r", "lora_alpha", "lora_dropout", "target_modules"}
SETTINGS = {each.name for each in fields(TrainingSettings)}
SOURCES = {"sources", "sources_policy"}
SAID = {"preference", "gate", "audio", "cpt", "cache", "adapters"}


def text(training: str, body: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\ntraining:\n{training}---\n{body}"


def test_no_setting_of_the_schema_is_forgotten() -> None:
    assert set(TrainingConfig.model_fields) == SHAPE | SETTINGS | SOURCES | SAID


def test_what_is_written_arrives() -> None:
    frontmatter = parse(
        text(
            "  adapter: dora\n  lora_r: 4\n  lora_alpha: 6\n  lora_dropout: 0.2\n  target_modules: [q_proj]\n"
            "  learning_rate: 1e-3\n  num_epochs: 7\n  sequence_len: 512\n  micro_batch_size: 2\n  grad_accum: 3\n"
            "  lr_scheduler: linear\n  warmup_ratio: 0.3\n  precision: fp32\n  seed: -5\n"
        )
    ).frontmatter
    assert frontmatter is not None
    assert adapter_shape(frontmatter) == AdapterShape("dora", 4, 6, 0.2, ("q_proj",))
    assert training_settings(frontmatter) == TrainingSettings(
        learning_rate=1e-3,
        num_epochs=7,
        sequence_len=512,
        micro_batch_size=2,
        grad_accum=3,
        lr_scheduler="linear",
        warmup_ratio=0.3,
        precision="fp32",
        seed=-5,
    )


def test_what_is_not_written_is_left_to_the_learners_rules() -> None:
    frontmatter = parse(text("  seed: 42\n")).frontmatter
    assert frontmatter is not None
    assert training_settings(frontmatter) == TrainingSettings()
    written = parse(text("  learning_rate: 2e-4\n  num_epochs: 3\n")).frontmatter
    assert written is not None
    assert training_settings(written) == TrainingSettings(learning_rate=2e-4, num_epochs=3)


def test_a_base_is_looked_for_beside_the_document() -> None:
    frontmatter = parse(text("  seed: 1\n")).frontmatter
    assert frontmatter is not None
    request = base_request(frontmatter, Path("/documents/notes.dlm"), "abc")
    assert (request.reference, request.document_dir, request.revision) == ("builtin:tiny", "/documents", "abc")


@pytest.mark.parametrize(
    ("training", "line", "severity"),
    [
        ("  optimizer: galore_adamw\n", 4, Severity.WARNING),
        ("  gate: {steps: 7}\n", 4, Severity.INFORMATION),
        ("  preference:\n    enabled: true\n", 4, Severity.INFORMATION),
        ("  cpt: {embed_warmup_steps: 3}\n", 4, Severity.INFORMATION),
        ("  audio: {auto_resample: true}\n", 4, Severity.INFORMATION),
        ("  cache: {enabled: false}\n", 4, Severity.INFORMATION),
        ("  seed: 1\n  adapters: {a: {}}\n", 5, Severity.INFORMATION),
    ],
)
def test_what_has_no_effect_says_so_on_its_key(training: str, line: int, severity: Severity) -> None:
    (problem,) = read(text(training)).problems
    assert (problem.code, problem.severity, problem.range.start.line) == (UNSUPPORTED, severity, line)
    assert read(text(training)).trainable


@pytest.mark.parametrize("training", ["  adapter: lora\n", "  gate: {enabled: false}\n", "  optimizer: adamw_torch\n"])
def test_a_default_that_is_written_out_is_no_news(training: str) -> None:
    assert not read(text(training)).problems


def test_a_section_of_a_named_adapter_says_which_one_learns_it() -> None:
    body = "\n::instruction#tone::\n### Q\nq\n### A\na\n"
    problems = read(text("  adapters: {tone: {}, facts: {}}\n", body)).problems
    assert [problem.range.start.line for problem in problems] == [4, 7]
    assert "#tone" in problems[1].message
