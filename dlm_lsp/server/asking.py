"""`dlm/ask` and the command `dlm.ask`: a question to the model of an open document, answered as it speaks.

Which question is asked (the words, or the exchange at a place) and how the answer is told are decided here;
everything else is `Supervisor.ask`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeGuard

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from dlm_lsp.document import Document, Position
from dlm_lsp.runs.questions import Answer, AskRefused, Speaker
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.versions import named_version
from dlm_lsp.server import wording
from dlm_lsp.server.documents import Documents, path_of
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.sync import Sync
from dlm_lsp.store import StoreError
from dlm_lsp.training.protocol import LearnerError, Turn

ASK = "dlm/ask"
REFUSED = (AskRefused, LearnerError, StoreError)

_REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value
_SERVER_CANCELLED = types.LSPErrorCodes.ServerCancelled.value
_CODES = {"unknown-document": JsonRpcInvalidParams.CODE, "ending": _SERVER_CANCELLED}
_LONGEST_ANSWER = 4096  # tokens that may be asked for
_SHOWN = 1000  # characters of an answer in a message

Token = int | str


@dataclass(slots=True)
class _Told:
    """What the client gets of one answer while it speaks. A client that does not read gets it in the result."""

    outbox: Outbox
    partial: Token | None
    work: Token | None
    title: str
    waiting: list[str] = field(default_factory=list)

    def begin(self, answer: Answer) -> None:
        if self.work is not None:
            begin = types.WorkDoneProgressBegin(self.title, cancellable=True, message=f"waits for {answer.waits_for}")
            self._send(self.work, begin)

    def speaks(self, answer: Answer) -> None:
        if self.work is not None:
            self._send(self.work, types.WorkDoneProgressReport(cancellable=True, message=f"{answer.speaker} answers"))

    def piece(self, answer: Answer, text: str) -> None:
        if self.partial is None:
            return
        self.waiting.append(text)
        if not self.outbox.congested:
            self._send(self.partial, {"text": "".join(self.waiting), **_speaker(answer)})
            self.waiting.clear()

    def end(self) -> None:
        if self.work is not None:
            self._send(self.work, types.WorkDoneProgressEnd())

    def _send(self, token: Token, value: Any) -> None:
        self.outbox.send(types.PROGRESS, types.ProgressParams(token, value))


class Asker:
    """Takes questions about documents that are open; `cancel` ends the one that a client shows as progress."""

    def __init__(self, supervisor: Supervisor, documents: Documents, sync: Sync, outbox: Outbox) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._outbox = outbox
        self._shown: dict[Token, Answer] = {}

    async def ask(self, params: Any) -> dict[str, Any]:
        """Answers `dlm/ask`. Raises JsonRpcException: why there is no answer."""
        given = params if isinstance(params, dict) else {}
        try:
            return await self._asked(given)
        except REFUSED as error:
            code = _CODES.get(error.code, _REQUEST_FAILED)
            raise JsonRpcException(wording.sentence(str(error)), code, {"code": error.code}) from error

    async def command(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Carries `dlm.ask` out: what `dlm/ask` answers, and `ok` and a `message` to be shown."""
        try:
            result = await self._asked(given)
        except (*REFUSED, JsonRpcInvalidParams) as error:
            return {"ok": False, "message": wording.sentence(str(error))}
        said = result["answer"].strip() or "(it says nothing)"
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
        return {"ok": True, "message": f"{result['speaker']}: {shown}", **result}

    def cancel(self, token: object) -> bool:
        """The client's user wants no more of the answer with this progress; whether there is one."""
        answer = next((answer for own, answer in self._shown.items() if own == token), None)
        if answer is not None:
            answer.cancel()
        return answer is not None

    async def _asked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Raises what `Answer` raises, and JsonRpcInvalidParams."""
        began, asked_at = time.monotonic(), datetime.now(UTC)
        uri = given.get("uri")
        document = self._documents.get(uri) if isinstance(uri, str) else None
        path = document.path if document is not None else path_of(uri) if isinstance(uri, str) else None
        if path is None:
            _unfit(f"{uri!r} is no document that this server knows: open it first.")
        if document is not None:
            self._sync.flush(document)
        prompt = self._prompt(given)
        answer = self._supervisor.ask(path, prompt, **_wishes(given))
        told = _Told(self._outbox, _token(given, "partialResultToken"), _token(given, "workDoneToken"), path.name)
        if told.work is not None:
            self._shown[told.work] = answer
        text = []
        told.begin(answer)
        try:
            await answer.started()
            told.speaks(answer)
            async for piece in answer:
                text.append(piece)
                told.piece(answer, piece)
        finally:
            answer.cancel()  # where the request was cancelled; it is over otherwise
            told.end()
            if told.work is not None:
                self._shown.pop(told.work, None)
        spoken = answer.spoken
        return {
            "answer": "".join(text),
            **_speaker(answer),
            "question": prompt,
            "asked_at": asked_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.monotonic() - began, 3),
            "end": spoken.end if spoken is not None else "stopped",
            "tokens": spoken.tokens if spoken is not None else None,
            "prompt_tokens": spoken.prompt_tokens if spoken is not None else None,
        }

    def _prompt(self, given: Mapping[str, Any]) -> str:
        """The words of the question. Raises JsonRpcInvalidParams."""
        prompt, position = given.get("prompt"), given.get("position")
        if isinstance(prompt, str) and prompt.strip():
            return prompt
        document = self._documents.get(str(given.get("uri")))
        where = _place(position)
        if document is None or document.path is None or where is None:
            _unfit("Give the `prompt`, or the `position` of a question in an open document.")
        parsed = self._supervisor.document(document.path)
        found = question_at(parsed, document.seen.positions.place(where)) if parsed is not None else None
        if found is None:
            _unfit(f"There is no question in line {where.line + 1}.")
        return found


def question_at(document: Document, place: Position) -> str | None:
    """The question of the exchange that a place is in, or whose last line it ends."""
    for section in document.sections:
        if section.range.start.line <= place.line <= section.range.end.line:
            for exchange in section.exchanges:
                if exchange.range.start <= place <= exchange.range.end:
                    return exchange.prompt
    return None


def _speaker(answer: Answer) -> dict[str, Any]:
    return {"version": answer.version, "live": answer.live, "speaker": answer.speaker}


def _wishes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The other arguments of `Supervisor.ask`. Raises JsonRpcInvalidParams."""
    system = given.get("system")
    if system is not None and not isinstance(system, str):
        _unfit("`system` is a text.")
    return {
        "version": _version(given.get("version")),
        "earlier": _turns(given.get("earlier")),
        "system": system,
        "max_new_tokens": _number(given, "maxTokens", 256, 1, _LONGEST_ANSWER, whole=True),
        "temperature": _number(given, "temperature", 0.0, 0, 100),
        "top_p": _number(given, "topP", 1.0, 0, 1),
        "seed": _number(given, "seed", 0, 0, 2**63 - 1, whole=True),
    }


def _version(named: Any) -> Speaker:
    if named is None:
        return None
    if named == "live":
        return "live"
    number = named_version(named)
    if number is None:
        _unfit(f'{named!r} names no version: give a number such as 3, "v0003" or "live".')
    return number


def _turns(given: Any) -> tuple[Turn, ...]:
    turns = given if isinstance(given, list) else []
    fit = all(
        isinstance(each, dict) and each.get("role") in ("user", "assistant") and isinstance(each.get("text"), str)
        for each in turns
    )
    if not fit or (given is not None and not isinstance(given, list)):
        _unfit('`earlier` is a list of {"role": "user" or "assistant", "text": …}.')
    return tuple(Turn(each["role"], each["text"]) for each in turns)


def _number(
    given: Mapping[str, Any], name: str, default: float, least: float, most: float, *, whole: bool = False
) -> Any:
    value = given.get(name)
    if value is None:
        return default
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        _unfit(f"`{name}` is a {'whole ' if whole else ''}number from {least} to {most}.")
    return value


def _place(given: Any) -> types.Position | None:
    line, character = (given.get(name) if isinstance(given, dict) else None for name in ("line", "character"))
    return types.Position(line, character) if _natural(line) and _natural(character) else None


def _natural(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _token(given: Mapping[str, Any], name: str) -> Token | None:
    token = given.get(name)
    return token if isinstance(token, int | str) and not isinstance(token, bool) else None


def _unfit(sentence: str) -> NoReturn:
    raise JsonRpcInvalidParams(sentence)
