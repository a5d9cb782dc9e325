"""Breaks text that is still coming into rows of a terminal."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth


def whole_rows(text: str, width: int) -> tuple[list[str], str]:
    """The rows of `text` that no more text can change, and the rest. Words are kept whole where one fits a row."""
    *lines, rest = text.split("\n")
    rows = []
    for line in lines:
        begun, line = _full(line, width)
        rows += [*begun, line]
    begun, rest = _full(rest, width)
    return rows + begun, rest


def _full(line: str, width: int) -> tuple[list[str], str]:
    """The rows that `line` fills, and what is left for the last one."""
    rows = []
    while (fits := _fitting(line, width)) < len(line):
        blank = line.rfind(" ", 1, fits + 1)
        cut = blank if blank > 0 else fits
        rows.append(line[:cut])
        line = line[cut:].removeprefix(" ")
    return rows, line


def _fitting(line: str, width: int) -> int:
    """How many characters of `line` fit into `width` columns; one at least."""
    used = 0
    for index, letter in enumerate(line):
        used += get_cwidth(letter)
        if used > max(width, 2):
            return max(index, 1)
    return len(line)
