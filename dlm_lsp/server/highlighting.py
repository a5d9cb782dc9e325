"""Semantic tokens: the document's tokens as the protocol packs them (LSP 3.17, "Semantic Tokens")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from lsprotocol import types

from dlm_lsp.document.tokens import Token, TokenKind
from dlm_lsp.server.convert import Positions

LEGEND = types.SemanticTokensLegend(token_types=list(get_args(TokenKind)), token_modifiers=[])
_INDEX = {name: number for number, name in enumerate(LEGEND.token_types)}


def number_of(kind: TokenKind) -> int:
    """A kind's place in the legend."""
    return _INDEX[kind]


def packed(tokens: Iterable[Token], positions: Positions) -> types.SemanticTokens:
    """Five numbers a token: lines and columns since the one before, length, type, no modifiers."""
    data: list[int] = []
    line = column = 0
    for token in tokens:
        place = positions.range(token.range)
        length = place.end.character - place.start.character
        if length <= 0:
            continue
        if place.start.line != line:
            line_step, column_step = place.start.line - line, place.start.character
        else:
            line_step, column_step = 0, place.start.character - column
        data += [line_step, column_step, length, _INDEX[token.kind], 0]
        line, column = place.start.line, place.start.character
    return types.SemanticTokens(data)
