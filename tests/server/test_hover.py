"""What hover says at each place of a document: pure, so every state can be looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlm_lsp.document import Position, parse
from dlm_lsp.document.keys import describe_key
from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.status import DocumentStatus, LastRun, RunState, RunView, SectionState, SectionStatus
from dlm_lsp.runs.truth import Truth
from dlm_lsp.server.hover import Lookup, hover, plain
from dlm_lsp.server.stories import Told
from dlm_lsp.training.bases import BaseFacts

TEXT = """\
---
dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7
base_model: someone/something
training:
  lora_r: 4
  num_epochs: 2
system_prompt: |
  Be brief.
---

::instruction::
### Q
What?

### A
That.
"""
DOCUMENT = parse(TEXT)
BASE = BaseFacts(
    "someone/something",
    "someone/something",
    parameters=134_515_008,
    context_length=8192,
    license="apache-2.0",
    license_url="https://example.org/licence",
    gated=True,
)
LOOKUP = Lookup(key=describe_key, base=lambda reference: BASE if reference == BASE.reference else None)
STATUS = DocumentStatus(document=Path("a.dlm"), base="someone/something")


def at(line: int, column: int = 0, status: DocumentStatus = STATUS) -> str:
    found = hover(Told(Truth(DOCUMENT, status), Recall()), Position(line, column), LOOKUP)
    return found.markdown if found else ""


def section(**fields: object) -> DocumentStatus:
    (only,) = DOCUMENT.sections
    told = SectionStatus(only.section_id, only.kind, only.range, **fields)  # type: ignore[arg-type]
    return replace(STATUS, sections=(told,))


def test_a_key_says_meaning_type_and_default() -> None:
    text = at(4, 3)
    info = describe_key(("training", "lora_r"))
    assert info is not None
    assert text.startswith("**`training.lora_r`**")
    assert info.meaning in text
    assert info.expected in text
    assert f"default `{info.default}`" in text


def test_a_value_belongs_to_its_key_and_a_mapping_to_its_own_line_only() -> None:
    assert "`training.num_epochs`" in at(5, 14)
    assert "`system_prompt`" in at(7, 4)
    assert at(3, 2).startswith("**`training`**")


def test_the_base_says_its_facts() -> None:
    text = at(2, 14)
    for fact in ("135 M parameters", "context 8,192 tokens", "[apache-2.0](https://example.org/licence)"):
        assert fact in text
    assert "to be accepted" in text
    assert "downloaded at the first run" in text
    assert "parameters" not in at(2, 14, replace(STATUS, base="someone/else"))


def test_the_delimiter_says_the_whole_status() -> None:
    last = LastRun(run=1, kind="cycle", outcome="finished", message="learned in 5 steps", notes=("a note",))
    text = at(
        0,
        status=replace(
            STATUS,
            version=3,
            version_at="2026-01-02T03:04:05.678Z",
            version_steps=5,
            version_loss=0.25,
            removed=1,
            device="cpu",
            warm=True,
            last=last,
        ),
    )
    for fact in (
        "v0003",
        "2026-01-02 03:04:05 UTC",
        "5 steps",
        "loss 0.25",
        "1 lesson",
        "`someone/something`",
        "Device: cpu",
        "Last run: learned in 5 steps",
        "a note",
        "in memory",
    ):
        assert fact in text


def test_a_run_says_where_it_is() -> None:
    run = RunView(1, "cycle", RunState.TRAINING, "train", step=34, total=100, loss=0.81, seconds_left=12.0)
    assert "step 34/100 · loss 0.81 · 12 s left" in at(0, status=replace(STATUS, run=run))


@pytest.mark.parametrize("line", [10, 11, 14])
def test_anywhere_in_a_section_its_state(line: int) -> None:
    status = section(state=SectionState.LEARNED, version=7, times_seen=31, loss_before=2.914, loss_after=0.041)
    text = at(line, status=status)
    for fact in ("**instruction**", "v0007", "31 times", "2.91 → 0.04"):
        assert fact in text


@pytest.mark.parametrize("state", list(SectionState))
def test_every_state_has_words(state: SectionState) -> None:
    words = at(11, status=section(state=state)).partition("\n")[2].strip()
    assert words[0].isupper()
    assert words.endswith(".")


def test_between_sections_there_is_nothing_to_say() -> None:
    assert at(9) == ""
    assert at(99) == ""


def test_plain_text_has_no_marks() -> None:
    assert plain("**`training.lora_r`**  \nRank.") == "training.lora_r  \nRank."
