"""How the server is imported when an editor starts it: less, and everything is as usual afterwards."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os
import attrs
from dlm_lsp.server.starting import lightly

define = attrs.define
with lightly():
    import dlm_lsp.server.serve
assert gc.isenabled() and gc.get_freeze_count() > 100_000
assert attrs.define is define
from lsprotocol import types
one, other = (types.HoverParams(types.TextDocumentIdentifier("a"), types.Position(1, 2)) for _ in range(2))
assert one == other != types.HoverParams(types.TextDocumentIdentifier("b"), types.Position(1, 2))
assert types.TextDocumentIdentifier.__repr__ is object.__repr__
print("sound")
"""


def test_what_is_imported_lightly_is_whole() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("sound\n", "")
