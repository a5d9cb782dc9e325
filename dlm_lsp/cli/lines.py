"""Lines of standard input, read beside the event loop, so that a signal need not wait for the next one."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

_CHUNK = 64 * 1024
_LONGEST = 2**20  # characters; a longer line is several


async def lines() -> AsyncIterator[str]:
    """Each line of standard input without its end; the last one may have none."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()
    encoding, errors = sys.stdin.encoding, sys.stdin.errors or "strict"

    def hand(text: str | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, text)

    def read() -> None:
        """Raw reads: a thread that holds a buffered stream's lock would abort the interpreter's end."""
        decoder, begun = codecs.getincrementaldecoder(encoding)(errors), ""
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            try:
                while chunk := os.read(0, _CHUNK):
                    *whole, begun = (begun + decoder.decode(chunk)).replace("\r\n", "\n").split("\n")
                    for line in whole:
                        hand(line)
                    if len(begun) > _LONGEST:
                        hand(begun)
                        begun = ""
            except (OSError, ValueError):  # the input is gone, or no text
                pass
            if begun:
                hand(begun)
            hand(None)

    # A daemon: a read that never returns must not keep the process.
    threading.Thread(target=read, name="dlm-lines", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
