"""What is measured of the machine is measured once, and chosen by: number format and number of threads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.training import device, measured
from dlm_lsp.training.device import choose_device, choose_threads
from dlm_lsp.training.learner import create
from dlm_lsp.training.memory import configured
from dlm_lsp.training.protocol import Learner, LearnerError
from tests.training.learning_helpers import Recorder, cycle, exchange, make_base, request, weights

LARGE = configured({"hidden_size": 1024, "intermediate_size": 2048}, 100_000_000)
SMALL = configured({"hidden_size": 256, "intermediate_size": 640}, 3_500_000)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DLM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(measured, "_known", {})
    monkeypatch.setattr(measured, "_unkept", set())
    (tmp_path / "home").mkdir()  # there is a store
    yield tmp_path / "home"


def test_asking_alone_makes_no_home_and_what_was_measured_is_kept_once_there_is_one(home: Path) -> None:
    home.rmdir()
    measuring = Measuring((2, True))
    assert asked(measuring) == 2
    assert not home.exists()
    home.mkdir()
    assert asked(measuring) == 2
    another_process()
    assert asked(measuring) == 2


class Measuring:
    """Gives `answers` one after the other."""

    def __init__(self, *answers: tuple[int, bool]) -> None:
        self.answers = list(answers)

    def __call__(self) -> tuple[int, bool]:
        return self.answers.pop(0)


def asked(measuring: Measuring, highest: int = 4) -> int:
    return measured.measured("threads", measuring, 1, highest)


def another_process() -> None:
    measured._known.clear()


def test_every_process_has_the_answer_of_the_first(home: Path) -> None:
    measuring = Measuring((2, True), (3, True))
    assert [asked(measuring), asked(measuring)] == [2, 2]
    another_process()
    assert asked(measuring) == 2
    assert len(measuring.answers) == 1
    (kept,) = json.loads((home / "lsp" / "measured.json").read_text()).values()
    assert kept == {"threads": 2}


def test_another_machine_is_measured_anew_and_both_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(Measuring((2, True))) == 2
    another_process()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(measured, "_machine", lambda: "another")
        assert asked(Measuring((3, True))) == 3
    another_process()
    assert asked(Measuring()) == 2


def test_what_was_disturbed_is_not_said_for_good(home: Path) -> None:
    assert asked(Measuring((1, False))) == 1
    assert asked(Measuring()) == 1, "but this process stays with it"
    assert not (home / "lsp").exists()
    another_process()
    assert asked(Measuring((2, True))) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": 7}', '{"%s": {"threads": "2"}}', '{"%s": {"threads": 99}}'])
def test_a_file_that_says_nothing_sensible_is_as_none(home: Path, text: str) -> None:
    (home / "lsp").mkdir(parents=True)
    (home / "lsp" / "measured.json").write_text(text.replace("%s", measured._machine()))
    assert asked(Measuring((2, True))) == 2
    another_process()
    assert asked(Measuring()) == 2


def test_a_home_that_can_not_be_written_costs_only_the_time(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.rmdir()
    home.write_text("no folder")
    with caplog.at_level(logging.INFO, "dlm_lsp"):
        assert asked(Measuring((2, True))) == 2
    assert "not kept" in caplog.text
    another_process()
    assert asked(Measuring((3, True))) == 3


def test_the_file_does_not_grow_with_machines(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        monkeypatch.setattr(measured, "_machine", lambda number=number: f"machine {number}")
        another_process()
        asked(Measuring((1, True)))
    kept = json.loads((home / "lsp" / "measured.json").read_text())
    assert list(kept) == [f"machine {number}" for number in range(4, 20)]


def test_threads_are_timed_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("DLM_THREADS", raising=False)
    monkeypatch.setattr(device, "_OTHERS", 1.0)  # whatever else runs on this machine
    steps: list[int] = []
    first = choose_threads("a base", lambda: steps.append(torch.get_num_threads()))
    assert first == torch.get_num_threads() <= measured.cores()
    assert set(steps) >= ({1, first} if measured.cores() > 1 else set())
    another_process()
    count = len(steps)
    assert choose_threads("a base", lambda: steps.append(0)) == first
    assert len(steps) == count
    monkeypatch.setenv("DLM_THREADS", "1")
    assert choose_threads("a base", lambda: steps.append(0)) == 1


def test_bf16_is_chosen_where_it_is_faster_and_only_for_larger_bases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[tuple[bool, int, int]] = []
    for faster in (True, False):
        another_process()
        monkeypatch.setenv("DLM_HOME", str(tmp_path / str(faster)))
        monkeypatch.setattr(
            device, "_bf16_is_faster", lambda *size, faster=faster: answers.append((faster, *size)) or faster
        )
        assert choose_device(None, LARGE).precision == ("bf16" if faster else "fp32")
        assert choose_device(None, SMALL).precision == "fp32"
        assert choose_device("fp32", LARGE).precision == "fp32"
        assert choose_device("bf16", SMALL).precision == "bf16"
        assert choose_device(None, LARGE) == choose_device(None, LARGE)
    assert answers == [(True, 1024, 2048), (False, 1024, 2048)], "measured once, and only where it matters"


def test_a_gpu_that_can_not_compute_in_bf16_is_told_before_a_base_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: not torch.cuda.is_available())
    if torch.cuda.is_available() or torch.backends.mps.is_built():
        pytest.skip("here it may be able to")
    with pytest.raises(LearnerError, match="does not compute in bf16") as caught:
        choose_device("bf16")
    assert caught.value.key == "training.precision"
    assert choose_device(None) == choose_device("fp32")


def test_a_document_without_written_precision_learns_in_what_is_fast_here(
    learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base(
        tmp_path / "base", hidden_size=512, intermediate_size=64, num_hidden_layers=1, initializer_range=0.05
    )
    monkeypatch.setattr(device, "_bf16_is_faster", lambda *_: True)
    lessons = [exchange("Who?", "Mira.")]
    first, second = (cycle(each, request(base), lessons, steps=3) for each in (create(), create()))
    assert weights(first) == weights(second), "bf16 on a CPU is the same twice, too"
    assert cycle(learner, request(base), lessons, steps=1).device == "cpu (1 thread, bf16)"
    for written, told, loads in ((None, "bf16", False), ("bf16", "bf16", False), ("fp32", "fp32", True)):
        options: dict[str, Any] = {} if written is None else {"precision": written}
        control = Recorder()
        assert (
            cycle(learner, request(base, **options), lessons, steps=1, control=control).device
            == f"cpu (1 thread, {told})"
        )
        assert ("load" in control.phases) == loads
