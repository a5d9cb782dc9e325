"""Frontmatter and body: any text is read, every place lies in it, and the sections tile it."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from dlm_lsp.document import CATALOGUE, Document, LineIndex, parse, section_id
from dlm_lsp.document.keys import describe_key, keys_at
from dlm_lsp.document.problems import MAX_PROBLEMS
from dlm_lsp.document.yaml_text import YamlError, read_yaml
from dlm_lsp.runs.unsupported import with_unsupported
from tests.document.places import places
from tests.fuzz.choices import Choices, as_text
from tests.fuzz.targets.target import Target, built

HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n---\n"

_SCALARS = (
    "", "x", "1", "0", "-1", "8", "256", "257", "1e9", "2e-4", "2.0e-4", ".inf", ".nan", "true", "yes", "null", "~",
    "auto", "lora", "qlora", "dora", "strict", "builtin:tiny", "hf:a/b", "../..", "/dev/zero",
    "01HZ4X7TGZM3J1A2B3C4D5E6F7", "15", "0x1F", "0b1", "1_000", "1:30", "2026-01-31", "2026-13-45",
    "2026-01-31T12:00:00Z", "'a'", '"a\\u0041"', '"\\ud800"', '"\\x00"', "!!int x", "!!float 1", "!!binary aGk=",
    "!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!timestamp 1", "!!python/object/apply:os.system [x]",
    "!!python/name:os.system", "!local x", "! x", "!<tag:x> y", "9" * 5000, "\U0001f600", "|\n  text\n",
    ">-\n  text\n", "|2\n    x\n", "# comment", "a # comment", "*a", "*b", "&a x", "&b [*a]", "<<", "@", "`", "%",
)  # fmt: skip
_TOP = tuple(keys_at(()))
_KEYS = (
    *_TOP, *keys_at(("training",)), *keys_at(("training", "sources", 0)), *keys_at(("training", "adapters", "x")),
    "<<", "a", "b", "1", "~", "? a", "[a]", "{a: b}", '"q"', "&a k", "*a ", "",
)  # fmt: skip
_LINES = (
    "", "text", "Two words: and a colon", "::instruction::", "::prose::", "::preference::", "::foo::",
    "::instruction#a::", "::Instruction::", ":: prose ::", "：：prose：：", "```", "```py", "````", "### Q", "question",
    "### A", "answer", "### Prompt", "### Chosen", "### Rejected", " ::prose::", '::image path="a.png" alt="b"::',
    '::audio path="a" transcript="b"::', '<!-- dlm-auto-harvest: source="r" -->',
    '<!-- dlm-auto-mined: judge_name="j" judge_score_chosen="1" -->',
    '<!-- dlm-auto-synth: synth_teacher="t" synth_strategy="s" synth_at="2026-01-01" source_section_id="0" -->',
    "a\u2028b", "\x0c### A", "### Q !probe", "###Q", "#### Question:", "\U0001f600", "\x00", "\x85", "---",
    "{{ 7*7 }}", "{% for x in range(10**9) %}", "\ufeff",
)  # fmt: skip
_ENDS = ("\n", "\n", "\n", "\r\n", "\r", "\u2028", "\x0b")


def frontmatter(data: bytes) -> None:
    choices = built(data)
    text = as_text(data[1:]) if choices is None else _yaml(choices)
    document = _checked(f"---\n{text}\n---\nx")
    for path in list(document.keys)[:50]:
        describe_key(path)
    if document.frontmatter is not None:
        again = type(document.frontmatter).model_validate(document.frontmatter.model_dump())
        assert again == document.frontmatter or "nan" in text
    _same_as_the_library(text)


def body(data: bytes) -> None:
    choices = built(data)
    text = as_text(data[1:]) if choices is None else _body(choices)
    document = _checked(HEAD + text)
    plain = document.text
    _tiles(document)
    if "\r" not in text and not text.startswith("\ufeff"):
        twin = parse("\ufeff" + (HEAD + text).replace("\n", "\r\n"))
        assert twin.sections == document.sections
        assert twin.text == plain
        assert [each.code for each in twin.problems] == [each.code for each in document.problems]
    try:
        raw = (HEAD + text).encode()
    except UnicodeEncodeError:
        return
    assert parse(raw) == document


TARGETS = (Target("frontmatter", frontmatter, ("dlm_lsp", "yaml")), Target("body", body))


# --- building --------------------------------------------------------------------------------------------------------


def _yaml(choices: Choices) -> str:
    lines = []
    if choices.flag():
        lines = ["dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7", "base_model: builtin:tiny"]
    for _ in choices.several(20):
        lines += _entry(choices, 0)
    return "\n".join(lines)


def _entry(choices: Choices, depth: int) -> Iterator[str]:
    indent = "  " * depth
    key = choices.pick(_TOP if depth == 0 and choices.flag() else _KEYS)
    kind = choices.below(6)
    if kind < 2 or depth > 5:
        yield f"{indent}{key}: {choices.pick(_SCALARS)}"
    elif kind == 2:
        yield f"{indent}{key}: {_flow(choices, 0)}"
    elif kind == 3:
        yield f"{indent}{key}:{choices.pick(('', ' &a', ' &b', ' !!map', ' *a'))}"
        for _ in choices.several(6):
            yield from _entry(choices, depth + 1)
    elif kind == 4:
        yield f"{indent}{key}:"
        for _ in choices.several(6):
            first, *more = _entry(choices, depth + 2)
            yield f"{indent}  - {first.strip()}"
            yield from more
    else:
        yield indent + choices.text(40)


def _flow(choices: Choices, depth: int) -> str:
    kind = choices.below(4)
    if depth > 70 or kind == 0:
        return choices.pick(_SCALARS)
    if kind == 1:
        return f"[{', '.join(_flow(choices, depth + 1) for _ in choices.several(4))}]"
    if kind == 2:
        pairs = (f"{choices.pick(_KEYS)}: {_flow(choices, depth + 1)}" for _ in choices.several(4))
        return f"{{{', '.join(pairs)}}}"
    return choices.pick(("[", "{")) * choices.below(100)


def _body(choices: Choices) -> str:
    lines = []
    for _ in choices.several(60):
        lines.append(choices.text(30) if choices.flag(6) else choices.pick(_LINES))
        lines.append(choices.pick(_ENDS) if choices.flag(4) else "\n")
    return "".join(lines)


# --- what must hold --------------------------------------------------------------------------------------------------


def _checked(text: str) -> Document:
    """The document, each of whose places exists in the text and each of whose problems is a known one."""
    parsed = parse(text)
    document = with_unsupported(parsed)
    index = LineIndex(text)
    for place in places(document):
        assert place.start <= place.end, place
        assert index.clamp(place.start) == place.start, place
        assert index.clamp(place.end) == place.end, place
    assert len(document.problems) <= MAX_PROBLEMS + 50
    for problem in document.problems:
        assert problem.code in CATALOGUE or problem.code == "unsupported-setting", problem.code
        assert problem.message.strip()
        assert len(problem.message) < 2_000, problem.message
    assert document.frontmatter is not None or not document.trainable
    return parsed


def _tiles(document: Document) -> None:
    """Each line of the body is in one section, or is blank, a fence or a marker."""
    lines = document.text.split("\n")
    taken: set[int] = set()
    for section in document.sections:
        content = section.content.split("\n") if section.content else []
        last = section.range.end.line
        for number, line in zip(range(last, last - len(content), -1), reversed(content), strict=True):
            assert number not in taken
            taken.add(number)
            assert lines[number] == line
        assert section.section_id == section_id(section.kind, section.content, section.media_path)
        assert section.start_line == section.range.start.line + 1
    for number, line in enumerate(lines[4:], 4):
        assert number in taken or not line.strip() or line.startswith(("::", "<!-- dlm-auto-")), (number, line)


def _same_as_the_library(text: str) -> None:
    """Where YAML is read within the bounds, it is read as PyYAML's safe loader reads it."""
    try:
        found = read_yaml(text)
    except YamlError as error:
        assert 0 <= error.offset <= len(text) + 1, error.offset
        assert error.limit or _refused(text), error.message
        return
    assert not _objects(found.value)
    if found.odd_keys:
        return
    assert repr(yaml.safe_load(text)) == repr(found.value)


def _refused(text: str) -> bool:
    try:
        yaml.safe_load(text)
    except Exception:  # the library's own bare errors included
        return True
    return False


def _objects(value: object) -> set[type]:
    """The types in a value that are no plain data."""
    plain = (str, bytes, int, float, bool, type(None))
    if isinstance(value, dict):
        return set().union(*(_objects(key) | _objects(item) for key, item in value.items()))
    if isinstance(value, list | tuple | set):
        return set().union(*map(_objects, value))
    return set() if isinstance(value, plain) or type(value).__module__ == "datetime" else {type(value)}
