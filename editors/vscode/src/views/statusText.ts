// What the language status item says. Pure.

import type { TrainingStatus } from "../protocol.ts";

export type ServerState = "stopped" | "starting" | "running" | "absent" | "gone";

export interface Shown {
  readonly text: string;
  readonly detail: string;
  readonly busy: boolean;
  readonly severity: "information" | "warning" | "error";
}

/** The item for a document's status; `trusted`: whether the workspace is. */
export function shownStatus(status: TrainingStatus | undefined, server: ServerState, trusted: boolean): Shown {
  if (server !== "running") return shownServer(server);
  if (status === undefined) return calm("DLM: idle", "");
  if (!trusted)
    return calm(`DLM: not trusted${learnedSuffix(status)}`, "Nothing is trained in a workspace that is not trusted.");
  const { run, last } = status;
  if (run !== null) {
    const waiting = status.state === "waiting";
    return {
      text: `DLM: ${doing(status)}`,
      detail: waiting ? (status.lock?.detail ?? status.message) : status.message,
      busy: !waiting,
      severity: waiting ? "warning" : "information",
    };
  }
  if (last?.outcome === "failed") {
    return { text: "DLM: failed", detail: last.message, busy: false, severity: "error" };
  }
  const details = [status.disk, status.note, status.message].filter((each) => each !== "");
  if (status.disk !== "")
    return { text: "DLM: changed on disk", detail: status.disk, busy: false, severity: "warning" };
  if (status.pending > 0) {
    const since = status.version === null ? "" : ` since ${versionName(status.version)}`;
    return calm(`DLM: ${status.pending} to learn${since}`, details.join(" · "));
  }
  if (status.version === null) return calm("DLM: idle", details.join(" · "));
  return calm(`DLM: learned ${versionName(status.version)}`, details.join(" · "));
}

/** Such as `training 42 % · loss 0.80`. */
export function doing(status: TrainingStatus): string {
  const run = status.run;
  if (run === null) return "idle";
  switch (run.state) {
    case "waiting":
      return "waiting for lock";
    case "training": {
      const loss = run.loss === null ? "" : ` · loss ${run.loss.toFixed(2)}`;
      return `${run.kind === "full" ? "retraining" : "training"} ${run.percentage} %${loss}`;
    }
    case "loading":
      return run.phase === "download" ? `downloading the base ${run.percentage} %` : "loading the model";
    default:
      return run.state;
  }
}

export function versionName(version: number): string {
  return `v${version}`;
}

function learnedSuffix(status: TrainingStatus): string {
  return status.version === null ? "" : ` · learned ${versionName(status.version)}`;
}

function shownServer(server: Exclude<ServerState, "running">): Shown {
  switch (server) {
    case "starting":
      return { text: "DLM: starting", detail: "The server is starting.", busy: true, severity: "information" };
    case "absent":
      return {
        text: "DLM: no server",
        detail: "The language server is not installed.",
        busy: false,
        severity: "warning",
      };
    case "gone":
      return {
        text: "DLM: server gone",
        detail: "It ended unexpectedly several times.",
        busy: false,
        severity: "error",
      };
    default:
      return { text: "DLM: stopped", detail: "The server is not running.", busy: false, severity: "information" };
  }
}

function calm(text: string, detail: string): Shown {
  return { text, detail, busy: false, severity: "information" };
}
