"""Whatever the shared files hold, reading them ends in a value or one StoreError, and recovery makes them sound."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlm_lsp.store import Snapshot, Store, StoreError, manifest
from dlm_lsp.store.replay import decode_snapshot
from tests.store.store_helpers import DLM_ID, held, run

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*manifest.Manifest.model_fields, "foreign"])
run_names = st.sampled_from([*manifest.TrainingRun.model_fields, "foreign"])
moments = st.sampled_from(
    ["2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "soon", 1e300, 7]
)
runs = st.lists(st.dictionaries(run_names, values | moments | st.integers(1, 3), max_size=6) | values, max_size=3)
manifests = st.builds(
    lambda base, more, runs: base | more | {"training_runs": runs},
    st.just({"dlm_id": DLM_ID, "base_model": "b"}) | st.just({}),
    st.dictionaries(names, values | moments, max_size=4),
    runs,
)


@settings(max_examples=200, deadline=None)
@given(value=manifests | values)
def test_any_manifest_is_read_or_refused_and_salvaged(value: Any) -> None:
    data = json.dumps(value).encode()
    kept = manifest.salvage(data)
    whole = manifest.Manifest.model_validate({"dlm_id": "-", "base_model": "-"} | kept)
    assert manifest.decode(manifest.encode(whole)).manifest == whole
    try:
        read = manifest.decode(data)
    except StoreError as error:
        assert error.code in ("manifest-corrupt", "manifest-newer")
    else:
        assert manifest.decode(manifest.encode(read.manifest)) == manifest.ReadManifest(read.manifest)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=60) | st.from_regex(rb"[0-9]{1,30}\n[a-z\x00-\x1f]*\n[0-9.e+-]{1,12}\n", fullmatch=True)
)
def test_any_lock_file_names_a_holder(store: Store, content: bytes) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    (store.root / ".lock").write_bytes(content)
    holder = store.holder()
    assert holder is not None
    assert holder.host.isprintable()
    assert holder.detail.isprintable()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["manifest", "current", "intent", "journal", "record", "index"]), content=st.data())
def test_any_damage_to_one_file_is_recovered(tmp_path_factory: pytest.TempPathFactory, name: str, content: Any) -> None:
    store = Store(tmp_path_factory.mktemp("store"), DLM_ID)
    run(store, 1)
    run(store, 2)
    layout = store.layout
    paths = {"record": layout.record(2), "index": layout.replay / "index.json"}
    path = paths.get(name) or getattr(layout, name)
    old = path.read_bytes() if path.exists() else b'{"version": 2, "replay_add": [], "replay_remove": []}'
    cut = content.draw(st.integers(0, len(old)))
    path.write_bytes(old[:cut] + content.draw(st.binary(max_size=20)) + old[content.draw(st.integers(cut, len(old))) :])
    with held(store) as lock:
        try:
            store.recover(lock)
        except StoreError as error:
            assert error.code == "manifest-newer"
            return
        assert store.recover(lock) == ()
    current, now = store.current(), store.manifest()
    assert current is not None
    assert now is not None
    assert now.adapter_version == current.number
    run(store, 3)
    assert store.replay().sound()


@settings(max_examples=150, deadline=None)
@given(
    value=values
    | st.dictionaries(
        st.sampled_from([*Snapshot.__dataclass_fields__]), values | moments | st.just("0" * 16), max_size=7
    ),
    noise=st.binary(max_size=20),
)
def test_any_frame_is_a_snapshot_or_a_value_error(value: Any, noise: bytes) -> None:
    packed = cbor2.dumps(value) if "\ud800" not in repr(value) and "\\ud800" not in repr(value) else noise
    for frame in (zstandard.compress(packed), zstandard.compress(packed + noise), noise):
        try:
            assert len(decode_snapshot(frame).section_id) == 16
        except ValueError as error:
            assert "damaged replay frame" in str(error)


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": 1e300},
        {"seconds": -1e300},
        {"version": -1},
        {"run": -5},
        {"steps": -1},
        {"version": 10**30},
        {"at": 0},
    ],
)
def test_a_journal_line_that_no_run_can_have_written_stops_no_recovery(store: Store, odd: dict[str, Any]) -> None:
    run(store, 1)
    line = {"event": "finished", "at": 1.0, "version": 40, "run": 9, "seconds": 1.0} | odd
    with store.layout.journal.open("a") as file:
        file.write(json.dumps(line) + "\n")
    store.layout.manifest.unlink()
    with held(store) as lock:
        store.recover(lock)
    found = store.manifest()
    assert found is not None
    assert found.adapter_version == 1
