"""One document's life: saves, full retrains, reverts, kills, and a look after each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from dlm_lsp.store import Store
from dlm_lsp.store.lock import BEING_WRITTEN_SECONDS
from tests.faults import Orders, Switch
from tests.server.wire import PATIENCE, notification
from tests.torture import check
from tests.torture.check import Violation, demand
from tests.torture.plan import Instant, Operation, Target, numbered
from tests.torture.servers import Gone, Hung, LearnerKind, Server, forked

KEEP = 3
_MOST_EXCHANGES = 4
_ANSWERS = ("salt", "letters", "a green lamp", "the north pier", "Mira Tolle", "at seven", "two bells")


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that was made."""

    operation: Operation
    phase: str
    learner: LearnerKind
    at: Instant | None


class Episode:
    """A home with one document. Everything but the moment of a random kill follows from the seed."""

    def __init__(self, folder: Path, learner: LearnerKind, seed: str, number: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.learner = learner
        self.choose = Random(seed)
        self.path = folder / "torture.dlm"
        self.dlm_id = f"01HZ{number:022d}"
        self.known = check.Known()
        self.switch = Switch(folder / "orders.json")
        self._exchanges: list[tuple[str, str]] = []
        self._written = 0
        self._durations: dict[str, float] = {}
        self._edit()

    @property
    def store(self) -> Store:
        """A fresh look: nothing is remembered from before the kill."""
        return Store(self.folder / "home", self.dlm_id)

    # -- what is done to it

    def kill(self, target: Target) -> Iterator[Kill]:
        """Has the operation of `target` killed, after a run that recovers from the kill before. Yields each kill made.

        Yields nothing when the instant did not come. Raises Violation.
        """
        if target.operation == "recovery":
            yield from self._kill_recovery(target)
            return
        with self._server() as server:
            self.recover_and_train(server)
            if target.operation == "prune":
                self._fill(server)
            if made := self._killed(server, target):
                yield made

    def recover_and_train(self, server: Server, operation: Operation = "cycle") -> None:
        """A run to its end, whatever the last kill left, and everything is checked."""
        began = time.monotonic()
        status = self._wait(server, self._begin(server, operation))
        took = time.monotonic() - began
        self._durations[operation] = min(took, self._durations.get(operation, took))
        check.after_run(self.store, self.known, status, self._text(), KEEP, full=operation == "full retrain")

    def record(self, operation: Operation, first: tuple[Operation, Instant] | None = None) -> list[Instant]:
        """The instants of one operation, not killed; of the recovery that follows a kill at `first`."""
        if first is not None:
            with self._server() as server:
                self.recover_and_train(server)
                demand(self._killed(server, Target(first[0], first[1])) is not None, f"{first} did not come")
        with self._server() as server:
            if first is None:
                self.recover_and_train(server)
                self._fill(server)
            self.switch.set(Orders(record=True))
            if operation == "revert":
                goal = self._goal(operation)
                self._reverted(self._wait(server, self._begin(server, operation)), goal)
            else:
                self.recover_and_train(server, "full retrain" if operation == "full retrain" else "cycle")
            self.switch.off()
            return numbered(self.switch.recorded())

    # -- killing

    def _kill_recovery(self, target: Target) -> Iterator[Kill]:
        first = target.first or ("cycle", Instant("before unlink lsp/intent.json"))
        with self._server() as server:
            self.recover_and_train(server)
            self._fill(server)
            made = self._killed(server, Target(*first))
        if made is None:
            return
        yield made
        with self._server() as server:
            if again := self._killed(server, target):
                yield again

    def _killed(self, server: Server, target: Target) -> Kill | None:
        """Begins the operation, and the server dies in it; None if it ended instead."""
        goal = self._goal(target.operation)
        dies_at = target.at
        if dies_at is not None:
            self.switch.set(Orders(kill=dies_at.name, nth=dies_at.nth))
        phase = target.phase
        server.listen()
        try:
            number = self._begin(server, target.operation)
            if dies_at is None:
                usual = self._durations.get("cycle" if target.operation == "recovery" else target.operation, 0.1)
                try:
                    answer = server.answered(number, self.choose.uniform(0, 1.1 * usual))
                except TimeoutError:
                    phase = f"{server.state}, at random"
                else:
                    phase = "idle, at random"
                    if target.operation == "revert":
                        self._reverted(answer, goal)
                server.process.kill()
                self._drain(server)
            else:
                self._wait_for_death(server, number)
                return None
        except Gone:
            pass
        finally:
            self.switch.off()
        code = server.process.wait()
        demand(code == -9, f"the server ended by itself with {code}")
        self._age_torn_lock()
        check.after_kill(self.store, self.known, goal, server.told)
        return Kill(target.operation, phase, self.learner, dies_at)

    def _wait_for_death(self, server: Server, number: int) -> None:
        """Raises Gone; where the instant did not come, whatever the operation did is known afterwards."""
        server.answered(number)
        server.process.kill()
        server.process.wait()
        current = self.store.current()
        check.after_kill(self.store, self.known, current.number if current else None, None)

    def _reverted(self, answer: Any, goal: int | None) -> None:
        """The server said how a revert ended."""
        if goal is None:
            demand(not answer["ok"], f"there was nothing to revert to: {answer}")
        else:
            demand(answer["ok"], f"not reverted: {answer}")
            check.after_revert(self.store, self.known, goal)

    def _age_torn_lock(self) -> None:
        """A lock file that was cut off counts as just being written for ten seconds, for which nobody waits here."""
        lock = self.store.layout.lock
        if lock.exists() and lock.read_bytes().count(b"\n") < 3:
            then = time.time() - 2 * BEING_WRITTEN_SECONDS
            os.utime(lock, (then, then))

    def _drain(self, server: Server) -> None:
        """What the server had said before its death counts as told. Raises Gone in the end."""
        while True:
            server.answered(0)

    def _wait(self, server: Server, number: int) -> Any:
        try:
            return server.answered(number)
        except (TimeoutError, Hung) as error:
            raise Violation(f"the server said nothing for {PATIENCE:.0f} s") from error
        except Gone as error:
            raise Violation(f"the server died with {server.process.wait()}") from error

    def _goal(self, operation: Operation) -> int | None:
        """The version that the operation is to make current."""
        numbers = [each.number for each in self.store.versions()]
        if operation == "revert":
            older = [number for number in numbers if number < (self.known.current or 0)]
            return older[-1] if older else None
        return 1 + max(self.known.committed | set(numbers), default=0)

    def _fill(self, server: Server) -> None:
        """From here on every run has a version to remove."""
        for _ in range(KEEP - len(self.store.versions())):
            self.recover_and_train(server)

    # -- what an editor does

    @contextmanager
    def _server(self) -> Iterator[Server]:
        with forked(self.learner, self.folder / "home", self.switch, self.folder / "server.log") as server:
            server.begin(keepVersions=KEEP)
            document = {"uri": self.path.as_uri(), "languageId": "dlm", "version": 1, "text": self._text()}
            server.send(notification("textDocument/didOpen", {"textDocument": document}))
            yield server

    def _begin(self, server: Server, operation: Operation) -> int:
        """Begins the operation; the request that is answered at its end."""
        uri = self.path.as_uri()
        if operation == "revert":
            arguments = [{"uri": uri, "quiet": True}]
            return server.ask("workspace/executeCommand", {"command": "dlm.revert", "arguments": arguments})
        self._edit()
        text = self._text()
        changed = {"textDocument": {"uri": uri, "version": self._written}, "contentChanges": [{"text": text}]}
        saved = {"textDocument": {"uri": uri}, "text": text}
        if operation == "full retrain":
            arguments = [{"uri": uri, "confirmed": True, "quiet": True}]
            server.send(notification("textDocument/didChange", changed))
            server.ask("workspace/executeCommand", {"command": "dlm.fullRetrain", "arguments": arguments})
        else:
            server.send(notification("textDocument/didChange", changed), notification("textDocument/didSave", saved))
        return server.ask("dlm/waitForIdle", {"uri": uri})

    def _edit(self) -> None:
        """One exchange more, sometimes one less, sometimes another answer; the file is written."""
        self._written += 1
        if len(self._exchanges) >= _MOST_EXCHANGES or (len(self._exchanges) > 1 and self.choose.random() < 0.2):
            self._exchanges.pop(self.choose.randrange(len(self._exchanges)))
        elif self._exchanges and self.choose.random() < 0.3:
            place = self.choose.randrange(len(self._exchanges))
            self._exchanges[place] = (self._exchanges[place][0], f"It is {self._written} now.")
        answer = f"{self.choose.choice(_ANSWERS)} {self._written}"
        self._exchanges.append((f"What is number {self._written}?", answer))
        self.path.write_text(self._text())

    def _text(self) -> str:
        head = f"---\ndlm_id: {self.dlm_id}\nbase_model: builtin:tiny\n---\n"
        return head + "".join(f"\n::instruction::\n### Q\n{q}\n\n### A\n{a}\n" for q, a in self._exchanges)
