"""What a document takes in through `training.sources`, on real directories."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.document import Problem, Severity, parse
from dlm_lsp.runs import sources
from dlm_lsp.runs.globs import Glob
from dlm_lsp.runs.sources import Sourced, expand


def tree(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def take(document_path: Path, *directives: dict[str, Any], policy: str = "permissive") -> Sourced:
    """The document at `document_path` gets these directives, one a line, and is expanded."""
    lines = "".join(f"    - {json.dumps(directive)}\n" for directive in directives)
    text = (
        "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\ndlm_version: 15\nbase_model: builtin:tiny\n"
        f"training:\n  sources_policy: {policy}\n  sources:\n{lines}---\n\nbody\n"
    )
    document_path.parent.mkdir(parents=True, exist_ok=True)
    document_path.write_text(text, encoding="utf-8")
    document = parse(text)
    assert document.trainable, document.problems
    return expand(document, document_path)


def names(sourced: Sourced) -> list[str | None]:
    return [section.origin for section in sourced.sections]


def only(sourced: Sourced, code: str) -> Problem:
    """The one problem, which has this code and stands on the first directive's path."""
    (problem,) = sourced.problems
    assert problem.code == code
    assert problem.range.start.line == 7
    return problem


def test_directory_in_the_order_of_its_paths(tmp_path: Path) -> None:
    tree(tmp_path / "notes", {"b.md": "b\n", "a/z.md": "az\n", "a.md": "a\n", "a/b/c.md": "abc\n", "B.md": "B\n"})
    sourced = take(tmp_path / "doc.dlm", {"path": "notes"})
    assert names(sourced) == ["B.md", "a/b/c.md", "a/z.md", "a.md", "b.md"]
    assert sourced.sections[1].content == "# source: a/b/c.md\n\nabc\n"
    assert [lesson.kind for lesson in sourced.sections[1].lessons] == ["prose"]
    assert sourced.problems == ()


def test_single_file_and_a_path_outside_of_the_documents_directory(tmp_path: Path) -> None:
    tree(tmp_path, {"elsewhere/one.txt": "1", "docs/two.txt": "2"})
    sourced = take(tmp_path / "docs" / "doc.dlm", {"path": "two.txt"}, {"path": str(tmp_path / "elsewhere")})
    assert names(sourced) == ["two.txt", "one.txt"]
    assert sourced.problems == ()


def test_include_and_exclude(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.md": "a", "x/b.md": "b", "x/c.txt": "c", "x/old/d.md": "d", "old/e.md": "e"})
    directive = {"path": "s", "include": ["**/*.md"], "exclude": ["**/old/**"]}
    sourced = take(tmp_path / "doc.dlm", directive)
    assert names(sourced) == ["a.md", "x/b.md"]
    assert sourced.problems == ()  # the author's own choice needs no comment


def test_nothing_chosen_is_told(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.md": "a"})
    problem = only(take(tmp_path / "doc.dlm", {"path": "s", "include": ["*.txt"]}), "source-empty")
    assert "check include and exclude: s." in problem.message


@pytest.mark.parametrize("path", ["nowhere", "x\\u0000y", "a" * 5000])
def test_missing_path(tmp_path: Path, path: str) -> None:
    assert only(take(tmp_path / "doc.dlm", {"path": path}), "source-missing").severity is Severity.WARNING


def test_what_is_not_text_is_left_out_and_told(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.png": b"\x89PNG\0\0", "b.txt": "caf\u00e9".encode("latin-1"), "c.txt": "\ufeffc\r\nd"})
    sourced = take(tmp_path / "doc.dlm", {"path": "s"})
    assert [section.content for section in sourced.sections] == ["# source: c.txt\n\nc\nd"]
    assert only(sourced, "source-not-text").message.endswith(": a.png, b.txt.")


def test_limits_of_a_directive(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a": "12345", "b": "1234", "c": "1", "d": "1"})
    sourced = take(tmp_path / "doc.dlm", {"path": "s", "max_bytes_per_file": 4, "max_files": 2})
    assert names(sourced) == ["b", "c"]
    assert [(problem.code, problem.message[-3:]) for problem in sourced.problems] == [
        ("source-too-large", " a."),
        ("source-max-files", " d."),
    ]


def test_limits_of_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "s", {"a": "12", "b": "12345678901", "c": "12", "d": "1", "e": "1"})
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    sourced = take(tmp_path / "doc.dlm", {"path": "s"}, {"path": "s/e"})
    assert names(sourced) == ["a", "c", "d"]
    assert [problem.code for problem in sourced.problems] == ["source-limit", "source-limit"]
    assert sourced.problems[0].message.endswith(": b, e.")
    monkeypatch.setattr(sources, "MAX_ENTRIES", 2)
    assert names(take(tmp_path / "doc.dlm", {"path": "s"})) == ["a"]


def test_likely_secrets_only_by_name(tmp_path: Path) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
    tree(tmp_path / "s", {".env": "TOKEN=1", "server.pem": "x", "how.md": f"Like this:\n{key}", "a.md": "a"})
    sourced = take(tmp_path / "doc.dlm", {"path": "s"})
    assert names(sourced) == ["a.md"]
    assert only(sourced, "source-secret").message.endswith(": .env, how.md, server.pem.")
    assert names(take(tmp_path / "doc.dlm", {"path": "s", "include": ["**/*", ".env", "how.md"]})) == [
        ".env",
        "a.md",
        "how.md",
    ]
    assert names(take(tmp_path / "doc.dlm", {"path": "s/.env"})) == [".env"]


def test_directories_of_tools_only_by_name(tmp_path: Path) -> None:
    tree(tmp_path, {".git/HEAD": "ref", "web/node_modules/x/i.js": "x", "web/a.js": "a", "uv.lock": "l"})
    sourced = take(tmp_path / "doc.dlm", {"path": "."})
    assert names(sourced) == ["web/a.js"]  # and never the document itself
    problem = only(sourced, "source-tool-file")
    assert problem.severity is Severity.INFORMATION
    assert problem.message.endswith(": .git/, uv.lock, web/node_modules/.")
    assert names(take(tmp_path / "doc.dlm", {"path": ".", "include": ["web/node_modules/**"]})) == [
        "web/node_modules/x/i.js"
    ]


def test_document_itself_is_never_taken(tmp_path: Path) -> None:
    tree(tmp_path, {"other.dlm": "another document"})
    (tmp_path / "link.md").symlink_to("doc.dlm")
    sourced = take(tmp_path / "doc.dlm", {"path": "."}, {"path": "doc.dlm"})
    assert names(sourced) == ["other.dlm"]


def test_strict_policy_keeps_to_the_documents_directory(tmp_path: Path) -> None:
    tree(tmp_path, {"secret.txt": "s", "docs/in/a.txt": "a"})
    (tmp_path / "docs/in/link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "docs/way-out").symlink_to(tmp_path)
    document = tmp_path / "docs" / "doc.dlm"
    sourced = take(document, {"path": "in"}, policy="strict")
    assert names(sourced) == ["a.txt"]
    assert "link.txt" in only(sourced, "source-outside").message
    for path in ("../secret.txt", "in/../../secret.txt", str(tmp_path), "way-out"):
        assert only(take(document, {"path": path}, policy="strict"), "source-outside").severity is Severity.WARNING
    assert names(take(document, {"path": str(tmp_path / "docs" / "in")}, policy="strict")) == ["a.txt"]
    assert names(take(document, {"path": "in"})) == ["a.txt", "link.txt"]


def test_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.txt": "a"})
    (tmp_path / "s" / "loop").symlink_to(tmp_path / "s")
    sourced = take(tmp_path / "doc.dlm", {"path": "s"})
    assert names(sourced) == ["a.txt"]
    assert only(sourced, "source-link").message.endswith(": loop.")


def test_document_in_its_metadata_directory_begins_beside_it(tmp_path: Path) -> None:
    tree(tmp_path, {"a.txt": "a", ".dlm/ignore": "*.txt\n"})
    sourced = take(tmp_path / ".dlm" / "doc.dlm", {"path": "."}, policy="strict")
    assert names(sourced) == ["a.txt"]
    assert {problem.code for problem in sourced.problems} == {"source-settings", "source-tool-file"}


def test_a_file_is_taken_once(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.txt": "a", "b.txt": "b"})
    sourced = take(tmp_path / "doc.dlm", {"path": "s/b.txt"}, {"path": "s"})
    assert names(sourced) == ["b.txt", "a.txt"]
    assert [problem.code for problem in sourced.problems] == ["source-twice"]


def test_fingerprint_follows_content_and_name(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.txt": "a", "b.txt": "b"})
    before = take(tmp_path / "doc.dlm", {"path": "s"}).fingerprint
    assert take(tmp_path / "doc.dlm", {"path": "s"}).fingerprint == before
    (tmp_path / "s" / "a.txt").write_text("c")
    changed = take(tmp_path / "doc.dlm", {"path": "s"}).fingerprint
    (tmp_path / "s" / "a.txt").write_text("a")
    (tmp_path / "s" / "b.txt").rename(tmp_path / "s" / "c.txt")
    renamed = take(tmp_path / "doc.dlm", {"path": "s"}).fingerprint
    assert len({before, changed, renamed}) == 3


def test_every_code_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    reasons = [value for value in vars(sources).values() if isinstance(value, sources._Reason)]
    assert len(reasons) == 13
    for reason in reasons:
        assert f"| `{reason.code}` | {reason.severity} |" in text


def test_document_without_sources(tmp_path: Path) -> None:
    assert expand(parse("no frontmatter"), tmp_path / "doc.dlm").sections == ()


def test_pipes_and_undecodable_names_stop_nothing(tmp_path: Path) -> None:
    tree(tmp_path / "s", {"a.txt": "a"})
    os.mkfifo(tmp_path / "s" / "pipe")
    Path(os.fsdecode(os.fsencode(tmp_path / "s") + b"/\xff.txt")).write_text("x")
    sourced = take(tmp_path / "doc.dlm", {"path": "s"})
    assert names(sourced) == ["a.txt"]
    assert "not in UTF-8" in only(sourced, "source-unreadable").message


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**/*", "a", True),
        ("**/*", "a/b/c", True),
        ("*.md", "a.md", True),
        ("*.md", "x/a.md", False),
        ("**/*.md", "a.md", True),
        ("**/*.md", "x/y/a.md", True),
        ("**/a.md", "ba.md", False),
        ("docs/**", "docs/x/y", True),
        ("docs/**", "docs", False),
        ("docs/**/x", "docs/x", True),
        ("docs/**/x", "docs/a/b/x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("*.MD", "a.md", False),
        ("**", "a/b", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert Glob(pattern).matches(path.split("/")) is matches


def test_hostile_glob_is_no_slower_than_another() -> None:
    deep = ["a"] * 400
    assert not Glob("**/a/" * 40 + "b").matches(deep)
    assert not Glob("*a" * 40 + "b").matches(["a" * 250])
