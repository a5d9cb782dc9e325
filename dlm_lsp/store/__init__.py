"""What has been learned, on disk: versions, manifest, replay corpus, lock and journal of each document."""

from __future__ import annotations

from dlm_lsp.store.commit import Commit
from dlm_lsp.store.curves import Curve, Point
from dlm_lsp.store.dlm_lock import DlmLock, HardwareTier
from dlm_lsp.store.errors import StoreError
from dlm_lsp.store.failure import FailedRun
from dlm_lsp.store.history import NOTHING, Chronicle, Histories, Past
from dlm_lsp.store.journal import JournalEntry
from dlm_lsp.store.ledger import Known, Ledger
from dlm_lsp.store.lock import Held, Holder
from dlm_lsp.store.manifest import Manifest, TrainingRun
from dlm_lsp.store.paths import dlm_home, path_text, version_name
from dlm_lsp.store.regular import Signature, read_beneath, read_regular, read_start, signature, signature_of
from dlm_lsp.store.replay import Replay, Snapshot
from dlm_lsp.store.store import Inspection, Store
from dlm_lsp.store.times import readable
from dlm_lsp.store.versions import RunFacts, Version, VersionRecord, read_training_state

__all__ = [
    "NOTHING",
    "Chronicle",
    "Commit",
    "Curve",
    "DlmLock",
    "FailedRun",
    "HardwareTier",
    "Held",
    "Histories",
    "Holder",
    "Inspection",
    "JournalEntry",
    "Known",
    "Ledger",
    "Manifest",
    "Past",
    "Point",
    "Replay",
    "RunFacts",
    "Signature",
    "Snapshot",
    "Store",
    "StoreError",
    "TrainingRun",
    "Version",
    "VersionRecord",
    "dlm_home",
    "path_text",
    "read_beneath",
    "read_regular",
    "read_start",
    "read_training_state",
    "readable",
    "signature",
    "signature_of",
    "version_name",
]
