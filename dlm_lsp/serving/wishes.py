"""What the page may ask for: going back to a version, answers before and after; runs, where saves are trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlm_lsp.runs.answers import Answers
from dlm_lsp.runs.payload import plain
from dlm_lsp.runs.questions import AskRefused
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.serving.errors import ApiError
from dlm_lsp.serving.feed import Feed
from dlm_lsp.store import StoreError
from dlm_lsp.training.protocol import LearnerError

ALWAYS = ("revert", "answers")
TRAINING = ("train", "retrain", "cancel")


class Wishes:
    """Does those that are `allowed`, in this process. `feed` is told what comes of it."""

    def __init__(self, supervisor: Supervisor, path: Path, feed: Feed, allowed: tuple[str, ...]) -> None:
        self._supervisor = supervisor
        self._path = path
        self._feed = feed
        self._allowed = allowed
        self._answers = Answers(supervisor)

    async def do(self, message: dict[str, Any]) -> str:
        """What was done, in a sentence. Raises ApiError: why not."""
        command, version = message.get("command"), message.get("version")
        if message.get("type") != "command" or command not in (*ALWAYS, *TRAINING):
            raise ApiError(400, "The page can ask for revert, answers, train, retrain and cancel.", code="no_command")
        if command not in self._allowed:
            raise ApiError(403, "Runs are asked for where saves are trained: `serve --watch`.", code="not_watching")
        if message.get("uri") != self._path.as_uri():
            raise ApiError(404, "Another document is served here.", code="unknown_document", param="uri")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
            raise ApiError(400, "`version` is a number from 1.", code="invalid_version", param="version")
        try:
            return await self._done(str(command), version)
        except (StoreError, AskRefused, LearnerError) as error:
            raise ApiError(409, str(error), code=error.code) from error

    async def _done(self, command: str, version: int | None) -> str:
        match command:
            case "revert":
                return await self._supervisor.revert(self._path, version)
            case "answers":
                return await self._compare(version)
            case "train":
                return self._supervisor.train_now(self._path)
            case "retrain":
                return self._supervisor.full_retrain(self._path)
            case _:
                return self._supervisor.cancel(self._path)

    async def _compare(self, version: int | None) -> str:
        found = await self._answers.of(self._path, version)
        self._feed.answers([{"version": found.version, **plain(each)} for each in found.answers])
        return "" if found.answers else f"v{found.version} taught no question that the document still holds"
