// A workspace that is not trusted: help while one writes, and nothing is trained, started or written.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { DOCUMENT, exchange } from "./documents.ts";
import { until, Workbench } from "./workbench.ts";

let bench: Workbench;

before(async () => {
  bench = await Workbench.start("trust", {
    trust: true,
    files: { "notes.dlm": DOCUMENT },
    settings: { "security.workspace.trust.startupPrompt": "never", "security.workspace.trust.banner": "never" },
  });
});
after(() => bench?.stop());

test("language features work, a save trains nothing, and the status says why", async () => {
  await bench.open("notes.dlm");
  await bench.statusBecomes(/not trusted/);
  await bench.type(exchange("What does the ferry carry?", "Salt."));
  await bench.save();
  await until("the notice is there", async () => (await bench.problems()).some((each) => /not trusted/i.test(each)));
  assert.equal(await bench.page.locator(".statusbar-item", { hasText: "Training notes.dlm" }).count(), 0);
  const home = path.join(bench.root, "dlm");
  assert.deepEqual(existsSync(home) ? readdirSync(home) : [], [], "nothing is written");
  await bench.shot("vscode-untrusted");
});

test("once it is trusted, the same server learns", async () => {
  const [before] = bench.servers();
  await bench.palette("Workspaces: Manage Workspace Trust");
  await bench.page.locator(".workspace-trust-editor .monaco-button", { hasText: "Trust" }).first().click();
  await bench.page.keyboard.press("Escape"); // the trust editor lies over the others
  await bench.focusEditor();
  await bench.statusBecomes(/to learn/);
  assert.deepEqual(bench.servers(), [before]);
  await bench.palette("DLM: Train Now");
  await bench.statusBecomes(/learned v1/);
});
