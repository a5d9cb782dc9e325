// Bundles the extension (for the extension host's Node) and the panel's page (for a browser), each into one file.
import * as esbuild from "esbuild";

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
}
