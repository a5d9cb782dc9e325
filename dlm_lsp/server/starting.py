"""Imports the server in less time: an editor waits for its first answer that long."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def lightly() -> Iterator[None]:
    """Inside, imports leave out what a server does not use.

    Half of a start is lsprotocol's five hundred classes, for each of which attrs compiles methods. Here they get no
    text form of their own, which is a quarter of that. Garbage is not looked for: next to nothing of what is imported
    ever dies. Pydantic does not search what is installed for plugins.
    """
    import attrs

    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    define: Callable[..., Any] = attrs.define
    attrs.define = lambda *arguments, **named: define(*arguments, **{"repr": False, **named})
    gc.disable()
    try:
        yield
    finally:
        attrs.define = define
        gc.freeze()  # before it is switched on: otherwise the first collection looks at all that was imported
        gc.enable()
