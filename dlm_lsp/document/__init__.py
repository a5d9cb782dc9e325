"""What a `.dlm` document says: `parse` turns text into frontmatter, sections and problems, and never
raises.
"""

from dlm_lsp.document.identity import section_id
from dlm_lsp.document.keys import KeyInfo, describe_key, keys_at
from dlm_lsp.document.model import (
    Document,
    Exchange,
    Fix,
    KeyPath,
    KeyPlace,
    Lesson,
    Position,
    Problem,
    Range,
    Related,
    Section,
    SectionKind,
    Severity,
)
from dlm_lsp.document.parse import parse
from dlm_lsp.document.problems import CATALOGUE, Family, family
from dlm_lsp.document.schema import SCHEMA_VERSION, Frontmatter, TrainingConfig
from dlm_lsp.document.sourced import sourced_section
from dlm_lsp.document.text import LineIndex, PositionEncoding

__all__ = [
    "CATALOGUE",
    "SCHEMA_VERSION",
    "Document",
    "Exchange",
    "Family",
    "Fix",
    "Frontmatter",
    "KeyInfo",
    "KeyPath",
    "KeyPlace",
    "Lesson",
    "LineIndex",
    "Position",
    "PositionEncoding",
    "Problem",
    "Range",
    "Related",
    "Section",
    "SectionKind",
    "Severity",
    "TrainingConfig",
    "describe_key",
    "family",
    "keys_at",
    "parse",
    "section_id",
    "sourced_section",
]
