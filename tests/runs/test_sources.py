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
from dlm_lsp.store import regular


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


# --- what a hostile document, or another process, might try ---


@pytest.mark.parametrize("policy", ["permissive", "strict"])
def test_only_regular_files_are_opened(tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would wait for its writer for ever, and a device could give bytes for ever."""
    tree(tmp_path / "s", {"a.txt": "a"})
    os.mkfifo(tmp_path / "s" / "pipe")
    (tmp_path / "s" / "zero").symlink_to("/dev/zero")
    (tmp_path / "s" / "linked-pipe").symlink_to("pipe")
    (tmp_path / "s" / "self").symlink_to("self")
    opened: list[str] = []
    real_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **named: opened.append(str(path)) or real_open(path, *rest, **named)
    )
    assert names(take(tmp_path / "doc.dlm", {"path": "s"}, policy=policy)) == ["a.txt"]
    for path in ("s/pipe", "s/zero", "s/linked-pipe", "s/self"):
        assert names(take(tmp_path / "doc.dlm", {"path": path}, policy=policy)) == []
    assert {Path(path).name for path in opened if "pipe" in path or "zero" in path} == set()


def test_files_of_the_kernel_give_nothing(tmp_path: Path) -> None:
    for path in ("/proc/self/environ", "/proc/kmsg", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        sourced = take(tmp_path / "doc.dlm", {"path": path})
        assert [section.lessons for section in sourced.sections if section.lessons] == []
        strict = take(tmp_path / "doc.dlm", {"path": path}, policy="strict")
        assert only(strict, "source-outside" if Path(path).exists() else "source-missing")


@pytest.mark.parametrize("what", ["file", "folder", "pipe"])
def test_a_swap_between_the_look_and_the_opening_leads_nowhere(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: everything was checked, and in the next instant the name stands for something else."""
    tree(tmp_path, {"outside/a.txt": "a secret", "docs/in/a.txt": "mine"})
    inside = tmp_path / "docs" / "in"

    def swap() -> None:
        if what == "folder":
            inside.rename(tmp_path / "docs" / "was-in")
            inside.symlink_to(tmp_path / "outside")
            return
        (inside / "a.txt").unlink()
        if what == "file":
            (inside / "a.txt").symlink_to(tmp_path / "outside" / "a.txt")
        else:
            os.mkfifo(inside / "a.txt")

    checked = regular._check
    looks: list[Path] = []

    def check(mode: int, path: Path) -> None:
        checked(mode, path)
        if not looks:
            swap()
        looks.append(path)

    monkeypatch.setattr(regular, "_check", check)
    sourced = take(tmp_path / "docs" / "doc.dlm", {"path": "in"}, policy="strict")
    assert looks
    assert sourced.sections == ()
    assert only(sourced, "source-unreadable").message.startswith("Left out, as it cannot be read: a.txt (")


@pytest.mark.parametrize(("limit", "code"), [(8, "source-too-large"), (None, "source-limit")])
def test_a_file_that_grows_while_it_is_read_is_not_read_on(
    tmp_path: Path, limit: int | None, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "s", {"log": "1234"})
    monkeypatch.setattr(sources, "MAX_BYTES", 20)
    read: list[int] = []
    real_read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with (tmp_path / "s" / "log").open("ab") as file:
            file.write(b"x" * 1000)
        data = real_read(descriptor, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "read", growing)
    directive = {"path": "s"} if limit is None else {"path": "s", "max_bytes_per_file": limit}
    assert only(take(tmp_path / "doc.dlm", directive), code).message.endswith(": log.")
    assert sum(read) <= (limit or 20) + 1


def test_secrets_in_any_letter_case_and_directories_of_them(tmp_path: Path) -> None:
    secrets = [".ENV", "Server.PEM", ".ssh/config", ".aws/credentials", "Credentials.json", "a.ppk", "b.KDBX", ".envrc"]
    tree(tmp_path / "s", {**dict.fromkeys(secrets, "x"), "environment.md": "about secrets"})
    tree(
        tmp_path / "s", {"pgp.txt": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "putty": "PuTTY-User-Key-File-3: rsa\n"}
    )
    sourced = take(tmp_path / "doc.dlm", {"path": "s"}, policy="strict")
    assert names(sourced) == ["environment.md"]
    assert "and 7 more" in only(sourced, "source-secret").message
    assert names(take(tmp_path / "doc.dlm", {"path": "s", "include": [".ssh/*"]})) == [".ssh/config"]


def test_a_hard_way_out_is_no_way_out(tmp_path: Path) -> None:
    """Links to links, `..` behind a link, another letter case, a home, an absolute path with dots."""
    tree(tmp_path, {"secret.txt": "s", "docs/in/a.txt": "a"})
    document = tmp_path / "docs" / "doc.dlm"
    (tmp_path / "docs" / "one").symlink_to("two")
    (tmp_path / "docs" / "two").symlink_to("../secret.txt")
    (tmp_path / "docs" / "up").symlink_to("in/..")
    dotted = (
        "up/../secret.txt",
        f"{tmp_path}/docs/../secret.txt",
        "../DOCS/../secret.txt",
        "in/../../docs/../secret.txt",
    )
    for path in ("one", "two", "~", "~root", *dotted, "//etc/passwd", "/proc/self/root/etc/passwd"):
        sourced = take(document, {"path": path}, policy="strict")
        assert sourced.sections == (), path
        assert {problem.code for problem in sourced.problems} <= {"source-outside", "source-missing"}, path


def test_many_globs_cost_no_more_than_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on directory entries is one on the work, too: thousands of globs times thousands of names."""
    tree(tmp_path / "s", {f"{number:03}": "x" for number in range(100)})
    monkeypatch.setattr(sources, "MAX_ENTRIES", 100)
    sourced = take(tmp_path / "doc.dlm", {"path": "s", "include": [*["*.no"] * 400, "*"]})
    assert len(sourced.sections) == 3
    assert only(sourced, "source-limit")
