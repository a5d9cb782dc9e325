// Writes THIRD_PARTY_NOTICES.md: every package whose code is in the bundles, with its licence in full.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const built = { bundle: true, write: false, metafile: true, logLevel: "error", absWorkingDir: root };
const results = await Promise.all([
  esbuild.build({
    ...built,
    entryPoints: ["src/extension.ts"],
    platform: "node",
    external: ["vscode"],
    outfile: "x.js",
  }),
  esbuild.build({ ...built, entryPoints: ["page/main.ts"], platform: "browser", outdir: "x" }),
]);
const names = new Set();
for (const { metafile } of results) {
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) names.add(match[0].slice(0, -1));
  }
}
const parts = [...names].sort().map((folder) => {
  const manifest = JSON.parse(readFileSync(`${root}${folder}/package.json`, "utf8"));
  const file = readdirSync(`${root}${folder}`).find((name) => /^licen[cs]e/i.test(name));
  if (file === undefined || !existsSync(`${root}${folder}/${file}`)) throw new Error(`${folder} has no licence file`);
  const text = readFileSync(`${root}${folder}/${file}`, "utf8").replaceAll("\r", "").trim();
  return `## ${manifest.name} ${manifest.version} (${manifest.license})\n\n\`\`\`text\n${text}\n\`\`\`\n`;
});
const head = "# Third-party notices\n\nThese packages are part of the extension's bundles.\n\n";
writeFileSync(`${root}THIRD_PARTY_NOTICES.md`, head + parts.join("\n"));
