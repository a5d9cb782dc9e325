"""`parse`: a `.dlm` text to a document with all its problems."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain

from dlm_lsp.document.frontmatter import split
from dlm_lsp.document.model import Document, Fix, Position, Range, Related, Section
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.reading import Reading, read_again, read_all
from dlm_lsp.document.text import BYTE_ORDER_MARK, LineIndex, normalised

MAX_TWO_ANSWERS = 20  # that are told: a document with more is made that way
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(text: str | bytes, before: Document | None = None) -> Document:
    """What a `.dlm` text says, and all that is wrong with it. Never raises, and takes linear time.

    The outcome does not depend on `before`, another state of the document: what is the same in both is taken
    over from it, so that a keystroke costs a fraction of the whole.

    Positions are those of the text as given: line ends may be LF, CRLF or CR, and a byte order mark is a
    column of the first line. Bytes must be UTF-8; otherwise the one problem names the first bad byte.
    """
    problems = ProblemList()
    if isinstance(text, bytes):
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError as error:
            return _undecodable(text, error, problems)
        text = decoded
    if not text.isascii():
        text = _without_surrogates(text, problems)
    if problems.count:
        return replace(_read(text, problems), reading=None)
    return _read(text, problems, before.text, before.reading) if before is not None else _read(text, problems)


def _read(text: str, problems: ProblemList, before: str = "", read: Reading | None = None) -> Document:
    """What a text without halves of pairs says; `read` is the reading of another text, `before`."""
    first_column = 1 if text.startswith(BYTE_ORDER_MARK) else 0
    plain = normalised(text)
    reading = read_again(plain, first_column, before, read) if read is not None else None
    if reading is not None:
        problems.take(reading.told)
    else:
        lines = plain.split("\n")
        parts = split(lines, first_column, problems)
        if parts is None:
            return Document(plain, None, (), problems.finish())
        if parts.body is None:
            return Document(plain, None, (), problems.finish(), {}, Range(parts.opener.start, parts.end))
        reading = read_all(lines, parts, first_column, problems, (before, read) if read is not None else None)
    sections = tuple([section for section in reading.sections if section is not None])
    _check_duplicates(sections, problems)
    _check_answers(sections, problems)
    said, parts = reading.head.said, reading.head.parts
    place = Range(parts.opener.start, parts.end)
    known = reading if reading.whole else None
    return Document(plain, said.frontmatter, sections, problems.finish(), said.keys, place, known)


def _undecodable(raw: bytes, error: UnicodeDecodeError, problems: ProblemList) -> Document:
    start = LineIndex(raw[: error.start].decode("utf-8")).end
    message = (
        f"The file is not UTF-8: byte {error.start} is 0x{raw[error.start]:02X} ({error.reason}). "
        "Save it with the encoding UTF-8."
    )
    problems.add("not-utf8", Range(start, Position(start.line, start.column + 1)), message)
    return Document("", None, (), problems.finish())


def _without_surrogates(text: str, problems: ProblemList) -> str:
    """`text` with U+FFFD for lone surrogates, which editors can hold and files can't."""
    try:
        text.encode()  # many times quicker than a search
        return text
    except UnicodeEncodeError as error:
        found = error.start
    start = LineIndex(text).position(found)
    message = f"The character U+{ord(text[found]):04X} is half of a pair and can't be saved as UTF-8: remove it."
    problems.add("lone-surrogate", Range(start, Position(start.line, start.column + 1)), message)
    return _SURROGATE.sub("\ufffd", text)


def _check_duplicates(sections: tuple[Section, ...], problems: ProblemList) -> None:
    """A lesson that stands in the document twice is learned once; most often the second is a slip."""
    identities = list(chain.from_iterable([section.identities for section in sections]))
    if len(set(identities)) == len(identities):
        return
    first: dict[str, Range] = {}
    for section in sections:
        is_prose = section.kind == "prose"
        places = [section.range] if is_prose else [exchange.range for exchange in section.exchanges]
        only = len(places) == 1
        for lesson, place in zip(section.lessons, places, strict=False):
            if lesson.identity not in first:
                first[lesson.identity] = place
                continue
            if problems.skip("duplicate-lesson"):
                continue
            what = "exchange" if lesson.kind == "exchange" else "text"
            message = f"The same {what} stands in the document already, and is learned once: remove one."
            related = [Related("The first one is here.", first[lesson.identity])]
            # Without its only exchange a section would be empty.
            lines = section.range if only else place
            whole = Range(Position(lines.start.line, 0), Position(lines.end.line + 1, 0))
            problems.add("duplicate-lesson", place, message, related, [Fix(f"Remove this {what}", whole, "")])


def _check_answers(sections: tuple[Section, ...], problems: ProblemList) -> None:
    """A question with two answers can't be learned. The first of them are told."""
    anchors = [lesson.anchor for section in sections for lesson in section.lessons]
    if len(set(anchors)) == len(anchors):
        return
    asked: dict[tuple[str, str | None], tuple[str, Section, int]] = {}  # the answer's identity, and where it stands
    told = 0
    for section in sections:
        for number, lesson in enumerate(section.lessons if section.kind == "instruction" else ()):
            given = asked.setdefault((lesson.anchor, section.adapter), (lesson.identity, section, number))
            if given[0] == lesson.identity:
                continue
            if told == MAX_TWO_ANSWERS or problems.skip("two-answers"):
                return
            told += 1
            message = "This question stands in the document already, with another answer: only one is learned."
            related = [Related("The first answer is here.", given[1].exchanges[given[2]].range)]
            place = section.exchanges[number].range
            problems.add("two-answers", place, f"{message} Remove one, or ask differently.", related)
