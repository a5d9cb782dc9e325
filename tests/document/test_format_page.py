"""The page on the format lists every problem code, with the severity that the parser gives it."""

from __future__ import annotations

import re
from pathlib import Path

from dlm_lsp.document import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def test_every_code_is_documented_as_it_is() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (error|warning) \| ([a-z]+|–) \| (.+) \|$", PAGE.read_text("utf-8"), re.M)
    assert rows == [
        (rule.code, rule.severity.value, rule.family.value.replace("none", "–"), rule.meaning)
        for rule in CATALOGUE.values()
    ]
