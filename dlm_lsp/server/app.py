"""The language server: which handler answers what. Each hands over at once; nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from lsprotocol import types
from pygls.protocol import default_converter

from dlm_lsp import __version__
from dlm_lsp._teardown import Stage, Teardown
from dlm_lsp.runs.answers import Answers
from dlm_lsp.runs.broadcast import Broadcast
from dlm_lsp.runs.clock import Clock, SystemClock
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.stream import Streams
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.warmth import Learners
from dlm_lsp.server.answers import ANSWERS, AnswersView
from dlm_lsp.server.asking import ASK, Asker
from dlm_lsp.server.beyond import Beyond
from dlm_lsp.server.capabilities import ClientFeatures, features_of
from dlm_lsp.server.commands import Command, Commands
from dlm_lsp.server.completion import TRIGGERS
from dlm_lsp.server.configuration import Configuration
from dlm_lsp.server.convert import encoding_of
from dlm_lsp.server.documents import Documents
from dlm_lsp.server.highlighting import LEGEND
from dlm_lsp.server.history import HISTORY, History
from dlm_lsp.server.hooks import HooksView
from dlm_lsp.server.interchange import REQUESTS, Interchange
from dlm_lsp.server.language import Language
from dlm_lsp.server.lifecycle import EXIT_OK, EXIT_WITHOUT_SHUTDOWN, HARD_DEADLINE, STOP_DEADLINE
from dlm_lsp.server.notifications import Notifications
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.presenter import Presenter
from dlm_lsp.server.progress import ProgressReporter
from dlm_lsp.server.protocol import DlmLanguageServer, DlmProtocol
from dlm_lsp.server.registration import register
from dlm_lsp.server.reshaping import Reshaping
from dlm_lsp.server.settings import ServerSettings
from dlm_lsp.server.states import SECTION_STATES, States
from dlm_lsp.server.stdio import Sink
from dlm_lsp.server.sync import Sync
from dlm_lsp.server.trust import WORKSPACE_TRUST, told_trust, trusted_at_start
from dlm_lsp.server.views import Views

log = logging.getLogger(__name__)

WAIT_FOR_IDLE = "dlm/waitForIdle"

# How long the client may take to answer what it can answer without its user (seconds).
_ANSWER = 10.0
_QUESTION = types.WINDOW_SHOW_MESSAGE_REQUEST


class DlmServer(DlmLanguageServer):
    """Owns one of each part, and wires them. The handlers are in `create_server`."""

    def __init__(self, learner: Learners, clock: Clock) -> None:
        super().__init__(
            "dlm-lsp",
            __version__,
            protocol_cls=DlmProtocol,
            converter_factory=default_converter,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
        )
        self.declared = ClientFeatures()
        self.teardown = Teardown(HARD_DEADLINE)
        self.documents = documents = Documents()
        self.supervisor = supervisor = Supervisor(learner=learner, settings=RunSettings(), clock=clock)
        ask, features = self.ask, lambda: self.declared
        self.outbox = outbox = Outbox(self.protocol.notify, self._backlog, clock)
        self.configuration = Configuration(ask, features, self._configured)
        self.reporter = ProgressReporter(outbox, ask, lambda: self.declared.progress)
        self.beyond = Beyond(supervisor, documents, clock, lambda each: self.presenter.publish(each), features)
        self.presenter = Presenter(
            supervisor,
            documents,
            outbox,
            self.reporter,
            Notifications(outbox, features),
            features,
            lambda method: self.spawn(self._refresh(method)),
            self.beyond.problems,
        )
        self.sync = sync = Sync(supervisor, documents, self.presenter.publish_loose, clock)
        sync.asked = self.beyond.asked
        self.hooks = HooksView(supervisor, documents, sync, outbox, ask, self.spawn, features, clock)
        self.states = States(supervisor, documents, sync, features)
        answers = Answers(supervisor)
        self.answers = AnswersView(supervisor, answers, documents, sync)
        self.views = Views(supervisor, sync, self.states, answers, features)
        self.language = Language(supervisor, documents, sync, features)
        self.asker = Asker(supervisor, documents, sync, outbox)
        self.commands = Commands(supervisor, documents, sync, self.asker, self.answers, ask, outbox.send)
        self.interchange = Interchange(supervisor, documents, sync, ask, outbox.send, features)
        self.reshaping = Reshaping(supervisor, documents, sync, self.interchange.change, features)
        self.history = History(supervisor)
        streams = Streams(supervisor, self.history.curves, clock)
        self.broadcast = Broadcast(supervisor, streams, lambda path: bool(documents.at(path)))
        supervisor.subscribe(self.presenter.on)
        self.process_watch: Callable[[int], None] = lambda pid: None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sink: Sink | None = None
        self._end_in_order()

    def _end_in_order(self) -> None:
        self.teardown.add(Stage.STOP, "what is looked at beside the document", self.beyond.stop)
        self.teardown.add(Stage.STOP, "what is watched", self.hooks.stop)
        self.supervisor.ends_with(self.teardown, STOP_DEADLINE)
        self.teardown.add(Stage.CLOSE, "progress", self.reporter.close)
        self.teardown.add(Stage.CLOSE, "the event socket", self.broadcast.end)

    def connect(self, sink: Sink) -> None:
        """From here on messages go to `sink`."""
        self._sink = sink
        self.protocol.set_writer(sink)

    def meet(self, capabilities: types.ClientCapabilities, process_id: int | None) -> None:
        """What the client can do, how it counts columns, and whose death ends this server."""
        self.declared = features_of(capabilities)
        self.documents.encoding = encoding_of(self.workspace.position_encoding)
        self.beyond.start(self.documents.encoding, self.folders)
        if process_id is not None:
            self.process_watch(process_id)

    def folders(self) -> dict[str, Any]:
        """The workspace's folders by URI; a client that knows no folders has a root."""
        folders, root = self.workspace.folders, self.workspace.root_uri
        return dict(folders) if folders or not root else {root: None}

    async def ask(self, method: str, params: Any) -> Any:
        """A request to the client. Raises its refusal, or TimeoutError; a person may take any time."""
        patience = None if method == _QUESTION else _ANSWER
        return await self.protocol.ask(method, params, patience)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Lets `work` go on beside; keeps it from being collected."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def doing(self) -> str:
        """What goes on, in a word or two, for the log. May be called on any thread: it only reads."""
        runs = [status.run for status in self.supervisor.statuses() if status.run is not None]
        return ", ".join(run.phase or run.state.value for run in runs) or "nothing was trained"

    def _backlog(self) -> int:
        return self._sink.backlog if self._sink is not None else 0

    def _configured(self, settings: ServerSettings) -> None:
        logging.getLogger("dlm_lsp").setLevel(settings.log_level.upper())
        self.supervisor.configure(settings.run)
        self.states.settings = settings
        self.presenter.configured(settings)
        self.hooks.again()

    async def _refresh(self, method: str) -> None:
        try:
            await self.ask(method, None)
        except Exception as error:
            log.debug("the client refused %s: %s", method, error)


def create_server(*, learner: Learners, clock: Clock | None = None) -> DlmServer:
    """A server that is not connected yet. `learner` is called on the worker's thread, at first need."""
    server = DlmServer(learner, clock or SystemClock())
    _register_life(server)
    _register_texts(server)
    _register_views(server)
    _register_states(server)
    _register_language(server)
    _register_commands(server)
    return server


def _register_life(server: DlmServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.meet(params.capabilities, params.process_id)
        server.supervisor.trust(trusted_at_start(params.initialization_options))
        server.supervisor.start(asyncio.get_running_loop())
        server.configuration.initialize(params.initialization_options)

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        server.presenter.health()
        server.beyond.look()
        server.spawn(register(server.ask, server.declared))
        await server.configuration.pull()
        server.protocol.exercise()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        await server.configuration.did_change(params.settings)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        server.sync.disk.told(params.changes)
        server.beyond.files_changed()
        server.hooks.told(params.changes)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def did_change_workspace_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        server.beyond.look()

    @server.feature(WORKSPACE_TRUST)
    def workspace_trust(params: Any) -> None:
        if (trusted := told_trust(params)) is not None:
            server.supervisor.trust(trusted)
            server.beyond.look()
            server.sync.hand_over_all()
            server.hooks.again()

    @server.feature(types.SHUTDOWN)
    async def shutdown(params: None) -> None:
        await server.teardown.run(through=Stage.CLOSE)

    @server.feature(types.EXIT)
    def leave(params: None) -> None:
        orderly = server.protocol.shut_down
        server.teardown.begin(EXIT_OK if orderly else EXIT_WITHOUT_SHUTDOWN, "exit")

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def cancel(params: types.WorkDoneProgressCancelParams) -> None:
        if not server.asker.cancel(params.token) and (path := server.reporter.path_of(params.token)) is not None:
            log.info("%s", server.supervisor.cancel(path))


def _register_texts(server: DlmServer) -> None:
    documents, sync = server.documents, server.sync

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        document = documents.open(item.uri, item.text, item.version)
        sync.opened(document)
        server.hooks.looked(document)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        item = params.text_document
        if document := documents.change(item.uri, item.version, params.content_changes):
            sync.changed(document)

    @server.feature(types.TEXT_DOCUMENT_WILL_SAVE)
    def will_save(params: types.WillSaveTextDocumentParams) -> None:
        documents.will_save(params.text_document.uri, params.reason)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE, types.SaveOptions(include_text=True))
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        if saved := documents.save(params.text_document.uri, params.text):
            document, reason = saved
            sync.saved(document, params.text, reason)
            server.beyond.saved(document)
            server.hooks.looked(document)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        if document := documents.close(params.text_document.uri):
            sync.closed(document)
            server.presenter.closed(document)
            server.beyond.closed(document)
            server.hooks.closed(document)
            server.broadcast.closed(document.path)


def _register_views(server: DlmServer) -> None:
    views = server.views

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        return await views.hover(params)

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=False))
    def code_lenses(params: types.CodeLensParams) -> list[types.CodeLens]:
        return views.code_lenses(params)

    kinds = [types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite, types.CodeActionKind.Source]

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=kinds))
    def code_actions(params: types.CodeActionParams) -> list[types.CodeAction] | list[types.Command]:
        found = [*server.language.fixes(params), *server.beyond.fixes(params), *server.hooks.actions(params)]
        return [*found, *views.code_actions(params), *server.reshaping.actions(params)]

    lazy = types.WorkspaceSymbolOptions(resolve_provider=True)

    @server.feature(types.WORKSPACE_SYMBOL, lazy)
    async def workspace_symbols(params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
        return await server.beyond.symbols.find(params)

    @server.feature(types.WORKSPACE_SYMBOL_RESOLVE)
    async def resolve_symbol(params: types.WorkspaceSymbol) -> types.WorkspaceSymbol:
        return await server.beyond.symbols.resolve(params)

    @server.feature(ASK)
    async def ask(params: Any) -> dict[str, Any]:
        return await server.asker.ask(params)

    @server.feature(HISTORY)
    async def history(params: Any) -> dict[str, Any]:
        return await server.history.answer(params)

    @server.feature(WAIT_FOR_IDLE)
    async def wait_for_idle(params: Any) -> dict[str, Any] | None:
        return await views.wait_for_idle(params)

    @server.feature(ANSWERS)
    async def answers(params: Any) -> dict[str, Any]:
        return await server.answers.request(params)


def _register_states(server: DlmServer) -> None:
    states = server.states

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT, types.InlayHintOptions(resolve_provider=True))
    def inlay_hints(params: types.InlayHintParams) -> list[types.InlayHint]:
        return states.inlay_hints(params)

    @server.feature(types.INLAY_HINT_RESOLVE)
    async def resolve_hint(params: types.InlayHint) -> types.InlayHint:
        return await states.resolve_hint(params)

    @server.feature(SECTION_STATES)
    async def section_states(params: Any) -> dict[str, Any]:
        return await states.section_states(params)


def _register_language(server: DlmServer) -> None:
    """Requests about the text itself; each of them is answered by `language` as it comes."""
    answer = server.language
    completion = types.CompletionOptions(trigger_characters=list(TRIGGERS), resolve_provider=True)
    answers: tuple[tuple[str, Any, Callable[..., Any]], ...] = (
        (types.TEXT_DOCUMENT_COMPLETION, completion, answer.complete),
        (types.COMPLETION_ITEM_RESOLVE, None, answer.resolve),
        (types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, None, answer.symbols),
        (types.TEXT_DOCUMENT_FOLDING_RANGE, None, answer.folds),
        (types.TEXT_DOCUMENT_SELECTION_RANGE, None, answer.selections),
        (types.TEXT_DOCUMENT_DOCUMENT_LINK, types.DocumentLinkOptions(), _links(server)),
        (types.TEXT_DOCUMENT_DEFINITION, None, answer.definition),
        (types.TEXT_DOCUMENT_REFERENCES, None, answer.references),
        (types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, None, answer.highlights),
        (types.TEXT_DOCUMENT_PREPARE_RENAME, None, answer.prepare_rename),
        (types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True), answer.rename),
        (types.TEXT_DOCUMENT_FORMATTING, None, answer.format),
        (types.TEXT_DOCUMENT_RANGE_FORMATTING, None, answer.format),
        (types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, LEGEND, answer.semantic_tokens),
        (types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE, LEGEND, answer.semantic_tokens),
    )
    for method, options, handler in answers:
        server.feature(method, options)(partial(handler))  # pygls marks what it registers; a method takes no marks


def _links(server: DlmServer) -> Callable[[types.DocumentLinkParams], list[types.DocumentLink] | None]:
    def links(params: types.DocumentLinkParams) -> list[types.DocumentLink] | None:
        found, hooks = server.language.links(params), server.hooks.links(params)
        return [*(found or ()), *hooks] if hooks else found

    return links


def _register_commands(server: DlmServer) -> None:
    for command in Command:
        server.command(command.value)(_handler(server, command))
    for name, answer in {**server.interchange.commands, **server.reshaping.commands}.items():
        server.command(name)(partial(answer))
    for method in REQUESTS:
        server.feature(method)(partial(server.interchange.request, method))


def _handler(server: DlmServer, command: Command) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def handle(*arguments: Any) -> dict[str, Any]:
        return await server.commands.run(command, arguments)

    return handle
