"""How every command ends: signals, what is to be done then, and a terminal left as it was found."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from dlm_lsp._teardown import Teardown

_SHOW_CURSOR = b"\x1b[?25h"


@contextlib.asynccontextmanager
async def ending(ctrl_c: Callable[[], bool] | None = None) -> AsyncIterator[Teardown]:
    """The teardown of one command, whose steps are done when the block ends, whatever ended it.

    The block has to end once the teardown has begun. `ctrl_c` hears a Ctrl-C first, and says whether it was for
    something smaller than the end.
    """
    teardown = Teardown(leave=_leaving())
    teardown.heed_signals(ctrl_c)
    try:
        yield teardown
    finally:
        await teardown.run()
        if teardown.unfinished:
            # A daemon thread is inside a library, which the interpreter's own end would tear down beneath it.
            _leaving()(teardown.code or 1)


def _leaving() -> Callable[[int], None]:
    """Leaves at once; a prompt line or a bar may have hidden the cursor and what is typed."""
    try:
        import termios

        found: list[Any] | None = termios.tcgetattr(0)
    except Exception:  # Windows, or no terminal
        found = None

    def leave(code: int) -> None:
        if found is not None:
            with contextlib.suppress(Exception):
                termios.tcsetattr(0, termios.TCSANOW, found)
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            with contextlib.suppress(OSError):
                os.write(1, _SHOW_CURSOR)
        os._exit(code)

    return leave
