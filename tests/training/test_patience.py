"""When a learner in another process is waited for no longer."""

from __future__ import annotations

import pytest

from dlm_lsp.training import wire
from dlm_lsp.training.patience import Patience, Watch

PATIENCE = Patience(stop=5, silence=20, standstill=60)


def watch() -> Watch:
    return Watch(PATIENCE, PATIENCE.stop)


def seconds(watch: Watch, count: int, *, beats: bool = False, computing: float = 0.0) -> None:
    """`count` seconds go by, with or without signs of life, of which `computing` each were computed."""
    for second in range(1, count + 1):
        watch.passes(1.0)
        if beats:
            watch.hears(wire.Beat(computing * second))


def test_silence_is_a_hang() -> None:
    silent = watch()
    seconds(silent, 20)
    assert not silent.hangs
    seconds(silent, 1)
    assert silent.hangs == "gave no sign of life for 20 s and was ended"


def test_a_long_step_that_computes_is_none() -> None:
    busy = watch()
    seconds(busy, 10_000, beats=True, computing=0.5)
    assert not busy.hangs


def test_signs_of_life_without_any_computing_are_one() -> None:
    stuck = watch()
    seconds(stuck, 61, beats=True, computing=0.0003)
    assert stuck.hangs == "did nothing for 60 s and was ended"


@pytest.mark.parametrize("report", [wire.Phase(1, "tokenise", "", 0.5), wire.Step(1, 1, 9, 3.0, 1e-3, 16)])
def test_a_phase_or_a_step_is_progress(report: wire.Report) -> None:
    slow = watch()
    for _ in range(3):
        seconds(slow, 50, beats=True)
        slow.hears(report)
    assert not slow.hangs


def test_a_download_is_left_to_whoever_downloads() -> None:
    loading = watch()
    loading.hears(wire.Phase(1, "download", "", 0.1))
    seconds(loading, 10_000, beats=True)
    assert not loading.hangs
    loading.hears(wire.Phase(1, "load", "", None))
    seconds(loading, 61, beats=True)
    assert loading.hangs


def test_time_in_which_this_process_itself_stood_still_counts_for_nothing() -> None:
    asleep = watch()
    asleep.stop()
    asleep.passes(8 * 3600.0)
    assert not asleep.hangs
    assert not asleep.overdue


def test_a_stop_is_overdue_after_its_grace() -> None:
    stopping = watch()
    seconds(stopping, 10, beats=True)
    assert not stopping.stopping
    stopping.stop()
    seconds(stopping, 5, beats=True)
    assert stopping.stopping
    assert not stopping.overdue
    seconds(stopping, 1, beats=True)
    stopping.stop()
    assert stopping.overdue
