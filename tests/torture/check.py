"""What must be true of a store: at once after a kill, and when the next run has ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlm_lsp.document import parse
from dlm_lsp.store import Store, StoreError
from dlm_lsp.store.versions import WEIGHTS, Checker, check_weights, pointed

_SET_ASIDE = (".damaged-", ".uncommitted-", ".not-applied-", ".foreign-keys-")
_WAITING = ("new", "changed", "waiting", "learning")


class Violation(Exception):  # noqa: N818 - what this program looks for
    """A promise was broken; the message says which."""


@dataclass
class Known:
    """What has been seen to be committed: no kill may lose any of it."""

    current: int | None = None
    committed: set[int] = field(default_factory=set)
    lessons: frozenset[str] = frozenset()  # the current version's ledger


def after_kill(store: Store, known: Known, target: int | None, told: int | None) -> None:
    """Reads the store as the kill left it: the pointer names the old or the new version, and that one is complete.

    `target` is the version that the operation was to make current, `told` the one that the server told of.
    """
    now = pointed(store.layout)
    demand(now in (known.current, target), f"current is {now}, and was {known.current} on the way to {target}")
    if told is not None:
        demand(now == told, f"the server told that version {told} is committed, and current is {now}")
    if now is not None:
        _complete(store, now)
        known.committed.add(now)
        record = store.record(now)
        known.lessons = frozenset(record.ledger.lessons) if record else frozenset()
    known.current = now


def after_revert(store: Store, known: Known, target: int) -> None:
    """The server has told that `target` is current again: everything agrees."""
    after_kill(store, known, target, target)
    manifest, ledger, look = store.manifest(), store.ledger(), store.inspect()
    demand(manifest is not None and manifest.adapter_version == target, "the manifest says another version")
    demand(ledger is not None and ledger.version == target, "the ledger is another version's")
    demand(look.leftovers == () and look.holder is None, f"the revert left something: {look}")


def after_run(store: Store, known: Known, status: Mapping[str, Any], text: str, keep: int, *, full: bool) -> None:
    """The server has ended a run in a store that a kill had hit: everything agrees, and nothing is lost."""
    last = status["last"]
    demand(last is not None and last["outcome"] == "finished", f"the next save did not train: {last}")
    version = status["version"]
    demand(version not in known.committed, f"version {version} was committed before")
    known.committed.add(version)
    try:
        _agrees(store, known, version, text, keep, full=full)
    except StoreError as error:
        raise Violation(f"the store cannot be read: {error}") from error
    learned = status["sections"]
    demand(all(each["state"] not in _WAITING for each in learned), f"sections are not learned: {learned}")
    record = store.record(version)
    assert record is not None
    known.current, known.lessons = version, frozenset(record.ledger.lessons)


def _agrees(store: Store, known: Known, version: int, text: str, keep: int, *, full: bool) -> None:
    look, manifest, record = store.inspect(), store.manifest(), store.record(version)
    demand(look.leftovers == (), f"left over: {look.leftovers}")
    demand(look.holder is None, f"still locked: {look.holder}")
    demand(look.version is not None and look.version.number == version, f"current is {look.version}")
    _complete(store, version)
    demand(manifest is not None, "there is no manifest")
    demand(record is not None, f"version {version} has no record")
    assert manifest is not None
    assert record is not None
    demand(manifest.adapter_version == version, f"the manifest says version {manifest.adapter_version}")
    hashes, sections = set(manifest.content_hashes), {each.section_id for each in parse(text).sections}
    _equal(hashes, sections, "the manifest's and the document's sections")
    _equal(hashes, set(record.content_hashes), "the manifest's and the record's sections")
    _equal(hashes, store.replay().ids(), "the manifest's and the replay corpus' sections")
    _equal({each.section_id for each in store.replay().read()}, hashes, "the replay corpus and its index")
    _equal({run.adapter_version for run in manifest.training_runs}, known.committed, "the manifest's runs and ours")
    journal = [entry.version for entry in store.journal() if entry.event == "finished"]
    _equal(sorted(journal), sorted(known.committed), "the journal's runs and ours")
    lessons = {lesson.identity for section in parse(text).sections for lesson in section.lessons}
    demand(lessons <= set(record.ledger.lessons), "the ledger lacks lessons of the document")
    demand(full or known.lessons <= set(record.ledger.lessons), "the run did not continue what was current")
    demand(record.ledger.version == version, f"the ledger is of version {record.ledger.version}")
    kept = [each.number for each in store.versions()]
    demand(len(kept) == min(keep, len(known.committed)), f"versions {kept} are kept instead of {keep}")
    aside = [path.name for path in store.root.rglob("*") if any(mark in path.name for mark in _SET_ASIDE)]
    demand(aside == [], f"a kill damaged something: {aside}")


def _complete(store: Store, number: int) -> None:
    """The version's files are as recorded, its weights load and are finite, its state matches its digest."""
    fault = Checker().fault(store.layout, number)
    demand(fault is None, f"version {number} is not complete: {fault}")
    demand(store.record(number) is not None, f"version {number} has no record")
    folder = store.layout.version(number)
    try:
        check_weights((folder / WEIGHTS).read_bytes())
    except StoreError as error:
        raise Violation(str(error)) from error
    version = next(each for each in store.versions() if each.number == number)
    demand(store.training_state(version) is not None, f"the training state of version {number} is damaged")


def _equal(ours: Collection[Any], theirs: Collection[Any], what: str) -> None:
    demand(ours == theirs, f"{what} differ: {ours} and {theirs}")


def demand(holds: bool, otherwise: str) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(otherwise)
