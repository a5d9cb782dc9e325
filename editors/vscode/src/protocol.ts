// What the server says beyond the Language Server Protocol, as docs/protocol.md has it. Types only, and no `vscode`:
// the panel's page shares this file. Values of later servers are strings that this client has not met.

export interface Place {
  line: number;
  character: number;
}

export interface Extent {
  start: Place;
  end: Place;
}

export type RunState =
  | "idle"
  | "queued"
  | "restarting"
  | "waiting"
  | "loading"
  | "preparing"
  | "training"
  | "absorbing"
  | "swapping"
  | "writing"
  | "stopping"
  | "stuck"
  | (string & {});

export type SectionState =
  | "new"
  | "changed"
  | "waiting"
  | "learning"
  | "learned"
  | "partly"
  | "untrained"
  | "empty"
  | (string & {});

export interface RunView {
  run: number;
  kind: string;
  state: RunState;
  phase: string | null;
  detail: string;
  step: number;
  total: number | null;
  loss: number | null;
  percentage: number;
  started_at: number | null;
  seconds_left: number | null;
  fresh: number;
}

export interface LastRun {
  run: number;
  kind: string;
  outcome: "finished" | "skipped" | "cancelled" | "failed" | (string & {});
  message: string;
  steps: number;
  loss: number | null;
  seconds: number;
  at: number;
  notes: string[];
}

export interface SectionStatus {
  section_id: string;
  kind: string;
  range: Extent;
  state: SectionState;
  reason: string;
  version: number | null;
  times_seen: number;
  loss_before: number | null;
  loss_after: number | null;
  learned_at: string | null;
  /** Exchanges of it that later runs made worse; absent from servers without the guard. */
  forgotten?: Forgotten[];
}

/** The state of a section in a word. Prose is read: it does not mean that it can be asked for what it says. */
export function words({ kind, state }: { kind: string; state: string }): string {
  return kind === "prose" && state === "learned" ? "read" : state;
}

/** Losses in nats per token: `was` when it was learned. `exact`: whether the answer is still word for word. */
export interface Forgotten {
  range: Extent;
  was: number | null;
  now: number | null;
  exact: boolean | null;
  since: number;
  revert_to: number | null;
}

/** `dlm/trainingStatus`: everything that is true of one document's training now. */
export interface TrainingStatus {
  uri: string;
  message: string;
  state: RunState;
  generation: number;
  version: number | null;
  version_at: string | null;
  version_steps: number | null;
  version_loss: number | null;
  pending: number;
  removed: number;
  run: RunView | null;
  last: LastRun | null;
  lock: { pid: number | null; host: string; since: number | null; detail: string } | null;
  sections: SectionStatus[];
  /** How many there are, where not all are told of. */
  section_count?: number;
  document: string;
  dlm_id: string | null;
  base: string | null;
  store: string | null;
  device: string | null;
  note: string;
  warm: boolean;
  disk: string;
}

/** `dlm/trainingProgress`: one step or phase of a run. */
export interface TrainingProgress {
  uri: string;
  run_id: number;
  step: number;
  total_steps: number;
  phase: string;
  loss?: number;
}

/** `experimental/serverStatus`. */
export interface ServerStatus {
  health: "ok" | "warning" | "error";
  quiescent: boolean;
  message?: string;
}

/** What a command of the server answers. */
export interface CommandResult {
  ok: boolean;
  message: string;
  status?: TrainingStatus;
}

export const TRAINING_STATUS = "dlm/trainingStatus";
export const TRAINING_PROGRESS = "dlm/trainingProgress";
export const SERVER_STATUS = "experimental/serverStatus";
export const WORKSPACE_TRUST = "dlm/workspaceTrust";

/** The commands that the server carries out. The client registers an editor command of the same name for each. */
export const SERVER_COMMANDS = {
  fullRetrain: "dlm.fullRetrain",
  trainNow: "dlm.trainNow",
  cancel: "dlm.cancel",
  revert: "dlm.revert",
  unlock: "dlm.unlock",
  showStatus: "dlm.showStatus",
} as const;
