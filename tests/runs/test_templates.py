"""The starter documents: each is what an author would want to find, without a problem, and known by its fields."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dlm_lsp.cli.app import app
from dlm_lsp.document import parse
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.templates import FOLDER, new_document, templates
from dlm_lsp.training.bases import registry

run = CliRunner()
NAMES = tuple(templates())


def test_every_file_is_listed_and_every_listed_one_is_there() -> None:
    assert len(NAMES) == 8
    assert {path.stem for path in FOLDER.glob("*.dlm")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_document_has_no_problem_and_can_answer_its_sample_prompts(name: str, tmp_path: Path) -> None:
    template = templates()[name]
    document = read(new_document(template), tmp_path / f"{name}.dlm")
    assert document.problems == () and document.trainable
    assert document.frontmatter is not None and document.frontmatter.base_model == "builtin:tiny"
    lessons = [lesson for section in document.sections for lesson in section.lessons]
    questions = {lesson.prompt for lesson in lessons if lesson.kind == "exchange"}
    assert len(questions) >= 5 and set(template.sample_prompts) <= questions
    assert any(lesson.kind == "prose" for lesson in lessons)
    assert template.recommended_base in registry()
    assert registry()[template.recommended_base].modality == "text" and not registry()[template.recommended_base].gated
    assert template.title and template.summary.endswith(".") and template.domain_tags
    assert all(re.fullmatch("[a-z-]+", tag) for tag in (*template.domain_tags, template.name))


def test_init_writes_a_starter_document_with_an_id_and_a_base_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a.dlm", tmp_path / "b.dlm"
    (tmp_path / "my models: #1").symlink_to(FOLDER.parent / "training" / "builtin" / "tiny")
    assert run.invoke(app, ["init", str(first), "--template", "tutor"]).exit_code == 0
    assert run.invoke(app, ["init", str(second), "--template", "tutor", "--base", "./my models: #1"]).exit_code == 0
    one, other = (parse(path.read_bytes()).frontmatter for path in (first, second))
    assert one is not None and other is not None
    assert len({one.dlm_id, other.dlm_id, "0" * 26}) == 3
    assert (one.base_model, other.base_model) == ("builtin:tiny", "./my models: #1")
    assert one.system_prompt is not None and "tutor" in one.system_prompt


def test_init_lists_them_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    listed = run.invoke(app, ["init", "--list-templates"])
    assert listed.exit_code == 0
    assert re.findall(r"^([a-z-]+): ", listed.output, re.M) == list(NAMES)
    unknown = run.invoke(app, ["init", str(tmp_path / "a.dlm"), "--template", "nope"])
    assert unknown.exit_code == 1 and "--list-templates" in unknown.output
    assert not (tmp_path / "a.dlm").exists()
    assert run.invoke(app, ["init"]).exit_code == 2
