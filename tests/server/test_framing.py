"""The base protocol's frames: found whatever the chunks, refused where nothing can be understood."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.server.framing import FrameDecoder, FramingError


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def decode(*chunks: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    return [body for chunk in chunks for body in decoder.feed(chunk)]


@given(bodies=st.lists(st.binary(max_size=50), max_size=5), data=st.data())
def test_any_chunking_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, bodies))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    edges = [0, *cuts, len(stream)]
    assert decode(*(stream[a:b] for a, b in pairwise(edges))) == bodies


@pytest.mark.parametrize(
    "header",
    [
        b"content-length: 2\r\n\r\n",
        b"CONTENT-LENGTH:2\r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\r\nContent-Type: x\r\n\r\n",
        b"X-Other: 1\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\n\n",
    ],
)
def test_headers_in_any_case_and_order(header: bytes) -> None:
    assert decode(header + b"{}", frame(b"[]")) == [b"{}", b"[]"]


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (b"Content-Length: -5\r\n\r\n", "no count of bytes"),
        (b"Content-Length: 99999999999999999999\r\n\r\n", "is over"),
        (b"Content-Length: 300000000\r\n\r\n", "is over"),
        (b"Content-Type: x\r\n\r\n", "exactly one"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "exactly one"),
        (b"hello\r\n\r\n", "without a colon"),
        (b"x" * 20_000, "no end of headers"),
    ],
)
def test_a_stream_out_of_step_is_refused(stream: bytes, complaint: str) -> None:
    with pytest.raises(FramingError, match=complaint):
        decode(stream)
