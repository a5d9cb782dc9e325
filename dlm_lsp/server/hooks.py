"""The hooks file in an editor: its problems, who watches it and the sources, and how to begin one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.document import Problem, Severity
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.hooks import hooks_path
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.watching import FileWatch, Watched, Watching
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.convert import SOURCE
from dlm_lsp.server.documents import Documents, OpenDocument, path_of
from dlm_lsp.server.lenses import wanted
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.protocol import Ask
from dlm_lsp.server.sync import Sync

log = logging.getLogger(__name__)

_WARNING = types.DiagnosticSeverity.Warning
CREATE = "Create hooks file"
SKELETON = '''\
"""Hooks of {name}: called while it is trained. All of them are optional; docs/hooks.md of dlm-lsp tells more.

Save this file while a run goes on, and its functions take over at the next step.
"""

# Kept when this file is saved anew, and from run to run; what stands here are defaults.
state = {{}}


# def on_start(kind, fresh, known):
#     """A run begins: `kind` is "cycle" or "full"; so many lessons to learn, and to rehearse from."""


def on_step(step, loss, lr):
    """After each optimizer step; `loss` in nats per token."""
    state["best"] = min(loss, state.get("best", loss))


# def on_absorb(added, removed):
#     """The run took in a newer text, in which so many sections are new, and which so many left."""


# def on_checkpoint(version, evaluate, ask):
#     """A version was committed. `evaluate()`: what was measured of each lesson; `ask("…")`: its answer."""


# def on_finish(version, message):
#     """The run has ended well."""


# def on_fail(code, message):
#     """The run has failed, or (code "cancelled") was called off."""
'''


class HooksView:
    """`ask` sends a request to the client; `spawn` lets work go on beside. One of each server."""

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        sync: Sync,
        outbox: Outbox,
        ask: Ask,
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
        features: Features,
        clock: Clock,
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._outbox = outbox
        self._ask = ask
        self._spawn = spawn
        self._features = features
        self._watching = Watching(supervisor, clock, self._sources_changed, self._install)
        self._own = FileWatch(self._watching.told)
        self._wanted: tuple[Watched, ...] = ()
        self._registered: tuple[str, tuple[Watched, ...]] | None = None
        self._registering = False
        self._numbers = itertools.count(1)
        self._shown: dict[Path, set[str]] = {}  # the files (URIs) that problems were shown in, by document
        supervisor.hooks.told = self._show

    # -- what the client tells

    def looked(self, document: OpenDocument) -> None:
        """It was opened or saved: it may name other sources now."""
        if document.path is not None:
            self._watching.look(document.path)

    def closed(self, document: OpenDocument) -> None:
        if document.path is not None and not self._documents.at(document.path):
            self._watching.closed(document.path)

    def told(self, changes: Iterable[types.FileEvent]) -> None:
        """The client's watcher saw files come, change or go."""
        self._watching.told({path for path in (path_of(each.uri) for each in changes) if path is not None})

    def again(self) -> None:
        """Settings or trust are others now."""
        self._watching.all()

    def stop(self) -> None:
        self._own.install(())
        self._watching.stop()

    # -- what is offered in the document

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """In the frontmatter: to create the hooks file, where hooks are on and there is none."""
        uri, features = params.text_document.uri, self._features()
        file = self._file_of(uri)
        if file is None or file[1].exists() or not (features.code_action_literals and features.create_files):
            return []
        document = self._supervisor.document(file[0])
        head = document.frontmatter_range if document is not None else None
        if head is None or params.range.start.line > head.end.line:
            return []
        if not wanted(types.CodeActionKind.Source, params.context.only):
            return []
        target = types.OptionalVersionedTextDocumentIdentifier(uri=hooks_uri(uri))
        start = types.Position(0, 0)
        text = types.TextEdit(types.Range(start, start), SKELETON.format(name=file[0].name))
        edit = types.WorkspaceEdit(
            document_changes=[
                types.CreateFile(uri=target.uri, options=types.CreateFileOptions(ignore_if_exists=True)),
                types.TextDocumentEdit(target, [text]),
            ]
        )
        return [types.CodeAction(title=CREATE, kind=types.CodeActionKind.Source, edit=edit)]

    def links(self, params: types.DocumentLinkParams) -> list[types.DocumentLink]:
        """From the first line of the frontmatter to the hooks file, where there is one."""
        uri = params.text_document.uri
        file = self._file_of(uri)
        if file is None or not file[1].is_file():
            return []
        place = types.Range(types.Position(0, 0), types.Position(0, len("---")))
        tooltip = f"The hooks: {file[1].name}" if self._features().link_tooltips else None
        return [types.DocumentLink(place, hooks_uri(uri), tooltip)]

    def _file_of(self, uri: str) -> tuple[Path, Path] | None:
        """The paths of an open document and its hooks file, where hooks are allowed."""
        document = self._documents.get(uri)
        if document is None or document.path is None or not self._supervisor.hooks.allowed:
            return None
        return document.path, hooks_path(document.path)

    # -- what is shown and done

    def _show(self, path: Path) -> None:
        """All problems of a hooks file, in that file; those that are gone are taken back."""
        problems = self._supervisor.hooks.problems(path)
        uris = {hooks_uri(document.uri) for document in self._documents.at(path)} if problems else set()
        for uri in self._shown.pop(path, set()) - uris:
            self._outbox.clear_diagnostics(uri)
        if uris:
            self._shown[path] = uris
        for uri in uris:
            self._outbox.diagnostics(uri, None, [_diagnostic(each) for each in problems])

    def _sources_changed(self, path: Path) -> None:
        """Does what a save of the document would do, with the text that is saved."""
        if self._supervisor.on_save == "off":
            return
        log.info("the sources of %s have changed", path.name)
        self._supervisor.saved(path, None)
        for document in self._documents.at(path):
            if document.now.text != document.saved:
                self._sync.hand_over(document)

    def _install(self, wanted: tuple[Watched, ...]) -> None:
        """Has the client watch where it can, and else does so itself."""
        self._wanted = wanted
        if not self._features().relative_watchers:
            self._own.install(wanted)
        elif not self._registering:
            self._registering = True
            self._spawn(self._register())

    async def _register(self) -> None:
        """Until the client watches what is wanted now; the new registration comes before the old one goes."""
        try:
            while (self._registered[1] if self._registered else ()) != self._wanted:
                wanted, before = self._wanted, self._registered
                self._registered = None
                if wanted:
                    name = f"dlm-around-{next(self._numbers)}"
                    options = types.DidChangeWatchedFilesRegistrationOptions(list(_watchers(wanted)))
                    method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
                    registration = types.Registration(name, method, options)
                    await self._ask(types.CLIENT_REGISTER_CAPABILITY, types.RegistrationParams([registration]))
                    self._registered = (name, wanted)
                    # What was written before the watch stood raises no event.
                    self._watching.told({each.folder / name for each in wanted for name in each.names or (".",)})
                if before is not None:
                    gone = types.Unregistration(before[0], types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
                    await self._ask(types.CLIENT_UNREGISTER_CAPABILITY, types.UnregistrationParams([gone]))
        except Exception as error:
            log.info("the client does not watch (%s), so the server does", error)
            self._own.install(self._wanted)
        finally:
            self._registering = False


def hooks_uri(uri: str) -> str:
    """Of the hooks file, spelled as the client spells the document beside it."""
    stem, dot, _ = uri.rpartition(".")
    return f"{stem if dot and '/' not in uri[len(stem) :] else uri}.hooks.py"


def _watchers(wanted: Iterable[Watched]) -> Iterable[types.FileSystemWatcher]:
    for each in wanted:
        for pattern in each.names or ("**/*",):
            yield types.FileSystemWatcher(types.RelativePattern(each.folder.as_uri(), _literally(pattern)))


def _literally(name: str) -> str:
    """A file's name as a glob that matches it and nothing else; a pattern is left as it is."""
    return name if name == "**/*" else "".join("?" if character in "*?[]{}" else character for character in name)


def _diagnostic(problem: Problem) -> dict[str, Any]:
    start, end = problem.range.start, problem.range.end
    return {
        "range": {
            "start": {"line": start.line, "character": start.column},
            "end": {"line": end.line, "character": end.column},
        },
        "severity": (types.DiagnosticSeverity.Error if problem.severity is Severity.ERROR else _WARNING).value,
        "code": problem.code,
        "source": SOURCE,
        "message": problem.message,
    }
