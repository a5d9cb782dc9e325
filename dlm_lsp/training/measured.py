"""What was measured of this machine, kept in a file, so that every process decides alike and none measures again.

Answers belong to processor, number of cores and torch version: where one of them changes, all is measured anew. A home
that cannot be written costs only that.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable
from typing import Any

from dlm_lsp.store import dlm_home, read_regular
from dlm_lsp.store.disk import make_folders, write
from dlm_lsp.store.plain_json import loads

log = logging.getLogger(__name__)

_MACHINES = 16  # whose answers are kept: a home may be shared by many
_MOST_BYTES = 2**16

_known: dict[str, int] = {}  # in this process: what it decided once it stays with
_unkept: set[str] = set()  # what of it is to be kept as soon as there is a home: asking alone makes none


def measured(what: str, measure: Callable[[], tuple[int, bool]], lowest: int, highest: int) -> int:
    """The answer to `what`: this process's, else the file's, else what `measure` gives and whether it is to be kept."""
    if what not in _known:
        found = _read().get(_machine(), {}).get(what)
        if isinstance(found, int) and lowest <= found <= highest:
            _known[what] = int(found)
        else:
            _known[what], keep = measure()
            log.info("measured: %s is %d%s", what, _known[what], "" if keep else ", for this process only")
            if keep:
                _unkept.add(what)
    if what in _unkept and dlm_home().exists():
        _unkept.discard(what)
        _keep(what, _known[what])
    return _known[what]


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep(what: str, answer: int) -> None:
    """Another process may write at the same time: then one of the answers is measured once more."""
    kept, machine = _read(), _machine()
    kept[machine] = {**kept.pop(machine, {}), what: answer}  # the newest is the last
    newest = dict(list(kept.items())[-_MACHINES:])
    path = dlm_home() / "lsp" / "measured.json"
    try:
        make_folders(path.parent)
        write(path, json.dumps(newest, indent=2).encode(), durable=False)
    except OSError as error:
        log.info("what was measured is not kept: %s", error)


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = loads(read_regular(dlm_home() / "lsp" / "measured.json", _MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}


@functools.cache
def _machine() -> str:
    """16 hex digits that are another machine's where anything is another that answers depend on."""
    import torch

    facts: list[object] = [torch.__version__, cores(), platform.machine()]
    if hasattr(torch.cpu, "get_capabilities"):  # from torch 2.12 on
        facts += sorted(map(str, torch.cpu.get_capabilities().items()))
    else:
        facts.append(torch.backends.cpu.get_cpu_capability())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
