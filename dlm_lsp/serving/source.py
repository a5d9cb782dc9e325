"""One process's story of a document, put together from what its stream tells. What it tells is not trusted."""

from __future__ import annotations

from typing import Any

from dlm_lsp.runs.states import QUEUES, RunState

MOST_POINTS = 1024  # of one run; of longer ones every second goes
_MOST_RUNS = 50
ENDS = ("finished", "skipped", "cancelled", "failed")
_NOT_BEGUN = QUEUES | {RunState.WAITING}


class Source:
    """The newest status, and the runs with their curves, oldest first. `told` is a state."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.status: dict[str, Any] = _table(told.get("status"))
        self.names: list[Any] = _list(told.get("names"))
        self.runs: list[dict[str, Any]] = [dict(run) for run in _list(told.get("runs")) if _is_run(run)]

    @property
    def busy(self) -> bool:
        """Whether a run goes on here."""
        run = _table(self.status.get("run"))
        return bool(run) and run.get("state") not in _NOT_BEGUN

    @property
    def version(self) -> Any:
        return self.status.get("version")

    @property
    def run(self) -> dict[str, Any] | None:
        """The run that goes on, as clients are told of its progress."""
        run = _table(self.status.get("run"))
        if not run:
            return None
        told = {
            "run_id": run.get("run"),
            "step": run.get("step") or 0,
            "total_steps": run.get("total") or 0,
            "phase": run.get("phase") or run.get("state"),
        }
        return told if run.get("loss") is None else {**told, "loss": run["loss"]}

    def hear(self, told: dict[str, Any]) -> None:
        """One event."""
        if isinstance(status := told.get("status"), dict):
            self.status, self.names = status, _list(told.get("names"))
        elif isinstance(now := told.get("now"), dict):
            self.status = {**self.status, **now}
        kind, at = told.get("event"), told.get("at")
        if not isinstance(at, int | float):
            return
        if kind == "started":
            self._begin(told, at)
        elif self.runs and (run := self.runs[-1])["run"] == told.get("run") and run["ended_at"] is None:
            since = round(max(at - run["started_at"], 0.0), 3)
            if kind == "phase" and (not run["phases"] or run["phases"][-1][0] != told.get("name")):
                run["phases"].append([told.get("name"), since])
            elif kind == "step":
                self._step(run, told, since)
            elif kind in ENDS:
                last = _table(self.status.get("last"))
                run.update(
                    ended_at=at,
                    outcome=last.get("outcome") or kind,
                    message=last.get("message") or "",
                    version=told.get("version") if kind == "finished" else None,
                )

    def _begin(self, told: dict[str, Any], at: float) -> None:
        sections = [_table(each) for each in _list(self.status.get("sections"))]
        self.runs.append(
            {
                "run": told.get("run"),
                "kind": told.get("kind"),
                "started_at": at,
                "ended_at": None,
                "version": None,
                "outcome": "",
                "message": "",
                "points": [],
                "phases": [],
                "sections": [each.get("section_id") for each in sections if each.get("state") == "learning"],
            }
        )
        del self.runs[:-_MOST_RUNS]

    @staticmethod
    def _step(run: dict[str, Any], told: dict[str, Any], since: float) -> None:
        step, loss, tokens = told.get("step"), told.get("loss"), told.get("tokens")
        if not isinstance(step, int) or not isinstance(loss, int | float):
            return
        points = run["points"]
        before = points[-1][2] if points else 0
        points.append([step, loss, before + (tokens if isinstance(tokens, int) else 0), since])
        if len(points) > MOST_POINTS:
            run["points"] = points[::2] if len(points) % 2 else [*points[::2], points[-1]]


def _is_run(run: Any) -> bool:
    if not isinstance(run, dict) or not isinstance(run.get("started_at"), int | float):
        return False
    run["points"], run["phases"] = list(_list(run.get("points"))), list(_list(run.get("phases")))
    return {"run", "version", "ended_at"} <= run.keys()


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
