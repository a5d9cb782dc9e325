// What Show Status lists, from a document's status. Pure.

import { type SectionStatus, type TrainingStatus, words } from "../protocol.ts";
import { versionName } from "../views/statusText.ts";

export interface Action {
  readonly label: string;
  readonly command: string;
}

/** `broken`: the text has errors that stand against training it. */
export function actionsFor(status: TrainingStatus, trusted: boolean, broken = false): Action[] {
  if (!trusted) return [{ label: "$(shield) Trust this workspace…", command: "workbench.trust.manage" }];
  const found: Action[] = [];
  if (status.run !== null) found.push({ label: "$(debug-stop) Cancel", command: "dlm.editor.cancel" });
  if (status.state === "waiting") found.push({ label: "$(unlock) Unlock", command: "dlm.editor.unlock" });
  if (status.run === null && broken) {
    found.push({ label: "$(error) Show the Errors", command: "workbench.actions.view.problems" });
  } else if (status.run === null) {
    if (status.pending > 0) found.push({ label: "$(play) Train Now", command: "dlm.train" });
    found.push({ label: "$(debug-restart) Full Retrain", command: "dlm.editor.fullRetrain" });
  }
  if (status.version !== null) {
    found.push({ label: "$(comment-discussion) Ask…", command: "dlm.editor.ask" });
    if (status.run === null) found.push({ label: "$(discard) Revert to Version…", command: "dlm.editor.revert" });
  }
  found.push({ label: "$(graph-line) Show Training Panel", command: "dlm.showHistory" });
  return found;
}

export function facts(status: TrainingStatus): [string, string][] {
  const found: [string, string | null][] = [
    ["base", status.base],
    ["version", status.version === null ? null : versionFacts(status)],
    ["last run", status.last?.message ?? null],
    ["note", status.note || null],
    ["on disk", status.disk || null],
    ["lock", status.lock?.detail ?? null],
    ["still known though removed", status.removed > 0 ? `${status.removed}` : null],
    ["device", status.device],
    ["store", status.store],
    ["id", status.dlm_id],
  ];
  return found.filter((each): each is [string, string] => each[1] !== null);
}

function versionFacts(status: TrainingStatus): string {
  const parts = [versionName(status.version ?? 0)];
  if (status.version_steps !== null) parts.push(`${status.version_steps} steps`);
  if (status.version_loss !== null) parts.push(`loss ${status.version_loss.toFixed(2)}`);
  if (status.version_at !== null) parts.push(status.version_at);
  return parts.join(" · ");
}

const ICONS: Readonly<Record<string, string>> = {
  new: "$(circle-large-outline)",
  changed: "$(circle-large-outline)",
  waiting: "$(clock)",
  learning: "$(sync)",
  partly: "$(color-mode)",
  learned: "$(check)",
  failed: "$(error)",
  forgotten: "$(warning)",
};

export function sectionIcon(section: SectionStatus): string {
  return ICONS[section.state] ?? "$(dash)";
}

export function sectionFacts(section: SectionStatus): string {
  const parts: string[] = [words(section)];
  if (section.version !== null) parts.push(versionName(section.version));
  if (section.times_seen > 0) parts.push(`seen ${section.times_seen} times`);
  if (section.loss_before !== null && section.loss_after !== null) {
    parts.push(`loss ${section.loss_before.toFixed(2)} → ${section.loss_after.toFixed(2)}`);
  }
  if (section.reason !== "") parts.push(section.reason);
  return parts.join(" · ");
}
