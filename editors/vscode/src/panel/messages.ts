// What the panel's page and whoever feeds it say to each other. The page knows no editor: a webview's port carries
// these messages here, and a stream of events may carry the same ones elsewhere.

import type { History } from "../history.ts";
import type { TrainingProgress, TrainingStatus } from "../protocol.ts";

export interface DocumentName {
  readonly uri: string;
  readonly name: string;
}

export type ToPage =
  /** The documents there are, and the one that is shown; whether the workspace is trusted and a server runs. */
  | {
      type: "documents";
      documents: DocumentName[];
      selected: string | null;
      server: string;
      trusted: boolean;
      /** What the page may ask for, where that is not everything; then it cannot show a section either. */
      commands?: PageCommand[];
    }
  /** All that has been learned so far; replaces what the page knew. */
  | { type: "history"; history: History }
  | { type: "status"; status: TrainingStatus; names: string[] }
  | { type: "progress"; progress: TrainingProgress }
  | { type: "answers"; uri: string; answers: unknown };

export type FromPage =
  | { type: "ready" }
  | { type: "select"; uri: string }
  | { type: "command"; command: PageCommand; uri: string; version?: number }
  | { type: "reveal"; uri: string; section: string };

/** All that the page can ask for; anything else is dropped. */
export const PAGE_COMMANDS = ["train", "retrain", "cancel", "revert", "answers", "ask"] as const;
export type PageCommand = (typeof PAGE_COMMANDS)[number];

/** A message from the page, or null for what is none: a page is foreign ground. */
export function fromPage(message: unknown): FromPage | null {
  if (typeof message !== "object" || message === null) return null;
  const { type, uri, command, version, section } = message as Record<string, unknown>;
  if (type === "ready") return { type };
  if (typeof uri !== "string") return null;
  if (type === "select") return { type, uri };
  if (type === "reveal" && typeof section === "string") return { type, uri, section };
  if (type !== "command" || !PAGE_COMMANDS.includes(command as PageCommand)) return null;
  if (version !== undefined && !(typeof version === "number" && Number.isSafeInteger(version) && version > 0))
    return null;
  return { type, uri, command: command as PageCommand, ...(version === undefined ? {} : { version }) };
}
