"""The document's body: fences and code blocks cut its lines into sections."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from dlm_lsp.document.exchanges import parse_exchanges
from dlm_lsp.document.identity import exchange_lessons, prose_lessons, section_id
from dlm_lsp.document.lookalikes import LEAD, explain_lookalike
from dlm_lsp.document.markers import lift_markers
from dlm_lsp.document.model import Exchange, Fix, Lesson, Position, Related, Section, SectionKind
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.schema import ADAPTER_NAME
from dlm_lsp.document.text import span

KINDS: tuple[SectionKind, ...] = get_args(SectionKind)

FENCE = re.compile(r"::([A-Za-z0-9_#-]+)::")
ATTRIBUTE_FENCE = re.compile(r'::(?P<kind>[a-z][a-z0-9_]*)(?P<attributes>(?:\s+[a-z][a-z0-9_]*="[^"\n]*")+)\s*::')
ATTRIBUTE = re.compile(r'\s+([a-z][a-z0-9_]*)="([^"\n]*)"')
_CODE = "```"

MEDIA_ATTRIBUTES = {"image": ("path", "alt"), "audio": ("path", "transcript")}
_MEDIA_REQUIRED = {"image": ("path",), "audio": ("path", "transcript")}


@dataclass(slots=True)
class _Block:
    """A section to be: `fence` is the index of its fence among the body's lines, -1 for
    none.
    """

    kind: SectionKind
    fence: int
    start: int
    adapter: str | None
    fields: dict[str, Any]
    sound: bool = True  # whether its fence was in order


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the body: `lines` lines from a fence (or the body's begin) to the next one, `length` characters
    with their line ends. `section` is None for leading prose without text.
    """

    lines: int
    length: int
    section: Section | None


def parse_body(
    lines: Sequence[str],
    first_line: int,
    problems: ProblemList,
    known: Mapping[str, Section] | None = None,
    *,
    top: bool = True,
    bottom: bool = True,
) -> list[Block] | None:
    """Cuts the body into blocks; the first one is what stands before the first fence.

    `first_line` is the 0-based line of `lines[0]` in the text. Blocks whose text is in `known` (which has sections
    without problems) are not read again. After a mistake in a fence the lines below it still become a section, of the
    kind that was probably meant.

    `lines` may be a part of the body: not `top`, it begins with a fence; not `bottom`, a fence would follow, and None
    is returned if that fence were inside a code block.
    """
    # One line end after the frontmatter and one at the end of the text belong to no section.
    start, stop = 0, len(lines)
    if top and stop > 1 and not lines[0]:
        start = 1
    if bottom and stop - start > 1 and not lines[-1]:
        stop -= 1
    blocks = _Tokenizer(lines[start:stop], first_line + start, problems, known or {}).parse(open_end=not bottom)
    if blocks is not None and start:
        blocks[0] = Block(blocks[0].lines + 1, blocks[0].length + 1, blocks[0].section)
    return blocks if top or blocks is None else blocks[1:]


class _Tokenizer:
    def __init__(
        self, lines: Sequence[str], first_line: int, problems: ProblemList, known: Mapping[str, Section]
    ) -> None:
        self._lines = lines
        self._first_line = first_line
        self._problems = problems
        self._blocks: list[Block] = []
        self._plain: dict[str, tuple[SectionKind, str | None]] = {}  # fences in order, which most documents repeat
        self._known = known

    def parse(self, *, open_end: bool) -> list[Block] | None:
        block = _Block("prose", -1, 0, None, {})
        code = -1  # the line that opened the code block
        # Few lines can be more than text: those are looked at one by one.
        candidates = [
            number for number, line in enumerate(self._lines) if ":" in line or line[:3] == _CODE or "：" in line
        ]
        for number in candidates:
            line = self._lines[number]
            if line.startswith(_CODE):
                code = number if code < 0 else -1
            elif code >= 0:
                continue
            elif line.startswith("::") and line.endswith("::") and (opened := self._fence(number, line)):
                self._close(block, number)
                block = opened
            elif line.lstrip(LEAD)[:1] in (":", "："):
                self._check_lookalike(number, line)
        if code >= 0:
            if open_end:
                return None
            self._unclosed_code(code, block)
        self._close(block, len(self._lines))
        return self._blocks

    # --- fences ---

    def _fence(self, number: int, line: str) -> _Block | None:
        """The block that a line opens, or None when it is no fence."""
        if (known := self._plain.get(line)) is not None:
            return _Block(known[0], number, number + 1, known[1], {})
        if match := ATTRIBUTE_FENCE.fullmatch(line):
            return self._attribute_fence(number, match)
        if match := FENCE.fullmatch(line):
            return self._plain_fence(number, match[1])
        return None

    def _plain_fence(self, number: int, token: str) -> _Block:
        word, hash_sign, name = token.partition("#")
        block = _Block("prose", number, number + 1, None, {})
        if hash_sign and not name:
            message = f"`::{word}#::` names no adapter: write a name after `#`, or remove the `#`."
            plain = f"::{word}::" if word in KINDS and word not in _MEDIA_REQUIRED else None
            self._fault(block, "bad-adapter-name", message, becomes=plain)
        if word not in KINDS:
            block.kind = self._guess(word)
            meant = f"::{block.kind}{f'#{name}' if name else ''}::"
            likely = block.kind not in _MEDIA_REQUIRED and (block.kind != "prose" or word.lower() == "prose")
            message = self._unknown(word, meant if likely or block.kind != "prose" else "")
            self._fault(block, "unknown-fence", message, becomes=meant if likely else None)
            return block
        block.kind = word
        if word in _MEDIA_REQUIRED:
            message = f"`::{_short(token)}::` needs attributes: write `{_example(word)}`."
            self._fault(block, "attributes-required", message, becomes=_example(word, blank=True))
        elif name and not ADAPTER_NAME.fullmatch(name):
            rule = "a lower-case letter, then at most 31 of a-z, 0-9 and _"
            message = f"`{_short(name)}` is no adapter name: write {rule}."
            near = re.sub(r"[^a-z0-9_]", "_", name.lower()).lstrip("0123456789_")
            becomes = f"::{word}#{near}::" if ADAPTER_NAME.fullmatch(near) else None
            self._fault(block, "bad-adapter-name", message, becomes=becomes)
        else:
            block.adapter = name or None
        if block.sound:
            self._plain[self._lines[number]] = (block.kind, block.adapter)
        return block

    def _unknown(self, word: str, meant: str) -> str:
        known = ", ".join(f"`{kind}`" for kind in KINDS)
        meant = f" Did you mean `{meant}`?" if meant else ""
        escape = "To write such a line as text, put it into a code block."
        return f"`{_short(word)}` is no section type; there are {known}.{meant} {escape}"

    def _guess(self, word: str) -> SectionKind:
        if self._problems.full or len(word) > 40:
            return "prose"
        close = difflib.get_close_matches(word.lower(), KINDS, n=1, cutoff=0.7)
        return cast(SectionKind, close[0]) if close else "prose"

    def _attribute_fence(self, number: int, match: re.Match[str]) -> _Block:
        word = match["kind"]
        block = _Block("prose", number, number + 1, None, {})
        if word not in KINDS:
            block.kind = self._guess(word)
            message = f"`{_short(word)}` is no section type, and only `image` and `audio` take attributes."
            self._fault(block, "unknown-fence", message)
            return block
        block.kind = cast(SectionKind, word)
        allowed = MEDIA_ATTRIBUTES.get(word)
        if allowed is None:
            message = f"`::{word}::` takes no attributes: remove them."
            self._fault(block, "bad-attribute", message)
            return block
        for attribute in ATTRIBUTE.finditer(match.string, *match.span("attributes")):
            name, value = attribute.groups()
            problem, at = "", 1
            if name not in allowed:
                problem = f"`::{word}::` has no attribute `{_short(name)}`; it has {' and '.join(allowed)}."
            elif f"media_{name}" in block.fields:
                problem = f"`{name}` is written twice: remove one."
            elif not value.isascii():
                problem, at = (
                    f"`{name}` must be plain ASCII text: rename the file or describe it in the caption.",
                    2,
                )
            if problem:
                self._fault(block, "bad-attribute", problem, attribute.span(at))
            if name in allowed:
                block.fields.setdefault(f"media_{name}", value)
        missing = [name for name in _MEDIA_REQUIRED[word] if f"media_{name}" not in block.fields]
        if missing:
            message = f"`::{word}::` needs {' and '.join(missing)}: write `{_example(word)}`."
            self._fault(block, "bad-attribute", message)
        return block

    def _fault(
        self,
        block: _Block,
        code: str,
        message: str,
        columns: tuple[int, int] | None = None,
        *,
        becomes: str | None = None,
    ) -> None:
        """Notes a problem in a block's fence, at `columns` or the whole of it, which should be `becomes`."""
        block.sound = False
        whole = (0, len(self._lines[block.fence]))
        line = self._first_line + block.fence
        fixes = [Fix(f"Change to `{becomes}`", span(line, *whole), becomes)] if becomes is not None else []
        if code == "unknown-fence":
            fixes.append(_escaped(line, self._lines[block.fence]))
        self._problems.add(code, span(line, *(columns or whole)), message, fixes=fixes)

    def _unclosed_code(self, number: int, block: _Block) -> None:
        line = self._lines[number]
        ticks = len(line) - len(line.lstrip("`"))
        block.sound = False
        start = max(block.fence, 0)
        place = span(self._first_line + start, 0, len(self._lines[start]))
        related = [Related("The section that it swallows, with all later ones, begins here.", place)]
        message = "This code block is never closed: put a line of three backticks after it."
        self._problems.add("unclosed-code-block", span(self._first_line + number, 0, ticks), message, related)

    def _check_lookalike(self, number: int, line: str) -> None:
        if not self._problems.full and (found := explain_lookalike(line)):
            start, end, message, fence = found
            whole = span(self._first_line + number, 0, len(line))
            fixes = [Fix(f"Change to `{fence}`", whole, fence)] if fence is not None else []
            fixes.append(_escaped(self._first_line + number, line))
            self._problems.add("not-a-fence", span(self._first_line + number, start, end), message, fixes=fixes)

    # --- sections ---

    def _close(self, block: _Block, stop: int) -> None:
        """Makes a section of `block`, whose content ends before line `stop`, or takes it over."""
        first = block.start if block.fence < 0 else block.fence
        text = "\n".join(self._lines[first:stop])
        section = self._known.get(text) if block.sound and block.fence >= 0 else None
        if section is None:
            section = self._section(block, stop)
        elif moved := self._first_line + first + 1 - section.start_line:
            section = section.moved(moved)
        self._blocks.append(Block(stop - first, len(text) + (stop > first), section))

    def _section(self, block: _Block, stop: int) -> Section | None:
        """The section of `block`; None for prose without text."""
        before = self._problems.errors
        fence = None
        start = block.start
        if block.kind in ("instruction", "preference"):
            line = self._first_line + block.fence
            fence = span(line, 0, len(self._lines[block.fence]))
            lifted, fields = lift_markers(block.kind, self._lines[start:stop], line + 1, fence, self._problems)
            start += lifted
            block.fields |= fields
        content = "\n".join(self._lines[start:stop])
        if block.kind == "prose" and not content.strip():
            return None
        first = self._first_line + (block.start if block.fence < 0 else block.fence)
        last = stop - 1
        end = Position(self._first_line + last - first, len(self._lines[last]))
        exchanges: tuple[Exchange, ...] = ()
        lessons: tuple[Lesson, ...] = ()
        if fence and (block.kind == "instruction" or block.kind == "preference"):
            exchanges = parse_exchanges(block.kind, content, self._first_line + start, fence, self._problems)
        if block.sound and self._problems.errors == before:
            if block.kind == "instruction":
                lessons = exchange_lessons(exchanges)
            elif block.kind == "prose":
                lessons = prose_lessons(content)
        return Section(
            kind=block.kind,
            content=content,
            start_line=first + 1,
            section_id=section_id(block.kind, content, block.fields.get("media_path")),
            end=end,
            adapter=block.adapter,
            records=exchanges,
            lessons=lessons,
            **block.fields,
        )


def _escaped(number: int, line: str) -> Fix:
    """The one way to write a line that looks like a fence as text."""
    return Fix("Put it into a code block, as text", span(number, 0, len(line)), f"{_CODE}\n{line}\n{_CODE}")


def _short(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}…"


def _example(kind: str, *, blank: bool = False) -> str:
    """A fence with all the attributes it needs; with `blank`, their values are to be written."""
    attributes = " ".join(f'{name}="{"" if blank else "…"}"' for name in _MEDIA_REQUIRED[kind])
    return f"::{kind} {attributes}::"
