"""Recovery of what other tools, power cuts and people leave: rebuilt, or set aside under a telling name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlm_lsp.store import Store
from tests.store.store_helpers import a_commit, assert_sound, held, run, section, weights


def recovered(store: Store) -> tuple[str, ...]:
    """What recovery says, after checking that looking told of it and touched nothing, and that it needs no second."""
    before = sorted((str(path), path.stat().st_mtime_ns) for path in store.root.rglob("*"))
    told = store.inspect().leftovers
    assert sorted((str(path), path.stat().st_mtime_ns) for path in store.root.rglob("*")) == before
    with held(store) as lock:
        said = store.recover(lock)
        assert store.recover(lock) == ()
    assert bool(told) == bool(said)
    assert all(any(sentence.startswith(what) for sentence in said) for what in told)
    return said


def their_version(store: Store, number: int, *, age: float = 7200.0) -> Path:
    """A version folder as the original tool writes it."""
    folder = store.root / "adapter/versions" / f"v{number:04d}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(weights(number))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    make_old(folder, age)
    return folder


def make_old(folder: Path, age: float) -> None:
    then = time.time() - age
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (then, then))


def test_a_sound_store_needs_nothing(store: Store) -> None:
    assert store.inspect().leftovers == ()
    run(store, 1)
    assert recovered(store) == ()
    assert [entry.event for entry in store.journal()] == ["finished"]


def test_an_old_orphan_of_another_tool_is_set_aside_and_its_number_not_reused(store: Store) -> None:
    run(store, 1)
    folder = their_version(store, 2)
    (said,) = recovered(store)
    assert "v0002 was never committed" in said
    (aside,) = (store.root / "adapter/versions").glob("v0002.uncommitted-*")
    assert (aside / "adapter_model.safetensors").exists()
    assert not folder.exists()
    assert run(store, 2).number == 3
    assert assert_sound(store) == 2
    assert store.journal()[1].event == "recovered"


def test_a_young_orphan_may_be_at_work_and_stays(store: Store) -> None:
    run(store, 1)
    folder = their_version(store, 2, age=1.0)
    assert recovered(store) == ()
    assert folder.exists()
    assert run(store, 2).number == 3
    assert folder.exists()


def test_a_pointer_newer_than_the_manifest_wins(store: Store) -> None:
    """The original was killed between its pointer and its manifest."""
    run(store, 1)
    their_version(store, 2)
    (store.root / "adapter/current.txt").write_text("adapter/versions/v0002\n")
    (said,) = recovered(store)
    assert said == "the manifest says version 1, current is 2: brought in line"
    now = store.manifest()
    assert now is not None
    assert now.adapter_version == 2
    assert [(run.run_id, run.adapter_version) for run in now.training_runs] == [(1, 1), (2, 2)]
    assert store.ledger() is None, "what another tool trained is not in our ledger"
    assert run(store, 2).number == 3
    assert assert_sound(store) == 2


@pytest.mark.parametrize("damage", ["gone", "no weights", "torn", "other bytes", "no config"])
def test_a_current_version_that_cannot_be_used_gives_way_to_the_newest_that_can(store: Store, damage: str) -> None:
    run(store, 1)
    run(store, 2)
    version = run(store, 3)
    file = version.path / "adapter_model.safetensors"
    if damage == "gone":
        shutil.rmtree(version.path)
    elif damage == "no weights":
        file.unlink()
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "other bytes":
        file.write_bytes(weights(4))
    else:
        (version.path / "adapter_config.json").unlink()
    assert any("version 2 is current now" in sentence for sentence in recovered(store))
    now, record = store.manifest(), store.record(2)
    assert now is not None
    assert record is not None
    assert now.adapter_version == 2
    assert set(now.content_hashes) == set(record.content_hashes) == {section(1), section(2)}
    ledger = store.ledger()
    assert ledger is not None
    assert ledger.version == 2
    assert len(list(store.layout.versions.glob("v0003.damaged-*"))) == (damage != "gone")
    assert run(store, 4).number == 4
    assert assert_sound(store) == 4


def test_a_lost_optimizer_state_does_not_cost_the_version(store: Store) -> None:
    version = run(store, 1)
    (version.path / "training_state.pt").write_bytes(b"torn")
    assert recovered(store) == ()
    assert store.current() == version
    assert store.training_state(version) is None


def test_without_any_usable_version_the_adapter_is_gone_and_said_so(store: Store) -> None:
    version = run(store, 1)
    (version.path / "adapter_model.safetensors").write_bytes(b"")
    said = recovered(store)
    assert any("there is no other" in sentence for sentence in said)
    assert store.current() is None
    now = store.manifest()
    assert now is not None
    assert now.adapter_version == 0
    assert run(store, 2).number == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"adapter/tone/versions/v0001\n", b"\xff\xfe"])
def test_a_pointer_that_names_nothing_is_repaired(store: Store, content: bytes) -> None:
    run(store, 1)
    (store.root / "adapter/current.txt").write_bytes(content)
    assert any("names no version: version 1 is current now" in sentence for sentence in recovered(store))
    assert assert_sound(store) == 1


def test_a_lost_pointer_is_found_again(store: Store) -> None:
    run(store, 1)
    (store.root / "adapter/current.txt").unlink()
    assert recovered(store) == ("adapter/current.txt is missing: version 1 is current now",)
    assert assert_sound(store) == 1


@pytest.mark.parametrize("content", [b"", b'{"dlm_id": "01', b"[]", b"\xff", b'{"dlm_id": 3}', None])
def test_a_lost_manifest_is_rebuilt_from_the_store(store: Store, content: bytes | None) -> None:
    for step in range(1, 5):
        run(store, step, keep=2)
    old = store.manifest()
    assert old is not None
    if content is None:
        store.layout.manifest.unlink()
    else:
        store.layout.manifest.write_bytes(content)
    (said,) = recovered(store)
    assert "rebuilt from what the store holds" in said
    kept = [path.read_bytes() for path in store.root.glob("manifest.json.damaged-*")]
    assert kept == ([] if content is None else [content])
    now = store.manifest()
    assert now is not None
    assert now.content_hashes == old.content_hashes
    assert (now.adapter_version, now.base_model) == (4, "builtin:tiny")
    summary = [(run.run_id, run.adapter_version, run.steps, run.started_at) for run in old.training_runs]
    assert [(run.run_id, run.adapter_version, run.steps, run.started_at) for run in now.training_runs] == summary
    run(store, 5)
    assert assert_sound(store) == 5


def test_what_is_right_in_a_damaged_manifest_is_kept(store: Store) -> None:
    run(store, 1)
    run(store, 2)
    value = json.loads(store.layout.manifest.read_text())
    value["exports"] = [{"exported_at": "2026-02-02T03:00:00", "quant": "Q4_K_M"}]
    value["adapter_version"] = -3
    value["training_runs"][0]["steps"] = "many"
    store.layout.manifest.write_text(json.dumps(value))
    assert "is damaged" in recovered(store)[0]
    now = store.manifest()
    assert now is not None
    assert now.exports == ({"exported_at": "2026-02-02T03:00:00", "quant": "Q4_K_M"},)
    assert [run.steps for run in now.training_runs] == [1, 2]
    assert assert_sound(store) == 2


def test_the_originals_store_without_manifest_is_adopted(store: Store) -> None:
    their_version(store, 1)
    (store.root / "adapter/current.txt").write_text("adapter/versions/v0001\n")
    assert "manifest.json is missing" in recovered(store)[0]
    now = store.manifest()
    assert now is not None
    assert (now.adapter_version, now.base_model) == (1, "org/base")
    assert run(store, 2).number == 2
    assert assert_sound(store) == 2


def test_temporary_files_are_removed_and_living_writers_left_alone(store: Store) -> None:
    run(store, 1)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    ours = store.root / f".manifest.json.{'a' * 12}.lsp-tmp"
    dead = store.root / f"manifest.json.tmp.{process.pid}.0123abcd"
    alive = store.root / f"manifest.json.tmp.{os.getpid()}.0123abcd"
    young = store.layout.adapter / f"current.txt.tmp.{process.pid}.0123abcd"
    unlike = store.root / "notes.tmp"
    for path in (ours, dead, alive, young, unlike):
        path.write_text("x")
        if path is not young:
            os.utime(path, (1, 1))
    stage = store.layout.versions / f".v0002.{'b' * 12}.lsp-tmp"
    stage.mkdir()
    (stage / "adapter_config.json").write_text("{}")
    assert len(recovered(store)) == 2
    assert [path.exists() for path in (ours, dead, alive, young, unlike, stage)] == [
        False, False, True, True, True, False,
    ]  # fmt: skip


def interrupted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of version 2 that was killed when its intent was written and its folder not yet there."""
    from dlm_lsp.store import disk

    with monkeypatch.context() as patch, held(store) as lock:

        def killed(source: Path, target: Path) -> None:
            raise KeyboardInterrupt

        patch.setattr(disk, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            store.commit(lock, a_commit(2))
    assert store.layout.intent.exists()


def test_a_folder_of_another_tool_is_not_mistaken_for_ours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After our crash the original took the same number and committed its own version under it."""
    run(store, 1)
    interrupted(store, monkeypatch)
    folder = their_version(store, 2)
    (store.root / "adapter/current.txt").write_text("adapter/versions/v0002\n")
    said = recovered(store)
    assert any("version 2 is not the one whose commit was interrupted" in sentence for sentence in said)
    assert folder.exists()
    assert store.ledger() is None
    assert store.replay().ids() == {section(0), section(1)}
    now = store.manifest()
    assert now is not None
    assert now.adapter_version == 2
    assert set(now.content_hashes) == {section(0), section(1)}


def test_taking_back_spares_another_tools_folder(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, 1)
    interrupted(store, monkeypatch)
    folder = their_version(store, 2, age=1.0)
    assert any("interrupted before it was committed: taken back" in sentence for sentence in recovered(store))
    assert folder.exists()
    assert store.current() == store.versions()[0]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": "x", "dlm_lock": null}', b'{"version": 9'])
def test_a_damaged_intent_is_set_aside(store: Store, content: bytes) -> None:
    run(store, 1)
    store.layout.intent.write_bytes(content)
    assert "the record of an unfinished commit is damaged" in recovered(store)[0]
    assert [path.read_bytes() for path in store.layout.ours.glob("intent.json.damaged-*")] == [content]
    run(store, 2)
    assert assert_sound(store) == 2


@pytest.mark.parametrize("spoil", [{"run": None}, {"version": 2}, {"ledger": {"lessons": []}}, None])
def test_a_damaged_record_is_set_aside_and_costs_the_ledger_only(store: Store, spoil: dict[str, object] | None) -> None:
    run(store, 1)
    path = store.layout.record(1)
    path.write_text("{" if spoil is None else json.dumps(json.loads(path.read_text()) | spoil))
    assert "the record of version 1 is damaged: set aside as v0001.json.damaged-" in recovered(store)[0]
    assert store.current() is not None
    assert store.ledger() is None
    assert run(store, 2).number == 2
    assert assert_sound(store) == 2


@pytest.mark.parametrize(
    "line", [b"7", b'{"event": "finished", "at": "soon"}', b'{"event": "finished", "at": 1e300, "version": 9}', b"\xff"]
)
def test_a_wild_journal_does_not_stop_a_rebuild(store: Store, line: bytes) -> None:
    run(store, 1)
    store.layout.journal.write_bytes(line + b"\n" + store.layout.journal.read_bytes())
    store.layout.manifest.unlink()
    recovered(store)
    assert assert_sound(store) == 1


def test_a_damaged_replay_index_is_kept_and_rebuilt(store: Store) -> None:
    run(store, 1)
    (store.layout.replay / "index.json").write_text("[oops")
    (said,) = recovered(store)
    assert "rebuilt with 2 section(s)" in said
    assert [path.read_text() for path in store.layout.replay.glob("index.json.damaged-*")] == ["[oops"]
    assert assert_sound(store) == 1


def test_a_store_that_was_deleted_under_us_begins_again(store: Store) -> None:
    run(store, 1)
    assert store.manifest() is not None
    shutil.rmtree(store.root)
    assert store.manifest() is None
    assert store.ledger() is None
    assert run(store, 1).number == 1
    assert assert_sound(store) == 1
