// Bundles and runs the unit tests: the parts that need no editor, on the real files, Pythons and grammars.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = `${root}out/unit`;
rmSync(out, { recursive: true, force: true });
await esbuild.build({
  entryPoints: readdirSync(`${root}test/unit`)
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `${root}test/unit/${name}`),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning",
});
const files = readdirSync(out).map((name) => `${out}/${name}`);
const { status } = spawnSync(process.execPath, ["--test", "--enable-source-maps", ...process.argv.slice(2), ...files], {
  stdio: "inherit",
  env: { ...process.env, EXTENSION_ROOT: root },
});
process.exit(status ?? 1);
