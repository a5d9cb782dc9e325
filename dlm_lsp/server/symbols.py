"""`workspace/symbol`: documents, headings, questions and sections of all `.dlm` files, the best matches first."""

from __future__ import annotations

import asyncio
import heapq
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.document.entry import Entry, EntryKind, EntrySymbol
from dlm_lsp.document.fuzzy import score
from dlm_lsp.document.model import Position, Range
from dlm_lsp.runs.workspace import Workspace
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.convert import counted

MOST = 200  # answers: nobody reads on, and the next letter narrows them
_KEPT = 20 * MOST  # matches that are gathered before the best of them are chosen
_SLICE = 500  # symbols that are looked at before others get their turn on the loop
_PATIENCE = 5.0  # seconds that the first reading of the folders may take before what is known is answered

_KINDS: dict[EntryKind, types.SymbolKind] = {
    "section": types.SymbolKind.Class,
    "exchange": types.SymbolKind.Function,
    "heading": types.SymbolKind.String,
}
_START = Range(Position(0, 0), Position(0, 0))
_Match = tuple[int, int, Path, EntrySymbol | None]


class Symbols:
    def __init__(self, workspace: Workspace, features: Features) -> None:
        self._workspace = workspace
        self._features = features

    async def find(self, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
        """The best matches; for an empty query the documents themselves come first."""
        self._workspace.glance()
        if not self._workspace.known:
            await asyncio.wait([asyncio.ensure_future(self._workspace.settled())], timeout=_PATIENCE)
        await self._workspace.complete()
        found: list[_Match] = []
        seen = 0
        for path in list(self._workspace.paths()):
            entry = self._workspace.entry(path)
            if entry is None:
                continue
            found += _matches(params.query, path, entry)
            if len(found) > _KEPT:
                found = _best(found)
            seen += len(entry.symbols)
            if seen >= _SLICE:
                seen = 0
                await asyncio.sleep(0)
        return [self._told(path, symbol) for _, _, path, symbol in _best(found)]

    async def resolve(self, told: types.WorkspaceSymbol) -> types.WorkspaceSymbol:
        """The place as it is now: what was written above may have moved it."""
        wanted = _sent(told.data)
        if wanted is None:
            return told
        await self._workspace.complete()
        path, line = wanted
        entry = self._workspace.entry(path)
        same = [each for each in entry.symbols if each.name == told.name] if entry is not None else []
        place = min((each.range for each in same), key=lambda each: abs(each.start.line - line), default=_START)
        told.location = types.Location(told.location.uri, counted(place))
        return told

    def _told(self, path: Path, symbol: EntrySymbol | None) -> types.WorkspaceSymbol:
        uri = path.as_uri()
        place = symbol.range if symbol is not None else _START
        lazy = self._features().lazy_symbols
        return types.WorkspaceSymbol(
            location=types.LocationUriOnly(uri) if lazy else types.Location(uri, counted(place)),
            name=symbol.name if symbol is not None else path.stem,
            kind=_KINDS[symbol.kind] if symbol is not None else types.SymbolKind.File,
            container_name=path.name if symbol is not None else path.parent.name,
            data={"path": str(path), "line": place.start.line} if lazy else None,
        )


def _best(found: list[_Match]) -> list[_Match]:
    return heapq.nlargest(MOST, found, key=lambda match: match[:2])


def _matches(query: str, path: Path, entry: Entry) -> list[_Match]:
    """Score, and what breaks a tie: documents before their parts, earlier parts before later ones."""
    found: list[_Match] = []
    if (value := score(query, path.stem)) is not None:
        found.append((value, 1, path, None))
    for number, symbol in enumerate(entry.symbols):
        if (value := score(query, symbol.name)) is not None:
            found.append((value, -number, path, symbol))
    return found


def _sent(data: Any) -> tuple[Path, int] | None:
    """What a lazy symbol carried, if it is ours; only documents of the index are looked up by it."""
    if isinstance(data, dict) and isinstance(data.get("path"), str) and isinstance(data.get("line"), int):
        return Path(data["path"]), data["line"]
    return None
