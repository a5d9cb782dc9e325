"""The format's cases: inputs with the answers of the reference parser, and where ours differ on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.document import Family, Problem, Severity, family, parse

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: m\n"
FAMILIES = {
    "DlmEncodingError": Family.ENCODING,
    "FrontmatterError": Family.FRONTMATTER,
    "SchemaValidationError": Family.SCHEMA,
    "DlmVersionError": Family.VERSION,
    "UnsupportedMigrationError": Family.MIGRATION,
    "FenceError": Family.FENCE,
    "InstructionParseError": Family.INSTRUCTION,
    "PreferenceParseError": Family.PREFERENCE,
}
OPENING_BACKTICKS = {"code unterminated": 7, "inline code line toggles": 6}


def errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


@pytest.mark.parametrize("case", VECTORS["documents"], ids=lambda case: case["label"])
def test_documents(case: dict[str, Any]) -> None:
    document = parse(bytes.fromhex(case["bytes_hex"]) if "bytes_hex" in case else case["text"])
    if case["label"] == "CRLF not normalised by parse_text":
        assert {family(problem.code) for problem in document.problems} == {Family.SCHEMA}
    elif "error" in case:
        first = errors(document.problems)[0]
        assert family(first.code) is FAMILIES[case["error"]["class"]]
        assert first.range.start.line + 1 == OPENING_BACKTICKS.get(case["label"], case["error"]["line"])
        if family(first.code) is Family.FRONTMATTER and case["error"]["col"]:
            assert first.range.start.column + 1 == case["error"]["col"]
    else:
        for section, expected in zip(document.sections, case["sections"], strict=True):
            found = {"type" if name == "kind" else name: value for name, value in vars(section).items()}
            assert {name: found[name] for name in expected} == expected


# Taken by the reference, and by nothing that could train with it: docs/format.md, "Deliberate differences".
NOT_FINITE = "training: {learning_rate: .inf}"


@pytest.mark.parametrize("case", VECTORS["frontmatter"], ids=lambda case: case["yaml_tail"])
def test_frontmatter(case: dict[str, Any]) -> None:
    document = parse(f"{HEAD}{case['yaml_tail']}\n---\n")
    if case["yaml_tail"] == NOT_FINITE:
        assert "ok" in case
        assert [problem.code for problem in errors(document.problems)] == ["bad-value"]
    elif "error" in case:
        assert document.frontmatter is None
        first = errors(document.problems)[0]
        assert family(first.code) is FAMILIES[case["error"]["class"]]
        assert first.range.start.line >= 3  # at the key or value itself, where the reference says line 2 or none
    else:
        assert document.frontmatter is not None
        assert not errors(document.problems)
        written = json.loads(json.dumps(document.frontmatter.model_dump(exclude_defaults=True)))
        assert written == case["ok"]


BODIES = [("instruction", case) for case in VECTORS["instruction_bodies"]]
BODIES += [("preference", case) for case in VECTORS["preference_bodies"]]


@pytest.mark.parametrize(("kind", "case"), BODIES, ids=lambda part: part if isinstance(part, str) else part["body"])
def test_bodies(kind: str, case: dict[str, Any]) -> None:
    document = parse(f"{HEAD}---\n::{kind}::\n{case['body']}\n::prose::\n")
    (section,) = document.sections
    if "ok" in case:
        assert not document.problems
        values = [[item.prompt, item.answer, item.rejected] for item in section.exchanges]
        assert values == [[*record, None][:3] for record in case["ok"]]
        return
    first = errors(document.problems)[0]
    assert family(first.code) is FAMILIES[case["error"]["class"]]
    line = first.range.start.line + 1 - section.start_line
    if first.code.endswith("-empty"):
        assert line == 0  # the fence; there may be no line after it
    elif first.code.endswith("-incomplete"):
        # At the header that lacks its partner; the reference names the line after the section's end.
        assert line < case["error"]["section_line"] == len(case["body"].splitlines()) + 1
        assert first.related
    else:
        assert line == case["error"]["section_line"]
