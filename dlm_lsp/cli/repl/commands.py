"""What can be typed instead of a question: a line that begins with `/`. Names, help, and what a line means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, cast, get_args

from dlm_lsp.runs.questions import Speaker
from dlm_lsp.runs.versions import named_version

Name = Literal["version", "diff", "temperature", "system", "tokens", "status", "wait", "help", "quit"]

USAGE: dict[Name, tuple[str, str]] = {
    "version": ("[N|live|latest]", "which version answers; without one, the versions that there are"),
    "diff": ("[N [M]] [QUESTION]", "the answers of two versions side by side; alone, before and after the last save"),
    "temperature": ("[0 to 2]", "0 always gives the likeliest answer"),
    "system": ("[TEXT|default]", "the system prompt; `default` is the document's"),
    "tokens": ("[N]", "the longest answer, in tokens"),
    "status": ("", "what has been learned, section by section"),
    "wait": ("", "until nothing is being learned"),
    "help": ("", "this list"),
    "quit": ("", "leave, as Ctrl-D does"),
}


@dataclass(frozen=True, slots=True)
class Command:
    name: Name
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    text: str


class Unclear(Exception):  # noqa: N818 - nothing went wrong but a slip of the fingers
    """A line that means nothing; the message says what would."""


def read(line: str) -> Command | Question | None:
    """What `line` means, None for a blank one. A blank before a `/` makes it a question. Raises Unclear."""
    if not line.strip():
        return None
    if not line.startswith("/"):
        return Question(line.strip())
    name, _, argument = line[1:].partition(" ")
    name = name.strip().lower()
    if name in get_args(Name):
        return Command(cast(Name, name), argument.strip())
    meant = [each for each in get_args(Name) if name and each.startswith(name)]
    if len(meant) == 1:
        return Command(meant[0], argument.strip())
    near = difflib.get_close_matches(name, get_args(Name), 1)
    hint = f"did you mean /{near[0]}?" if near else "/help lists the commands."
    raise Unclear(f"There is no /{name[:40]}: {hint} To ask it as a question, put a blank before it.")


def which(text: str) -> Speaker:
    """The version that `3`, `v0003`, `live` or `latest` names. Raises Unclear."""
    if text == "live":
        return "live"
    if text == "latest":
        return None
    if (number := named_version(text)) is None:
        raise Unclear(f"{text[:40]!r} names no version: give 3, v0003, live or latest.")
    return number


def compared(argument: str) -> tuple[list[Speaker], str]:
    """The versions that `/diff` names at the begin of its argument, at most two, and the question after them."""
    versions: list[Speaker] = []
    rest = argument
    while len(versions) < 2 and rest:
        word, _, after = rest.partition(" ")
        try:
            versions.append(which(word))
        except Unclear:
            break
        rest = after.strip()
    return versions, rest


def temperature(text: str) -> float:
    """Raises Unclear."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise Unclear(f"{text[:40]!r} is no temperature: give a number from 0 to 2.")
    return value


def tokens(text: str) -> int:
    """Raises Unclear."""
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0 and len(text) < 7):
        raise Unclear(f"{text[:40]!r} is no number of tokens: give a whole number, such as 256.")
    return int(text)
