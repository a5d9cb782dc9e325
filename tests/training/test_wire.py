"""The learner's protocol as bytes: what is sent arrives as it was, and what arrives otherwise is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, get_args

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.document.model import Lesson
from dlm_lsp.training import wire
from dlm_lsp.training.protocol import AdapterShape, BaseRequest, Learned, LearnPlan, SessionRequest, TrainingSettings

PLAN = LearnPlan(
    session=SessionRequest(
        "document", BaseRequest("builtin:tiny", "/notes"), AdapterShape(target_modules=("q",)), TrainingSettings()
    ),
    kind="cycle",
    fresh=(Lesson("1" * 16, "2" * 16, "exchange", "Who?", "Nöbody 🦊 knows."),),
)
LEARNED = Learned(
    files={"adapter_model.safetensors": b"w" * (2 * wire.PIECE + 1), "adapter_config.json": b"{}", "empty": b""},
    end="learned", steps=3, tokens=48, final_loss=None, lessons=(), base_id="builtin:tiny", base_revision=None,
    device="cpu (1 thread, fp32)", seed=42,
)  # fmt: skip


def body(frame: bytes) -> bytes:
    """The one frame's body, as the other end of a pipe reads it."""
    reading, writing = os.pipe()
    try:
        os.write(writing, frame)
        os.close(writing)
        (found,) = wire.frames(reading)
    finally:
        os.close(reading)
    return found


@given(st.from_type(wire.Request))
@settings(max_examples=60, deadline=None)
def test_every_request_arrives_as_it_was_sent(request: Any) -> None:
    frame = wire.request_frame(request)
    arrived = wire.read_request(body(frame))
    assert repr(arrived) == repr(request)  # by `repr`, as a loss may be NaN
    assert wire.request_frame(arrived) == frame


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.text(max_size=9), values, max_size=3)


# As learners make them: plain dictionaries, where hypothesis would try every kind of mapping.
OUTCOMES = st.builds(
    wire.Outcome,
    learned=st.builds(Learned, files=st.just({}), pinned_versions=maps(st.text(max_size=9)), phases=maps(st.floats())),
    sizes=maps(st.integers()),
)
REPORTS = st.one_of(*(OUTCOMES if kind is wire.Outcome else st.from_type(kind) for kind in get_args(wire.Report)))


@given(REPORTS)
@settings(max_examples=60, deadline=None)
def test_every_report_arrives_as_it_was_sent(report: Any) -> None:
    frame = wire.report_frame(report)
    arrived = wire.read_report(body(frame))
    assert repr(arrived) == repr(report)
    assert wire.report_frame(arrived) == frame


def test_a_version_s_files_travel_in_pieces_and_arrive_whole() -> None:
    pieces = list(wire.pieces(1, LEARNED))
    assert [len(piece.data) for piece in pieces] == [wire.PIECE, wire.PIECE, 1, 2]
    files = wire.Files()
    for piece in pieces:
        files.add(piece)
    assert files.learned(wire.outcome(1, LEARNED)) == LEARNED


@pytest.mark.parametrize("lost", [0, 3])
def test_a_version_that_is_not_whole_is_refused(lost: int) -> None:
    files = wire.Files()
    for number, piece in enumerate(wire.pieces(1, LEARNED)):
        if number != lost:
            files.add(piece)
    with pytest.raises(wire.WireError, match="whole"):
        files.learned(wire.outcome(1, LEARNED))
    files = wire.Files()
    files.add(wire.Piece(1, "a file that was not announced", b"x"))
    with pytest.raises(wire.WireError, match="whole"):
        files.learned(wire.outcome(1, replace(LEARNED, files={})))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_whatever_it_is(noise: bytes) -> None:
    for read in (wire.read_request, wire.read_report):
        with pytest.raises(wire.WireError):
            read(noise)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "explode"},
        {"call": "one"},
        {"plan": None},
        {"more": 1},
        {"plan": {"session": {}, "kind": "cycle", "fresh": []}},
    ],
)
def test_a_message_that_is_not_as_agreed_is_refused_and_its_text_not_repeated(change: dict[str, Any]) -> None:
    plain = cbor2.loads(body(wire.request_frame(wire.Learn(1, PLAN))))
    assert wire.read_request(cbor2.dumps(plain)) == wire.Learn(1, PLAN)
    with pytest.raises(wire.WireError, match="not as agreed") as caught:
        wire.read_request(cbor2.dumps({**plain, **change}))
    assert "knows" not in str(caught.value)


def test_a_length_that_can_not_be_is_refused_before_anything_is_kept() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"Loading checkpoint shards")
    with pytest.raises(wire.WireError, match=f"{int.from_bytes(b'Load', 'big')} bytes"):
        next(wire.frames(reading))
    os.close(writing)
    os.close(reading)


def test_an_end_in_the_middle_of_a_frame_is_an_end() -> None:
    for part in (2, 20):
        reading, writing = os.pipe()
        os.write(writing, wire.request_frame(wire.Learn(1, PLAN))[:part])
        os.close(writing)
        assert list(wire.frames(reading)) == []
        os.close(reading)


def test_what_can_not_be_sent_is_refused_before_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    half = Lesson("1" * 16, "2" * 16, "prose", "", "half of a pair: \ud83e")
    with pytest.raises(wire.WireError, match="can't be written"):
        wire.request_frame(wire.Learn(1, replace(PLAN, fresh=(half,))))
    monkeypatch.setattr(wire, "MAX_FRAME", 100)
    with pytest.raises(wire.WireError, match="are the most"):
        wire.request_frame(wire.Learn(1, PLAN))
