"""The learner's protocol as bytes: what travels between `process.py` and a learner that is somewhere else.

A frame is a length (4 bytes, big endian) and one CBOR map of that many bytes, whose `type` says which message
it is. Both ends validate every message against the dataclasses here and in `protocol.py`; nothing is unpickled.
A version's files travel as their bytes (weights are safetensors), in pieces, so that a frame stays small.

Nothing here knows of pipes, processes or this machine. One value means a place, `SessionRequest.version_dir`:
between two processes of one machine it is a path; see `docs/architecture.md` for what another machine needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import cbor2
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import (
    GenerateRequest,
    Learned,
    LearnPlan,
    PhaseName,
    SessionInfo,
    SessionRequest,
    Spoken,
)

# Both ends must speak the same one; to be raised with every change of a message.
PROTOCOL = 4

# A length beyond this is no frame but noise. A plan holds its lessons' text; nothing else comes near.
MAX_FRAME = 64 * 1024 * 1024
# How much of a file one frame holds: little enough that other messages get between, enough to cost nothing.
PIECE = 4 * 1024 * 1024

_HEAD = 4
_CHUNK = 1024 * 1024

M = TypeVar("M")


class WireError(Exception):
    """What arrived is no message of this protocol, or what should leave does not fit into one."""


@dataclass(frozen=True, slots=True)
class _Message:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


# -- to the learner. `call` counts the requests of one connection; reports name the call that they belong to.


@dataclass(frozen=True, slots=True)
class Warm(_Message):
    call: int
    request: SessionRequest
    lessons: tuple[Lesson, ...] = ()
    type: Literal["warm"] = "warm"


@dataclass(frozen=True, slots=True)
class Learn(_Message):
    call: int
    plan: LearnPlan
    type: Literal["learn"] = "learn"


@dataclass(frozen=True, slots=True)
class Generate(_Message):
    """May come while a `Learn` goes on: it is answered at a step boundary, or with `Later`."""

    call: int
    request: GenerateRequest
    type: Literal["generate"] = "generate"


@dataclass(frozen=True, slots=True)
class Revise(_Message):
    """A newer text for the `Learn` that is call `call`; of several that were not taken yet, the last counts.

    Is answered with `Revised` when it is taken, and not at all if the call ends before.
    """

    call: int
    number: int
    plan: LearnPlan
    type: Literal["revise"] = "revise"


@dataclass(frozen=True, slots=True)
class Finish(_Message):
    """Asks the `Learn` that is call `call` to end at its next step boundary, with what it has learned."""

    call: int
    type: Literal["finish"] = "finish"


@dataclass(frozen=True, slots=True)
class Committed(_Message):
    """Is not answered: whether it arrives or not, the next run finds the version on disk."""

    key: str
    version_dir: str
    type: Literal["committed"] = "committed"


@dataclass(frozen=True, slots=True)
class Release(_Message):
    """Is not answered."""

    key: str
    type: Literal["release"] = "release"


@dataclass(frozen=True, slots=True)
class Stop(_Message):
    """Asks `call`, and no other, to stop at its next step; it is still answered by its end."""

    call: int
    type: Literal["stop"] = "stop"


# -- from the learner


@dataclass(frozen=True, slots=True)
class Hello(_Message):
    """The first message of a connection."""

    protocol: int
    version: str  # of this package
    pid: int
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class Beat(_Message):
    """Sent while a call goes on: the interpreter lives. `computed` is its processor time in seconds, so far."""

    computed: float
    type: Literal["beat"] = "beat"


@dataclass(frozen=True, slots=True)
class Phase(_Message):
    call: int
    name: PhaseName
    detail: str
    fraction: float | None
    type: Literal["phase"] = "phase"


@dataclass(frozen=True, slots=True)
class Step(_Message):
    call: int
    step: int
    total: int
    loss: float
    learning_rate: float
    tokens: int
    type: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class Revised(_Message):
    """From here on the call learns its revision `number`."""

    call: int
    number: int
    type: Literal["revised"] = "revised"


@dataclass(frozen=True, slots=True)
class Text(_Message):
    """A piece of an answer."""

    call: int
    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Piece(_Message):
    """The next bytes of a file of the new version."""

    call: int
    name: str
    data: bytes
    type: Literal["piece"] = "piece"


@dataclass(frozen=True, slots=True)
class Warmed(_Message):
    """Ends a `Warm`."""

    call: int
    info: SessionInfo
    type: Literal["warmed"] = "warmed"


@dataclass(frozen=True, slots=True)
class Outcome(_Message):
    """Ends a `Learn`. `learned` is without its files, which came before; `sizes` says how long each is."""

    call: int
    learned: Learned
    sizes: Mapping[str, int]
    type: Literal["outcome"] = "outcome"


@dataclass(frozen=True, slots=True)
class Answered(_Message):
    """Ends a `Generate`."""

    call: int
    spoken: Spoken
    type: Literal["answered"] = "answered"


@dataclass(frozen=True, slots=True)
class Later(_Message):
    """Ends a `Generate` that came while a `Learn` goes on: it is to be asked again after it."""

    call: int
    type: Literal["later"] = "later"


@dataclass(frozen=True, slots=True)
class Cancelled(_Message):
    """Ends any call that was asked to stop."""

    call: int
    type: Literal["cancelled"] = "cancelled"


@dataclass(frozen=True, slots=True)
class Failed(_Message):
    """Ends any call: with what a LearnerError says, or (code `internal-error`) with what nobody foresaw."""

    call: int
    message: str
    code: str
    key: str | None
    type: Literal["failed"] = "failed"


Request = Warm | Learn | Generate | Revise | Finish | Committed | Release | Stop
Report = Hello | Beat | Phase | Step | Revised | Text | Piece | Warmed | Outcome | Answered | Later | Cancelled | Failed

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="type")])


def request_frame(message: Request) -> bytes:
    """Raises WireError when the message can't be sent."""
    return _frame(_REQUESTS.dump_python(message))


def report_frame(message: Report) -> bytes:
    """Raises WireError when the message can't be sent."""
    return _frame(_REPORTS.dump_python(message))


def read_request(body: bytes) -> Request:
    """The request in a frame's body. Raises WireError."""
    return _read(body, _REQUESTS)


def read_report(body: bytes) -> Report:
    """The report in a frame's body. Raises WireError."""
    return _read(body, _REPORTS)


def pieces(call: int, learned: Learned) -> Iterator[Piece]:
    """The files of what was learned; to be sent before its `outcome`."""
    for name, data in learned.files.items():
        for start in range(0, len(data), PIECE):
            yield Piece(call, name, data[start : start + PIECE])


def outcome(call: int, learned: Learned) -> Outcome:
    """All but the files."""
    return Outcome(call, replace(learned, files={}), {name: len(data) for name, data in learned.files.items()})


class Files:
    """Puts the pieces of an outcome together."""

    def __init__(self) -> None:
        self._parts: dict[str, list[bytes]] = {}

    def add(self, piece: Piece) -> None:
        self._parts.setdefault(piece.name, []).append(piece.data)

    def learned(self, message: Outcome) -> Learned:
        """The whole outcome. Raises WireError when it isn't whole."""
        files = {name: b"".join(self._parts.pop(name, ())) for name in message.sizes}
        if self._parts or any(len(files[name]) != size for name, size in message.sizes.items()):
            raise WireError("the files of the version did not arrive whole")
        return replace(message.learned, files=files)


def frames(fd: int) -> Iterator[bytes]:
    """The bodies of the frames that arrive on a file descriptor, until its end, wherever that comes.

    Raises WireError when what arrives can't be a frame.
    """
    while (head := _exactly(fd, _HEAD)) is not None:
        length = int.from_bytes(head, "big")
        if length > MAX_FRAME:
            raise WireError(f"a frame of {length} bytes can't be")
        body = _exactly(fd, length)
        if body is None:
            return
        yield body


def write(fd: int, data: bytes) -> None:
    """Writes all of `data`. Raises OSError when nobody reads any more."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _frame(plain: Any) -> bytes:
    try:
        body = cbor2.dumps(plain)
    except (cbor2.CBOREncodeError, ValueError) as error:  # such as half of a surrogate pair in a text
        raise WireError(f"a message can't be written: {type(error).__name__}") from error
    if len(body) > MAX_FRAME:
        raise WireError(f"a message has {len(body) >> 20} MiB, and {MAX_FRAME >> 20} are the most")
    return len(body).to_bytes(_HEAD, "big") + body


def _read(body: bytes, adapter: TypeAdapter[M]) -> M:
    try:
        return adapter.validate_python(cbor2.loads(body))
    except ValidationError as error:
        places = "; ".join(".".join(map(str, each["loc"])) for each in error.errors(include_input=False)[:3])
        raise WireError(f"a message is not as agreed ({places})") from None
    except Exception as error:  # cbor2 has many ways to say that bytes are no CBOR
        raise WireError(f"a frame is no CBOR map: {type(error).__name__}") from error


def _exactly(fd: int, count: int) -> bytes | None:
    """`count` bytes; None when the end comes before."""
    parts: list[bytes] = []
    while count:
        part = os.read(fd, min(count, _CHUNK))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
