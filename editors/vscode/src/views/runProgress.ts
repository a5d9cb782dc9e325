// When a run's progress is worth more than the status bar. Pure.

import type { RunView } from "../protocol.ts";

/**
 * Whether a run is expected to take longer than `limit` seconds in all; 0: never.
 *
 * The server's estimate counts once there is one; until then a run counts as long when it has already taken so long.
 */
export function expectedLong(run: RunView | null, elapsed: number, limit: number): boolean {
  if (limit <= 0 || run === null) return false;
  const left = run.state === "training" ? (run.seconds_left ?? 0) : 0;
  // An estimate from the very first steps is a guess: they include what only happens once.
  const trustworthy = run.step >= 3;
  return elapsed + (trustworthy ? left : 0) > limit;
}
