// stylua.mjs PACKAGE [--check] FILE…: formats Lua as .stylua.toml says, with the formatter's WebAssembly package.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const [place, ...given] = process.argv.slice(2);
const stylua = createRequire(import.meta.url)(place);
const options = readFileSync(fileURLToPath(new URL("../.stylua.toml", import.meta.url)), "utf8");
const option = (name) => new RegExp(`^${name} *= *"?(\\w+)"?`, "m").exec(options)?.[1];

// A new one each time: formatting takes it away.
function config() {
  const made = stylua.Config.new();
  made.column_width = Number(option("column_width"));
  made.indent_width = Number(option("indent_width"));
  made.indent_type = stylua.IndentType[option("indent_type")];
  made.quote_style = stylua.QuoteStyle[option("quote_style")];
  return made;
}

let stale = 0;
for (const file of given.filter((each) => each !== "--check")) {
  const before = readFileSync(file, "utf8");
  const after = stylua.formatCode(before, config(), undefined, stylua.OutputVerification.Full);
  if (before === after) continue;
  stale += 1;
  if (given.includes("--check")) console.error(`${file}: is not as stylua formats it`);
  else writeFileSync(file, after);
}
process.exit(given.includes("--check") && stale > 0 ? 1 : 0);
