"""Frontmatter that is no YAML, or says something else than was meant: the change that certainly mends it.

A repair is proposed from the form of a line, and taken only if the frontmatter then reads without a problem in the
lines it changed. Nothing is offered where two readings are possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dlm_lsp.document.frontmatter import DELIMITER
from dlm_lsp.document.model import Document, Problem
from dlm_lsp.document.parse import parse
from dlm_lsp.document.text import span
from dlm_lsp.document.yaml_edit import Edit

_MAX_LENGTH = 3_000  # characters of a frontmatter that is worth trying
_MAX_TRIES = 24
_MAX_READ = 12_288  # characters that are read in all, which is some dozens of milliseconds
_MAX_CHAIN = 6  # lines that one offer mends
_UNREADABLE = ("frontmatter-yaml", "frontmatter-not-mapping")

_ENTRY = re.compile(r"(?P<head>\s*(?:- +)*(?P<key>[\w.-]+)\s*:\s+|\s*(?:- +)+)(?P<value>\S.*?)(?P<tail>\s+#.*|\s*)")
_GLUED = re.compile(r"(?P<head>\s*(?:- +)*[a-z]\w*:)(?P<value>[^\s:].*)")
_KEY = re.compile(r"\s*(?:- +)*[\w.-]+\s*:(?:\s|$)")
_SPECIAL = tuple("@`%*!?,|>-:")
_CURLY = "“”„‟‘’‚‛«»"


class Mending(NamedTuple):
    """A change that certainly mends what `problem` says."""

    title: str
    edits: tuple[Edit, ...]


class _Repair(NamedTuple):
    """New texts of lines of the frontmatter, by their numbers in the document."""

    title: str
    lines: dict[int, str]


def mendings(document: Document, problem: Problem) -> tuple[Mending, ...]:
    """What certainly mends `problem`: at most one. `document` has it."""
    place = document.frontmatter_range
    is_unreadable = problem.code in _UNREADABLE
    if place is None or place.end.line == 0 or not (is_unreadable or place.start <= problem.range.start < place.end):
        return ()
    lines = document.text.split("\n")[: place.end.line]
    if sum(map(len, lines)) > _MAX_LENGTH:
        return ()
    repairs = _Search(lines).chain(problem) if is_unreadable else _Search(lines).single(problem, document)
    if not repairs:
        return ()
    title = repairs[0].title if len(repairs) == 1 else f"Correct {len(repairs)} lines of the frontmatter"
    changed = {number: line for repair in repairs for number, line in repair.lines.items()}
    return (Mending(title, tuple(_edit(lines[number], number, line) for number, line in sorted(changed.items()))),)


def _edit(old: str, number: int, new: str) -> Edit:
    """The smallest edit that makes `new` of `old`."""
    start = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(old))
    start = min(start, len(old), len(new))
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return Edit(span(number, start, len(old) - end), new[start : len(new) - end])


class _Search:
    """Tries repairs, within bounds."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = list(lines)
        self._tries = 0
        self._most = min(_MAX_TRIES, 1 + _MAX_READ // (1 + sum(map(len, lines))))

    def chain(self, problem: Problem) -> list[_Repair]:
        """Repairs after all of which the frontmatter can be read; each brings its first error further down."""
        found: list[_Repair] = []
        at = problem.range.start.line
        suspects = self._suspects(problem)
        while len(found) < _MAX_CHAIN:
            better: tuple[_Repair, Problem] | None = None
            for repair in self._repairs(suspects):
                problems = self._read(repair)
                worst = next((each for each in problems if each.code in _UNREADABLE), None)
                if worst is None:
                    if self._is_clean(repair, problems):
                        return [*found, repair]
                elif better is None and worst.code == "frontmatter-yaml" and worst.range.start.line > at:
                    better = (repair, worst)
            if better is None:
                return []
            repair, worst = better
            found.append(repair)
            self._apply(repair)
            at, suspects = worst.range.start.line, self._suspects(worst)
        return []

    def single(self, problem: Problem, document: Document) -> list[_Repair]:
        """A repair of a value that can be read and is not what was meant."""
        for repair in self._repairs(range(problem.range.start.line, problem.range.end.line + 1), readable=True):
            problems = self._read(repair)
            is_readable = not any(each.code in _UNREADABLE for each in problems)
            before, after = (sum(each.code == problem.code for each in them) for them in (document.problems, problems))
            if is_readable and after < before and self._is_clean(repair, problems):
                return [repair]
        return []

    def _suspects(self, problem: Problem) -> list[int]:
        """The lines that an error may come from: its own, that of what surrounds it, the text above."""
        at = min(problem.range.start.line, len(self._lines) - 1)
        above = [number for number in range(at - 1, 0, -1) if self._lines[number].strip()][:1]
        related = [each.range.start.line for each in problem.related]
        if problem.code == "frontmatter-not-mapping":
            related += range(1, min(len(self._lines), 6))
        return [number for number in dict.fromkeys((at, *related, *above)) if 0 < number < len(self._lines)]

    def _repairs(self, numbers: Sequence[int], *, readable: bool = False) -> Iterator[_Repair]:
        for number in numbers[:8]:
            line = self._lines[number]
            one_line = (_curly, _glued) if readable else (_curly, _inner_quotes, _open_quote, _unquoted, _glued)
            for propose in one_line:
                if (made := propose(line)) is not None:
                    yield _Repair(made[0], {number: made[1]})
            if not readable:
                yield from self._tabs(number)
                yield from self._indentation(number)

    def _tabs(self, number: int) -> Iterator[_Repair]:
        if "\t" not in _leading(self._lines[number]):
            return
        tabbed = [each for each, line in enumerate(self._lines) if "\t" in _leading(line) and line.strip()]
        for width in (2, 4, 8):
            lines = {
                each: _leading(self._lines[each]).expandtabs(width) + self._lines[each].lstrip() for each in tabbed
            }
            yield _Repair("Indent with blanks instead of tabs", lines)

    def _indentation(self, number: int) -> Iterator[_Repair]:
        """The only depth of the lines above at which this key is known."""
        line = self._lines[number]
        if not _KEY.match(line) or number < 2:
            return
        columns = {len(_leading(each)) for each in self._lines[1:number] if each.strip() and _KEY.match(each)}
        columns |= {column + 2 for column in columns}
        fitting = []
        for column in sorted(columns - {len(_leading(line))}):
            repair = _Repair("Correct the indentation", {number: " " * column + line.lstrip()})
            problems = self._read(repair)
            if not any(each.code in _UNREADABLE for each in problems) and self._is_clean(repair, problems):
                fitting.append(repair)
        if len(fitting) == 1:
            yield fitting[0]

    def _read(self, repair: _Repair) -> Sequence[Problem]:
        """The problems of the frontmatter with `repair`; nothing is read beyond the bound, and `_is_clean` is False."""
        self._tries += 1
        if self._tries > self._most:
            return ()
        made = [repair.lines.get(number, line) for number, line in enumerate(self._lines)]
        return parse("\n".join((*made, DELIMITER, ""))).problems

    def _is_clean(self, repair: _Repair, problems: Sequence[Problem]) -> bool:
        """Whether no line that was changed has a problem."""
        if self._tries > self._most:
            return False
        return not any(
            each.range.start.line <= number <= each.range.end.line for each in problems for number in repair.lines
        )

    def _apply(self, repair: _Repair) -> None:
        for number, line in repair.lines.items():
            self._lines[number] = line


# --- what a line was meant to be: a title and the line, or None ------------------------------------------------


def _unquoted(line: str) -> tuple[str, str] | None:
    """A text with `: ` in it, or a first character that YAML keeps for itself."""
    match = _ENTRY.fullmatch(line)
    if match is None or match["value"][0] in "'\"[{#":
        return None
    value = match["value"]
    if not (": " in value or ":\t" in value or value.endswith(":") or value.startswith(_SPECIAL)):
        return None
    return (_titled("Quote", match), f"{match['head']}{_quoted(value)}{match['tail']}")


def _open_quote(line: str) -> tuple[str, str] | None:
    """A quote that is not closed in its line."""
    match = _ENTRY.fullmatch(line)
    if match is None or match["value"][0] not in "'\"" or "#" in match["tail"]:
        return None
    quote, rest = match["value"][0], match["value"][1:]
    if quote in rest.replace(f"\\{quote}", "") or rest.endswith("\\"):
        return None
    return ("Close the quote", f"{match['head']}{match['value']}{quote}{match['tail']}")


def _inner_quotes(line: str) -> tuple[str, str] | None:
    """Quotes within quotes of the same kind."""
    match = _ENTRY.fullmatch(line)
    if match is None or len(match["value"]) < 3 or "#" in match["tail"]:
        return None
    quote, inner = match["value"][0], match["value"][1:-1]
    if quote not in "'\"" or match["value"][-1] != quote or quote not in inner:
        return None
    if quote == '"':
        inner = re.sub(r'(?<!\\)"', r"\"", inner)
    elif "''" in inner:
        return None
    else:
        inner = inner.replace("'", "''")
    return ("Escape the quotes inside", f"{match['head']}{quote}{inner}{quote}{match['tail']}")


def _curly(line: str) -> tuple[str, str] | None:
    """Typographic quotes around a value, which YAML takes for a part of it."""
    match = _ENTRY.fullmatch(line)
    if match is None or len(match["value"]) < 3:
        return None
    first, inner, last = match["value"][0], match["value"][1:-1], match["value"][-1]
    if not ((first in _CURLY and last in f"{_CURLY}\"'") or (last in _CURLY and first in "\"'")):
        return None
    return ("Change to straight quotes", f"{match['head']}{_quoted(inner)}{match['tail']}")


def _glued(line: str) -> tuple[str, str] | None:
    """A value that follows its colon without a blank."""
    match = _GLUED.fullmatch(line)
    if match is None:
        return None
    return ("Put a blank after the colon", f"{match['head']} {match['value']}")


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


def _titled(verb: str, match: re.Match[str]) -> str:
    return f"{verb} the value of `{match['key']}`" if match["key"] else f"{verb} this entry"


def _leading(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
