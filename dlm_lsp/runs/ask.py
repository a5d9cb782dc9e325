"""A question to what a document has taught: the committed version answers, or the bare base before there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dlm_lsp.document import Frontmatter
from dlm_lsp.runs.run import session_request
from dlm_lsp.store import Store
from dlm_lsp.training.protocol import Control, GenerateRequest, Learner


def ask(
    learner: Learner,
    frontmatter: Frontmatter,
    path: Path,
    store: Store,
    question: str,
    control: Control,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
) -> Iterator[str]:
    """Yields the answer in pieces, on the caller's thread; what is wrong in sections does not matter to it.

    Raises LearnerError, and StoreError when the store cannot be read.
    """
    session = session_request(frontmatter, path, store)
    return learner.generate(
        GenerateRequest(session=session, prompt=question, max_new_tokens=max_new_tokens, temperature=temperature),
        control,
    )
