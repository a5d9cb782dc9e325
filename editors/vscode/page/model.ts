// What the page shows, computed from the messages it was sent. Pure.

import type { History, Run, Version } from "../src/history.ts";
import type { PageCommand, ToPage } from "../src/panel/messages.ts";
import type { TrainingStatus } from "../src/protocol.ts";

export interface Model {
  documents: { uri: string; name: string }[];
  selected: string | null;
  server: string;
  trusted: boolean;
  /** What may be asked for; null: everything. */
  commands: PageCommand[] | null;
  status: TrainingStatus | null;
  /** The first words of each section of `status`. */
  names: string[];
  history: History | null;
  /** The run that goes on, as far as it was seen here; the history has it whole when it has ended. */
  live: Run | null;
  answers: unknown;
}

export const EMPTY: Model = {
  documents: [],
  selected: null,
  server: "stopped",
  trusted: true,
  commands: null,
  status: null,
  names: [],
  history: null,
  live: null,
  answers: null,
};

export function after(model: Model, message: ToPage): Model {
  switch (message.type) {
    case "documents": {
      const { documents, selected, server, trusted } = message;
      const other = selected !== model.selected;
      const fresh = other ? { status: null, names: [], history: null, live: null, answers: null } : {};
      return { ...model, documents, selected, server, trusted, commands: message.commands ?? null, ...fresh };
    }
    case "status":
      if (message.status.uri !== model.selected) return model;
      return {
        ...model,
        status: message.status,
        names: message.names,
        live: followed(model.live, message.status),
      };
    case "progress":
      return model.live?.run === message.progress.run_id
        ? {
            ...model,
            live: withPoint(
              model.live,
              message.progress.step,
              message.progress.loss,
              message.progress.phase,
              model.status?.run?.started_at ?? null,
            ),
          }
        : model;
    case "history":
      if (message.history.uri !== model.selected) return model;
      return {
        ...model,
        history: message.history,
        live: model.live !== null && whole(message.history, model.live) ? null : model.live,
      };
    case "answers":
      return message.uri === model.selected ? { ...model, answers: message.answers } : model;
  }
}

/** Whether the history has at least what was seen of a run here. */
function whole(history: History, live: Run): boolean {
  const told = history.runs.find((run) => run.run === live.run);
  return told !== undefined && told.points.length >= live.points.length;
}

function followed(live: Run | null, status: TrainingStatus): Run | null {
  const { run } = status;
  if (run === null) {
    if (live === null || live.ended_at !== null) return live;
    const ended = status.last?.run === live.run ? status.last : null;
    return {
      ...live,
      ended_at: ended?.at ?? live.started_at,
      outcome: ended?.outcome ?? null,
      message: ended?.message ?? "",
      version: ended?.outcome === "finished" ? status.version : null,
    };
  }
  if (run.state === "queued" || run.state === "restarting" || run.state === "waiting") return live;
  const now = status.sections.filter((each) => each.state === "learning").map((each) => each.section_id);
  const base: Run =
    live !== null && live.run === run.run
      ? live
      : {
          run: run.run,
          kind: run.kind,
          started_at: run.started_at ?? 0,
          ended_at: null,
          outcome: null,
          version: null,
          message: "",
          points: [],
          phases: [],
          sections: now,
        };
  return withPoint(base, run.step, run.loss ?? undefined, run.phase, run.started_at);
}

function withPoint(
  run: Run,
  step: number,
  loss: number | undefined,
  phase: string | null,
  startedAt: number | null,
): Run {
  const since = startedAt === null ? 0 : Math.max(0, Date.now() / 1000 - startedAt);
  const lastPhase = run.phases[run.phases.length - 1]?.[0];
  const phases: Run["phases"] =
    phase !== null && phase !== "" && phase !== lastPhase ? [...run.phases, [phase, since]] : run.phases;
  const lastStep = run.points[run.points.length - 1]?.[0] ?? 0;
  const points: Run["points"] =
    loss !== undefined && step > lastStep ? [...run.points, [step, loss, 0, since]] : run.points;
  return { ...run, phases, points };
}

export interface Curve {
  /** Steps since the first one that is known, over all runs. */
  x: number[];
  /** The loss of each step, null where only a version's end is known. */
  loss: (number | null)[];
  /** The loss at a version's end, null elsewhere. */
  versions: (number | null)[];
  marks: { x: number; version: number }[];
  /** A line about each x. */
  about: string[];
}

/** The whole story as one curve: what is known step by step as a line, older versions by their ends. */
export function curve(model: Model): Curve {
  const found: Curve = { x: [], loss: [], versions: [], marks: [], about: [] };
  const runs = runsOf(model);
  const names = new Map(model.status?.sections.map((each, index) => [each.section_id, model.names[index] ?? ""]));
  const committed = new Map(runs.flatMap((run) => (run.version === null ? [] : [[run.version, run] as const])));
  let steps = 0;
  const add = (x: number, loss: number | null, version: number | null, about: string) => {
    found.x.push(x);
    found.loss.push(loss);
    found.versions.push(version);
    found.about.push(about);
  };
  // A version is the end of a run; runs that committed nothing stand where they were in time.
  const events: { at: number; version: Version | null; run: Run | null }[] = [
    ...(model.history?.versions ?? []).map((version) => {
      const run = committed.get(version.version) ?? null;
      return { at: run?.started_at ?? version.at ?? 0, version, run };
    }),
    ...runs.filter((run) => !isListed(run, model.history)).map((run) => ({ at: run.started_at, version: null, run })),
  ];
  events.sort((one, other) => one.at - other.at || (one.version?.version ?? 0) - (other.version?.version ?? 0));
  for (const { version, run } of events) {
    for (const [step, loss] of run?.points ?? []) add(steps + step, loss, null, aboutStep(run, step, loss, names));
    const last = run?.points[run.points.length - 1];
    steps += last?.[0] ?? version?.steps ?? 0;
    const number = version?.version ?? run?.version ?? null;
    if (number === null) continue;
    const loss = version?.loss ?? last?.[1] ?? null;
    if (last !== undefined) found.versions[found.versions.length - 1] = loss;
    else add(steps, null, loss, aboutVersion(number, version));
    found.marks.push({ x: steps, version: number });
  }
  return found;
}

/** The runs of this server in order, with the one that was followed here where that knows more. */
export function runsOf(model: Model): Run[] {
  const told = model.history?.runs ?? [];
  if (model.live === null) return told;
  return [...told.filter((run) => run.run !== model.live?.run), model.live];
}

function isListed(run: Run, history: History | null): boolean {
  return run.version !== null && (history?.versions ?? []).some((version) => version.version === run.version);
}

function aboutStep(run: Run | null, step: number, loss: number, known: Map<string, string>): string {
  const sections = (run?.sections ?? []).map((id) => known.get(id) ?? "").filter((name) => name !== "");
  const names = sections.slice(0, 3).join(" · ") + (sections.length > 3 ? ` and ${sections.length - 3} more` : "");
  const kind = run?.kind === "full" ? "full retrain" : "save";
  const into = run?.version == null ? "" : ` → v${run.version}`;
  return `${kind} ${run?.run ?? ""}${into} · step ${step} · loss ${loss.toFixed(3)}${names === "" ? "" : ` · ${names}`}`;
}

function aboutVersion(number: number, version: Version | null): string {
  const parts = [`v${number}`];
  if (version?.kind === "full") parts.push("full retrain");
  if (version?.steps != null) parts.push(`${version.steps} steps`);
  if (version?.loss != null) parts.push(`loss ${version.loss.toFixed(3)}`);
  return parts.join(" · ");
}

/** Tokens per second over the newest steps of a run; null while that is not known. */
export function speed(run: Run | undefined): number | null {
  const points = run?.points.slice(-20) ?? [];
  const first = points[0];
  const last = points[points.length - 1];
  if (first === undefined || last === undefined || last[3] <= first[3]) return null;
  const tokens = last[2] - first[2];
  return tokens > 0 ? tokens / (last[3] - first[3]) : null;
}

/** Seconds in each phase of a run, in order; the last one up to its end, or to `now` (seconds since the epoch). */
export function phaseTimes(run: Run | undefined, now: number): { name: string; seconds: number }[] {
  if (run === undefined) return [];
  const end = (run.ended_at ?? now) - run.started_at;
  const times = new Map<string, number>();
  run.phases.forEach(([name, since], index) => {
    const until = run.phases[index + 1]?.[1] ?? end;
    times.set(name, (times.get(name) ?? 0) + Math.max(0, until - since));
  });
  return [...times].map(([name, seconds]) => ({ name, seconds }));
}
