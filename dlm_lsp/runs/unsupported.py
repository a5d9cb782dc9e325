"""What a document asks for and does not get here, as problems of its text: settings without effect, an unfit base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dlm_lsp.document import Document, Fix, Frontmatter, KeyPath, Position, Problem, Range, Severity
from dlm_lsp.training.bases import check_reference
from dlm_lsp.training.quantised import qlora_obstacle

UNSUPPORTED = "unsupported-setting"


def with_unsupported(document: Document) -> Document:
    """The document with one more problem for each written setting that will not take effect, on its key."""
    if document.frontmatter is None:
        return document
    found = tuple(
        Problem(code=UNSUPPORTED, severity=severity, message=message, range=_place(document, key))
        for key, severity, message in _unsupported(document.frontmatter)
    )
    named = tuple(
        Problem(
            code=UNSUPPORTED,
            severity=Severity.INFORMATION,
            message=f"Named adapters are not trained apart: `#{section.adapter}` is learned by the document's "
            "one adapter.",
            range=_first_line(section.range),
        )
        for section in document.sections
        if section.adapter is not None and section.lessons
    )
    return replace(document, problems=(*document.problems, *found, *named)) if found or named else document


def with_base_refusal(document: Document, path: Path) -> Document:
    """The document with an error on its base, if that could not be trained whatever the hub says."""
    if document.frontmatter is None:
        return document
    refusal = check_reference(document.frontmatter.base_model, path.parent)
    if refusal is None:
        return document
    place = document.keys.get(("base_model",))
    where = place.value if place else _place(document, ("base_model",))
    fixes = tuple(Fix(f"Change to `{base}`", where, base) for base in refusal.suggestions) if place else ()
    problem = Problem(refusal.code, Severity.ERROR, str(refusal), where, fixes=fixes)
    return replace(document, problems=(*document.problems, problem))


def _unsupported(frontmatter: Frontmatter) -> Iterator[tuple[KeyPath, Severity, str]]:
    training = frontmatter.training
    information, warning = Severity.INFORMATION, Severity.WARNING
    if training.adapter == "qlora" and (why := qlora_obstacle()) is not None:
        yield ("training", "adapter"), warning, f"A save will not be learned. {why}"
    if training.optimizer != "adamw_torch":
        yield (
            ("training", "optimizer"),
            warning,
            f"The optimizer `{training.optimizer}` is not available here: a save will not be learned. "
            "Use `adamw_torch`.",
        )
    quiet: tuple[tuple[str, str], ...] = (
        ("preference", "Preference training does not run on save; preference sections say so themselves."),
        ("gate", "The adapter gate is not trained by this version; the setting has no effect."),
        ("audio", "Audio is not trained on save; the setting has no effect."),
        ("cpt", "Prose is always trained as continued pretraining here; the setting has no effect."),
        ("cache", "Tokens are cached in memory by the warm session; the setting has no effect."),
    )
    for key, message in quiet:
        if key in training.model_fields_set and _differs(getattr(training, key)):
            yield ("training", key), information, message
    if training.adapters:
        yield (
            ("training", "adapters"),
            information,
            "Named adapters are not trained apart by this version: all sections are learned by one adapter "
            "with the default LoRA settings.",
        )


def _differs(value: Any) -> bool:
    """Whether anything in a nested setting was written with another value than its default."""
    return isinstance(value, BaseModel) and value != type(value)()


def _place(document: Document, key: KeyPath) -> Range:
    """The key's own place, its nearest written parent's, or the first line."""
    place = document.key_place(key)
    return place.key if place else Range(Position(0, 0), Position(0, 3))


def _first_line(place: Range) -> Range:
    return Range(place.start, max(place.start, min(place.end, Position(place.start.line + 1, 0))))
