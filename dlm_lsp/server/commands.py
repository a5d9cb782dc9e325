"""The commands of the server. Results are plain JSON: `{ok, message}`, and `status` from `dlm.showStatus`.

Most clients drop a command's result, so what its author asked for is shown as a message too, unless the
argument says `quiet` because the client shows the result itself.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.runs.reasons import NOT_TRUSTED
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import headline
from dlm_lsp.runs.versions import named_version
from dlm_lsp.server import wording
from dlm_lsp.server.answers import AnswersView
from dlm_lsp.server.asking import Asker
from dlm_lsp.server.documents import Documents, path_of
from dlm_lsp.server.payloads import status_payload
from dlm_lsp.server.protocol import Ask, Notify
from dlm_lsp.server.sync import Sync
from dlm_lsp.store import StoreError

log = logging.getLogger(__name__)

Result = dict[str, Any]

_RETRAIN = "Full Retrain"
_KEEP = "Keep"
_DECLINED = "Nothing was retrained."


class Command(StrEnum):
    """The ids that this server advertises; none of them is one that editor extensions register themselves."""

    FULL_RETRAIN = "dlm.fullRetrain"
    TRAIN_NOW = "dlm.trainNow"
    CANCEL = "dlm.cancel"
    TRAIN_SECTIONS = "dlm.trainSections"
    REVERT = "dlm.revert"
    UNLOCK = "dlm.unlock"
    SHOW_STATUS = "dlm.showStatus"
    SHOW_ANSWERS = "dlm.showAnswers"
    ASK = "dlm.ask"


# Whose message is shown; training shows itself as progress.
_TOLD = (Command.SHOW_STATUS, Command.SHOW_ANSWERS, Command.UNLOCK, Command.REVERT, Command.ASK)
# What an untrusted workspace may do.
_HARMLESS = (Command.CANCEL, Command.SHOW_STATUS)


class Commands:
    """Runs them.

    The argument is a URI, a table `{uri, confirmed, version, sections, quiet}` (for `dlm.ask` what `dlm/ask` takes), or
    nothing: the document used last.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        sync: Sync,
        asker: Asker,
        answers: AnswersView,
        ask: Ask,
        notify: Notify,
    ) -> None:
        self._asker = asker
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._ask = ask
        self._notify = notify
        self._answers = answers
        self._asking: set[Path] = set()

    async def run(self, command: Command, arguments: tuple[Any, ...]) -> Result:
        """Carries `command` out; a wrong argument is told, never raised."""
        self._sync.flush_all()
        given = _table(arguments)
        result = await self._run(command, given)
        # Training shows itself as progress, and an answered question needs no comment.
        asked = command in _TOLD or not result["ok"]
        if asked and given.get("quiet") is not True and result["message"] != _DECLINED:
            kind = types.MessageType.Info if result["ok"] else types.MessageType.Warning
            self._notify(types.WINDOW_SHOW_MESSAGE, types.ShowMessageParams(kind, result["message"]))
        return result

    async def _run(self, command: Command, given: dict[str, Any]) -> Result:
        if command is Command.CANCEL and given.get("uri") is None and self._documents.active is None:
            return _said(True, self._supervisor.cancel())
        uri = given.get("uri") or (self._documents.active.uri if self._documents.active else None)
        if not isinstance(uri, str):
            return _said(False, "No .dlm document is open: open one, or pass its URI.")
        if command is Command.ASK:
            return await self._asker.command({**given, "uri": uri})
        path = path_of(uri)
        if path is None:
            return _said(False, f"Only files can be trained, and {uri} is none. Save it as a file first.")
        if not self._supervisor.trusted and command not in _HARMLESS:
            return _said(False, wording.sentence(NOT_TRUSTED))
        match command:
            case Command.FULL_RETRAIN:
                return await self._full_retrain(path, confirmed=given.get("confirmed") is True)
            case Command.TRAIN_NOW:
                return self._trained(path, self._supervisor.train_now(path))
            case Command.TRAIN_SECTIONS:
                return self._train_sections(path, given.get("sections"))
            case Command.CANCEL:
                return _said(True, self._supervisor.cancel(path))
            case Command.REVERT:
                return await self._revert(path, given.get("version"))
            case Command.UNLOCK:
                return _said(True, self._supervisor.unlock(path))
            case Command.SHOW_STATUS:
                return self._status(uri, path)
            case Command.SHOW_ANSWERS:
                return await self._answers.told(uri, path, given.get("version"))

    async def _full_retrain(self, path: Path, *, confirmed: bool) -> Result:
        loss = None if confirmed else self._supervisor.would_discard(path)
        if loss is not None:
            if path in self._asking:
                return _said(False, "The question whether to retrain is still open.")
            self._asking.add(path)
            try:
                answer = await self._ask(
                    types.WINDOW_SHOW_MESSAGE_REQUEST,
                    types.ShowMessageRequestParams(
                        type=types.MessageType.Warning,
                        message=f"{loss} Retrain?",
                        actions=[types.MessageActionItem(_RETRAIN), types.MessageActionItem(_KEEP)],
                    ),
                )
            except Exception as error:
                log.info("the client did not answer whether to retrain: %s", error)
                answer = None
            finally:
                self._asking.discard(path)
            if getattr(answer, "title", None) != _RETRAIN:
                return _said(False, _DECLINED)
        return self._trained(path, self._supervisor.full_retrain(path))

    async def _revert(self, path: Path, named: Any) -> Result:
        version = None if named is None else named_version(named)
        if named is not None and version is None:
            return _said(False, f'{named!r} names no version: give a number such as 3, or "v0003".')
        try:
            return _said(True, await self._supervisor.revert(path, version))
        except StoreError as error:
            return _said(False, str(error))

    def _train_sections(self, path: Path, named: Any) -> Result:
        ids = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
        if not ids or len(ids) != len(named):
            return _said(False, "Name the sections to train: `sections` is a list of section ids.")
        try:
            return self._trained(path, self._supervisor.train_sections(path, ids))
        except ValueError as refusal:
            return _said(False, str(refusal))

    def _trained(self, path: Path, message: str) -> Result:
        self._sync.disk.settled(path)
        # Training took the saved text; what the editor shows is about the text that is being written.
        for document in self._documents.at(path):
            if document.dirty:
                self._sync.hand_over(document)
        return _said(True, message)

    def _status(self, uri: str, path: Path) -> Result:
        document = self._documents.get(uri) or next(iter(self._documents.at(path)), None)
        status = self._supervisor.status(path)
        if status is None or document is None:
            return _said(False, f"{path.name} is not open.")
        return {
            **_said(True, headline(status)),
            "status": status_payload(document.uri, status, document.seen.positions),
        }


def _table(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The first argument as a table, whatever a client made of it."""
    first = arguments[0] if arguments else None
    if isinstance(first, str):
        return {"uri": first}
    return first if isinstance(first, dict) else {}


def _said(ok: bool, message: str) -> Result:
    return {"ok": ok, "message": message}
