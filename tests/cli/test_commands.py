"""The other commands: a new document, its status, a question, and the doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dlm_lsp import __version__
from dlm_lsp.cli import app
from dlm_lsp.cli.init import starter
from dlm_lsp.document import parse
from dlm_lsp.store import Store
from tests.cli.conftest import DLM_ID, Command, text
from tests.store.store_helpers import run as commit

run = CliRunner()


def test_init_writes_a_document_that_has_no_problems_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "harbour.dlm"
    made = run.invoke(app, ["init", str(path), "--base", "builtin:tiny"])
    assert made.exit_code == 0
    document = parse(path.read_bytes())
    assert document.trainable
    assert not document.problems
    assert [section.kind for section in document.sections] == ["prose", "instruction"]

    content = path.read_bytes()
    again = run.invoke(app, ["init", str(path)])
    assert again.exit_code == 1
    assert "exists already" in again.output
    assert path.read_bytes() == content


def test_a_text_that_is_there_becomes_a_document_as_it_stands_without_its_own_frontmatter(tmp_path: Path) -> None:
    text, path = tmp_path / "notes.md", tmp_path / "notes.dlm"
    text.write_text(
        "\ufeff---\ntags: [harbour]\n---\n\n# Harbour\n\nThe lamp is green.\n\n---\nA line above.\n", "utf-8"
    )
    made = run.invoke(app, ["init", str(path), "--from", str(text)])
    assert made.exit_code == 0, made.output
    document = parse(path.read_bytes())
    assert document.trainable
    assert [section.content for section in document.sections] == [
        "# Harbour\n\nThe lamp is green.\n\n---\nA line above."
    ]
    assert document.frontmatter is not None
    assert document.frontmatter.base_model == "builtin:tiny"
    assert "harbour" not in path.read_text("utf-8")

    text.write_text("```\nnever closed\n", "utf-8")
    told = run.invoke(app, ["init", str(tmp_path / "b.dlm"), "--from", str(text)])
    assert "unclosed-code-block" in told.output
    text.write_bytes(b"caf\xe9")
    told = run.invoke(app, ["init", str(tmp_path / "c.dlm"), "--from", str(text)])
    assert (told.exit_code, "is not UTF-8 text" in told.output) == (1, True)
    told = run.invoke(app, ["init", str(tmp_path / "c.dlm"), "--from", str(tmp_path / "none.md")])
    assert (told.exit_code, "none.md cannot be read" in told.output) == (1, True)
    told = run.invoke(app, ["init", str(tmp_path / "c.dlm"), "--from", str(text), "--template", "tutor"])
    assert told.exit_code == 2
    assert not (tmp_path / "c.dlm").exists()


@pytest.mark.parametrize(
    ("name", "base", "told"),
    [
        ("a.dlm", "smollm-135m", "Did you mean smollm2-135m"),
        ("a.dlm", "./nowhere", "There is no directory ./nowhere"),
        ("a.txt", "builtin:tiny", "a.dlm"),
        ("nowhere/a.dlm", "builtin:tiny", "make it first"),
    ],
)
def test_init_writes_nothing_that_could_not_be_taught(tmp_path: Path, name: str, base: str, told: str) -> None:
    made = run.invoke(app, ["init", str(tmp_path / name), "--base", base])
    assert (made.exit_code, told in made.output) == (1, True), made.output
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_what_could_not_be_written_whole_is_not_left_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dlm"
    opened = Path.open

    def full(self: Path, mode: str = "r", **options: str) -> object:
        opened(self, mode, **options).close()  # type: ignore[call-overload]
        return opened(Path("/dev/full"), "w", **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    made = run.invoke(app, ["init", str(path)])
    assert (made.exit_code, "No space left" in made.output) == (1, True), made.output
    assert not path.exists()


def test_every_new_document_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = set()
    for number in range(5):
        path = tmp_path / f"{number}.dlm"
        run.invoke(app, ["init", str(path)])
        frontmatter = parse(path.read_bytes()).frontmatter
        assert frontmatter is not None
        ids.add(frontmatter.dlm_id)
    assert len(ids) == 5


def test_a_base_with_odd_characters_is_still_what_the_document_says() -> None:
    for base in ("./my models: #1", 'quote"d', "on", "~/models/tiny", "hf:org/name", "1e3"):
        frontmatter = parse(starter("a", base)).frontmatter
        assert frontmatter is not None
        assert frontmatter.base_model == base


def test_status_reads_only_and_tells_each_section(home: Path, notes: Path) -> None:
    notes.write_text(text(("Who?", "Mira."), ("Where?", "Here.")))
    told = run.invoke(app, ["status", str(notes), "--home", str(home)])
    assert told.exit_code == 0
    assert "2 sections not learned" in told.output
    assert "new: not learned yet" in told.output
    assert not home.exists()

    plain = json.loads(run.invoke(app, ["status", str(notes), "--json", "--home", str(home)]).output)
    assert plain["state"] == "idle"
    assert plain["version"] is None
    assert [section["state"] for section in plain["sections"]] == ["new", "new"]
    assert plain["sections"][0]["range"]["start"]["line"] == 5


def test_status_says_that_another_base_cannot_go_on_with_the_version(home: Path, notes: Path) -> None:
    notes.write_text(text(("Who?", "Mira.")))
    with Command(home, "train", str(notes)) as command:
        assert command.end() == 0, command.lines
    assert "cannot be continued" not in run.invoke(app, ["status", str(notes), "--home", str(home)]).output
    notes.write_text(notes.read_text().replace("builtin:tiny", "smollm2-135m"))
    told = run.invoke(app, ["status", str(notes), "--home", str(home)]).output
    assert "`base_model` changed, so version v0001 cannot be continued" in told
    assert f"dlm-lsp train {notes} --full" in told


def test_status_tells_of_sourced_files_too(home: Path, notes: Path) -> None:
    folder = notes.with_name("texts")
    folder.mkdir()
    folder.joinpath("a.md").write_text("The bakery opens at five.\n")
    notes.write_text(text(settings="training:\n  sources:\n  - path: texts\n"))
    with Command(home, "train", str(notes)) as command:
        assert command.end() == 0, command.lines
    folder.joinpath("b.md").write_text("The ferry leaves at seven.\n")
    told = run.invoke(app, ["status", str(notes), "--home", str(home)]).output.splitlines()
    assert "sources  2 files: 1 read, 1 new" in told
    assert [line.strip() for line in told[-2:]] == ["a.md: read", "b.md: new"]
    assert "" not in told
    notes.write_text(notes.read_text().replace("path: texts", "path: nowhere"))
    assert "[source-missing]" in run.invoke(app, ["status", str(notes), "--home", str(home)]).output


def test_a_question_is_answered_by_what_was_learned(home: Path, notes: Path) -> None:
    notes.write_text(text(("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")))
    with Command(home, "prompt", str(notes), "Who keeps the lighthouse at Orvane?") as command:
        assert command.end() == 0, command.lines
    before = command.lines
    assert before[0] == "nothing is learned yet: the bare base model answers"

    with Command(home, "train", str(notes)) as command:
        assert command.end() == 0, command.lines
    with Command(home, "prompt", str(notes), "Who keeps the lighthouse at Orvane?") as command:
        assert command.end() == 0, command.lines
    assert command.lines == ["Mira Tolle keeps it."]
    assert before[1:] != command.lines
    with Command(home, "prompt", str(notes), "Who keeps the lighthouse at Orvane?", "--version", "v0001") as command:
        assert command.end() == 0, command.lines
    assert command.lines == ["Mira Tolle keeps it."]
    unknown = run.invoke(app, ["prompt", str(notes), "Who?", "--version", "9", "--home", str(home)])
    assert (unknown.exit_code, "there is no version v0009; there are: v0001" in unknown.output) == (1, True)
    assert run.invoke(app, ["prompt", str(notes), "Who?", "--version", "last"]).exit_code == 2

    told = run.invoke(app, ["status", str(notes), "--home", str(home)])
    assert "learned in v0001" in told.output


def test_reverting_names_the_version_or_says_why_not(home: Path, notes: Path) -> None:
    notes.write_text(text(("Who?", "Mira.")))
    none = run.invoke(app, ["revert", str(notes), "--home", str(home)])
    assert (none.exit_code, home.exists()) == (1, False)
    assert "there is no version yet" in none.output

    store = Store(home, DLM_ID)
    for step in (1, 2, 3):
        commit(store, step)
    assert "v0002 is current again" in run.invoke(app, ["revert", str(notes), "--home", str(home)]).output
    assert "v0003 is current again" in run.invoke(app, ["revert", str(notes), "v0003", "--home", str(home)]).output
    assert run.invoke(app, ["revert", str(notes), "1", "--home", str(home)]).exit_code == 0
    current = store.current()
    assert current is not None
    assert current.number == 1
    assert "v0001" in run.invoke(app, ["status", str(notes), "--home", str(home)]).output
    wrong = run.invoke(app, ["revert", str(notes), "9", "--home", str(home)])
    assert (wrong.exit_code, "there is no version v0009" in wrong.output) == (1, True)
    assert run.invoke(app, ["revert", str(notes), "last", "--home", str(home)]).exit_code == 2


def test_a_missing_document_is_a_sentence(tmp_path: Path) -> None:
    told = run.invoke(app, ["train", str(tmp_path / "none.dlm")])
    assert (told.exit_code, "dlm-lsp init" in told.output) == (1, True)
    told = run.invoke(app, ["train", str(tmp_path)])
    assert (told.exit_code, "is a directory" in told.output, "init" in told.output) == (1, True, False)


def test_the_doctor_says_what_to_do_about_a_home_that_can_not_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    told = run.invoke(app, ["doctor", "--home", str(home)])
    assert told.exit_code == 1
    assert f"FAIL stores can't be written to {home}" in told.output
    assert "DLM_HOME" in told.output


def test_the_doctor_finds_this_machine_well(home: Path) -> None:
    told = run.invoke(app, ["doctor", "--home", str(home)])
    assert told.exit_code == 0, told.output
    assert "torch 2" in told.output
    assert "FAIL" not in told.output


def test_version() -> None:
    assert run.invoke(app, ["--version"]).output == f"dlm-lsp {__version__}\n"


@pytest.mark.parametrize(("options", "mode"), [([], "thread"), (["--learner", "process"], "process")])
def test_where_to_learn_is_handed_on(
    notes: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], mode: str
) -> None:
    from dlm_lsp.cli import prompt, train
    from dlm_lsp.runs.settings import RunSettings

    given: list[str] = []

    async def note(path: Path, settings: RunSettings, **_: bool) -> int:
        given.append(settings.learner)
        return 0

    notes.write_text(text(("Who?", "Mira.")))
    monkeypatch.setattr(train, "train", note)
    monkeypatch.setattr(prompt, "prompt", lambda path, question, settings, **_: note(path, settings))
    assert run.invoke(app, ["train", str(notes), *options]).exit_code == 0
    assert run.invoke(app, ["prompt", str(notes), "Who?", *options]).exit_code == 0
    assert given == [mode] * 2
    assert run.invoke(app, ["train", str(notes), "--learner", "remote"]).exit_code == 2


def test_before_and_after_needs_a_version_that_learned_something(home: Path, notes: Path) -> None:
    notes.write_text(text(("Who?", "Mira.")))
    told = run.invoke(app, ["answers", str(notes), "--home", str(home)])
    assert (told.exit_code, told.output) == (1, "nothing is learned yet, so there is no before and after\n")
    assert not home.exists()
    assert "names no version" in run.invoke(app, ["answers", str(notes), "--version", "newest"]).output
