// Statuses as the server sends them, with what a test is about.

import type { RunView, SectionStatus, TrainingStatus } from "../../src/protocol.ts";

export function run(changes: Partial<RunView>): RunView {
  return {
    run: 1,
    kind: "cycle",
    state: "training",
    phase: null,
    detail: "",
    step: 0,
    total: null,
    loss: null,
    percentage: 0,
    started_at: null,
    seconds_left: null,
    fresh: 1,
    ...changes,
  };
}

export function section(state: string, line: number): SectionStatus {
  return {
    section_id: `${state}-${line}`,
    kind: "instruction",
    range: { start: { line, character: 0 }, end: { line: line + 3, character: 0 } },
    state,
    reason: "",
    version: null,
    times_seen: 0,
    loss_before: null,
    loss_after: null,
    learned_at: null,
  };
}

export function status(changes: Partial<TrainingStatus> = {}): TrainingStatus {
  return {
    uri: "file:///notes.dlm",
    message: "",
    state: changes.run?.state ?? "idle",
    generation: 1,
    version: null,
    version_at: null,
    version_steps: null,
    version_loss: null,
    pending: 0,
    removed: 0,
    run: null,
    last: null,
    lock: null,
    sections: [],
    document: "/notes.dlm",
    dlm_id: null,
    base: null,
    store: null,
    device: null,
    note: "",
    warm: false,
    disk: "",
    ...changes,
  };
}
