"""Has a warm model answer as another version: only the adapter's weights change places, and come back bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlm_lsp.training.adapter import adapter_tensors, fill, fits, load_weights, read_shape, shape_of
from dlm_lsp.training.protocol import AdapterShape, LearnerError
from dlm_lsp.training.session import Session, Stamp, stamp

if TYPE_CHECKING:
    import torch

# What is kept of the versions that were asked last: enough for switching to and fro, little beside a base.
_MOST_VOICES = 8
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Voice:
    """A version's weights in memory, under the names of PEFT's file."""

    name: str
    shape: AdapterShape
    tensors: dict[str, torch.Tensor]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(each.numel() * each.element_size() for each in self.tensors.values())


class Voices:
    """Those that were asked last, in main memory, told apart by the stamps of their files."""

    def __init__(self) -> None:
        self._kept: dict[Stamp, Voice] = {}

    def of(self, version_dir: str) -> Voice:
        """Raises LearnerError when it can't be read."""
        key = stamp(version_dir)
        voice = self._kept.pop(key, None)
        if voice is None:
            folder = Path(version_dir)
            voice = Voice(folder.name, read_shape(folder), load_weights(folder))
        self._kept[key] = voice  # the newest is the last
        while len(self._kept) > _MOST_VOICES or (len(self._kept) > 1 and self._size > _MOST_BYTES):
            del self._kept[next(iter(self._kept))]
        return voice

    @property
    def _size(self) -> int:
        return sum(each.size for each in self._kept.values())


def suits(session: Session, voice: Voice) -> bool:
    """Whether the session's model has the shape of that version."""
    return shape_of(session.model) == voice.shape


@contextmanager
def speaking_as(session: Session, voice: Voice | None) -> Iterator[None]:
    """Inside, the session's model answers as `voice`, or (None) as the bare base without any adapter.

    Afterwards its weights, its mode and the random generators are as before, to the bit, whatever happened inside.
    Raises LearnerError when the version has other tensors.
    """
    with aside(session):
        if voice is None:
            with session.model.disable_adapter():
                yield
            return
        own = adapter_tensors(session.model)
        if not fits(own, voice.tensors):
            raise LearnerError(
                f"The version {voice.name} has other tensors than its configuration says, so it can't answer. "
                "Ask another version.",
                code="version-unreadable",
            )
        kept = {name: tensor.clone() for name, tensor in own.items()}
        try:
            fill(own, voice.tensors)
            yield
        finally:
            fill(own, kept)


@contextmanager
def aside(session: Session) -> Iterator[None]:
    """Inside, the model answers as it is; afterwards its mode and the random generators are as before."""
    import torch

    learning = session.model.training
    cuda = [torch.cuda.current_device()] if session.base.device.kind == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        session.model.eval()
        try:
            yield
        finally:
            session.model.train(learning)
