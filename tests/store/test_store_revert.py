"""Reverting: one flip of the pointer, complete or not at all, and everything that is said follows it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dlm_lsp.store import Store, StoreError
from tests.store.store_helpers import DLM_ID, assert_sound, held, run, step_of
from tests.store.test_store_crash import Crash, after_crash, faults_until_done, template


@pytest.fixture(autouse=True)
def no_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def revert(store: Store, number: int | None = None) -> int:
    """One whole revert: lock, recover, flip."""
    with held(store) as lock:
        store.recover(lock)
        return store.revert(lock, number).number


def test_an_earlier_version_is_current_again_with_what_it_knew(store: Store) -> None:
    for step in (1, 2, 3):
        run(store, step)
    assert revert(store) == 2
    current, ledger, manifest, record = store.current(), store.ledger(), store.manifest(), store.record(2)
    assert current is not None
    assert ledger is not None
    assert manifest is not None
    assert record is not None
    assert (current.number, step_of(current), ledger.version, manifest.adapter_version) == (2, 2, 2, 2)
    assert set(manifest.content_hashes) == set(record.content_hashes)
    assert [each.adapter_version for each in manifest.training_runs] == [1, 2, 3], "no run is forgotten"
    assert store.inspect().leftovers == ()
    assert (store.journal()[-1].event, store.journal()[-1].version) == ("reverted", 2)

    assert revert(store) == 1
    assert revert(store, 3) == 3, "a newer one can be chosen again"
    assert assert_sound(store) == 3
    revert(store, 1)
    assert run(store, 4).number == 4, "a number is never used twice"


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (9, "there is no version v0009; there are v0001, v0002"),
        (2, "v0002 is current already"),
        (1, "v0001 cannot be used: adapter_config.json is missing"),
        (None, "there is no version before v0002"),
    ],
)
def test_what_cannot_be_reverted_to_is_said_and_changes_nothing(store: Store, number: int | None, why: str) -> None:
    damaged = run(store, 1)
    run(store, 2)
    (damaged.path / "adapter_config.json").unlink()
    with pytest.raises(StoreError) as caught:
        revert(store, number)
    assert (str(caught.value), caught.value.code) == (why, "cannot-revert")
    assert store.current() == store.versions()[1]
    assert len(store.journal()) == 2


def test_a_version_that_was_never_committed_is_none(store: Store) -> None:
    with pytest.raises(StoreError, match="no version yet"):
        revert(store)
    run(store, 1)
    shutil.copytree(store.layout.version(1), store.layout.version(2))  # as another tool that is just at work
    with pytest.raises(StoreError, match="there is no version v0002; there are v0001"):
        revert(store, 2)


def test_a_crash_at_any_change_leaves_the_one_or_the_other_version(tmp_path: Path) -> None:
    before = template(tmp_path / "before", 3)
    seen = set()
    for store, raised in faults_until_done(tmp_path, before, Crash, lambda store: revert(store, 2), lasting=True):
        after_crash(store.root.parent.parent)
        flipped = store.current()
        with held(store) as lock:
            store.recover(lock)
            assert store.recover(lock) == ()
        current, manifest, ledger = store.current(), store.manifest(), store.ledger()
        assert current == flipped, "recovery follows the pointer"
        assert current is not None
        assert manifest is not None
        assert ledger is not None
        seen.add(current.number)
        assert current.number == manifest.adapter_version == ledger.version == step_of(current)
        assert raised
        assert run(store, 4).number == 4
        assert assert_sound(store) == 4
    assert seen == {2, 3}


def test_an_error_after_the_flip_is_a_note_and_completed_by_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlm_lsp.store import disk

    run(store, 1)
    run(store, 2)
    real = disk.write

    def refuse_manifest(path: Path, data: bytes, *, durable: bool = True) -> None:
        if path.name == "manifest.json":
            raise OSError(28, "no space left")
        real(path, data, durable=durable)

    with held(store) as lock, monkeypatch.context() as patch:
        patch.setattr(disk, "write", refuse_manifest)
        version = store.revert(lock, 1)
    assert version.number == 1
    assert "v0001 is current; the next run completes" in version.notes[0]
    with held(store) as lock:
        assert store.recover(lock) == ("the manifest says version 2, current is 1: brought in line",)
    assert Store(store.root.parent.parent, DLM_ID).manifest() == store.manifest()
