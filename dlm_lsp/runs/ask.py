"""A question to what a document has taught: the committed version answers, or the bare base before there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.runs.delta import known_to
from dlm_lsp.runs.run import session_request
from dlm_lsp.runs.snapshot import take
from dlm_lsp.store import Store
from dlm_lsp.training.protocol import Control, GenerateRequest, Learner


def ask(
    learner: Learner,
    document: Document,
    path: Path,
    store: Store,
    question: str,
    control: Control,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
) -> Iterator[str]:
    """Yields the answer in pieces, on the caller's thread. Raises LearnerError, or ValueError without frontmatter."""
    request = session_request(take(path, document), store, known_to(store))
    return learner.generate(
        GenerateRequest(session=request, prompt=question, max_new_tokens=max_new_tokens, temperature=temperature),
        control,
    )
