"""The token that opens the endpoint: made anew for each run, or kept where only its owner can read it."""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from pathlib import Path

from dlm_lsp.store import read_regular

VARIABLE = "DLM_TOKEN"
_FIT = re.compile(r"[!-~]{16,512}")


class TokenError(Exception):
    """There is no token to be had; the message says why and what to do."""


def fresh() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def from_environment() -> str | None:
    """The token that `DLM_TOKEN` names, taken out of what other processes inherit. Raises TokenError."""
    given = os.environ.pop(VARIABLE, "")
    return _checked(given, VARIABLE) if given else None


def from_file(path: Path) -> str:
    """The token in the file at `path`, which is made with a fresh one where there is none. Raises TokenError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(fresh() + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise TokenError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        mode, content = path.stat().st_mode, read_regular(path, 4096)
    except OSError as error:
        raise TokenError(f"{path} cannot be read: {error.strerror or error}") from error
    if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
        raise TokenError(f"{path} can be read by others: chmod 600 {path}")
    return _checked(content.decode("ascii", "replace").strip(), str(path))


def _checked(token: str, where: str) -> str:
    if not _FIT.fullmatch(token):
        raise TokenError(f"the token in {where} must be 16 to 512 visible ASCII characters without blanks")
    return token
