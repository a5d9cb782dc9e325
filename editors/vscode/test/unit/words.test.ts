import assert from "node:assert/strict";
import { test } from "node:test";
import { answersPage } from "../../src/commands/answersPage.ts";
import { pieceOf, speakerOf, transcript } from "../../src/commands/transcript.ts";
import { versionsIn } from "../../src/history.ts";
import { fromPage } from "../../src/panel/messages.ts";
import { serverSettings, words } from "../../src/settingsMap.ts";

const written = (table: Record<string, unknown>) => (name: string) =>
  name in table ? { value: table[name] } : undefined;

test("the server is given its own settings, and not this client's", () => {
  const table = { onSave: "train", maxSteps: 100, lspPath: "/x", watchOnSave: null, sectionMarks: true };
  assert.deepEqual(serverSettings(table, written({})), { onSave: "train", maxSteps: 100 });
});

test("the older `watchOnSave` still says whether a save trains, unless `onSave` is written", () => {
  const table = { onSave: "train" };
  assert.equal(serverSettings(table, written({ watchOnSave: false })).onSave, "mark");
  assert.equal(serverSettings({ onSave: "mark" }, written({ watchOnSave: true })).onSave, "train");
  assert.equal(serverSettings({ onSave: "off" }, written({ watchOnSave: true, onSave: "off" })).onSave, "off");
  assert.equal(serverSettings(table, written({ watchOnSave: null })).onSave, "train");
});

test("a command line is split into words, and nothing in it means anything to a shell", () => {
  assert.deepEqual(words("uv run dlm"), ["uv", "run", "dlm"]);
  assert.deepEqual(words(`  '/a b/dlm'  --x="1 2" ""`), ["/a b/dlm", "--x=1 2", ""]);
  assert.deepEqual(words("dlm; rm -rf $HOME && `x`"), ["dlm;", "rm", "-rf", "$HOME", "&&", "`x`"]);
  assert.deepEqual(words(String.raw`C:\Tools\dlm.exe`), [String.raw`C:\Tools\dlm.exe`]);
  assert.deepEqual(words("   "), []);
});

test("a conversation reads as a page, and says who spoke", () => {
  const page = transcript("notes.dlm", [
    { question: "When\ndoes it *leave*?", answer: "At seven.", speaker: "v3", state: "done", detail: "" },
    { question: "And then?", answer: "", speaker: "", state: "failed", detail: "the server is ending" },
  ]);
  assert.match(page, /\*\*When does it \\\*leave\\\*\?\*\*\n\nAt seven\.\n\n\*said by v3\*/);
  assert.match(page, /\*the server is ending\*/);
});

test("pieces and speakers in each shape that they may come in", () => {
  assert.deepEqual(["a", { text: "b" }, { other: 1 }, null, 7].map(pieceOf), ["a", "b", "", "", ""]);
  assert.deepEqual(
    [{ version: 4, speaker: "v0004" }, { version: 4 }, { version: 4, live: true }, { version: null }, {}, null].map(
      speakerOf,
    ),
    ["v0004", "v4", "the run that goes on (from v4)", "the base, which has learned nothing yet", "", ""],
  );
});

test("answers before and after, or that there are none yet", () => {
  const page = answersPage("notes.dlm", {
    answers: [{ question: "When?", before: "Never.", after: "At seven.", version: 2 }],
  });
  assert.match(page, /## When\?\n\n\*learned in v2\*\n\n- before: Never\.\n- after: At seven\.\n/);
  assert.match(answersPage("notes.dlm", []), /No answers yet/);
  assert.equal(answersPage("notes.dlm", { text: "# As the server has it" }), "# As the server has it");
});

test("what the page asks for is checked before anything is done", () => {
  assert.deepEqual(fromPage({ type: "command", command: "revert", uri: "file:///a", version: 3, more: 1 }), {
    type: "command",
    command: "revert",
    uri: "file:///a",
    version: 3,
  });
  for (const bad of [
    null,
    "ready",
    { type: "command", command: "workbench.action.quit", uri: "file:///a" },
    { type: "command", command: "revert", uri: "file:///a", version: "3" },
    { type: "command", command: "revert", uri: "file:///a", version: -1 },
    { type: "command", command: "train" },
    { type: "reveal", uri: "file:///a" },
    { type: "other", uri: "file:///a" },
  ]) {
    assert.equal(fromPage(bad), null);
  }
});

test("versions, the newest first", () => {
  const version = { kind: "cycle", at: null, steps: 31, loss: 0.041, seconds: 2, current: false };
  const history = {
    uri: "file:///a",
    runs: [],
    versions: [
      { ...version, version: 1 },
      { ...version, version: 2, kind: "full" },
    ],
  };
  assert.deepEqual(
    versionsIn(history).map(({ number, facts }) => [number, facts]),
    [
      [2, "full retrain · 31 steps · loss 0.04"],
      [1, "31 steps · loss 0.04"],
    ],
  );
  assert.deepEqual(versionsIn(null), []);
});
