// Which mark a section gets beside its first line. Pure.

import type { SectionStatus } from "../protocol.ts";

export const MARKS = ["pending", "waiting", "learning", "partly", "learned", "untrained", "failed"] as const;
export type Mark = (typeof MARKS)[number];

const OF_STATE: Readonly<Record<string, Mark>> = {
  new: "pending",
  changed: "pending",
  waiting: "waiting",
  queued: "waiting",
  learning: "learning",
  partly: "partly",
  learned: "learned",
  untrained: "untrained",
  held_out: "untrained",
  "held-out": "untrained",
  failed: "failed",
  forgotten: "failed",
};

/** The colour that a mark has in the overview ruler, as the manifest names it; null: none. */
export const RULER: Readonly<Record<Mark, string | null>> = {
  pending: "dlm.section.pending",
  waiting: "dlm.section.pending",
  learning: "dlm.section.learning",
  partly: "dlm.section.pending",
  learned: null,
  untrained: null,
  failed: "dlm.section.failed",
};

/** The lines (0-based, in the editor's text) of each mark; a state of a later server has none. */
export function marks(sections: readonly SectionStatus[], lineCount: number): Map<Mark, number[]> {
  const found = new Map<Mark, number[]>(MARKS.map((mark) => [mark, []]));
  for (const section of sections) {
    const forgotten = section.state === "learned" && (section.forgotten?.length ?? 0) > 0;
    const mark = forgotten ? "failed" : OF_STATE[section.state];
    const line = section.range.start.line;
    if (mark !== undefined && line < lineCount) found.get(mark)?.push(line);
  }
  return found;
}

/** Whether two sets of marks would be drawn alike. */
export function alike(one: Map<Mark, number[]>, other: Map<Mark, number[]> | undefined): boolean {
  if (other === undefined) return false;
  return MARKS.every((mark) => {
    const lines = one.get(mark) ?? [];
    const others = other.get(mark) ?? [];
    return lines.length === others.length && lines.every((line, index) => line === others[index]);
  });
}
