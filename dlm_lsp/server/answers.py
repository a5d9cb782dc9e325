"""Before and after as a client is shown it: rows of a hover, a Markdown document, plain data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.runs.answers import MOST_TOKENS, Answers, Compared, Comparison, Said, matches, named
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.questions import AskRefused
from dlm_lsp.runs.reverting import named_version
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import count
from dlm_lsp.server import wording
from dlm_lsp.server.documents import Documents, path_of
from dlm_lsp.server.sync import Sync
from dlm_lsp.store import StoreError
from dlm_lsp.training.protocol import LearnerError

ANSWERS = "dlm/answers"
SCHEME = "dlm-answers"  # of the document that a client may show
_IN_HOVER = 160  # characters of an answer


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
        "before": _whole(compared.before),
        "after": _whole(compared.after),
        "now": _whole(compared.now),
        "changed": compared.changed,
        "exact": compared.exact,
        "learned": compared.learned,
        "section_id": compared.section_id,
        "range": {
            "start": {"line": start.line, "character": start.column},
            "end": {"line": end.line, "character": end.column},
        },
    }


def summary(found: Comparison) -> str:
    """Such as `v0004 taught 3 questions: 3 answered word for word, 0 before`."""
    name, asked = named(found.version), len(found.answers)
    if not asked:
        return f"{name} was the first to learn none of the questions that the document holds now"
    exact = sum(1 for each in found.answers if each.exact)
    before = sum(1 for each in found.answers if each.before is not None and matches(each.before, each.expected))
    taught = count(asked + found.left_out, "question")
    left = f"; {found.left_out} of them not asked" if found.left_out else ""
    return f"{name} taught {taught}: {exact} answered word for word, {before} before{left}"


def hover_rows(found: Comparison) -> list[str]:
    """Before and after of one exchange, in two or three rows."""
    (answer,) = found.answers
    rows = []
    if answer.before is not None:
        rows.append(f"before ({named(found.before)}): {code_span(_whole(answer.before) or '')}")
    if answer.after is not None:
        rows.append(f"after ({named(found.version)}): {code_span(_whole(answer.after) or '')}{_verdict(answer)}")
    if answer.now is not None and answer.now != answer.after:
        rows.append(f"now ({named(found.current)}): {code_span(_whole(answer.now) or '')}")
    return rows


def markdown(name: str, found: Comparison) -> str:
    """The virtual document: every question with what was said before and after. Texts stand in code blocks."""
    parts = [f"# {code_span(name)}: before and after {named(found.version)}", f"{summary(found)}."]
    if found.current != found.version:
        parts.append(f"{named(found.current)} is the current version.")
    for number, each in enumerate(found.answers, 1):
        parts.append(f"## {number}. Line {each.range.start.line + 1}{_verdict(each)}")
        parts.append(code_block(each.question))
        parts += ["**The document says**", code_block(each.expected)]
        parts += [f"**Before** ({named(found.before)})", _block(each.before)]
        parts += [f"**After** ({named(found.version)})", _block(each.after)]
        if each.now is not None:
            parts += [f"**Now** ({named(found.current)})", _block(each.now)]
    if found.answers:
        parts.append(f"Answers are greedy, and at most {MOST_TOKENS} tokens long.")
    return "\n\n".join(parts) + "\n"


def code_span(text: str, most: int = _IN_HOVER) -> str:
    """One line of Markdown that shows `text`, whatever it is, shortened to `most` characters."""
    line = escaped(" ".join(text.split()))
    line = f"{line[:most].rstrip()} …" if len(line) > most else line
    if not line:
        return "(nothing)"
    fence = "`" * (_longest(line) + 1)
    edge = " " if fence != "`" else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def code_block(text: str) -> str:
    """A block of Markdown that shows `text`, whatever it is."""
    shown = escaped(text.strip("\n"), keep="\n\t")
    fence = "`" * max(3, _longest(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _block(said: Said | None) -> str:
    if said is None:
        return "This version is not on disk any more."
    return code_block(_whole(said) or "") if said.text.strip() else "(nothing)"


def _verdict(answer: Compared) -> str:
    if answer.after is None:
        return ""
    if answer.exact:
        return " · word for word"
    return " · changed, not word for word" if answer.changed else " · unchanged"


def _whole(said: Said | None) -> str | None:
    return None if said is None else f"{said.text} …" if said.cut else said.text


def _longest(text: str) -> int:
    """The longest run of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _named(uri: Any, version: Any) -> tuple[str | None, Any]:
    """The document's own URI and the version, from either of its URIs."""
    if not isinstance(uri, str) or not uri.startswith(f"{SCHEME}:"):
        return (uri if isinstance(uri, str) else None), version
    place, _, query = uri.partition(":")[2].partition("?")
    asked = re.search(r"(?:^|&)version=(\w+)", query)
    return f"file:{place}", version if version is not None or not asked else asked[1]


def _refused(sentence: str) -> dict[str, Any]:
    return {"ok": False, "message": sentence, "answers": [], "text": f"{sentence}\n"}
