import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { examine } from "../../src/server/probe.ts";

const SCRIPT = path.join(process.env.EXTENSION_ROOT ?? "", "bundled", "probe.py");
const PYTHON = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();
const files = {
  platform: process.platform,
  isFile: (file: string) => {
    try {
      return statSync(file).isFile();
    } catch {
      return false;
    }
  },
  real: realpathSync,
};
let folder = "";

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), "dlm probe "));
});
after(() => rmSync(folder, { recursive: true }));

function script(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

test("a Python says its version and what it has", async () => {
  const found = await examine({ kind: "python", python: PYTHON }, files, SCRIPT);
  assert.equal(found.problem, undefined);
  assert.match(found.pythonVersion ?? "", /^3\.\d+\.\d+$/);
  assert.ok(found.server === null || typeof found.server === "string");
});

test("what happens to lie beside the probe is not taken for the server", async () => {
  const beside = script("probe.py", execFileSync("cat", [SCRIPT], { encoding: "utf8" }));
  script("dlm_lsp.py", "");
  const found = await examine({ kind: "python", python: PYTHON }, files, beside);
  const elsewhere = await examine({ kind: "python", python: PYTHON }, files, SCRIPT);
  assert.equal(found.server, elsewhere.server);
});

test("a server's executable says its version, and the Python beside it the rest", async () => {
  const command = script("dlm-lsp", "#!/bin/sh\necho dlm-lsp 1.2.3\n");
  assert.deepEqual(await examine({ kind: "executable", command }, files, SCRIPT), {
    python: null,
    pythonVersion: null,
    server: "1.2.3",
    torch: undefined,
  });
});

test("another program of that name is not one", async () => {
  const command = script("other", "#!/bin/sh\necho hello\n");
  assert.match((await examine({ kind: "executable", command }, files, SCRIPT)).problem ?? "", /no `dlm-lsp`/);
});

test("no file, a failing one, and one that is no Python are told", async () => {
  const broken = script("broken", "#!/bin/sh\necho it is broken >&2\nexit 3\n");
  const odd = script("odd", "#!/bin/sh\necho '[1'\n");
  const problem = async (python: string) => (await examine({ kind: "python", python }, files, SCRIPT)).problem;
  assert.equal(await problem(path.join(folder, "nothing")), "there is no such file");
  assert.equal(await problem(broken), "it is broken");
  assert.equal(await problem(odd), "it did not answer as a Python does");
});
