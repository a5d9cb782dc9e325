// The walkthrough, followed step by step: the example is opened, saved and asked, and each step is ticked off.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { until, Workbench } from "./workbench.ts";

let bench: Workbench;

before(async () => {
  bench = await Workbench.start("walkthrough", {
    files: { "readme.txt": "A folder.\n" },
    settings: { "dlm.progressNotificationSeconds": 120 },
  });
});
after(() => bench?.stop());

const step = (id: string) => bench.page.locator(`.getting-started-step[data-step-id$="#${id}"]`).first();

async function walkthrough(): Promise<void> {
  await bench.palette("Welcome: Open Walkthrough");
  const row = bench.page.locator(".quick-input-list .monaco-list-row", { hasText: "Teach a model with a document" });
  await row.first().click();
  await step("open").waitFor();
}

/** Whether a step has its tick. */
async function done(id: string): Promise<boolean> {
  return (await step(id).locator(".codicon-getting-started-step-checked, .codicon.complete").count()) > 0;
}

test("the example is opened from the walkthrough, and the step is done", async () => {
  await walkthrough();
  assert.equal(await done("open"), false);
  await step("open").click();
  await step("open").locator(".monaco-button", { hasText: "Open the Example" }).click();
  await bench.page.waitForSelector('.tab.active[data-resource-name="first-lesson.dlm"]');
  await bench.statusBecomes(/to learn/);
  await walkthrough();
  await until("the step to open is ticked", () => done("open"));
  await bench.shot("vscode-walkthrough");
});

test("saving it ticks the next step off", async () => {
  await bench.page.locator('.tab[data-resource-name="first-lesson.dlm"]').click();
  await bench.palette("DLM: Train Now");
  await bench.statusBecomes(/learned v1/);
  await walkthrough();
  await until("the step to save is ticked", () => done("save"));
});

test("Enter behind a key that holds a table indents, and behind one that does not, does not", async () => {
  await bench.page.locator('.tab[data-resource-name="first-lesson.dlm"]').click();
  await bench.focusEditor();
  await bench.page.keyboard.press("Control+Home");
  await bench.page.keyboard.press("End");
  await bench.page.keyboard.press("Enter");
  for (const [key, more] of [
    ["training:", "lora_r: 8"],
    ["system_prompt: |", "Be brief."],
  ] as const) {
    await bench.page.keyboard.type(key, { delay: 30 });
    await bench.page.keyboard.press("Escape");
    await bench.page.keyboard.press("Enter");
    await bench.page.keyboard.insertText(more);
    await bench.page.keyboard.press("Enter");
    await bench.page.keyboard.press("Shift+Tab");
  }
  await bench.page.keyboard.insertText("# note");
  await bench.save();
  const text = readFileSync(path.join(bench.folder, "first-lesson.dlm"), "utf8");
  assert.match(text, /^---\ntraining:\n {2}lora_r: 8\nsystem_prompt: \|\n {2}Be brief\.\n# note\n/);
});
