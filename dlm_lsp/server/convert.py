"""Between the domain's words and the protocol's: positions in the negotiated encoding, and problems."""

from __future__ import annotations

from lsprotocol import types

from dlm_lsp.document import Position, Problem, Range, Severity
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

    def position(self, place: Position) -> types.Position:
        """A place of the domain as the client counts."""
        return types.Position(place.line, self._lines.to_units(place, self._encoding))

    def range(self, places: Range) -> types.Range:
        """A range of the domain as the client counts."""
        return types.Range(self.position(places.start), self.position(places.end))


def diagnostic(problem: Problem, positions: Positions, uri: str, *, with_related: bool) -> types.Diagnostic:
    """A problem as the client is told it. Second places only for clients that declared to show them."""
    related = [
        types.DiagnosticRelatedInformation(types.Location(uri, positions.range(each.range)), each.message)
        for each in problem.related
    ]
    return types.Diagnostic(
        range=positions.range(problem.range),
        message=problem.message,
        severity=_SEVERITIES[problem.severity],
        code=problem.code,
        source=SOURCE,
        related_information=related if related and with_related else None,
    )
