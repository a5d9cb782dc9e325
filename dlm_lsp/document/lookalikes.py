"""Lines that look like a fence and are ordinary text: a slip that would otherwise go unseen."""

from __future__ import annotations

import re

_KINDS = r"prose|instruction|preference|image|audio"
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
LEAD = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + _INVISIBLE
"""What may stand before something that was meant as a fence."""
_LEAD = rf"[{LEAD}]*"
_EXACT = re.compile(
    rf'(?P<lead>{_LEAD})(?P<fence>::(?:{_KINDS})(?:#[a-z][a-z0-9_]*|(?:\s+[a-z][a-z0-9_]*="[^"]*")+\s*)?::)'
    rf"(?P<tail>{_LEAD})"
)
_COLONS = re.compile(rf"{_LEAD}[:：]{{2,}}\s*(?P<kind>{_KINDS})(?![A-Za-z0-9_])", re.IGNORECASE)
_ONE_COLON = re.compile(rf"{_LEAD}:\s*(?P<kind>{_KINDS})\s*:{{1,2}}\s*", re.IGNORECASE)


def explain_lookalike(line: str) -> tuple[int, int, str, str | None] | None:
    """For a content line that was probably meant as a fence: start column, end column, advice, and the fence.

    The fence is None where the line holds more than it.
    """
    if exact := _EXACT.fullmatch(line):
        sides = [side for side, blank in (("before", exact["lead"]), ("after", exact["tail"])) if blank]
        message = f"This is ordinary text, not a fence: remove the blanks {' and '.join(sides)} it."
        return (*exact.span("fence"), message, exact["fence"])
    match = _COLONS.match(line) or _ONE_COLON.fullmatch(line)
    if match is None:
        return None
    kind = match["kind"].lower()
    shape = f"::{kind}::"
    if kind == "image":
        shape = '::image path="…"::'
    elif kind == "audio":
        shape = '::audio path="…" transcript="…"::'
    start = len(line) - len(line.lstrip())
    end = max(start, len(line.rstrip()))
    message = f"This is ordinary text, not a fence: write `{shape}` alone on its line, or reword it."
    alone = kind not in ("image", "audio") and not line[match.end("kind") :].strip(f" \t:：{_INVISIBLE}")
    return (start, end, message, shape if alone else None)
