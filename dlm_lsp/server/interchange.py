"""The commands that clients of other `.dlm` servers call, with their arguments and results.

Some of these names are no command ids but look like requests; they are taken as requests as well.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from lsprotocol import types

from dlm_lsp.document import Document, Severity, parse
from dlm_lsp.document.text import normalised
from dlm_lsp.document.yaml_edit import Edit, YamlEditError, append_item, set_value, value_at
from dlm_lsp.runs import sources
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.templates import templates
from dlm_lsp.runs.worker import Worker
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import Documents, OpenDocument, path_of
from dlm_lsp.server.protocol import Ask, Notify
from dlm_lsp.server.sync import Sync
from dlm_lsp.training.bases import BUILTIN, RegistryEntry, base_facts, registry

log = logging.getLogger(__name__)

SET_BASE_MODEL = "dlm.setBaseModel"
ADD_SOURCE = "dlm.addSourceDirective"
LIST_BASES = "dlm/listBaseModels"
LIST_TEMPLATES = "dlm/listTemplates"
DOCUMENT_STATE = "dlm/documentState"
REQUESTS = (LIST_BASES, LIST_TEMPLATES, DOCUMENT_STATE)

Row = dict[str, Any]
_SOURCES = ("training", "sources")


class Interchange:
    """Runs them. A wrong argument is told in the log and answered with null, as those clients expect."""

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        sync: Sync,
        ask: Ask,
        notify: Notify,
        features: Features,
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._ask = ask
        self._notify = notify
        self._editor = Worker("dlm-editor")  # a wide frontmatter takes its time
        self._features = features
        self.commands: dict[str, Callable[..., Awaitable[Any]]] = {
            SET_BASE_MODEL: self.set_base_model,
            ADD_SOURCE: self.add_source,
            LIST_BASES: self.list_bases,
            LIST_TEMPLATES: self.list_templates,
            DOCUMENT_STATE: self.document_state,
        }

    async def request(self, method: str, params: Any) -> Any:
        """One of `REQUESTS` as a request: its parameters are the arguments, or a table `{uri}`."""
        if isinstance(params, dict):
            params = [params["uri"]] if "uri" in params else params.get("arguments", ())
        return await self.commands[method](*(params if isinstance(params, list | tuple) else [params]))

    async def list_bases(self, *arguments: Any) -> list[Row]:
        """Every base that has a short name, the built-in one first."""
        return [_builtin(), *(_row(entry) for entry in registry().values())]

    async def list_templates(self, *arguments: Any) -> list[Row]:
        return [asdict(template) for template in templates().values()]

    async def document_state(self, *arguments: Any) -> Row | None:
        """What an open document says; `{uri, error}` while it is broken, null for one that is not open."""
        document = self._open(arguments)
        if document is None:
            return None
        read = self._read(document)
        frontmatter = read.frontmatter
        error = next((each for each in read.problems if each.severity is Severity.ERROR), None)
        if frontmatter is None or error is not None:
            return {"uri": document.uri, "error": error.message if error else "The frontmatter cannot be read."}
        return {
            "uri": document.uri,
            "dlm_id": frontmatter.dlm_id,
            "dlm_version": frontmatter.dlm_version,
            "base_model": frontmatter.base_model,
            "base_model_spec": _spec(frontmatter.base_model),
            "section_counts": dict(Counter(section.kind for section in read.sections)),
        }

    async def set_base_model(self, *arguments: Any) -> None:
        """`[uri, key]`: writes the base into the frontmatter."""
        document, key = self._open(arguments), _text(arguments)
        if document is not None and key is not None:
            await self.change(document, f"Base model {key}", lambda text: set_value(text, ("base_model",), key))

    async def add_source(self, *arguments: Any) -> None:
        """`[uri, path]`: lets the document learn from a file or folder; one that it names already is not added."""
        document, given = self._open(arguments), _text(arguments)
        if document is None or given is None:
            return
        path = _relative(given, document.path)
        await self.change(document, f"Source {path}", lambda text: _added(text, path))

    # -- how

    def _open(self, arguments: Sequence[Any]) -> OpenDocument | None:
        uri = arguments[0] if arguments else None
        document = self._documents.get(uri) if isinstance(uri, str) else None
        if document is None:
            log.info("a command needs the URI of an open document, and got %r", uri)
        else:
            self._sync.flush(document)
        return document

    def _read(self, document: OpenDocument) -> Document:
        read = self._supervisor.document(document.path) if document.path is not None else None
        return read if read is not None and read.text == normalised(document.now.text) else parse(document.now.text)

    async def change(self, document: OpenDocument, label: str, edit: Callable[[str], Edit | None]) -> None:
        """One step of the client's undo; the client refuses it if the text became another one meanwhile."""
        if not self._features().apply_edit:
            return self._tell("This editor does not let a server change a text: write it into the frontmatter.")
        text = document.now
        try:
            made = await self._work(lambda: edit(text.text))
        except YamlEditError as error:
            return self._tell(str(error))
        if made is None:
            return None
        change = types.TextEdit(text.positions.range(made.range), made.text)
        if self._features().document_changes:
            identifier = types.OptionalVersionedTextDocumentIdentifier(document.uri, text.version)
            whole = types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [change])])
        elif text is not document.now:
            return self._tell("The text changed meanwhile: try again.")
        else:
            whole = types.WorkspaceEdit(changes={document.uri: [change]})
        try:
            done = await self._ask(types.WORKSPACE_APPLY_EDIT, types.ApplyWorkspaceEditParams(whole, label))
        except Exception as error:
            log.info("the client did not apply an edit: %s", error)
            return None
        if not done.applied:
            self._tell(
                f"The editor did not take the change{f': {done.failure_reason}' if done.failure_reason else '.'}"
            )
        return None

    async def _work(self, job: Callable[[], Edit | None]) -> Edit | None:
        if not self._editor.started:
            self._editor.start()
        return await self._editor.call(job)

    def _tell(self, message: str) -> None:
        self._notify(types.WINDOW_SHOW_MESSAGE, types.ShowMessageParams(types.MessageType.Warning, message))


def _text(arguments: Sequence[Any]) -> str | None:
    """The second argument, a text that is not blank."""
    found = arguments[1] if len(arguments) > 1 else None
    if isinstance(found, str) and found.strip():
        return found.strip()
    log.info("a command needs a text as its second argument, and got %r", found)
    return None


def _relative(given: str, document: Path | None) -> str:
    """As it is written into a document: with `/`, relative to its folder where it lies in or near it."""
    path = path_of(given) if given.startswith("file:") else None
    written = str(path) if path is not None else given
    if PureWindowsPath(written).drive or ("\\" in written and "/" not in written):
        written = PureWindowsPath(written).as_posix()
    if document is not None and Path(written).is_absolute():
        written = sources.relative(written, sources.home_of(document)) or written
    return PurePosixPath(written).as_posix()


def _added(text: str, path: str) -> Edit | None:
    written = value_at(text, _SOURCES)
    for source in written if isinstance(written, list) else ():
        named = source.get("path") if isinstance(source, dict) else None
        if isinstance(named, str) and PurePosixPath(named).as_posix() == path:
            log.info("the document names the source %s already", path)
            return None
    return append_item(text, _SOURCES, {"path": path, "include": ["**/*"]})


def _spec(reference: str) -> Row | None:
    if reference == BUILTIN:
        return _builtin()
    entry = registry().get(reference)
    return _row(entry) if entry is not None else None


def _row(entry: RegistryEntry) -> Row:
    """A base with the field names that those clients know."""
    return {
        "key": entry.key,
        "hf_id": entry.hf_id,
        "params": entry.parameters,
        "size_gb_fp16": round(2 * entry.parameters / 1e9, 2),
        "context_length": entry.context_length,
        "modality": entry.modality,
        "license_spdx": entry.license,
        "requires_acceptance": entry.gated,
    }


def _builtin() -> Row:
    facts = base_facts(BUILTIN, None)
    assert facts is not None and facts.parameters is not None and facts.license is not None
    return {
        "key": BUILTIN,
        "hf_id": BUILTIN,
        "params": facts.parameters,
        "size_gb_fp16": round(2 * facts.parameters / 1e9, 2),
        "context_length": facts.context_length or 0,
        "modality": facts.modality,
        "license_spdx": facts.license,
        "requires_acceptance": False,
    }
