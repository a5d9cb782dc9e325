// A run that takes a while: a notification that can cancel it, Full Retrain and Cancel from the palette.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LONG } from "./documents.ts";
import { until, Workbench } from "./workbench.ts";

let bench: Workbench;

before(async () => {
  bench = await Workbench.start("long", {
    files: { "book.dlm": LONG },
    settings: { "dlm.progressNotificationSeconds": 3, "dlm.maxSteps": 400 },
  });
  await bench.open("book.dlm");
  await bench.statusBecomes(/to learn/);
});
after(() => bench?.stop());

test("a run that is expected to be long is a notification as well, and its button cancels it", async () => {
  await bench.palette("DLM: Train Now");
  const toast = bench.toasts.filter({ hasText: "Training book.dlm" });
  await toast.waitFor();
  assert.match(await bench.status(), /training|loading|preparing/);
  await bench.shot("vscode-notification");
  await toast.locator(".monaco-button", { hasText: "Cancel" }).click();
  await bench.statusBecomes(/60 to learn|idle/);
  await toast.waitFor({ state: "detached" });
});

test("Full Retrain and Cancel from the palette", async () => {
  await bench.palette("DLM: Full Retrain");
  await bench.statusBecomes(/retraining \d+ %/);
  await bench.palette("DLM: Cancel");
  await bench.statusBecomes(/60 to learn/);
  await until(
    "its notification is gone",
    async () => (await bench.toasts.filter({ hasText: "book.dlm" }).count()) === 0,
  );
});
