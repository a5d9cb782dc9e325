"""What hover says at a place: a document's status, a section's state, a key's meaning, a base's facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlm_lsp.document import Document, Position, Range
from dlm_lsp.document.keys import KeyInfo
from dlm_lsp.document.model import KeyPath
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import CONFIG_WAITS, count, headline
from dlm_lsp.server import wording
from dlm_lsp.server.stories import Told, removed_rows, told_at
from dlm_lsp.store import version_name
from dlm_lsp.training.bases import BaseFacts


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where facts come from: both are quick, and need neither network nor a training library."""

    key: Callable[[KeyPath], KeyInfo | None]
    base: Callable[[str], BaseFacts | None]


@dataclass(frozen=True, slots=True)
class Hover:
    """Markdown, and the range it is about."""

    markdown: str
    range: Range

    def with_rows(self, rows: Sequence[str]) -> Hover:
        """The same with more rows at its end."""
        return Hover("  \n".join([self.markdown, *rows]), self.range)


def hover(told: Told, place: Position, lookup: Lookup) -> Hover | None:
    """What there is to say at `place`; None where there is nothing."""
    document, status = told.truth.document, told.truth.status
    frontmatter = document.frontmatter_range
    if frontmatter is not None and frontmatter.start <= place <= frontmatter.end:
        return _of_key(document, status, place, lookup) or Hover(document_markdown(told), frontmatter)
    for section, of_section in told.truth.sections(place.line, place.line):
        if place <= section.range.end:
            return Hover(*told_at(told, section, of_section, place.line))
    return None


def plain(markdown: str) -> str:
    """The same without marks, for clients that show plain text only."""
    return re.sub(r"[*`]", "", markdown)


def document_markdown(told: Told) -> str:
    """The whole status of a document."""
    status = told.truth.status
    rows = [f"**{headline(status)}**"]
    if status.sections:
        rows.append(told.truth.summary)
    if status.version is not None:
        facts = [f"Version {version_name(status.version)}"]
        if status.version_at:
            facts.append(wording.moment(status.version_at))
        if status.version_steps is not None:
            facts.append(count(status.version_steps, "step"))
        if status.version_loss is not None:
            facts.append(f"loss {status.version_loss:.2f}")
        rows.append(" · ".join(facts))
    if status.pending:
        rows.append(f"To learn: {count(len(status.pending), 'section')}")
    if status.config_changed:
        rows.append(wording.sentence(CONFIG_WAITS))
    if status.removed:
        rows.append(f"Learned, but no longer in the document: {count(status.removed, 'lesson')}")
        rows.extend(removed_rows(told))
    if status.last is not None:
        rows.append(f"Last run: {status.last.message}")
        rows.extend(status.last.notes)
    if status.note:
        rows.append(status.note)
    if status.disk:
        rows.append(status.disk)
    if status.base:
        rows.append(f"Base: `{status.base}`")
    if status.device:
        rows.append(f"Device: {status.device}")
    if status.warm:
        rows.append("The model is in memory.")
    return "  \n".join(rows)


def base_rows(base: BaseFacts) -> list[str]:
    """What is known of a base, row by row."""
    facts = [f"`{base.hf_id}`"]
    if base.parameters is not None:
        facts.append(f"{rounded(base.parameters)} parameters")
    if base.context_length is not None:
        facts.append(f"context {base.context_length:,} tokens")
    if base.modality != "text":
        facts.append(base.modality)
    if base.license:
        name = f"[{base.license}]({base.license_url})" if base.license_url else base.license
        facts.append(f"licence {name}{' (to be accepted on the hub)' if base.gated else ''}")
    where = "on this machine" if base.directory is not None else "downloaded at the first run"
    rows = [" · ".join([*facts, where])]
    if base.obstacle:
        rows.append(base.obstacle)
    return rows


def key_rows(info: KeyInfo) -> list[str]:
    """What a key means, what it takes, and its default."""
    default = "required" if info.required else f"default `{info.default}`" if info.default else ""
    return [info.meaning, " · ".join(fact for fact in (info.expected, default) if fact)]


def dotted(path: KeyPath) -> str:
    """Such as `training.sources[0].path`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def rounded(parameters: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= size:
            return f"{parameters / size:.3g} {letter}"
    return str(parameters)


def _of_key(document: Document, status: DocumentStatus, place: Position, lookup: Lookup) -> Hover | None:
    """The deepest key whose name or scalar value is at `place`."""
    found: KeyPath | None = None
    for path, places in document.keys.items():
        inside = places.key.start <= place <= places.value.end
        if inside and place.line in (places.key.start.line, places.value.end.line):
            found = path if found is None or len(path) >= len(found) else found
    if found is None:
        return None
    places = document.keys[found]
    whole = Range(places.key.start, max(places.key.end, places.value.end))
    info = lookup.key(found)
    rows = [f"**`{dotted(found)}`**", *(key_rows(info) if info else ())]
    if found == ("base_model",) and status.base and (base := lookup.base(status.base)):
        rows.extend(base_rows(base))
    return Hover("  \n".join(rows), whole) if len(rows) > 1 else None
