// A run that pushes out what was known: the panel says so with the guard's figures, and its Revert brings it back.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { exchange, HEAD } from "./documents.ts";
import { until, Workbench } from "./workbench.ts";

const KNOWN =
  exchange("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.") +
  exchange("What colour is the harbour boat?", "It is painted dark green.");
// One row a step leaves no place to rehearse, and at this rate a new answer pushes out the old ones.
const RECKLESS = HEAD.replace(
  /---\n$/,
  "training:\n  micro_batch_size: 1\n  grad_accum: 1\n  learning_rate: 0.01\n---\n",
);

let bench: Workbench;

before(async () => {
  process.env.DLM_THREADS = "1"; // the same sums on every machine
  bench = await Workbench.start("forgotten", {
    files: { "notes.dlm": HEAD + KNOWN },
    settings: { "dlm.progressNotificationSeconds": 120 },
  });
});
after(() => bench?.stop());

test("what a save made the model forget is in the panel, and Revert there brings it back", async () => {
  await bench.open("notes.dlm");
  await bench.statusBecomes(/to learn/);
  await bench.palette("DLM: Train Now");
  await bench.statusBecomes(/learned v1/);
  // Another program changes the file; the editor shows it, and the author writes on.
  writeFileSync(path.join(bench.folder, "notes.dlm"), RECKLESS + KNOWN);
  await bench.page.locator(".view-line", { hasText: "learning_rate" }).waitFor();
  await bench.type(exchange("When does the ferry leave?", "At seven."));
  await bench.save();
  await bench.statusBecomes(/v2/);
  const panel = await bench.panel();
  const forgotten = panel.locator("section[aria-label='Forgotten'] li");
  // How many it pushes out is the arithmetic's to say: the run mends what it can.
  await until("it is listed", async () => (await forgotten.count()) > 0);
  assert.match(await forgotten.first().innerText(), /\d\.\d\d.*\d\.\d\d/);
  await bench.shot("vscode-forgotten");
  await panel
    .locator("tr", { hasText: "v1" })
    .getByRole("button", { name: /Revert/ })
    .click();
  await panel.locator("tr.current", { hasText: "v1" }).waitFor();
  await until("nothing is forgotten any more", async () => (await forgotten.count()) === 0);
});
