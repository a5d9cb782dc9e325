"""What the tests ask the original's own code, in its own interpreter. Prints one JSON object a line.

`read HOME DLM_ID DOCUMENT`: the store and the document as its readers see them.
`hold HOME DLM_ID [SECONDS]`: takes the store's lock (waiting that long), tells so, keeps it until the input ends.
`pack DOCUMENT OUT`: its command `dlm pack`, which tells when it has the lock, and then waits for a line.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def tell(**message: Any) -> None:
    sys.stdout.write(json.dumps(message, default=str) + "\n")
    sys.stdout.flush()


def read(home: str, dlm_id: str, document: str) -> None:
    from dlm.doc.parser import parse_file
    from dlm.lock.writer import load_lock
    from dlm.replay.corpus import iter_snapshots
    from dlm.replay.delta import diff_against_manifest
    from dlm.replay.store import ReplayStore
    from dlm.store.manifest import load_manifest, to_canonical_json
    from dlm.store.paths import for_dlm
    from dlm.train.state_sidecar import capture_runtime_versions, load_state

    store = for_dlm(dlm_id, home=home)
    manifest = load_manifest(store.manifest)
    lock = load_lock(store.root)
    replay = ReplayStore.at(store.replay_corpus, store.replay_index)
    entries = replay.load()
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = replay.sample_rows(k=1, now=now, rng=random.Random(0)) if entries else []
    change = diff_against_manifest(list(parse_file(Path(document)).sections), manifest)
    adapter = store.resolve_current_adapter()
    state: dict[str, Any] = {}
    if adapter is not None:
        loaded = load_state(adapter, runtime_versions=capture_runtime_versions())
        state = {"steps": loaded["global_step"], "moments": len(loaded["optimizer_state_dict"]["state"])}
    tell(
        manifest=manifest.model_dump(mode="json"),
        same_bytes=to_canonical_json(manifest) == store.manifest.read_text(encoding="utf-8"),
        lock=lock.model_dump(mode="json") if lock else None,
        replay=[
            [each.section_id, each.section_type, each.content] for each in _snapshots(iter_snapshots, store, entries)
        ],
        sampled=len(rows),
        new=[section.section_id for section in change.new],
        removed=change.removed,
        adapter=adapter.relative_to(store.root).as_posix() if adapter else None,
        state=state,
    )


def _snapshots(iter_snapshots: Any, store: Any, entries: list[Any]) -> list[Any]:
    return list(iter_snapshots(store.replay_corpus, entries)) if entries else []


def hold(home: str, dlm_id: str, seconds: str = "0") -> None:
    from dlm.store.errors import LockHeldError, StaleLockError
    from dlm.store.lock import exclusive
    from dlm.store.paths import for_dlm

    try:
        with exclusive(for_dlm(dlm_id, home=home).lock, timeout=float(seconds)) as info:
            tell(held=info.pid)
            sys.stdin.read()
    except (LockHeldError, StaleLockError) as error:
        tell(refused=type(error).__name__, holder=error.holder_pid)


def pack(document: str, out: str) -> None:
    from dlm.cli.app import main
    from dlm.pack import packer

    stage = packer._stage_tree

    def announced(**fields: Any) -> None:
        tell(held=True)
        sys.stdin.readline()
        stage(**fields)

    packer._stage_tree = announced
    sys.argv = ["dlm", "pack", document, "--out", out]
    main()


if __name__ == "__main__":
    {"read": read, "hold": hold, "pack": pack}[sys.argv[1]](*sys.argv[2:])
