// Documents for the tests in the workbench.

export const HEAD = `---
dlm_id: 01M84MS06HFJHYBYJVNFJT3C5Q
dlm_version: 15
base_model: builtin:tiny
---
`;

export function exchange(question: string, answer: string): string {
  return `\n::instruction::\n### Q\n${question}\n### A\n${answer}\n`;
}

export const DOCUMENT = `${HEAD}
# The lighthouse at Orvane
${exchange("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")}`;

/** So much that learning it takes a while. */
export const LONG = `${HEAD}${Array.from({ length: 60 }, (_, n) => exchange(`What is written in chapter ${n + 1}?`, `Number ${n * 37 + 11} and the name of boat ${n + 3}.`)).join("")}`;
