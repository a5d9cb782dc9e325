import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as path from "node:path";
import { before, test } from "node:test";
import oniguruma from "vscode-oniguruma";
import textmate from "vscode-textmate";

const ROOT = process.env.EXTENSION_ROOT ?? "";
const require = createRequire(import.meta.url);

/** Grammars that the editor brings along, as short as a test can have them: enough to see where they are let in. */
const FOREIGN: Record<string, object> = {
  "source.yaml": {
    scopeName: "source.yaml",
    patterns: [
      { name: "entity.name.tag.yaml", match: "^\\s*[a-z_]+(?=:)" },
      { name: "string.unquoted.block.yaml", begin: "\\|", end: "(?!)" }, // one that never ends by itself
    ],
    repository: {},
  },
  "source.python": {
    scopeName: "source.python",
    patterns: [{ name: "string.quoted.docstring.python", begin: '"""', end: '"""' }],
    repository: {},
  },
  "text.html.markdown": {
    scopeName: "text.html.markdown",
    patterns: [],
    repository: { inline: { patterns: [{ name: "markup.bold.markdown", match: "\\*\\*[^*]+\\*\\*" }] } },
  },
};

let grammar: textmate.IGrammar;

before(async () => {
  const wasm = readFileSync(path.join(path.dirname(require.resolve("vscode-oniguruma")), "onig.wasm"));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength) as ArrayBuffer);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns: string[]) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text: string) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async (scope: string) => {
      if (scope !== "text.dlm") return (FOREIGN[scope] ?? null) as never;
      const file = path.join(ROOT, "syntaxes", "dlm.tmLanguage.json");
      return textmate.parseRawGrammar(readFileSync(file, "utf8"), file);
    },
  });
  const loaded = await registry.loadGrammar("text.dlm");
  assert.ok(loaded);
  grammar = loaded;
});

/** The scopes of each piece of each line, without the first, as `piece: scope scope`. */
function scopes(text: string): string[][] {
  let stack = textmate.INITIAL;
  return text.split("\n").map((line) => {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, stack);
    stack = ruleStack;
    return tokens.map((token) => `${line.slice(token.startIndex, token.endIndex)}: ${token.scopes.slice(1).join(" ")}`);
  });
}

function scopeOf(text: string, line: number, piece: string): string {
  const found = scopes(text)[line]?.find((each) => each.startsWith(`${piece}: `));
  assert.ok(found !== undefined, `no piece ${piece} on line ${line}: ${JSON.stringify(scopes(text)[line])}`);
  return found.slice(piece.length + 2);
}

const FRONT = "---\nbase_model: x\n---\n";

test("the frontmatter is YAML, whatever it is in the middle of, and ends at its delimiter", () => {
  const text = "---\nsystem_prompt: |\n  You **answer**.\n---\n::prose::";
  assert.match(scopeOf(text, 0, "---"), /punctuation\.definition\.frontmatter\.begin/);
  assert.match(scopeOf(text, 1, "system_prompt"), /meta\.embedded\.block\.frontmatter\.dlm entity\.name\.tag\.yaml/);
  assert.match(scopeOf(text, 2, "  You **answer**."), /string\.unquoted\.block\.yaml/);
  assert.match(scopeOf(text, 3, "---"), /punctuation\.definition\.frontmatter\.end/);
  assert.match(scopeOf(text, 4, "prose"), /keyword\.control\.fence/);
});

test("dashes further down are no frontmatter", () => {
  assert.match(scopeOf(`${FRONT}\n---\nbase_model: x`, 4, "---"), /meta\.separator/);
  assert.doesNotMatch(scopes(`${FRONT}\n---\nbase_model: x`)[5]?.join() ?? "", /yaml/);
});

test("fences of all kinds, with and without an adapter", () => {
  for (const kind of ["prose", "instruction", "preference"]) {
    assert.match(
      scopeOf(`${FRONT}::${kind}::`, 3, kind),
      new RegExp(`meta\\.section\\.${kind}\\.dlm keyword\\.control\\.fence`),
    );
    assert.match(scopeOf(`${FRONT}::${kind}#tone_2::`, 3, "tone_2"), /variable\.other\.adapter/);
  }
});

test("attributes, with a colon in their value", () => {
  const text = `${FRONT}::image path="a:b/c.png" alt="At noon: the ferry"::`;
  assert.match(scopeOf(text, 3, "path"), /entity\.other\.attribute-name/);
  assert.match(scopeOf(text, 3, '"a:b/c.png"'), /string\.quoted\.double/);
  assert.match(scopeOf(text, 3, '"At noon: the ferry"'), /string\.quoted\.double/);
  assert.match(scopeOf(text, 3, "image"), /keyword\.control\.fence/);
});

test("a fence that names no section is marked as wrong; one that is text is left alone", () => {
  for (const line of ["::instructions::", "::prose#::", "::image::", '::prose path="x"::']) {
    assert.match(scopes(`${FRONT}${line}`)[3]?.join() ?? "", /invalid\.illegal\.fence/, line);
  }
  for (const line of [" ::instruction::", "::instruction:: ", "see ::prose::", "::two words::"]) {
    assert.doesNotMatch(scopes(`${FRONT}${line}`)[3]?.join() ?? "", /fence/, line);
  }
});

test("headers count in the sections they belong to, and nowhere else", () => {
  const text = `${FRONT}::instruction::\n### Q !probe\nWhen?\n### A\nAt **seven**.\n::preference::\n### Chosen\nx\n### Q\n::prose::\n### A`;
  assert.match(scopeOf(text, 4, "Q"), /markup\.heading\.3\.dlm entity\.name\.section/);
  assert.match(scopeOf(text, 4, "!probe"), /storage\.modifier\.probe/);
  assert.match(scopeOf(text, 6, "A"), /markup\.heading\.3\.dlm/);
  assert.match(scopeOf(text, 7, "**seven**"), /markup\.bold/);
  assert.match(scopeOf(text, 9, "Chosen"), /markup\.heading\.3\.dlm/);
  assert.doesNotMatch(scopes(text)[11]?.join() ?? "", /heading\.3/);
  assert.doesNotMatch(scopes(text)[13]?.join() ?? "", /heading\.3/);
});

test("headers are exact but for blanks around them", () => {
  const line = (header: string) => scopes(`${FRONT}::instruction::\n${header}`)[4]?.join() ?? "";
  assert.match(line("  ### Q  "), /heading\.3/);
  for (const wrong of ["### q", "###  Q", "### Q:", "### A !probe x"])
    assert.doesNotMatch(line(wrong), /heading\.3/, wrong);
});

test("code is its own language, its fences are no sections, and it ends at three backticks", () => {
  const text = `${FRONT}::instruction::\n\`\`\`python\n"""open\n::prose::\n\`\`\`\n::prose::`;
  assert.match(scopeOf(text, 4, "python"), /fenced_code\.block\.language/);
  assert.match(scopeOf(text, 6, "::prose::"), /meta\.embedded\.block\.python string\.quoted\.docstring/);
  assert.match(scopeOf(text, 7, "```"), /punctuation\.definition\.code\.end/);
  assert.match(scopeOf(text, 8, "prose"), /meta\.section\.prose\.dlm keyword\.control\.fence/);
});

test("a code block of no known language, and indented backticks, which open none", () => {
  const text = `${FRONT}\`\`\`plan\n::prose::\n\`\`\`\n   \`\`\`\n::prose::`;
  assert.match(scopeOf(text, 4, "::prose::"), /markup\.raw\.block/);
  assert.match(scopeOf(text, 7, "prose"), /keyword\.control\.fence/);
});

test("markers of other tools, and comments", () => {
  const text = `${FRONT}::instruction::\n<!-- dlm-auto-synth: synth_teacher="x: y" synth_at="2026" -->\n<!-- mine -->`;
  assert.match(scopeOf(text, 4, "dlm-auto-synth"), /comment\.block\.marker\.dlm keyword\.other\.marker/);
  assert.match(scopeOf(text, 4, '"x: y"'), /string\.quoted\.double/);
  assert.match(scopes(text)[5]?.join() ?? "", /comment\.block\.html/);
});

test("prose is Markdown: headings, lists, quotes, emphasis", () => {
  const text = `${FRONT}# Harbour **notes**\n- one\n2. two\n> said\nplain **bold**`;
  assert.match(scopeOf(text, 3, "**notes**"), /markup\.heading\.dlm entity\.name\.section\.dlm markup\.bold/);
  assert.match(scopeOf(text, 4, "-"), /punctuation\.definition\.list/);
  assert.match(scopeOf(text, 5, "2."), /punctuation\.definition\.list/);
  assert.match(scopeOf(text, 6, "said"), /markup\.quote/);
  assert.match(scopeOf(text, 7, "**bold**"), /markup\.bold/);
});

test("the grammar in the tree is the one that its script writes", async () => {
  const file = path.join(ROOT, "syntaxes", "dlm.tmLanguage.json");
  const kept = readFileSync(file, "utf8");
  await import(path.join(ROOT, "scripts", "grammar.mjs"));
  assert.equal(readFileSync(file, "utf8"), kept, "run node scripts/grammar.mjs");
});

test("the manifest tells the editor every language that the grammar embeds", () => {
  const manifest = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8"));
  const embedded = Object.keys(manifest.contributes.grammars[0].embeddedLanguages);
  const text = readFileSync(path.join(ROOT, "syntaxes", "dlm.tmLanguage.json"), "utf8");
  const used = new Set([...text.matchAll(/"contentName": "(meta\.embedded\.[^"]+)"/g)].map((match) => match[1]));
  assert.deepEqual([...used].sort(), embedded.sort());
});

test("a word keeps what belongs to it", () => {
  const { wordPattern } = JSON.parse(readFileSync(path.join(ROOT, "language-configuration.json"), "utf8"));
  const pattern = new RegExp(wordPattern.pattern, `${wordPattern.flags}g`);
  const words = (text: string) => text.match(pattern);
  assert.deepEqual(words("base: qwen2.5-0.5b."), ["base", "qwen2.5-0.5b"]);
  assert.deepEqual(words("::instruction#tone_2::"), ["instruction", "tone_2"]);
  assert.deepEqual(words("Müller’s boat – don't (go)"), ["Müller’s", "boat", "don't", "go"]);
});
