"""The code lens "Ask" above each question of the instruction sections. Pure."""

from __future__ import annotations

import itertools

from lsprotocol import types

from dlm_lsp.document import Document
from dlm_lsp.server.commands import Command

# Nobody looks at more, and a document may have thousands; what is beyond them is asked through `dlm/ask`.
MOST = 1000

# The command of a client that shows the answer itself; the same argument as `dlm.ask`.
IN_EDITOR = "dlm.askInEditor"


def ask_lenses(uri: str, document: Document, *, in_editor: bool) -> list[types.CodeLens]:
    """One a question, where there is somebody to ask. `in_editor`: the client has the command `dlm.askInEditor`."""
    if document.frontmatter is None:
        return []
    lines = (
        exchange.range.start.line
        for section in document.sections
        if section.kind == "instruction"
        for exchange in section.exchanges
    )
    command = IN_EDITOR if in_editor else Command.ASK.value
    return [
        types.CodeLens(
            range=types.Range(place, place),
            command=types.Command(
                title="Ask",
                command=command,
                arguments=[{"uri": uri, "position": {"line": place.line, "character": 0}}],
            ),
        )
        for place in (types.Position(line, 0) for line in itertools.islice(lines, MOST))
    ]
