// What a document has learned, version by version and run by run, as `dlm/history` tells it. Types and helpers; pure.

export const HISTORY = "dlm/history";

export interface Version {
  version: number;
  kind: string | null;
  /** Seconds since the epoch. */
  at: number | null;
  steps: number | null;
  loss: number | null;
  seconds: number | null;
  current: boolean;
}

/** One run of this server, as far as it has come. */
export interface Run {
  /** Counts the runs of this server; null for one of an earlier server. */
  run: number | null;
  kind: string;
  started_at: number;
  ended_at: number | null;
  outcome: string | null;
  version: number | null;
  message: string;
  /** [step, loss, tokens since the run's start, seconds since then] */
  points: [number, number, number, number][];
  /** [name, seconds since the run's start], in order. */
  phases: [string, number][];
  /** The ids of the sections that it learned. */
  sections: string[];
}

export interface History {
  uri: string;
  versions: Version[];
  runs: Run[];
}

export function versionsIn(history: History | null): { number: number; when: string; facts: string }[] {
  return [...(history?.versions ?? [])]
    .sort((one, other) => other.version - one.version)
    .map((each) => ({
      number: each.version,
      when: each.at === null ? "" : new Date(each.at * 1000).toLocaleString(),
      facts: [
        each.kind === "full" ? "full retrain" : "",
        each.steps === null ? "" : `${each.steps} steps`,
        each.loss === null ? "" : `loss ${each.loss.toFixed(2)}`,
      ]
        .filter((fact) => fact !== "")
        .join(" · "),
    }));
}
