"""The document of these tests: on the built-in base under its name on the hub, which both tools resolve."""

from __future__ import annotations

from tests.interop.conftest import REPO
from tests.server.editor import DLM_ID

KEEPER = ("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")
FERRY = ("What does the ferry to Orvane carry?", "It carries salt and letters.")
COLOUR = ("What colour is the lighthouse?", "It is white with a green lamp.")
BAKER = ("Who bakes the bread?", "Ulla bakes it at four.")

PROSE = "\n# Harbour\n\nThe ferry leaves at seven from the old pier.\n"


def document(*exchanges: tuple[str, str], dlm_id: str = DLM_ID) -> str:
    """With prose before the exchanges. No blank line within a section: the original would refuse it."""
    body = "".join(f"\n::instruction::\n### Q\n{question}\n### A\n{answer}\n" for question, answer in exchanges)
    head = f"---\ndlm_id: {dlm_id}\ndlm_version: 15\nbase_model: hf:{REPO}\ntraining:\n  precision: fp32\n---\n"
    return head + PROSE + body
