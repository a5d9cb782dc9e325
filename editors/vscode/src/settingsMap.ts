// From the author's settings to the server's table. Pure.

/** What this client uses itself; the server need not see it. */
const OWN = [
  "lspPath",
  "interpreter",
  "installArguments",
  "sectionMarks",
  "progressNotificationSeconds",
  "defaultBase",
  "command",
  "watchOnSave",
];

export interface Explicit {
  readonly value: unknown;
}

/**
 * The table that the server is given. `explicit` tells what the author wrote, and nothing for a default.
 *
 * `watchOnSave` is the older way to say what `onSave` says now; the newer one counts where both are written.
 */
export function serverSettings(
  table: Readonly<Record<string, unknown>>,
  explicit: (name: string) => Explicit | undefined,
): Record<string, unknown> {
  const told: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(table)) {
    if (!OWN.includes(name)) told[name] = value;
  }
  const watch = explicit("watchOnSave")?.value;
  if (typeof watch === "boolean" && explicit("onSave") === undefined) told.onSave = watch ? "train" : "mark";
  return told;
}

/**
 * Splits a command line into words: at blanks, with quotes keeping them together. No variables, no globs, no shell.
 * Backslashes are ordinary characters, for the sake of Windows paths.
 */
export function words(line: string): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (const character of line) {
    if (quote !== "") {
      if (character === quote) quote = "";
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word);
      word = null;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (word !== null) found.push(word);
  return found;
}
