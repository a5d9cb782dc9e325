"""What the records of the versions tell of each lesson, in bounded space, whatever was pruned or reverted."""

from __future__ import annotations

import dataclasses
import os

import pytest

from dlm_lsp.store import FailedRun, Histories, Known, Ledger, Store
from dlm_lsp.store import history as histories
from dlm_lsp.store.history import MAX_RECORDS
from tests.store.store_helpers import a_commit, held

A, B = "a" * 16, "b" * 16


@pytest.fixture(autouse=True)
def no_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def known(version: int, seen: int, after: float) -> Known:
    return Known(version, seen, True, True, "c" * 16, "d" * 16, "2026-02-02T02:40:00Z", 2.5, after)


def commit(store: Store, step: int, lessons: dict[str, Known], *, keep: int = 100, full: bool = False) -> int:
    what = dataclasses.replace(a_commit(step, keep=keep, full=full), ledger=Ledger(lessons=lessons))
    with held(store) as lock:
        store.recover(lock)
        return store.commit(lock, what).number


def story(store: Store, identity: str) -> list[tuple[int, str, float | None]]:
    past = store.chronicle(Histories()).past.get(identity, ())
    return [(each.version, each.kind, each.loss_after) for each in past]


def test_learned_then_rehearsed(store: Store) -> None:
    commit(store, 1, {A: known(0, 4, 0.5)})
    commit(store, 2, {A: known(1, 4, 0.5), B: known(0, 2, 0.4)})
    commit(store, 3, {A: known(1, 6, 0.3), B: known(2, 2, 0.4)})
    assert story(store, A) == [(1, "learned", 0.5), (3, "rehearsed", 0.3)]
    assert story(store, B) == [(2, "learned", 0.4)]
    assert list(store.chronicle(Histories()).wordings["c" * 16]) == [A, B]


def test_of_a_pruned_version_the_ledgers_still_tell_when_it_learned(store: Store) -> None:
    commit(store, 1, {A: known(0, 4, 0.5)})
    for step in (2, 3, 4):
        commit(store, step, {A: known(1, 4 + step, 0.5 / step)}, keep=2)
    assert [version.number for version in store.versions()] == [3, 4]
    assert story(store, A) == [(1, "learned", None), (4, "rehearsed", 0.125)]


def test_a_full_retrain_begins_a_story_anew_and_undoes_nothing(store: Store) -> None:
    commit(store, 1, {A: known(0, 4, 0.5)})
    commit(store, 2, {A: known(0, 9, 0.2)}, full=True)
    past = store.chronicle(Histories()).past[A]
    assert [(each.version, each.full, each.undone) for each in past] == [(1, False, False), (2, True, False)]


def test_versions_that_a_revert_went_behind_are_undone(store: Store) -> None:
    commit(store, 1, {A: known(0, 4, 0.5)})
    commit(store, 2, {A: known(1, 6, 0.4), B: known(0, 2, 0.4)})
    with held(store) as lock:
        store.revert(lock, 1)
    commit(store, 3, {A: known(1, 5, 0.45)})
    past = store.chronicle(Histories()).past
    assert [(each.version, each.kind, each.undone) for each in past[A]] == [
        (1, "learned", False),
        (2, "rehearsed", True),
        (3, "rehearsed", False),
    ]
    assert [each.undone for each in past[B]] == [True]
    (store.layout.journal).unlink()
    assert not any(each.undone for each in store.chronicle(Histories()).past[A]), "nobody knows then"


def test_only_new_records_are_read_and_only_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = histories.versions.read_record
    for step in range(1, MAX_RECORDS + 4):
        commit(store, step, {A: known(0 if step == 1 else 1, 4 + step, 0.5)})
    monkeypatch.setattr(histories.versions, "read_record", lambda layout, n: (read.append(n), real(layout, n))[1])
    kept = Histories()
    store.chronicle(kept)
    assert read == list(range(4, MAX_RECORDS + 4))
    store.chronicle(kept)
    assert len(read) == MAX_RECORDS, "nothing changed"
    monkeypatch.undo()
    commit(store, 30, {A: known(1, 99, 0.5)})
    monkeypatch.setattr(histories.versions, "read_record", lambda layout, n: (read.append(n), real(layout, n))[1])
    store.chronicle(kept)
    assert read[MAX_RECORDS:] == [MAX_RECORDS + 4]


def test_a_damaged_record_and_a_damaged_journal_are_passed_over(store: Store) -> None:
    commit(store, 1, {A: known(0, 4, 0.5)})
    commit(store, 2, {A: known(1, 6, 0.4)})
    store.layout.record(1).write_bytes(b"{")
    store.layout.journal.write_bytes(b"\x00\xff\n[]\n")
    assert story(store, A) == [(1, "learned", None)]


def test_a_store_without_versions_has_no_history_and_is_not_made(store: Store) -> None:
    assert not store.chronicle(Histories()).past
    assert not store.exists()


def test_a_failed_run_is_kept_until_one_does_not_fail_or_a_version_is_newer(store: Store) -> None:
    number = commit(store, 1, {A: known(0, 4, 0.5)})
    record = store.record(number)
    assert record is not None
    failed = FailedRun(record.run.ended_at + 1, "cycle", "base-missing", frozenset({A, B}))
    store.note_failure(failed)
    assert store.failed() == failed
    store.note_failure(None)
    store.note_failure(None)
    assert store.failed() is None
    store.note_failure(dataclasses.replace(failed, at=record.run.ended_at - 1))
    assert store.failed() is None
    for content in (b"", b"[]", b'{"at": 1e12}', b'{"at":1e9,"kind":"cycle","code":"a\\n<b>","lessons":[]}'):
        store.layout.failed.write_bytes(content)
        assert store.failed() is None


def test_of_a_store_that_was_never_made_no_failure_is_kept(store: Store) -> None:
    store.note_failure(FailedRun(1e9, "cycle", "disk-full", frozenset()))
    assert not store.exists()
