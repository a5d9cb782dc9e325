"""Every order in which saves, cancels, failures, locks and the end of the server may meet, up to a depth.

From each of three beginnings (nothing learned yet, a run in its middle, a run that commits) each of the fourteen things
below is done in each state that was not seen before, level by level. That is every sequence up to the depth, since what
may follow depends on the state alone. After each of them everything that waits happens, and then must hold: at most one
run went on at a time, each had exactly one end, the last good text was learned or the author was told why not, a cancel
was followed by no run and no commit, and nothing began by itself after an abnormal end. States change as the table
allows.

`make test` goes to depth 3 beyond what led to each beginning, up to eight things in a row: 1,684 states, in each of
which fourteen things are tried. `make model` goes to depth 6 (161,035 states), or as deep as `DLM_MODEL_DEPTH` says.
"""

from __future__ import annotations

import os

import pytest

from tests.runs.model import World, without_a_disk

ACTIONS = (
    *("new", "config", "shape", "broken", "revert", "quick", "time"),
    *("cancel", "fail", "lock", "step", "race", "late", "shutdown"),
)
BEGINNINGS = {
    "nothing yet": (),
    "in the middle of a run": ("new", "step", "step"),
    "in a commit": ("new", "step", "step", "step", "step"),
}
DEPTH = int(os.environ.get("DLM_MODEL_DEPTH", "3"))
# Counted once; a smaller number would mean that less is looked at than is said.
LEAST = {1: 11, 2: 75, 3: 480}


@pytest.mark.timeout(120 if DEPTH <= 3 else 0)  # the whole depth takes as long as it takes
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_whatever_happens_in_whatever_order(beginning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_disk(monkeypatch)
    seen = {_after(BEGINNINGS[beginning])}
    level = [BEGINNINGS[beginning]]
    for _ in range(DEPTH):
        following = []
        for path in level:
            for action in ACTIONS:
                key = _after((*path, action))
                if key not in seen:
                    seen.add(key)
                    following.append((*path, action))
        level = following
    if DEPTH > 3:
        print(f"{len(seen)} states to depth {DEPTH}")  # noqa: T201
    assert len(seen) >= LEAST[min(DEPTH, 3)], "states"


def _after(path: tuple[str, ...]) -> object:
    """The state after `path`; what must hold is looked at on the way and after everything came to rest."""
    world = World()
    try:
        for action in path:
            world.do(action)
        key = world.key()
        world.drain()
        world.check_rest()
        return key
    except Exception as error:
        raise AssertionError(f"after {' → '.join(path)}: {error}") from error
    finally:
        world.close()


@pytest.mark.parametrize(
    "story",
    [
        # A run ends early for a setting that is then taken back; another save comes before its debounce has passed.
        "new step step config step revert quick",
        # A cancel comes too late, and what the early end left is only partly learned: the skip has to say so.
        "new step step config step cancel config",
    ],
)
def test_what_went_wrong_once(story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_disk(monkeypatch)
    _after(tuple(story.split()))
