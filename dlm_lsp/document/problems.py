"""Every problem a document can have: one catalogue of codes, and the list that a parse fills."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dlm_lsp.document.model import Fix, Position, Problem, Range, Related, Severity

MAX_PROBLEMS = 1_000
"""How many problems of one document are told; more would help nobody and cost memory without bound."""


class Family(StrEnum):
    """Which kind of error the format's reference parser ends with on such a document. NONE: it accepts it."""

    NONE = "none"
    ENCODING = "encoding"
    FRONTMATTER = "frontmatter"
    SCHEMA = "schema"
    VERSION = "version"
    MIGRATION = "migration"
    FENCE = "fence"
    INSTRUCTION = "instruction"
    PREFERENCE = "preference"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code stands for."""

    code: str
    severity: Severity
    family: Family
    meaning: str


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

CATALOGUE: dict[str, Rule] = {
    rule.code: rule
    for rule in (
        Rule("not-utf8", _ERROR, Family.ENCODING, "The file is not UTF-8; the message gives the byte offset."),
        Rule("lone-surrogate", _ERROR, Family.ENCODING, "Half of a UTF-16 pair, which no UTF-8 file can hold."),
        Rule("frontmatter-missing", _ERROR, Family.FRONTMATTER, "The first line is not exactly `---`."),
        Rule("frontmatter-not-closed", _ERROR, Family.FRONTMATTER, "No later line is exactly `---`."),
        Rule("frontmatter-yaml", _ERROR, Family.FRONTMATTER, "The frontmatter is not valid YAML 1.1."),
        Rule(
            "frontmatter-not-mapping",
            _ERROR,
            Family.FRONTMATTER,
            "The frontmatter holds no `key: value` lines.",
        ),
        Rule("frontmatter-too-large", _ERROR, Family.FRONTMATTER, "The frontmatter is beyond a size limit."),
        Rule("missing-key", _ERROR, Family.SCHEMA, "A required key is not written."),
        Rule("unknown-key", _ERROR, Family.SCHEMA, "The schema has no such key at this place."),
        Rule("bad-value", _ERROR, Family.SCHEMA, "A value is of the wrong type or out of bounds."),
        Rule("conflicting-keys", _ERROR, Family.SCHEMA, "Keys that are fine alone do not go together."),
        Rule("version-too-new", _ERROR, Family.VERSION, "`dlm_version` is newer than this program."),
        Rule("version-too-old", _ERROR, Family.MIGRATION, "`dlm_version` is below 1."),
        Rule("duplicate-key", _WARNING, Family.NONE, "A key is written twice; the last one counts."),
        Rule("ignored-key", _WARNING, Family.NONE, "A key of an old version has no effect any more."),
        Rule("unknown-fence", _ERROR, Family.FENCE, "`::word::` names no section type."),
        Rule("bad-adapter-name", _ERROR, Family.FENCE, "The name after `#` in a fence is not an adapter name."),
        Rule("attributes-required", _ERROR, Family.FENCE, "An image or audio fence without attributes."),
        Rule(
            "bad-attribute",
            _ERROR,
            Family.FENCE,
            "A fence attribute is unknown, missing, repeated or misplaced.",
        ),
        Rule(
            "unclosed-code-block",
            _ERROR,
            Family.FENCE,
            "A line with three backticks opens a block that never ends.",
        ),
        Rule("bad-marker", _ERROR, Family.FENCE, "A provenance marker is malformed."),
        Rule("not-a-fence", _WARNING, Family.NONE, "A line looks like a fence but is ordinary text."),
        Rule("instruction-empty", _ERROR, Family.INSTRUCTION, "An instruction section without an exchange."),
        Rule("instruction-stray-text", _ERROR, Family.INSTRUCTION, "Text before the first `### Q`."),
        Rule("instruction-order", _ERROR, Family.INSTRUCTION, "A `### Q` or `### A` where the other was due."),
        Rule("instruction-empty-body", _ERROR, Family.INSTRUCTION, "A question or an answer without text."),
        Rule("instruction-incomplete", _ERROR, Family.INSTRUCTION, "The last question has no answer."),
        Rule("preference-empty", _ERROR, Family.PREFERENCE, "A preference section without a record."),
        Rule("preference-stray-text", _ERROR, Family.PREFERENCE, "Text before the first `### Prompt`."),
        Rule(
            "preference-order",
            _ERROR,
            Family.PREFERENCE,
            "Headers not in the order Prompt, Chosen, Rejected.",
        ),
        Rule(
            "preference-empty-body",
            _ERROR,
            Family.PREFERENCE,
            "A header of a preference record without text.",
        ),
        Rule("preference-incomplete", _ERROR, Family.PREFERENCE, "The last preference record is not complete."),
        Rule(
            "not-a-header",
            _WARNING,
            Family.NONE,
            "A line looks like `### Q` or the like but is ordinary text.",
        ),
        Rule(
            "duplicate-lesson",
            _WARNING,
            Family.NONE,
            "The same exchange or text stands in the document twice.",
        ),
        Rule(
            "two-answers",
            _WARNING,
            Family.NONE,
            "The same question stands in the document with two answers.",
        ),
        Rule(
            "too-many-problems",
            _ERROR,
            Family.NONE,
            f"More than {MAX_PROBLEMS} problems; the rest is counted.",
        ),
    )
}


def family(code: str) -> Family:
    """The family of a problem's code."""
    return CATALOGUE[code].family


class ProblemList:
    """Gathers the problems of one document; beyond `MAX_PROBLEMS` it only counts."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._left_out = 0
        self._left_out_errors = 0
        self.errors = 0

    @property
    def count(self) -> int:
        """How many problems were found, told or not."""
        return len(self._problems) + self._left_out

    @property
    def told(self) -> Sequence[Problem]:
        """The problems in the order in which they were found."""
        return self._problems

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that their messages need no effort."""
        return len(self._problems) >= MAX_PROBLEMS

    def skip(self, code: str) -> bool:
        """Whether the list is full; the problem is counted then, and its message need not be made."""
        if not self.full:
            return False
        is_error = CATALOGUE[code].severity is Severity.ERROR
        self.errors += is_error
        self._left_out += 1
        self._left_out_errors += is_error
        return True

    def add(
        self,
        code: str,
        place: Range,
        message: str,
        related: Iterable[Related] = (),
        fixes: Iterable[Fix] = (),
    ) -> None:
        """Adds one problem with the severity that the catalogue gives its code."""
        if self.skip(code):
            return
        severity = CATALOGUE[code].severity
        self.errors += severity is Severity.ERROR
        self._problems.append(Problem(code, severity, message, place, tuple(related), tuple(fixes)))

    def take(self, found: Iterable[Problem]) -> None:
        """Adds problems that an earlier reading found."""
        for problem in found:
            if not self.skip(problem.code):
                self.errors += problem.severity is Severity.ERROR
                self._problems.append(problem)

    def finish(self) -> tuple[Problem, ...]:
        """All problems in the order of their places."""
        problems = sorted(self._problems, key=lambda problem: problem.range.start)
        if self._left_out:
            severity = Severity.ERROR if self._left_out_errors else Severity.WARNING
            message = f"{self._left_out} more problems are not shown; correct these first."
            start = Range(Position(0, 0), Position(0, 0))
            problems.insert(0, Problem("too-many-problems", severity, message, start))
        return tuple(problems)
