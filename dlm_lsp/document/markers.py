"""Provenance markers: comment lines at a section's start that say which tool wrote it. They are no
content.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlm_lsp.document.model import Range, Related, SectionKind
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.text import span

_MARKER = re.compile(r"<!-- dlm-auto-(?P<name>harvest|mined|synth):(?P<attributes>.*) -->")
_HARVEST = re.compile(r' source="([^"\n]*)"')
_ATTRIBUTES = re.compile(r'(?:\s+[a-z][a-z0-9_]*="[^"\n]*")+')
_ATTRIBUTE = re.compile(r'\s+([a-z][a-z0-9_]*)="([^"\n]*)"')
_SECTION_ID = re.compile(r"[0-9a-f]{16}")


class _BadValueError(Exception):
    """An attribute's value breaks its rule; the message says what it must be."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One kind of marker: where it may stand, and how each attribute is read. All attributes are required."""

    flag: str
    kind: SectionKind
    attributes: dict[str, Callable[[str], Any]]


def _text(value: str) -> str:
    return value


def _some_text(value: str) -> str:
    if not value:
        raise _BadValueError("must not be empty")
    return value


def _score(value: str) -> float:
    try:
        score = float(value)
    except ValueError:
        raise _BadValueError("must be a number") from None
    if not math.isfinite(score):
        raise _BadValueError("must be a finite number")
    return score


def _run_id(value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        raise _BadValueError("must be an integer") from None
    if number < 1:
        raise _BadValueError("must be at least 1")
    return number


def _time(value: str) -> str:
    try:
        datetime.fromisoformat(f"{value[:-1]}+00:00" if value.endswith("Z") else value)
    except ValueError:
        raise _BadValueError("must be an ISO 8601 time, such as 2026-01-31T12:00:00Z") from None
    return value


def _id(value: str) -> str:
    if not _SECTION_ID.fullmatch(value):
        raise _BadValueError("must be a section id: 16 lower-case hex digits")
    return value


_RULES = {
    "mined": _Rule(
        "auto_mined",
        "preference",
        {
            "judge_name": _text,
            "judge_score_chosen": _score,
            "judge_score_rejected": _score,
            "mined_at": _time,
            "mined_run_id": _run_id,
        },
    ),
    "synth": _Rule(
        "auto_synth",
        "instruction",
        {
            "synth_teacher": _some_text,
            "synth_strategy": _some_text,
            "synth_at": _time,
            "source_section_id": _id,
        },
    ),
}


def lift_markers(
    kind: SectionKind, lines: Sequence[str], first_line: int, fence: Range, problems: ProblemList
) -> tuple[int, dict[str, Any]]:
    """Reads the markers at the start of a section's body `lines`, the first of which is line `first_line`.

    Returns how many lines are markers, and the fields of `Section` that they set (a later marker of the same
    kind replaces an earlier one). A malformed marker is a problem at the section's fence, with its own place
    beside it.
    """
    fields: dict[str, Any] = {}
    count = 0
    for line in lines:
        if not line.startswith("<!-- dlm-auto-") or (match := _MARKER.fullmatch(line)) is None:
            break
        if match["name"] == "harvest":
            source = _HARVEST.fullmatch(match["attributes"])
            if source is None:
                break
            fields.update(auto_harvest=True, harvest_source=source[1])
        else:
            rule = _RULES[match["name"]]
            if rule.kind != kind:
                break
            fields[rule.flag] = True
            for sentence, start, end in _read_attributes(rule, match, fields):
                message = f"The `dlm-auto-{match['name']}` marker of this section {sentence}."
                place = Related("The marker is here.", span(first_line + count, start, end))
                problems.add("bad-marker", fence, message, [place])
        count += 1
    return count, fields


def _read_attributes(rule: _Rule, match: re.Match[str], fields: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Puts the attributes into `fields`; returns what is wrong, each as (sentence, start column, end
    column).
    """
    whole = match.span()
    start, end = match.span("attributes")
    if not _ATTRIBUTES.fullmatch(match.string, start, end):
        return [('is malformed: write attributes as ` name="value"`, with one blank before `-->`', *whole)]
    wrong: list[tuple[str, int, int]] = []
    seen: set[str] = set()
    for attribute in _ATTRIBUTE.finditer(match.string, start, end):
        name, value = attribute.groups()
        if name not in rule.attributes:
            known = ", ".join(rule.attributes)
            wrong.append((f"has no attribute `{name}`; it has {known}", *attribute.span(1)))
        elif name in seen:
            wrong.append((f"has `{name}` twice; remove one", *attribute.span(1)))
        else:
            seen.add(name)
            try:
                fields[name] = rule.attributes[name](value)
            except _BadValueError as error:
                wrong.append((f"has a bad value: `{name}` {error}", *attribute.span(2)))
    missing = [name for name in rule.attributes if name not in seen]
    if missing:
        wrong.append((f"lacks {', '.join(f'`{name}`' for name in missing)}: add what is missing", *whole))
    return wrong
