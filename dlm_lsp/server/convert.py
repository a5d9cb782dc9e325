"""Between the domain's words and the protocol's: positions in the negotiated encoding, and problems."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from dlm_lsp.document import Position, Problem, Range, Related, Severity
from dlm_lsp.document.text import LineIndex, PositionEncoding

SOURCE = "dlm"

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFORMATION: types.DiagnosticSeverity.Information,
    Severity.HINT: types.DiagnosticSeverity.Hint,
}
_ENCODINGS: dict[str, PositionEncoding] = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}


def encoding_of(negotiated: types.PositionEncodingKind | str | None) -> PositionEncoding:
    """The negotiated encoding; the protocol's default UTF-16 for anything that is not known."""
    name = negotiated.value if isinstance(negotiated, types.PositionEncodingKind) else negotiated
    return _ENCODINGS.get(name or "utf-16", "utf-16")


class Positions:
    """Translates places of one text between the domain (code points) and the client (its code units)."""

    def __init__(self, text: str | LineIndex, encoding: PositionEncoding) -> None:
        self._lines = LineIndex(text) if isinstance(text, str) else text
        self._encoding = encoding

    @property
    def text(self) -> str:
        """The text, exactly as the client holds it."""
        return self._lines.text

    def edited(self, start: int, end: int, insert: str) -> Positions:
        """Those of the text with `insert` in place of the characters from `start` to `end`."""
        return Positions(self._lines.edited(start, end, insert), self._encoding)

    def offset(self, position: types.Position) -> int:
        """The offset in code points. Beyond a line's end means that end, beyond the last line the text's."""
        return self._lines.offset(self.place(position))

    def place(self, position: types.Position) -> Position:
        """The client's position in the domain's measure."""
        return self._lines.from_units(position.line, position.character, self._encoding)

    def places(self, given: types.Range) -> Range:
        """The client's range in the domain's measure."""
        return Range(self.place(given.start), self.place(given.end))

    def position(self, place: Position) -> types.Position:
        """A place of the domain as the client counts."""
        return types.Position(place.line, self._lines.to_units(place, self._encoding))

    def plain(self, places: Range) -> dict[str, dict[str, int]]:
        """The same as JSON."""
        start, end = places
        units, encoding = self._lines.to_units, self._encoding
        return {
            "start": {"line": start.line, "character": units(start, encoding)},
            "end": {"line": end.line, "character": units(end, encoding)},
        }

    def range(self, places: Range) -> types.Range:
        """A range of the domain as the client counts."""
        return types.Range(self.position(places.start), self.position(places.end))


def diagnostic(problem: Problem, positions: Positions, uri: str, *, with_related: bool) -> dict[str, Any]:
    """A problem as the client is told it, as JSON: pygls takes twenty times as long with its types, at each keystroke.

    Second places only for clients that declared to show them.
    """
    told: dict[str, Any] = {
        "range": positions.plain(problem.range),
        "severity": _SEVERITIES[problem.severity].value,
        "code": problem.code,
        "source": SOURCE,
        "message": problem.message,
    }
    if problem.related and with_related:
        told["relatedInformation"] = [
            {"location": _location(each, positions, uri), "message": each.message} for each in problem.related
        ]
    return told


def _location(related: Related, positions: Positions, uri: str) -> dict[str, Any]:
    if related.path is not None:  # its columns count as the client does already
        start, end = related.range
        places = {"start": start._asdict(), "end": end._asdict()}
        return {
            "uri": related.path.as_uri(),
            "range": {key: {"line": each["line"], "character": each["column"]} for key, each in places.items()},
        }
    return {"uri": uri, "range": positions.plain(related.range)}


def counted(place: Range) -> types.Range:
    """A range whose columns count as the client does already."""
    return types.Range(types.Position(*place.start), types.Position(*place.end))
