// Answers before and after, as Markdown. Pure. A server that writes the page itself is taken at its word.

interface Pair {
  question: string;
  before: string | null;
  after: string | null;
  wanted: string | null;
  version: number | null;
}

export function answersPage(name: string, told: unknown): string {
  const text = (told as { text?: unknown } | null)?.text;
  if (typeof text === "string") return text;
  const pairs = pairsOf(told);
  if (pairs.length === 0) return `# ${name}\n\nNo answers yet: they are taken when a save has been learned.\n`;
  const parts = [`# ${name}\n`];
  for (const pair of pairs) {
    parts.push(`## ${pair.question.replaceAll(/\s*\n\s*/g, " ")}\n`);
    if (pair.version !== null) parts.push(`*learned in v${pair.version}*\n`);
    if (pair.wanted !== null) parts.push(`- in the document: ${inline(pair.wanted)}`);
    parts.push(`- before: ${inline(pair.before)}`, `- after: ${inline(pair.after)}\n`);
  }
  return parts.join("\n");
}

/** The pairs in an answer of the server: a list, or a table that holds one as `answers`. */
export function pairsOf(told: unknown): Pair[] {
  const list = Array.isArray(told) ? told : (told as { answers?: unknown } | null)?.answers;
  if (!Array.isArray(list)) return [];
  return list.flatMap((each: Record<string, unknown> | null) => {
    const question = each?.question;
    if (typeof question !== "string") return [];
    return [
      {
        question,
        before: textOf(each?.before),
        after: textOf(each?.after),
        wanted: textOf(each?.expected),
        version: typeof each?.version === "number" ? each.version : null,
      },
    ];
  });
}

function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  const text = (value as { text?: unknown } | null | undefined)?.text;
  return typeof text === "string" ? text : null;
}

function inline(text: string | null): string {
  if (text === null) return "–";
  return text.trim() === "" ? "(nothing)" : text.trim().replaceAll(/\s*\n\s*/g, " ");
}
