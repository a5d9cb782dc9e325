"""What a save costs before it trains, by the size of its document: `python -m benchmarks.speed.growth`.

One answer is changed and saved, as an editor does it; counted is the processor time of the whole server (reading the
text, all that is told of it, the snapshot, what is new in it, the store's look at itself, the plan) until the learner
has its plan and everything is told that was to be told by then. The no-op save is counted until its notice was sent.
The learner learns nothing; all else is real, and in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.documents import document
from benchmarks.figures import table
from benchmarks.speed.table import Row, show
from dlm_lsp.document.model import Lesson
from dlm_lsp.server.app import create_server
from dlm_lsp.server.serve import collect_rarely
from dlm_lsp.training.protocol import (
    Control,
    GenerateRequest,
    Learned,
    LearnPlan,
    LessonResult,
    SessionInfo,
    SessionRequest,
    Spoken,
)

SIZES = (10, 100, 1_000, 10_000)
_SHORT = 4_096  # bytes of a message; no answer that is waited for is longer
NO_OP = 1_000  # sections of the document whose no-op save is to be quick
DECLARED = {"window": {"workDoneProgress": True}, "experimental": {"dlm": {"trainingStatus": True}}}


class Taught:
    """A learner that has learned at once, and tells when it was handed its plan."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.handed = 0.0  # processor time of this process when the last plan was there

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        raise NotImplementedError

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        told = threading.Event()
        assert self.loop is not None
        self.loop.call_soon_threadsafe(told.set)  # behind all that was told so far
        told.wait()
        self.handed = time.process_time()
        control.phase("train")
        results = [LessonResult(each.identity, 1, True, True, 3.0, 0.1) for each in plan.fresh]
        return Learned(_files(), "learned", 1, 16, 0.1, tuple(results), "taught:tiny", None, "cpu", 0)

    def committed(self, key: str, version_dir: str) -> None:
        """Nothing is kept."""

    def generate(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        raise NotImplementedError

    def release(self, key: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


def _files() -> dict[str, bytes]:
    head = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  '
    weights = struct.pack("<Q", len(head)) + head + struct.pack("<f", 1.0)
    return {"adapter_model.safetensors": weights, "adapter_config.json": b"{}"}


@dataclass
class Costs:
    """Milliseconds of processor time of saves in a document of `sections`."""

    sections: int
    changed: list[float] = field(default_factory=list)
    unchanged: list[float] = field(default_factory=list)


class Author:
    """A server in this process, and the client's end of it: messages go in as an editor sends them."""

    def __init__(self, folder: Path, sections: int) -> None:
        self.backlog = 0
        self._path = folder / "notes.dlm"
        self._text = document(sections, seed=1)
        self._line = self._text.count("\n", 0, self._text.index("keeps it", len(self._text) // 2))
        self._version = 1
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._numbers = itertools.count(1)
        self.learner = Taught()
        self.server = create_server(learner=lambda: self.learner)
        self.server.connect(self)

    def write(self, data: bytes) -> None:
        """What the server says is looked at only where it answers or asks."""
        if len(data) > _SHORT:
            return
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        if "id" in message and "method" in message:
            self._send({"id": message["id"], "result": None})
        elif "id" in message:
            self._answers.pop(message["id"]).set_result(None)

    def close(self) -> None:
        """Nothing is open."""

    async def begin(self, home: Path) -> None:
        self.learner.loop = asyncio.get_running_loop()
        settings = {"home": str(home), "debounceMs": 0, "warmOnOpen": False}
        params = {"processId": None, "rootUri": None, "capabilities": DECLARED, "initializationOptions": settings}
        await self._request("initialize", params)
        self._send({"method": "initialized", "params": {}})
        item = {"uri": self._path.as_uri(), "languageId": "dlm", "version": 1, "text": self._text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": item}})
        await self.save()

    def edit(self) -> None:
        """One letter more in an answer in the middle."""
        self._version += 1
        lines = self._text.split("\n")
        lines[self._line] = f"x{lines[self._line]}"
        self._text = "\n".join(lines)
        place = {"line": self._line, "character": 0}
        change = {"range": {"start": place, "end": place}, "text": "x"}
        named = {"uri": self._path.as_uri(), "version": self._version}
        params = {"textDocument": named, "contentChanges": [change]}
        self._send({"method": "textDocument/didChange", "params": params})

    async def save(self) -> None:
        """Returns when nothing runs any more."""
        self._path.write_text(self._text, encoding="utf-8")
        named = {"uri": self._path.as_uri()}
        self._send({"method": "textDocument/didSave", "params": {"textDocument": named, "text": self._text}})
        await self.server.supervisor.wait_for_idle(self._path)

    async def end(self) -> None:
        await self._request("shutdown", None)

    async def _request(self, method: str, params: Any) -> None:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        await answer

    def _send(self, message: dict[str, Any]) -> None:
        self.server.protocol.receive(json.dumps({"jsonrpc": "2.0", **message}).encode())


async def _measured(sections: int, repetitions: int, folder: Path) -> Costs:
    author, costs = Author(folder, sections), Costs(sections)
    await author.begin(folder / "home")
    for number in range(repetitions + 3):
        began = time.process_time()
        author.edit()
        await author.save()
        changed = author.learner.handed - began
        began = time.process_time()
        await author.save()
        if number >= 3:  # the first ones fill what is kept
            costs.changed.append(changed * 1000)
            costs.unchanged.append((time.process_time() - began) * 1000)
    await author.end()
    return costs


def measured(sizes: Sequence[int], repetitions: int) -> list[Costs]:
    """One document after the other."""
    collect_rarely()
    found = []
    for sections in sizes:
        with tempfile.TemporaryDirectory() as place:
            found.append(asyncio.run(_measured(sections, repetitions, Path(place).resolve())))
    return found


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ms ({min(values):.1f}–{max(values):.1f})"


def rows(quick: bool) -> list[Row]:
    """What a changed section costs at each size, beside the smallest; and the no-op save."""
    found = measured(SIZES[:3] if quick else SIZES, 7 if quick else 15)
    least, told = statistics.median(found[0].changed), []
    for each in found:
        ratio = statistics.median(each.changed) / least
        judged = found[0].sections < each.sections <= NO_OP
        figure = f"{_spread(each.changed)}, {ratio:.1f} × that of {found[0].sections}"
        sections = f"{each.sections:,} sections"
        target = "≤ 2 ×" if judged else ""
        told.append(Row("one section changed → plan", sections, figure, target, ratio <= 2 if judged else None))
        quickly = statistics.median(each.unchanged) <= 20 if each.sections == NO_OP else None
        target = "≤ 20 ms" if each.sections == NO_OP else ""
        told.append(Row("no-op save", sections, _spread(each.unchanged), target, quickly))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", help="only these, five times each")
    options = parser.parse_args()
    if options.sizes:
        cells = [
            [str(each.sections), _spread(each.changed), _spread(each.unchanged)] for each in measured(options.sizes, 5)
        ]
        print(table(["sections", "one changed → plan", "no-op"], cells))
    else:
        print(show(rows(options.quick)))


if __name__ == "__main__":
    main()
