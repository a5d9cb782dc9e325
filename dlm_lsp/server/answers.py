"""`dlm/answers` and the command `dlm.showAnswers`: before and after of a version's questions, as a client takes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.runs.answer_texts import markdown, summary
from dlm_lsp.runs.answers import Answers, Compared, Said
from dlm_lsp.runs.questions import AskRefused
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.versions import named_version
from dlm_lsp.server import wording
from dlm_lsp.server.documents import Documents, path_of
from dlm_lsp.server.sync import Sync
from dlm_lsp.store import StoreError
from dlm_lsp.training.protocol import LearnerError

ANSWERS = "dlm/answers"
SCHEME = "dlm-answers"  # of the document that a client may show


class AnswersView:
    """Answers `dlm/answers` and `dlm.showAnswers`."""

    def __init__(self, supervisor: Supervisor, answers: Answers, documents: Documents, sync: Sync) -> None:
        self._supervisor = supervisor
        self._answers = answers
        self._documents = documents
        self._sync = sync

    async def request(self, params: Any) -> dict[str, Any]:
        """`{uri, version?}`, where the URI may be that of the virtual document."""
        given = params if isinstance(params, dict) else {}
        uri, version = _named(given.get("uri"), given.get("version"))
        path = path_of(uri) if uri is not None else None
        if uri is None or path is None:
            raise JsonRpcInvalidParams(f"{given.get('uri')!r} is no document that can be asked about.")
        return await self.told(uri, path, version)

    async def told(self, uri: str, path: Path, version: Any) -> dict[str, Any]:
        """The comparison, or with `ok` false one sentence: why there is none."""
        number = None if version is None else named_version(version)
        if version is not None and number is None:
            return _refused(f'{version!r} names no version: give a number such as 3, or "v0003".')
        self._sync.flush_all()
        try:
            found = await self._answers.of(path, number)
        except (AskRefused, LearnerError, StoreError) as error:
            return _refused(wording.sentence(str(error)))
        document = self._documents.get(uri) or next(iter(self._documents.at(path)), None)
        plain = [answer_payload(each) for each in found.answers]
        if document is not None:
            for each, told in zip(found.answers, plain, strict=True):
                told["range"] = document.seen.positions.plain(each.range)
        return {
            "ok": True,
            "message": summary(found),
            "uri": f"{SCHEME}:{uri.partition(':')[2]}?version={found.version}",
            "version": found.version,
            "before": found.before,
            "current": found.current,
            "left_out": found.left_out,
            "answers": plain,
            "text": markdown(path.name, found),
        }


def answer_payload(compared: Compared) -> dict[str, Any]:
    """One question as plain data; its place is 0-based lines and code points, until a client's encoding is known."""
    start, end = compared.range
    return {
        "question": compared.question,
        "expected": compared.expected,
        "before": _shown(compared.before),
        "after": _shown(compared.after),
        "now": _shown(compared.now),
        "changed": compared.changed,
        "exact": compared.exact,
        "learned": compared.learned,
        "section_id": compared.section_id,
        "range": {
            "start": {"line": start.line, "character": start.column},
            "end": {"line": end.line, "character": end.column},
        },
    }


def _shown(said: Said | None) -> str | None:
    return said.shown if said is not None else None


def _named(uri: Any, version: Any) -> tuple[str | None, Any]:
    """The document's own URI and the version, from either of its URIs."""
    if not isinstance(uri, str) or not uri.startswith(f"{SCHEME}:"):
        return (uri if isinstance(uri, str) else None), version
    place, _, query = uri.partition(":")[2].partition("?")
    asked = re.search(r"(?:^|&)version=(\w+)", query)
    return f"file:{place}", version if version is not None or not asked else asked[1]


def _refused(sentence: str) -> dict[str, Any]:
    return {"ok": False, "message": sentence, "answers": [], "text": f"{sentence}\n"}
