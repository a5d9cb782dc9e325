"""Text of documents, files and other hosts made harmless for a terminal and a log: one line stays one line.

An escape sequence can rewrite what a terminal shows or type into it, a line break can pretend to be a record of the
log, and a mark of the writing direction can turn a name around.
"""

from __future__ import annotations

import logging
import sys
import unicodedata

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def escaped(text: str, keep: str = "") -> str:
    """`text` with all that is neither visible, nor a blank, nor in `keep`, as escapes such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in keep or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


class LineFormatter(logging.Formatter):
    """One record a line, whatever its message holds; a traceback follows indented, so that it looks like no record."""

    def format(self, record: logging.LogRecord) -> str:
        head, *more = super().format(_whole_message(record)).split("\n")
        return "\n".join([escaped(head), *(f"    {escaped(line)}" for line in more)])


def log_to_stderr(level: int) -> None:
    """Sends the records of `level` and above to standard error, each on a line of its own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def _whole_message(record: logging.LogRecord) -> logging.LogRecord:
    """The record with its arguments put in and the message's own line breaks escaped."""
    whole = logging.makeLogRecord(record.__dict__)
    whole.msg, whole.args = escaped(record.getMessage()), None
    return whole
