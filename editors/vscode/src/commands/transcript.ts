// A conversation with what a document has taught, as Markdown. Pure.

export interface Exchange {
  readonly question: string;
  /** As far as it has come. */
  answer: string;
  /** Who speaks, such as `v3`; empty until it is known. */
  speaker: string;
  state: "waiting" | "speaking" | "done" | "cancelled" | "failed";
  /** What is waited for, or why it failed. */
  detail: string;
}

/** The page, the newest exchange at its end. */
export function transcript(name: string, exchanges: readonly Exchange[]): string {
  const parts = [`# ${name}\n`];
  for (const each of exchanges) {
    parts.push(`**${quoted(each.question)}**\n`);
    if (each.answer !== "") parts.push(`${each.answer}\n`);
    const note = noteOf(each);
    if (note !== "") parts.push(`*${note}*\n`);
  }
  return parts.join("\n");
}

function noteOf(each: Exchange): string {
  switch (each.state) {
    case "waiting":
      return each.detail || "…";
    case "speaking":
      return "…";
    case "cancelled":
      return "cancelled";
    case "failed":
      return each.detail;
    default:
      return each.speaker === "" ? "" : `said by ${each.speaker}`;
  }
}

function quoted(question: string): string {
  return question
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll("*", "\\*");
}

/** The text of a partial result, in either shape that a server may send. */
export function pieceOf(value: unknown): string {
  if (typeof value === "string") return value;
  const text = (value as { text?: unknown } | null)?.text;
  return typeof text === "string" ? text : "";
}

/** Who speaks according to an answer or a piece of one; empty when it does not say. */
export function speakerOf(value: unknown): string {
  const said = value as { version?: unknown; live?: unknown; speaker?: unknown } | null;
  if (typeof said !== "object" || said === null) return "";
  if (typeof said.speaker === "string") return said.speaker;
  if (!("version" in said)) return "";
  const version = typeof said.version === "number" ? `v${said.version}` : "the base, which has learned nothing yet";
  return said.live === true ? `the run that goes on (from ${version})` : version;
}
