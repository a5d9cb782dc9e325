// Bundles the extension (for the extension host's Node) and the panel's page (for a browser), each into one file.
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

// What the page is made of beside its own folder.
const SHARED = ["src/commands/answersPage.ts", "src/history.ts", "src/panel/messages.ts", "src/protocol.ts"];

const production = process.argv.includes("--production");
const common = {
  bundle: true,
  minify: production,
  sourcemap: production ? false : "linked",
  legalComments: "linked",
  logLevel: "warning",
};

const builds = [
  {
    ...common,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
    // The client logs its own name of a class in places; renamed ones would make the log useless.
    keepNames: true,
  },
  {
    ...common,
    entryPoints: { panel: "page/main.ts" },
    outdir: "dist/page",
    platform: "browser",
    format: "iife",
    target: "es2022",
    loader: { ".css": "css" },
  },
];

if (process.argv.includes("--watch")) {
  for (const build of builds) await (await esbuild.context(build)).watch();
} else {
  await Promise.all(builds.map((build) => esbuild.build(build)));
  if (production) handOver();
}

/** The page is served to browsers, too: the Python package has the same files, and the digests of what they are made of. */
function handOver() {
  const root = fileURLToPath(new URL(".", import.meta.url));
  const assets = `${root}../../dlm_lsp/serving/assets`;
  const digest = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
  const names = readdirSync(`${root}dist/page`).filter((name) => !name.endsWith(".map"));
  for (const name of names) copyFileSync(`${root}dist/page/${name}`, `${assets}/${name}`);
  const pages = readdirSync(`${root}page`).map((name) => `page/${name}`);
  const sources = [...pages, ...SHARED].sort();
  copyFileSync(`${root}node_modules/uplot/LICENSE`, `${assets}/uplot-LICENSE.txt`);
  const { packages } = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8"));
  const version = (name) => [name, packages[`node_modules/${name}`].version];
  const made = {
    with: Object.fromEntries(["esbuild", "uplot"].map(version)),
    sources: Object.fromEntries(sources.map((name) => [name, digest(root + name)])),
    files: Object.fromEntries(names.sort().map((name) => [name, digest(`${assets}/${name}`)])),
  };
  writeFileSync(`${assets}/made.json`, `${JSON.stringify(made, null, 2)}\n`);
}
