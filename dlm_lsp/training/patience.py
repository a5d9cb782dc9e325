"""How long a learner in another process is waited for, and what counts as a sign of life."""

from __future__ import annotations

from dataclasses import dataclass

from dlm_lsp.training import wire

# A look that comes so much later than the last one: this process itself stood still (a closed lid, a stopped
# terminal job), which says nothing about the learner. In seconds.
_STOOD_STILL = 1.0
# Computing that is more than the signs of life themselves, in seconds of processor time.
_WORK = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds."""

    # A stop is honoured before the next optimizer step, which takes a fraction of a second for a small base and a
    # few for a large one. Longer than this nobody believes that "cancel" does anything; what a kill costs is
    # loading the model again.
    stop: float = 5.0
    # When it only warms, a run waits for its stop that needs the very import and base that a kill would throw away.
    stop_warming: float = 60.0
    # Without any sign of life. A sign needs the interpreter: computing kernels release it, but opening a library
    # on a cold network disk, or a machine that swaps, may hold it for tens of seconds.
    silence: float = 90.0
    # Alive, but with neither a step nor a phase nor a second of computing: a lock that nobody will release. A long
    # step computes, and a download is watched by whoever does it.
    standstill: float = 600.0


class Watch:
    """Over one call: is told what is heard and how time passes, and says when it is enough."""

    def __init__(self, patience: Patience, grace: float) -> None:
        self._patience = patience
        self.grace = grace
        self._silent = 0.0
        self._still = 0.0
        self._stopping: float | None = None  # for how long
        self._computed = 0.0
        self._downloading = False

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping is not None

    @property
    def overdue(self) -> bool:
        """Whether the stop should have been honoured by now."""
        return self._stopping is not None and self._stopping > self.grace

    @property
    def hangs(self) -> str:
        """Why it is waited for no longer, to follow "The learner "; empty while it is."""
        if self._silent > self._patience.silence:
            return f"gave no sign of life for {self._patience.silence:.0f} s and was ended"
        if self._still > self._patience.standstill:
            return f"did nothing for {self._patience.standstill:.0f} s and was ended"
        return ""

    def stop(self) -> None:
        self._stopping = self._stopping or 0.0

    def hears(self, report: wire.Report) -> None:
        self._silent = 0.0
        if isinstance(report, wire.Beat):
            if report.computed - self._computed < _WORK:
                return
            self._computed = report.computed
        elif isinstance(report, wire.Phase):
            self._downloading = report.name == "download"
        self._still = 0.0

    def passes(self, seconds: float) -> None:
        """`seconds` since the last look, or since the begin."""
        seconds = min(seconds, _STOOD_STILL)
        self._silent += seconds
        if not self._downloading:
            self._still += seconds
        if self._stopping is not None:
            self._stopping += seconds
