// No server: one message that says what can be done, and highlighting all the same.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DOCUMENT } from "./documents.ts";
import { logsAreKept, Workbench } from "./workbench.ts";

let bench: Workbench;

before(async () => {
  bench = await Workbench.start("absent", {
    files: { "notes.dlm": DOCUMENT },
    machine: { "dlm.interpreter": "/nowhere/python" },
  });
});
after(() => bench?.stop());

test("a setting that points nowhere is named once, with the way to it", async () => {
  await bench.open("notes.dlm");
  const toast = bench.toasts.filter({ hasText: "dlm.interpreter names /nowhere/python" });
  await toast.waitFor();
  assert.equal(await bench.toasts.count(), 1);
  assert.deepEqual(await toast.locator(".monaco-button").allInnerTexts(), ["Open Settings", "Show Log"]);
  await bench.statusBecomes(/no server/);
  await bench.shot("vscode-absent");
});

test("the log says what was looked at and what was found", {
  skip: logsAreKept() ? false : "SKIP: this code-server keeps no log files",
}, async () => {
  await bench.palette("DLM: Show Log");
  await bench.page.locator(".output-view, .output-panel, [id='workbench.panel.output']").first().waitFor();
  const lines = bench.page.locator("[id='workbench.panel.output'] .view-lines");
  await lines.filter({ hasText: "there is no such file" }).waitFor();
});
