"""An editor for tests: pytest-lsp's client on a real server process, with a record of all that arrives."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.protocol import JsonRPCNotification, JsonRPCResponseMessage, default_converter
from pytest_lsp import LanguageClient
from pytest_lsp.client import register_lsp_features
from pytest_lsp.protocol import LanguageClientProtocol

SERVER = Path(__file__).with_name("fake_server.py")
PATIENCE = 30.0
T = TypeVar("T")

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
HEAD = f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n---\n"


def exchange(question: str, answer: str) -> str:
    return f"\n::instruction::\n### Q\n{question}\n\n### A\n{answer}\n"


def capabilities(**changes: Any) -> types.ClientCapabilities:
    """A client that can do everything this server uses; `changes` replace whole groups."""
    groups: dict[str, Any] = {
        "general": types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16]),
        "window": types.WindowClientCapabilities(work_done_progress=True),
        "workspace": types.WorkspaceClientCapabilities(
            configuration=True,
            code_lens=types.CodeLensWorkspaceClientCapabilities(refresh_support=True),
            did_change_configuration=types.DidChangeConfigurationClientCapabilities(dynamic_registration=True),
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
        "text_document": types.TextDocumentClientCapabilities(
            synchronization=types.TextDocumentSyncClientCapabilities(will_save=True, did_save=True),
            code_action=types.CodeActionClientCapabilities(
                code_action_literal_support=types.ClientCodeActionLiteralOptions(
                    types.ClientCodeActionKindOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.Source])
                )
            ),
            hover=types.HoverClientCapabilities(content_format=[types.MarkupKind.Markdown]),
            publish_diagnostics=types.PublishDiagnosticsClientCapabilities(related_information=True, data_support=True),
        ),
        "experimental": {
            "serverStatusNotification": True,
            "dlm": {"trainingStatus": True, "trainingProgress": True},
        },
    }
    return types.ClientCapabilities(**{**groups, **changes})


# Answers that stay plain JSON: our own, and code actions, which lsprotocol takes for commands if they have one.
_PLAIN = (None, types.METHOD_TO_TYPES[types.TEXT_DOCUMENT_CODE_ACTION][1])


class _Recorder(LanguageClientProtocol):
    """Keeps every message in order, and leaves the server's own ones as plain JSON."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        if "jsonrpc" in data and "id" not in data and data["method"].startswith(("dlm/", "experimental/")):
            return JsonRPCNotification(data["method"], data["jsonrpc"], data.get("params"))
        if "jsonrpc" in data and "result" in data and self._result_types.get(data["id"]) in _PLAIN:
            return JsonRPCResponseMessage(data["id"], data["jsonrpc"], data["result"])
        return super().structure_message(data)

    def _handle_notification(self, method: str, params: Any) -> None:
        # pytest-lsp knows only progress that the server created.
        if method != types.PROGRESS or params.token not in self._server.given:  # type: ignore[attr-defined]
            super()._handle_notification(method, params)
        self._server.record(method, params)  # type: ignore[attr-defined]

    def _handle_request(self, identity: Any, method: str, params: Any) -> None:
        super()._handle_request(identity, method, params)
        self._server.record(method, params)  # type: ignore[attr-defined]


class Editor(LanguageClient):
    """Opens, changes and saves one document after the other, and waits for what it is told."""

    def __init__(self) -> None:
        super().__init__(converter_factory=default_converter, protocol_cls=_Recorder)
        register_lsp_features(self)
        self.received: list[tuple[str, Any]] = []
        self.answers: list[str | None] = []  # to questions, in order
        self.given: set[Any] = set()  # tokens that this client gave to requests of its own
        self.questions: list[types.ShowMessageRequestParams] = []
        self._more = asyncio.Event()
        self._versions = itertools.count(1)

        @self.feature(types.WORKSPACE_CODE_LENS_REFRESH)
        def refresh(params: None) -> None:
            return None

        @self.feature(types.CLIENT_REGISTER_CAPABILITY)
        def register(params: types.RegistrationParams) -> None:
            return None

        @self.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)
        def ask(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
            self.questions.append(params)
            answer = self.answers.pop(0) if self.answers else None
            return types.MessageActionItem(answer) if answer else None

    # -- the process ------------------------------------------------------------------------------------

    async def begin(
        self,
        home: Path,
        *,
        environment: Mapping[str, str] | None = None,
        client: types.ClientCapabilities | None = None,
        settings: Mapping[str, Any] | None = None,
        interpreter: tuple[str, ...] = (),
        server: tuple[str, ...] = (str(SERVER),),
    ) -> types.InitializeResult:
        """Starts the server and initializes it; `server` are the interpreter's arguments that run it."""
        env = {**os.environ, "DLM_HOME": str(home), **(environment or {})}
        await self.start_io(sys.executable, *interpreter, *server, env=env)
        self.set_configuration({"dlm": {"debounceMs": 20, **(settings or {})}})
        return await self.initialize_session(
            types.InitializeParams(
                capabilities=client or capabilities(),
                process_id=os.getpid(),
                initialization_options={"debounceMs": 20, **(settings or {})},
            )
        )

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._server is not None
        return self._server

    async def end(self) -> int:
        """An orderly end; returns the server's exit code."""
        try:
            await asyncio.wait_for(self.shutdown_session(), PATIENCE)
            code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        finally:
            if self.process.returncode is None:
                self.process.kill()
            await self.stop()
        assert self.error is None, self.error
        self.check_progress()
        return code

    def check_progress(self) -> None:
        """What holds of every progress of every test, whatever happened (R1): asked for, begun once, ended once."""
        asked = [params.token for params in self.all(types.WINDOW_WORK_DONE_PROGRESS_CREATE)]
        assert len(asked) == len(set(asked)), "a token was used for a second run"
        told: dict[Any, list[Any]] = {}
        for params in self.all(types.PROGRESS):
            if params.token not in self.given:
                told.setdefault(params.token, []).append(params.value)
        assert set(told) <= set(asked), "a progress was told that the client was not asked for"
        for token, story in told.items():
            kinds = [value["kind"] for value in story]
            assert kinds[0] == "begin" and kinds.count("begin") == 1, f"{token}: {kinds}"
            assert kinds[-1] == "end" and kinds.count("end") == 1, f"{token}: {kinds}"
            reached = [value["percentage"] for value in story[:-1]]
            assert reached == sorted(reached), f"{token} went back: {reached}"

    # -- what arrived -------------------------------------------------------------------------------------

    def record(self, method: str, params: Any) -> None:
        self.received.append((method, params))
        self._more.set()

    async def until(self, look: Callable[[], T | None]) -> T:
        """Waits for messages until `look` finds something."""

        async def wait() -> T:
            while not (found := look()):
                if self.error is not None:
                    raise self.error
                self._more.clear()
                await self._more.wait()
            return found

        return await asyncio.wait_for(wait(), PATIENCE)

    def all(self, method: str) -> list[Any]:
        return [params for name, params in self.received if name == method]

    def statuses(self, uri: str) -> list[dict[str, Any]]:
        return [params for params in self.all("dlm/trainingStatus") if params["uri"] == uri]

    def codes(self, uri: str) -> list[Any]:
        return sorted(str(each.code) for each in self.diagnostics.get(uri, ()))

    def message(self, uri: str, code: str) -> str:
        return next(each.message for each in self.diagnostics[uri] if each.code == code)

    async def state(self, uri: str, state: str) -> dict[str, Any]:
        """Waits until the newest status of a document has this state."""
        return await self.until(
            lambda: next((each for each in self.statuses(uri)[-1:] if each["state"] == state), None)
        )

    async def idle(self, uri: str | None = None) -> dict[str, Any]:
        """The barrier: answers when nothing runs or waits."""
        asked = self.protocol.send_request_async("dlm/waitForIdle", {"uri": uri} if uri else None)
        return await asyncio.wait_for(asked, PATIENCE)  # type: ignore[no-any-return]

    # -- what an author does --------------------------------------------------------------------------------

    def open(self, path: Path, text: str) -> str:
        path.write_text(text, encoding="utf-8", newline="")
        uri = path.as_uri()
        item = types.TextDocumentItem(uri, "dlm", next(self._versions), text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, text: str) -> int:
        version = next(self._versions)
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version, uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            )
        )
        return version

    def save(
        self,
        path: Path,
        text: str,
        *,
        reason: types.TextDocumentSaveReason = types.TextDocumentSaveReason.Manual,
        with_text: bool = True,
    ) -> None:
        """Types `text` and saves it."""
        uri = path.as_uri()
        self.change(uri, text)
        identifier = types.TextDocumentIdentifier(uri)
        self.text_document_will_save(types.WillSaveTextDocumentParams(identifier, reason))
        path.write_text(text, encoding="utf-8", newline="")
        self.text_document_did_save(types.DidSaveTextDocumentParams(identifier, text if with_text else None))

    def close(self, uri: str) -> None:
        self.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    def watcher_saw(self, *paths: Path, kind: types.FileChangeType = types.FileChangeType.Changed) -> None:
        """Tells the server that files changed, as an editor's file watcher does."""
        events = [types.FileEvent(path.as_uri(), kind) for path in paths]
        self.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(events))

    def runs(self, uri: str) -> list[tuple[int, str]]:
        """Every run of a document that ended, and how, in order."""
        ends = [(last["run"], last["outcome"]) for each in self.statuses(uri) if (last := each["last"])]
        return list(dict.fromkeys(ends))

    async def command(self, name: str, *arguments: Any) -> Any:
        return await self.workspace_execute_command_async(types.ExecuteCommandParams(name, arguments))

    async def hover(self, uri: str, line: int, character: int = 0) -> str:
        found = await self.text_document_hover_async(
            types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line, character))
        )
        return found.contents.value if found and isinstance(found.contents, types.MarkupContent) else ""

    def shown(self) -> list[list[Any]]:
        """Every progress, as the list of what was told of it."""
        return list(self.progress_reports.values())
