// stylua.mjs PACKAGE [--check] FILE…: formats Lua as .stylua.toml says, with the formatter's WebAssembly package.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const [place, ...given] = process.argv.slice(2);
const stylua = createRequire(import.meta.url)(place);
const options = readFileSync(fileURLToPath(new URL("../.stylua.toml", import.meta.url)), "utf8");
const option = (name) => new RegExp(`^${name} *= *"?(\\w+)"?`, "m").exec(options)?.[1];

const config = stylua.Config.new();
config.column_width = Number(option("column_width"));
config.indent_width = Number(option("indent_width"));
config.indent_type = stylua.IndentType[option("indent_type")];
config.quote_style = stylua.QuoteStyle[option("quote_style")];

let stale = 0;
for (const file of given.filter((each) => each !== "--check")) {
  const before = readFileSync(file, "utf8");
  const after = stylua.formatCode(before, config, undefined, stylua.OutputVerification.Full);
  if (before === after) continue;
  stale += 1;
  if (given.includes("--check")) console.error(`${file}: is not as stylua formats it`);
  else writeFileSync(file, after);
}
process.exit(given.includes("--check") && stale > 0 ? 1 : 0);
