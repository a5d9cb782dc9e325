"""What the client asks for about the text itself: outline, folding, completion, links, names.

Each answer is about the newest text, and needs neither the store nor a training library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.document import Document, parse
from dlm_lsp.document.adapters import AdapterPlaces, adapter_at, adapter_names, places_of
from dlm_lsp.document.cursor import AtValue, cursor_at
from dlm_lsp.document.formatting import formatted
from dlm_lsp.document.outline import Node, outline
from dlm_lsp.document.schema import ADAPTER_NAME
from dlm_lsp.document.selection import enclosing
from dlm_lsp.document.text import normalised
from dlm_lsp.document.tokens import tokens
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server import pieces, structure
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.completion import Offer, complete, resolved
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.documents import Documents, OpenDocument, Text
from dlm_lsp.server.fixes import fixes
from dlm_lsp.server.highlighting import packed
from dlm_lsp.server.links import links, names_below
from dlm_lsp.server.nearby import NearBase, Nearby
from dlm_lsp.server.pieces import Piece, Pieces
from dlm_lsp.server.protocol import Json
from dlm_lsp.server.sync import Sync
from dlm_lsp.training.bases import BaseFacts, base_facts

_KEPT = 4  # documents whose pieces are kept


@dataclass(frozen=True)
class _Read:
    """One text as it was read: what all answers about it begin with."""

    document: Document
    positions: Positions
    folder: Path | None  # None for a text that is no file, and where nothing beside it is to be looked at

    @cached_property
    def lines(self) -> list[str]:
        return self.document.text.split("\n")

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return outline(self.document)


class Language:
    """What was read of a text is kept for the next request. The files of an untrusted workspace are not looked at."""

    def __init__(self, supervisor: Supervisor, documents: Documents, sync: Sync, features: Features) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._pieces: dict[str, Pieces] = {}  # by URI, the last used last
        self._last: tuple[Text, _Read] | None = None  # requests come in flocks, about one document
        self._nearby = Nearby()
        self._features = features

    def symbols(
        self, params: types.DocumentSymbolParams
    ) -> Json | list[types.DocumentSymbol] | list[types.SymbolInformation] | None:
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        uri, trees = params.text_document.uri, self._features().symbol_trees
        if (known := self._pieces_of(uri, read)) is not None:
            return pieces.symbols(known) if trees else pieces.flat_symbols(known, uri)
        if trees:
            return structure.symbols(read.nodes, read.positions)
        return structure.flat_symbols(read.nodes, uri, read.positions)

    def folds(self, params: types.FoldingRangeParams) -> Json | list[types.FoldingRange] | None:
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        if (known := self._pieces_of(params.text_document.uri, read)) is not None:
            return pieces.folds(known, self._features().fold_limit)
        return structure.folds(read.nodes, self._features().fold_limit)

    def selections(self, params: types.SelectionRangeParams) -> list[types.SelectionRange] | None:
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        known, found = self._pieces_of(params.text_document.uri, read), []
        for position in params.positions:
            place = read.positions.place(position)
            nodes = read.nodes if known is None else pieces.nodes(known, place.line)
            found.append(structure.selection(enclosing(nodes, read.lines, place), read.positions))
        return found

    def semantic_tokens(
        self, params: types.SemanticTokensParams | types.SemanticTokensRangeParams
    ) -> Json | types.SemanticTokens | None:
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        within = params.range if isinstance(params, types.SemanticTokensRangeParams) else None
        if (known := self._pieces_of(params.text_document.uri, read)) is not None:
            if within is None:
                return pieces.tokens(known)
            return pieces.tokens_between(known, within.start.line, within.end.line)
        found = tokens(read.document, read.nodes)
        if within is not None:
            found = tuple(token for token in found if within.start.line <= token.range.start.line <= within.end.line)
        return packed(found, read.positions)

    def links(self, params: types.DocumentLinkParams) -> list[types.DocumentLink] | None:
        read = self._newest(params.text_document.uri)
        if read is None or read.folder is None:
            return None
        base, tooltips = self._base(read.folder), self._features().link_tooltips
        return links(read.document, read.folder, base, read.positions, tooltips=tooltips)

    async def complete(self, params: types.CompletionParams) -> list[types.CompletionItem] | None:
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        cursor = cursor_at(read.lines, read.positions.place(params.position))
        if cursor is None:
            return None
        folder = read.folder
        near: tuple[NearBase, ...] = ()
        if isinstance(cursor, AtValue) and cursor.path == ("base_model",) and self._supervisor.trusted:
            near = await self._nearby.bases(folder, cursor.text)
        offer = Offer(
            cursor,
            adapter_names(read.document),
            bases=near,
            paths=lambda part: names_below(folder, part) if folder is not None else [],
            snippets=self._features().snippets,
        )
        return complete(offer, read.positions)

    def resolve(self, item: types.CompletionItem) -> types.CompletionItem:
        return resolved(item, self._base(None), markdown=self._features().markdown_completion)

    def definition(self, params: types.DefinitionParams) -> types.Location | None:
        uri = params.text_document.uri
        found = self._adapter(uri, params.position)
        if found is None or found[1].declared is None:
            return None
        return types.Location(uri, found[0].positions.range(found[1].declared))

    def references(self, params: types.ReferenceParams) -> list[types.Location] | None:
        uri = params.text_document.uri
        if (found := self._adapter(uri, params.position)) is None:
            return None
        read, places = found
        chosen = places.all if params.context.include_declaration else places.used
        return [types.Location(uri, read.positions.range(place)) for place in chosen]

    def highlights(self, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        if (found := self._adapter(params.text_document.uri, params.position)) is None:
            return None
        read, places = found
        return [
            types.DocumentHighlight(
                read.positions.range(place),
                types.DocumentHighlightKind.Write if place == places.declared else types.DocumentHighlightKind.Read,
            )
            for place in places.all
        ]

    def prepare_rename(self, params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        read = self._newest(params.text_document.uri)
        found = adapter_at(read.document, read.positions.place(params.position)) if read is not None else None
        if read is None or found is None:
            return None
        return types.PrepareRenamePlaceholder(read.positions.range(found[1]), found[0])

    def rename(self, params: types.RenameParams) -> types.WorkspaceEdit | None:
        """Raises JsonRpcInvalidParams for what cannot be an adapter's name here."""
        uri = params.text_document.uri
        if (found := self._adapter(uri, params.position)) is None:
            raise JsonRpcInvalidParams("Only the names of adapters can be renamed.")
        read, places = found
        name = params.new_name
        if not ADAPTER_NAME.fullmatch(name):
            rule = "a lower-case letter, then at most 31 of a-z, 0-9 and _"
            raise JsonRpcInvalidParams(f"{name!r} is no adapter name: write {rule}.")
        if name != places.name and name in adapter_names(read.document):
            raise JsonRpcInvalidParams(f"There is an adapter {name!r} already.")
        edits = [types.TextEdit(read.positions.range(place), name) for place in places.all]
        return types.WorkspaceEdit(changes={uri: edits})

    def fixes(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        if not self._features().code_action_literals or (read := self._newest(uri)) is None:
            return []
        return fixes(read.document, uri, read.positions, read.positions.places(params.range), params.context)

    def format(
        self, params: types.DocumentFormattingParams | types.DocumentRangeFormattingParams
    ) -> list[types.TextEdit] | None:
        """The client's options are not asked: the format has one layout, with two blanks a level."""
        if (read := self._newest(params.text_document.uri)) is None:
            return None
        within = None
        if isinstance(params, types.DocumentRangeFormattingParams):
            within = read.positions.places(params.range)
        edits = formatted(read.positions.text, read.document, within)
        return [types.TextEdit(read.positions.range(edit.range), edit.text) for edit in edits]

    def _adapter(self, uri: str, position: types.Position) -> tuple[_Read, AdapterPlaces] | None:
        read = self._newest(uri)
        found = adapter_at(read.document, read.positions.place(position)) if read is not None else None
        return None if read is None or found is None else (read, places_of(read.document, found[0]))

    def _newest(self, uri: str) -> _Read | None:
        document = self._documents.get(uri)
        if document is None:
            return None
        self._sync.flush(document)
        text = document.now
        if self._last is None or self._last[0] is not text:
            self._last = (text, self._reading(document, text))
        return self._last[1]

    def _pieces_of(self, uri: str, read: _Read) -> Sequence[tuple[int, Piece]] | None:
        """None for a text that no part of can be taken over, such as one with a broken frontmatter."""
        reading = read.document.reading
        if reading is None:
            return None
        kept = self._pieces.pop(uri, None) or Pieces(self._documents.encoding)
        self._pieces[uri] = kept
        if len(self._pieces) > _KEPT:
            del self._pieces[next(iter(self._pieces))]
        return kept.of(read.document, reading)

    def _reading(self, document: OpenDocument, text: Text) -> _Read:
        parsed = self._supervisor.document(document.path) if document.path is not None else None
        # A file that is open under two URIs may have two unsaved texts; the supervisor has the newer one.
        if parsed is None or parsed.text != normalised(text.text):
            parsed = parse(text.text)
        folder = document.path.parent if document.path is not None and self._supervisor.trusted else None
        return _Read(parsed, text.positions, folder)

    @staticmethod
    def _base(folder: Path | None) -> Callable[[str], BaseFacts | None]:
        return lambda reference: base_facts(reference, folder)
