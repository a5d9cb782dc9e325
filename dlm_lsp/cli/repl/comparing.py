"""Two answers to one question beside each other, with the words marked that differ."""

from __future__ import annotations

import difflib
import re
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlm_lsp.cli.repl.commands import Unclear
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.questions import Speaker
from dlm_lsp.runs.versions import Made

_NARROW = 60  # columns; below that the answers stand one above the other

Told = tuple[str, str]  # who, and what


def before_and_after(named: list[Speaker], versions: tuple[Made, ...]) -> tuple[Speaker, Speaker]:
    """The two that are to be compared: those named, else the current version and the one before it. Raises Unclear."""
    if len(named) == 2:
        return named[0], named[1]
    if len(named) == 1:
        return named[0], None
    for before, after in pairwise(versions):
        if after.current:
            return before.number, after.number
    raise Unclear("There is no version before the current one yet. Save what is new, or name two: /diff 1 live")


def side_by_side(one: Told, other: Told, width: int) -> RenderableType:
    """Says so when they are the same."""
    if one[1] == other[1]:
        return Group(Text(f"{one[0]} and {other[0]} say the same:", style="dim"), Text(_shown(one[1])))
    left, right = _marked(_shown(one[1]), _shown(other[1]))
    if width < _NARROW:
        return Group(Text(one[0], style="dim"), left, Text(other[0], style="dim"), right)
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(one[0], ratio=1)
    table.add_column(other[0], ratio=1)
    table.add_row(left, right)
    return table


def _marked(one: str, other: str) -> tuple[Text, Text]:
    ours, theirs = (re.findall(r"\s+|\S+", text) for text in (one, other))
    left, right = Text(), Text()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        left.append("".join(ours[a:b]), style="" if kind == "equal" else "red")
        right.append("".join(theirs[c:d]), style="" if kind == "equal" else "green")
    return left, right


def _shown(text: str) -> str:
    return escaped(text.strip("\n"), keep="\n\t")
