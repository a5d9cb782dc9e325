// Runs the tests in the real workbench, one file after the other: its start alone takes both cores.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = `${root}out/ui`;
rmSync(out, { recursive: true, force: true });
// What runs inside the extension host is a bundle of its own.
await esbuild.build({
  entryPoints: [`${root}test/host/suite.ts`],
  outfile: `${root}out/host/suite.js`,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  external: ["vscode"],
  logLevel: "warning",
});
const wanted = process.argv.slice(2);
const names = readdirSync(`${root}test/ui`).filter((name) => name.endsWith(".test.ts"));
await esbuild.build({
  entryPoints: names
    .filter((name) => (wanted.length === 0 ? !name.startsWith("host") : wanted.some((each) => name.startsWith(each))))
    .map((name) => `${root}test/ui/${name}`),
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
const files = readdirSync(out)
  .sort()
  .map((name) => `${out}/${name}`);
const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=1", "--enable-source-maps", ...files], {
  stdio: "inherit",
  env: { ...process.env, EXTENSION_ROOT: root.replace(/\/$/, "") },
});
process.exit(status ?? 1);
