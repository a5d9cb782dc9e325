import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until, Workbench } from "./workbench.ts";

const DOCUMENT = `---
dlm_id: 01M84MS06HFJHYBYJVNFJT3C5Q
dlm_version: 15
base_model: builtin:tiny
---

# The lighthouse at Orvane

::instruction::
### Q
Who keeps the lighthouse at Orvane?
### A
Mira Tolle keeps it.
`;

const SECTION = "\n::instruction::\n### Q\nWhat does the ferry carry?\n### A\nIt carries salt and two goats.\n";

let bench: Workbench;

before(async () => {
  bench = await Workbench.start("learning", { files: { "notes.dlm": DOCUMENT } });
});
after(() => bench?.stop());

test("a document opens with its language, its colours and its marks, and nothing pops up", async () => {
  await bench.open("notes.dlm");
  await bench.statusBecomes(/to learn/);
  await until("sections are marked as new", async () => (await bench.marks("pending")) > 0);
  const classes = await bench.page
    .locator(".view-line", { hasText: "::instruction::" })
    .first()
    .locator("span span")
    .evaluateAll((found) => found.map((each) => each.className));
  assert.ok(new Set(classes).size > 1, `a fence has colours of its own: ${classes}`);
  assert.equal(await bench.toasts.count(), 0);
});

test("a section is typed, saved, and learned: progress, marks, status, and still nothing pops up", async () => {
  await bench.type(SECTION);
  await bench.save();
  await bench.page.locator(".statusbar-item", { hasText: "Training notes.dlm" }).first().waitFor();
  await bench.shot("progress");
  await bench.statusBecomes(/learned v1/);
  await until("sections are marked as learned", async () => (await bench.marks("learned")) >= 2);
  assert.equal(await bench.toasts.count(), 0);
  await bench.shot("learned");
});
