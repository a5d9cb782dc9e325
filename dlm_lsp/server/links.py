"""Places in a document that lead somewhere: media, sources, the base's page or folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from lsprotocol import types

from dlm_lsp.document import Document, Range
from dlm_lsp.document.text import span
from dlm_lsp.server.convert import Positions
from dlm_lsp.training.bases import BaseFacts

HUB = "https://huggingface.co/"
MOST = 500  # links of one document: each one asks the file system
LISTED = 1_000  # names of one folder that are looked at

_Link = tuple[Range, str, str]  # place, target, tooltip


def links(
    document: Document,
    folder: Path,
    base: Callable[[str], BaseFacts | None],
    positions: Positions,
    *,
    tooltips: bool,
) -> list[types.DocumentLink]:
    """What exists only: a link that leads nowhere is worse than none. `folder`: where relative paths begin."""
    found = (*_base(document, base), *_sources(document, folder))
    return [
        types.DocumentLink(positions.range(place), target, about if tooltips else None)
        for place, target, about in (*found, *islice(_media(document, folder), MOST))
    ]


def names_below(folder: Path, part: str) -> list[tuple[str, bool]]:
    """The names in `folder`/`part`, each with whether it is a directory; hidden ones and errors left out."""
    try:
        entries = sorted(islice((folder / Path(part).expanduser()).iterdir(), LISTED))
        return [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except (OSError, ValueError, RuntimeError):
        return []


def _base(document: Document, base: Callable[[str], BaseFacts | None]) -> Iterator[_Link]:
    place = document.keys.get(("base_model",))
    if document.frontmatter is None or place is None:
        return
    reference = document.frontmatter.base_model
    facts = base(reference)
    if facts is None or reference.startswith("builtin:"):
        return
    if Path(facts.hf_id).is_absolute():
        yield place.value, Path(facts.hf_id).as_uri(), "The base model's folder"
    else:
        yield place.value, HUB + facts.hf_id, "The base model's page"


def _sources(document: Document, folder: Path) -> Iterator[_Link]:
    written = document.frontmatter.training.sources if document.frontmatter is not None else None
    for number, directive in enumerate((written or ())[:MOST]):
        place = document.keys.get(("training", "sources", number, "path"))
        target = _existing(folder, directive.path)
        if place is not None and target is not None:
            yield place.value, target, "What is learned from"


def _media(document: Document, folder: Path) -> Iterator[_Link]:
    lines = document.text.split("\n")
    for section in document.sections:
        if section.media_path is None:
            continue
        number = section.range.start.line
        start = lines[number].find(f'path="{section.media_path}"') + len('path="')
        if (target := _existing(folder, section.media_path)) is not None:
            yield span(number, start, start + len(section.media_path)), target, f"The {section.kind} file"


def _existing(folder: Path, written: str) -> str | None:
    try:
        target = folder / Path(written).expanduser()
        return target.as_uri() if target.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None
