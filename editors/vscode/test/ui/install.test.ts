// From nothing: no server anywhere, one message, one task, and then the document is learned. It installs PyTorch, which
// takes minutes and needs an index, so it runs when DLM_TEST_INSTALL is set.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { DOCUMENT } from "./documents.ts";
import { Workbench } from "./workbench.ts";

const wanted = process.env.DLM_TEST_INSTALL !== undefined;
let bench: Workbench | undefined;
after(() => bench?.stop());

test("the server is installed by one click, starts by itself, and learns", {
  skip: wanted ? false : "SKIP: DLM_TEST_INSTALL is not set",
  timeout: 900_000,
}, async () => {
  bench = await Workbench.start("install", { files: { "notes.dlm": DOCUMENT }, bare: true });
  await bench.open("notes.dlm");
  const toast = bench.toasts.filter({ hasText: "not installed" });
  await toast.waitFor();
  await bench.shot("vscode-absent");
  await toast.locator(".monaco-button", { hasText: "Install Server" }).click();
  await bench.page.locator(".terminal-wrapper, .xterm").first().waitFor();
  await bench.statusBecomes(/to learn/, 800_000);
  assert.ok(
    existsSync(path.join(bench.root, "user/User/globalStorage/dlm-language-server.dlm-language/server/bin/dlm-lsp")),
  );
  await bench.shot("vscode-installed");
  await bench.palette("DLM: Train Now");
  await bench.statusBecomes(/learned v1/);
});
