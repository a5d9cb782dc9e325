"""Where a store is and what stands where in it: the original's layout, and ours alone in `lsp/`."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from dlm_lsp.store.errors import StoreError

_DLM_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_VERSION_NAME = re.compile(r"v(\d{4,})")
_NUMBERED_NAME = re.compile(r"v(\d{4,})(?!\d)")


def dlm_home(override: str | Path | None = None) -> Path:
    """The folder of all stores: `override`, else `$DLM_HOME`, else `%APPDATA%\\dlm` (Windows) or `~/.dlm`.

    An empty value counts as not given. `~` is expanded and links are resolved; nothing is created.
    """
    given = str(override or "") or os.environ.get("DLM_HOME", "")
    if given:
        home = Path(given)
    elif sys.platform == "win32" and os.environ.get("APPDATA"):
        home = Path(os.environ["APPDATA"]) / "dlm"
    else:
        home = Path("~/.dlm")
    return home.expanduser().resolve()


def path_text(path: Path) -> str:
    """The path as text that JSON can hold: its bytes as UTF-8, also where the locale is another or they are none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def version_name(number: int) -> str:
    """`7` → `v0007`."""
    return f"v{number:04d}"


def version_number(name: str) -> int | None:
    """`v0007` → `7`; None for any other name, such as `v0007-rejected`."""
    match = _VERSION_NAME.fullmatch(name)
    return int(match[1]) if match else None


def mentioned_number(name: str) -> int:
    """The number that a name such as `v0007` or `v0007-rejected` has used up; 0 for any other name."""
    match = _NUMBERED_NAME.match(name)
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store. Computing them touches nothing."""

    root: Path

    @classmethod
    def of(cls, home: Path, dlm_id: str) -> Layout:
        """The layout of document `dlm_id` under `home`. Raises StoreError `bad-id` for what is no such id."""
        if not _DLM_ID.fullmatch(dlm_id):
            raise StoreError(f"{dlm_id!r} is no dlm_id: 26 characters from 0-9 and A-Z without I, L, O, U", "bad-id")
        return cls(home / "store" / dlm_id)

    @property
    def dlm_id(self) -> str:
        return self.root.name

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def dlm_lock(self) -> Path:
        return self.root / "dlm.lock"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def adapter(self) -> Path:
        return self.root / "adapter"

    @property
    def current(self) -> Path:
        return self.adapter / "current.txt"

    @property
    def versions(self) -> Path:
        return self.adapter / "versions"

    def version(self, number: int) -> Path:
        return self.versions / version_name(number)

    @property
    def replay(self) -> Path:
        return self.root / "replay"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def ours(self) -> Path:
        """What other tools do not know."""
        return self.root / "lsp"

    @property
    def system_lock(self) -> Path:
        return self.ours / "lock"

    @property
    def intent(self) -> Path:
        return self.ours / "intent.json"

    @property
    def journal(self) -> Path:
        return self.ours / "journal.jsonl"

    @property
    def failed(self) -> Path:
        return self.ours / "failed.json"

    @property
    def curves(self) -> Path:
        return self.ours / "curves.jsonl"

    @property
    def live(self) -> Path:
        """Where servers that have this document can be listened to."""
        return self.ours / "live"

    @property
    def records(self) -> Path:
        return self.ours / "versions"

    def record(self, number: int) -> Path:
        return self.records / f"{version_name(number)}.json"
