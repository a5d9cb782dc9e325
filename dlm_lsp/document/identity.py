"""Names by content: the format's section id, and the identity under which a lesson is learned."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from dlm_lsp.document.model import Exchange, Lesson, SectionKind
from dlm_lsp.document.text import normalised

_DIGITS = 16
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")


def section_id(kind: SectionKind, content: str, media_path: str | None = None) -> str:
    """The format's id of a section: 16 hex digits of SHA-256 over its kind, LF, and its exact content.

    An image or audio section is named by its path alone. Every blank line counts; the adapter's name,
    provenance markers and the place in the document do not.
    """
    text = (media_path or "") if kind in ("image", "audio") else normalised(content)
    return hashlib.sha256(_utf8(f"{kind}\n{text}")).hexdigest()[:_DIGITS]


def exchange_lessons(exchanges: Sequence[Exchange]) -> tuple[Lesson, ...]:
    """One lesson for each exchange, in their order."""
    return tuple(map(_lesson, exchanges))


def _lesson(exchange: Exchange) -> Lesson:
    digest = _started("exchange", exchange.prompt)
    anchor = digest.hexdigest()[:_DIGITS]
    digest.update(_part(exchange.answer))
    return Lesson(digest.hexdigest()[:_DIGITS], anchor, "exchange", exchange.prompt, exchange.answer)


def prose_lessons(content: str) -> tuple[Lesson, ...]:
    """The lesson of a prose section, without blank lines at its edges; none when nothing is left."""
    text = _BLANK_LINES.sub("", content.rstrip(), count=1)
    if not text:
        return ()
    return (
        Lesson(
            identity=_digest("prose", "", text),
            anchor=_digest("prose", text.partition("\n")[0].rstrip()),
            kind="prose",
            prompt="",
            answer=text,
        ),
    )


def _digest(*parts: str) -> str:
    """16 hex digits over the parts."""
    return _started(*parts).hexdigest()[:_DIGITS]


def _started(*parts: str) -> hashlib._Hash:
    """A digest over the parts, each preceded by its length, so that no two lists run together. More may follow."""
    return hashlib.sha256(b"".join(map(_part, parts)))


def _part(part: str) -> bytes:
    raw = _utf8(part)
    return len(raw).to_bytes(8, "big") + raw


def _utf8(text: str) -> bytes:
    """UTF-8 that never fails: a file's name may hold bytes that are no text."""
    return text.encode("utf-8", "surrogatepass")
