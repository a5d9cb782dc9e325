"""A model of a client's text, slow and obviously right: one character after the other, one rule at a time.

From the text of LSP 3.17 ("Text Documents", "Position"): lines end at LF, CRLF and CR and nowhere else; a
character beyond the end of its line is the line's end; columns count UTF-8 bytes, UTF-16 code units or code
points. Where it is silent: a line beyond the last is the end of the text, a column inside a character is that
character's start, and the ends of an inverted range are swapped.
"""

from __future__ import annotations

from typing import Any

Place = dict[str, int]
ENCODINGS = ("utf-8", "utf-16", "utf-32")


def width(character: str, encoding: str) -> int:
    """How many units one code point takes."""
    point = ord(character)
    if encoding == "utf-32":
        return 1
    if encoding == "utf-16":
        return 2 if point > 0xFFFF else 1
    if point < 0x80:
        return 1
    if point < 0x800:
        return 2
    return 3 if point <= 0xFFFF else 4


def lines(text: str) -> list[tuple[str, str]]:
    """Each line with what ends it; the last is ended by nothing."""
    found: list[tuple[str, str]] = []
    line, at = "", 0
    while at < len(text):
        if text[at] == "\r" and at + 1 < len(text) and text[at + 1] == "\n":
            found.append((line, "\r\n"))
            line, at = "", at + 2
        elif text[at] == "\r" or text[at] == "\n":
            found.append((line, text[at]))
            line, at = "", at + 1
        else:
            line, at = line + text[at], at + 1
    return [*found, (line, "")]


def offset(text: str, place: Place, encoding: str) -> int:
    """How many code points lie before a place."""
    before = 0
    for number, (line, end) in enumerate(lines(text)):
        if number < place["line"]:
            before += len(line) + len(end)
            continue
        units = 0
        for character in line:
            units += width(character, encoding)
            if units > place["character"]:
                break
            before += 1
        return before
    return len(text)


def changed(text: str, change: dict[str, Any], encoding: str) -> str:
    """The text after one change of `textDocument/didChange`."""
    if "range" not in change:
        return str(change["text"])
    start = offset(text, change["range"]["start"], encoding)
    end = offset(text, change["range"]["end"], encoding)
    if start > end:
        start, end = end, start
    return text[:start] + str(change["text"]) + text[end:]
