"""Before and after in words: a line, the rows of a hover, a Markdown document. Pure."""

from __future__ import annotations

import re

from dlm_lsp.runs.answers import MOST_TOKENS, Compared, Comparison, Said, matches, named
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.telling import count

_LINE = 160  # characters of an answer in one line


def summary(found: Comparison) -> str:
    """Such as `v0004 taught 3 questions: 3 answered word for word, 0 before`."""
    name, asked = named(found.version), len(found.answers)
    if not asked:
        return f"{name} was the first to learn none of the questions that the document holds now"
    exact = sum(1 for each in found.answers if each.exact)
    before = sum(1 for each in found.answers if each.before is not None and matches(each.before, each.expected))
    taught = count(asked + found.left_out, "question")
    left = f"; {found.left_out} of them not asked" if found.left_out else ""
    return f"{name} taught {taught}: {exact} answered word for word, {before} before{left}"


def hover_rows(found: Comparison) -> list[str]:
    """Before and after of one exchange, in two or three rows."""
    (answer,) = found.answers
    rows = []
    if answer.before is not None:
        rows.append(f"before ({named(found.before)}): {code_span(answer.before.shown)}")
    if answer.after is not None:
        rows.append(f"after ({named(found.version)}): {code_span(answer.after.shown)}{_verdict(answer)}")
    if answer.now is not None and answer.now != answer.after:
        rows.append(f"now ({named(found.current)}): {code_span(answer.now.shown)}")
    return rows


def markdown(name: str, found: Comparison) -> str:
    """The virtual document: every question with what was said before and after. Texts stand in code blocks."""
    parts = [f"# {code_span(name)}: before and after {named(found.version)}", f"{summary(found)}."]
    if found.current != found.version:
        parts.append(f"{named(found.current)} is the current version.")
    for number, each in enumerate(found.answers, 1):
        parts.append(f"## {number}. Line {each.range.start.line + 1}{_verdict(each)}")
        parts.append(code_block(each.question))
        parts += ["**The document says**", code_block(each.expected)]
        parts += [f"**Before** ({named(found.before)})", _block(each.before)]
        parts += [f"**After** ({named(found.version)})", _block(each.after)]
        if each.now is not None:
            parts += [f"**Now** ({named(found.current)})", _block(each.now)]
    if found.answers:
        parts.append(f"Answers are greedy, and at most {MOST_TOKENS} tokens long.")
    return "\n\n".join(parts) + "\n"


def code_span(text: str) -> str:
    """One line of Markdown that shows `text`, whatever it is, shortened."""
    line = escaped(" ".join(text.split()))
    line = f"{line[:_LINE].rstrip()} …" if len(line) > _LINE else line
    if not line:
        return "(nothing)"
    fence = "`" * (_longest(line) + 1)
    edge = " " if fence != "`" else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def code_block(text: str) -> str:
    """A block of Markdown that shows `text`, whatever it is."""
    shown = escaped(text.strip("\n"), keep="\n\t")
    fence = "`" * max(3, _longest(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _block(said: Said | None) -> str:
    if said is None:
        return "This version is not on disk any more."
    return code_block(said.shown) if said.text.strip() else "(nothing)"


def _verdict(answer: Compared) -> str:
    if answer.after is None:
        return ""
    if answer.exact:
        return " · word for word"
    return " · changed, not word for word" if answer.changed else " · unchanged"


def _longest(text: str) -> int:
    """The longest run of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
