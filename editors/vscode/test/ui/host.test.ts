// Runs the tests that are inside the extension host; each of them says its own line.

import assert from "node:assert/strict";
import * as path from "node:path";
import { after, test } from "node:test";
import { EXTENSION, Workbench } from "./workbench.ts";

let bench: Workbench | undefined;
after(() => bench?.stop());

test("the suite inside the extension host", { timeout: 300_000 }, async () => {
  bench = await Workbench.start("host", {
    files: {},
    suite: path.join(EXTENSION, "out/host/suite.js"),
  });
  assert.equal(await bench.suiteEnded, 0);
});
