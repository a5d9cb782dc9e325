"""The page on the format lists every problem code, with the severity that the parser gives it."""

from __future__ import annotations

import re
from pathlib import Path

from dlm_lsp.document import CATALOGUE
from dlm_lsp.runs import base_check, shared_id, surroundings

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def test_every_code_is_documented_as_it_is() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (error|warning) \| ([a-z]+|–) \| (.+) \|$", PAGE.read_text("utf-8"), re.M)
    assert rows == [
        (rule.code, rule.severity.value, rule.family.value.replace("none", "–"), rule.meaning)
        for rule in CATALOGUE.values()
    ]


def test_the_problems_beside_the_text_are_documented() -> None:
    page = PAGE.read_text("utf-8").partition("### Problems beside the text")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `([a-z-]+)` \| (?:error|warning|information) \|", page, re.M))
    assert rows == {
        *(shared_id.CODE, surroundings.MEDIA_MISSING, surroundings.MEDIA_NOT_TAKEN),
        *(base_check.TOO_LARGE, base_check.LICENCE_TO_ACCEPT, base_check.LICENCE_UNKNOWN),
    }
