"""The files that a document takes in through `training.sources`: which, in what order, and which not."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from heapq import nsmallest
from pathlib import Path

from dlm_lsp.document import Document, Position, Problem, Range, Section, Severity
from dlm_lsp.document.schema import SourceDirective
from dlm_lsp.document.sourced import sourced_section
from dlm_lsp.runs.globs import Glob, any_matches
from dlm_lsp.store import read_beneath

MAX_FILES = 10_000
MAX_BYTES = 256 * 2**20
MAX_ENTRIES = 200_000
"""What one document may take in, and how many directory entries are looked at for it."""

_TOOLS = (
    *(".git", ".hg", ".svn", ".bzr", ".dlm"),
    *("__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"),
    *(
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "Cargo.lock",
        "uv.lock",
        "poetry.lock",
        "Pipfile.lock",
    ),
    *("*.min.js", "*.min.css", "*.map"),
)
_SECRETS = (
    *(".env", ".env.*", ".envrc", ".netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", ".git-credentials"),
    *("secrets.*", "credentials", "credentials.*"),
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store"),
    *(
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "*.pem",
        "*.key",
        "*.p12",
        "*.pfx",
        "*.jks",
        "*.keystore",
        "*.ppk",
        "*.kdbx",
    ),
)
# In any letter case: to some file systems `.ENV` is `.env`.
_TOOL = re.compile("|".join(translate(name) for name in _TOOLS), re.IGNORECASE)
_SECRET = re.compile("|".join(translate(name) for name in _SECRETS), re.IGNORECASE)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY( BLOCK)?-----|^PuTTY-User-Key-File-", re.MULTILINE)
_SHOWN = 3  # names that a message gives
_GLOBS_OF_AN_ENTRY = 16  # matching this many globs counts as looking at one more directory entry


@dataclass(frozen=True, slots=True)
class Sourced:
    """`sections` in the order of the directives, then of paths; `fingerprint`: 16 hex digits over them."""

    sections: tuple[Section, ...]
    problems: tuple[Problem, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why something is left out."""

    code: str
    severity: Severity
    message: str


_INFORMATION, _WARNING = Severity.INFORMATION, Severity.WARNING
_MISSING = _Reason("source-missing", _WARNING, "There is no such file or directory, so nothing is learned from it")
_OUTSIDE = _Reason(
    "source-outside", _WARNING, "Left out as outside the document's directory, since sources_policy is strict"
)
_UNREADABLE = _Reason("source-unreadable", _WARNING, "Left out, as it cannot be read")
_EMPTY = _Reason("source-empty", _WARNING, "No file is taken; check include and exclude")
_LIMIT = _Reason(
    "source-limit",
    _WARNING,
    f"A document takes at most {MAX_FILES:,} files and {MAX_BYTES >> 20} MiB: narrow its sources. Left out",
)
_SETTINGS = _Reason(
    "source-settings",
    _WARNING,
    "Settings in the directory have no effect; write include and exclude here instead",
)
_LIKELY_SECRET = _Reason("source-secret", _WARNING, "Left out as a likely secret; name it in include to take it")
_TOOL_FILE = _Reason("source-tool-file", _INFORMATION, "Left out as a tool's own; name it in include to take it")
_LINK = _Reason("source-link", _INFORMATION, "Left out, as links to directories are not followed")
_NOT_TEXT = _Reason("source-not-text", _INFORMATION, "Left out, as it is not text in UTF-8")
_LARGE = _Reason("source-too-large", _INFORMATION, "Left out, as larger than max_bytes_per_file")
_MANY = _Reason("source-max-files", _INFORMATION, "max_files is reached; left out from")
_TWICE = _Reason("source-twice", _INFORMATION, "Already taken by an earlier source")


def expand(document: Document, path: Path) -> Sourced:
    """Reads the files that `training.sources` of the document at `path` names.

    Relative directives begin at the document's directory, or at its parent when it is called `.dlm`. The globs
    of `include` and `exclude` are matched against the path below the directive. All else that is left out is told, as a
    problem on its directive. The document itself is never taken.
    """
    if document.frontmatter is None or not document.frontmatter.training.sources:
        return Sourced((), (), _fingerprint(()))
    training = document.frontmatter.training
    intake, home = _begin(path, training.sources_policy)
    problems: list[Problem] = []
    for index, directive in enumerate(training.sources or ()):
        source = _Source(directive, intake)
        source.take(home)
        problems += source.problems(place_of(document, index))
    return Sourced(tuple(intake.sections), tuple(problems), _fingerprint(intake.sections))


def look(directive: SourceDirective, policy: str, path: Path) -> tuple[Problem, ...]:
    """Why nothing at all is taken through `directive` of the document at `path`; their place is left to the caller."""
    intake, home = _begin(path, policy)
    source = _Source(directive, intake)
    source.look(home)
    return source.problems(Range(Position(0, 0), Position(0, 0)))


def _begin(path: Path, policy: str) -> tuple[_Intake, Path]:
    """What holds for all directives of the document at `path`, and where relative ones begin."""
    own, home = path.resolve(), home_of(path)
    return _Intake(own, home if policy == "strict" else None), home


def home_of(path: Path) -> Path:
    """Where relative directives of the document at `path` begin."""
    folder = path.resolve().parent
    return folder.parent if folder.name == ".dlm" else folder


def relative(path: str | Path, folder: Path) -> str | None:
    """`path` as seen from `folder`, with `/`; None if it is on another drive, or more than two folders up."""
    try:
        near = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return None
    return None if near.startswith("../../../") else near


class _Intake:
    """What a document has taken in so far, over all directives. `fence`: nothing outside of it is read."""

    def __init__(self, own: Path, fence: Path | None) -> None:
        self.own = own
        self.fence = fence
        self.sections: list[Section] = []
        self.bytes = 0
        self.entries = 0
        self.full = False
        self.seen: set[Path] = set()


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    relative: str  # to the directive's directory, with `/`
    named: bool  # by the author: then it is taken though it looks like a secret


class _Source:
    """One directive: finds its files, reads them, and notes what is left out and why."""

    def __init__(self, directive: SourceDirective, intake: _Intake) -> None:
        self.left_out: dict[_Reason, list[str]] = {}
        self._directive = directive
        self._intake = intake
        self._include = [Glob(pattern) for pattern in directive.include]
        self._exclude = [Glob(pattern) for pattern in directive.exclude]
        self._effort = 1 + (len(self._include) + len(self._exclude)) // _GLOBS_OF_AN_ENTRY

    def take(self, home: Path) -> None:
        root = self._root(home)
        if root is not None and not self._take_files(root) and not self.left_out:
            self._leave(_EMPTY, self._directive.path)

    def look(self, home: Path) -> None:
        """Notes only what keeps anything at all from being taken; no file is opened."""
        root = self._root(home)
        if root is not None and next(self._files(root), None) is None:
            self.left_out = {_EMPTY: [self._directive.path]}

    def _root(self, home: Path) -> Path | None:
        written = self._directive.path
        try:
            root = (home / Path(written).expanduser()).resolve()
            exists = root.exists()
        except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, a home that cannot be found
            exists = False
        if not exists:
            self._leave(_MISSING, written)
        elif not self._inside(root):
            self._leave(_OUTSIDE, written)
        elif self._intake.full:
            self._leave(_LIMIT, written)
        else:
            return root
        return None

    def _take_files(self, root: Path) -> int:
        taken = 0
        limit = self._directive.max_files
        for file in self._files(root):
            if limit is not None and taken >= limit:
                self._leave(_MANY, file.relative)
                break
            section = self._read(file)
            if self._intake.full:
                break
            if section is not None:
                self._intake.sections.append(section)
                taken += 1
        return taken

    def _files(self, root: Path) -> Iterator[_File]:
        """The files that include and exclude choose, in the order of their paths, name by name."""
        if root.is_file():
            if self._chosen([root.name]):
                yield _File(root, root.name, named=True)
            return
        for entry, parts in self._walk(root):
            if not self._chosen(parts):
                continue
            named = self._named(entry.name)
            if not named and _TOOL.match(entry.name):
                self._leave(_TOOL_FILE, "/".join(parts))
            elif not named and _SECRET.match(entry.name):
                self._leave(_LIKELY_SECRET, "/".join(parts))
            else:
                yield _File(Path(entry.path), "/".join(parts), named)

    def _walk(self, root: Path) -> Iterator[tuple[os.DirEntry[str], tuple[str, ...]]]:
        """Every file below `root`; directories that no file can be chosen from are not entered."""
        pending = [iter(self._entries(root, ()))]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
                continue
            entry, parts = found
            self._intake.entries += self._effort
            if self._intake.entries > MAX_ENTRIES:
                self._leave(_LIMIT, "/".join(parts))
                self._intake.full = True
                return
            try:
                is_folder, leads_to_folder, is_file = (
                    entry.is_dir(follow_symlinks=False),
                    entry.is_dir(),
                    entry.is_file(),
                )
            except OSError as error:  # such as a link to itself
                self._leave(_UNREADABLE, f"{'/'.join(parts)} ({error.strerror})")
                continue
            if is_folder:
                if self._enters(entry, parts):
                    pending.append(iter(self._entries(Path(entry.path), parts)))
            elif leads_to_folder:
                self._leave(_LINK, "/".join(parts))
            elif is_file:
                yield entry, parts

    def _entries(self, directory: Path, parts: tuple[str, ...]) -> list[tuple[os.DirEntry[str], tuple[str, ...]]]:
        try:
            with os.scandir(directory) as entries:
                most = max(1, MAX_ENTRIES - self._intake.entries + 1)  # one more than will be looked at
                first = nsmallest(most, entries, key=lambda entry: entry.name)
                return [(entry, (*parts, entry.name)) for entry in first]
        except OSError as error:
            self._leave(_UNREADABLE, f"{'/'.join(parts) or self._directive.path} ({error.strerror})")
            return []

    def _enters(self, directory: os.DirEntry[str], parts: tuple[str, ...]) -> bool:
        if any(glob.covers(parts) for glob in self._exclude):
            return False
        if directory.name == ".dlm":
            for name in ("training.yaml", "ignore"):
                if Path(directory.path, name).is_file():
                    self._leave(_SETTINGS, f"{'/'.join(parts)}/{name}")
        if _TOOL.match(directory.name) and not self._named(directory.name):
            self._leave(_TOOL_FILE, f"{'/'.join(parts)}/")
            return False
        if _SECRET.match(directory.name) and not self._named(directory.name):
            self._leave(_LIKELY_SECRET, f"{'/'.join(parts)}/")
            return False
        return True

    def _read(self, file: _File) -> Section | None:
        """The section of one file; None with the reason noted (the document itself: without a word)."""
        intake = self._intake
        try:
            file.relative.encode()
            real = file.path.resolve()
            if real == intake.own:
                return None
            reason = self._refusal(real, real.lstat().st_size)
            data = b"" if reason else read_beneath(real, intake.fence, self._room())
        except UnicodeEncodeError:
            self._leave(_UNREADABLE, f"{file.relative!a} (its name is not in UTF-8)")
            return None
        except OSError as error:
            if error.errno != errno.EFBIG:
                self._leave(_UNREADABLE, f"{file.relative} ({error.strerror})")
                return None
            reason, data = self._too_long(), b""  # it has grown since the look at its size
        if reason is None:
            text = _text(data)
            if text is None:
                reason = _NOT_TEXT
            elif not file.named and _PRIVATE_KEY.search(data):
                reason = _LIKELY_SECRET
            else:
                intake.seen.add(real)
                intake.bytes += len(data)
                return sourced_section(file.relative, text)
        self._leave(reason, file.relative)
        return None

    def _refusal(self, real: Path, size: int) -> _Reason | None:
        """Why a file is not even opened."""
        if real in self._intake.seen:
            return _TWICE
        if not self._inside(real):
            return _OUTSIDE
        if len(self._intake.sections) >= MAX_FILES:
            self._intake.full = True
        if size > self._room():
            return self._too_long()
        return _LIMIT if self._intake.full else None

    def _room(self) -> int:
        """The most bytes that the next file may have."""
        limit = self._directive.max_bytes_per_file
        left = MAX_BYTES - self._intake.bytes
        return left if limit is None else min(limit, left)

    def _too_long(self) -> _Reason:
        """Which bound a file breaks that is longer than `_room`."""
        return _LARGE if self._room() == self._directive.max_bytes_per_file else _LIMIT

    def _inside(self, real: Path) -> bool:
        return self._intake.fence is None or real.is_relative_to(self._intake.fence)

    def _chosen(self, parts: Sequence[str]) -> bool:
        return any_matches(self._include, parts) and not any_matches(self._exclude, parts)

    def _named(self, name: str) -> bool:
        return any(glob.spells(name) for glob in self._include)

    def problems(self, place: Range) -> tuple[Problem, ...]:
        return tuple(
            Problem(reason.code, reason.severity, f"{reason.message}: {_listed(names)}.", place)
            for reason, names in self.left_out.items()
        )

    def _leave(self, reason: _Reason, name: str) -> None:
        self.left_out.setdefault(reason, []).append(name)


def _text(data: bytes) -> str | None:
    """What `data` says, None when it is not text in UTF-8."""
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) + more).encode(errors="backslashreplace").decode()


def place_of(document: Document, index: int) -> Range:
    """Where directive `index` stands, as narrow as it is known."""
    for key in (
        ("training", "sources", index, "path"),
        ("training", "sources", index),
        ("training", "sources"),
    ):
        if (place := document.keys.get(key)) is not None:
            return place.value
    return document.frontmatter_range or Range(Position(0, 0), Position(0, 0))


def _fingerprint(sections: Sequence[Section]) -> str:
    return hashlib.sha256("\n".join(section.section_id for section in sections).encode()).hexdigest()[:16]
