"""The starter documents that come with the package: what each is for, and a new document from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ulid import ULID

from dlm_lsp.document.yaml_edit import apply_edit, set_value

FOLDER = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Template:
    """A starter document. The fields are those that other `.dlm` tools know."""

    name: str
    title: str
    domain_tags: tuple[str, ...]
    recommended_base: str
    summary: str
    sample_prompts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The document as it lies in the package, with an id that is nobody's."""
        return (FOLDER / f"{self.name}.dlm").read_text(encoding="utf-8")


@cache
def templates() -> Mapping[str, Template]:
    """Every starter document by its name, in the order in which they are to be shown."""
    rows = json.loads((FOLDER / "templates.json").read_text(encoding="utf-8"))
    found = (
        Template(**row | {"domain_tags": tuple(row["domain_tags"]), "sample_prompts": tuple(row["sample_prompts"])})
        for row in rows
    )
    return MappingProxyType({template.name: template for template in found})


def new_document(template: Template, base: str | None = None) -> str:
    """The text of a new document, with an id of its own; `base` None: the built-in one, which works at once."""
    text = template.text
    text = apply_edit(text, set_value(text, ("dlm_id",), str(ULID())))
    return text if base is None else apply_edit(text, set_value(text, ("base_model",), base))
