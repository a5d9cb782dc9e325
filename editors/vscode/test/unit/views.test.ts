import assert from "node:assert/strict";
import { test } from "node:test";
import { actionsFor, facts, sectionFacts } from "../../src/commands/statusFacts.ts";
import { told } from "../../src/serverLog.ts";
import { expectedLong } from "../../src/views/runProgress.ts";
import { alike, marks } from "../../src/views/sectionMarks.ts";
import { shownStatus } from "../../src/views/statusText.ts";
import { run, section, status } from "./samples.ts";

const text = (...given: Parameters<typeof shownStatus>) => shownStatus(...given).text;

test("the status item says what goes on in two or three words", () => {
  const idle = status();
  assert.equal(text(idle, "running", true), "DLM: idle");
  assert.equal(text(status({ version: 12 }), "running", true), "DLM: learned v12");
  assert.equal(text(status({ version: 12, pending: 2 }), "running", true), "DLM: 2 to learn since v12");
  assert.equal(text(undefined, "running", true), "DLM: idle");
});

test("a run: percentage and loss, and what it waits for", () => {
  const training = status({ state: "training", run: run({ percentage: 42, loss: 0.804 }) });
  assert.equal(text(training, "running", true), "DLM: training 42 % · loss 0.80");
  assert.ok(shownStatus(training, "running", true).busy);
  const waiting = status({
    state: "waiting",
    run: run({ state: "waiting" }),
    lock: { pid: 4711, host: "desk", since: null, detail: "held by process 4711 on desk" },
  });
  const shown = shownStatus(waiting, "running", true);
  assert.deepEqual(
    [shown.text, shown.detail, shown.severity],
    ["DLM: waiting for lock", "held by process 4711 on desk", "warning"],
  );
  assert.equal(text(status({ run: run({ kind: "full" }) }), "running", true), "DLM: retraining 0 %");
  assert.equal(
    text(status({ run: run({ state: "loading", phase: "import" }) }), "running", true),
    "DLM: loading the model",
  );
});

test("what went wrong is an error, with the sentence of the server", () => {
  const last = {
    run: 1,
    kind: "cycle",
    outcome: "failed",
    message: "out of memory",
    steps: 0,
    loss: null,
    seconds: 1,
    at: 0,
    notes: [],
  };
  const shown = shownStatus(status({ last }), "running", true);
  assert.deepEqual([shown.text, shown.detail, shown.severity], ["DLM: failed", "out of memory", "error"]);
});

test("without a server, and without trust, the item says so", () => {
  assert.equal(text(undefined, "absent", true), "DLM: no server");
  assert.equal(text(status({ version: 3 }), "gone", true), "DLM: server gone");
  assert.equal(text(status({ version: 3 }), "running", false), "DLM: not trusted · learned v3");
});

test("only a run that is expected to be long becomes a notification", () => {
  assert.ok(!expectedLong(run({ step: 10, seconds_left: 5 }), 2, 10));
  assert.ok(expectedLong(run({ step: 10, seconds_left: 9 }), 2, 10));
  assert.ok(!expectedLong(run({ step: 1, seconds_left: 500 }), 1, 10), "the first steps tell nothing");
  assert.ok(expectedLong(run({ state: "loading" }), 11, 10), "loading has lasted that long already");
  assert.ok(!expectedLong(run({ step: 10, seconds_left: 900 }), 100, 0), "0 turns it off");
  assert.ok(!expectedLong(null, 100, 10));
});

test("each section has the mark of its state, on its first line", () => {
  const found = marks([section("learned", 4), section("new", 9), section("empty", 12), section("of tomorrow", 14)], 20);
  assert.deepEqual(found.get("learned"), [4]);
  assert.deepEqual(found.get("pending"), [9]);
  assert.equal([...found.values()].flat().length, 2);
});

test("a mark beyond the text's end is not drawn, and equal marks are not drawn again", () => {
  assert.deepEqual(marks([section("learned", 30)], 20).get("learned"), []);
  const one = marks([section("learned", 4)], 20);
  assert.ok(alike(one, marks([section("learned", 4)], 20)));
  assert.ok(!alike(one, marks([section("changed", 4)], 20)));
  assert.ok(!alike(one, undefined));
});

test("what can be done fits the state", () => {
  const commands = (of: ReturnType<typeof status>, trusted = true) =>
    actionsFor(of, trusted).map(({ command }) => command);
  assert.deepEqual(commands(status({ pending: 1 })), ["dlm.train", "dlm.editor.fullRetrain", "dlm.showHistory"]);
  assert.ok(commands(status({ state: "waiting", run: run({}) })).includes("dlm.editor.unlock"));
  assert.ok(commands(status({ version: 2 })).includes("dlm.editor.revert"));
  assert.ok(!commands(status({ version: 2, run: run({}) })).includes("dlm.editor.revert"));
  assert.deepEqual(commands(status(), false), ["workbench.trust.manage"]);
  const broken = actionsFor(status({ pending: 1 }), true, true).map(({ command }) => command);
  assert.deepEqual(broken, ["workbench.actions.view.problems", "dlm.showHistory"]);
});

test("facts are those that there are", () => {
  assert.deepEqual(facts(status({ base: "builtin:tiny", version: 2, version_steps: 31, version_loss: 0.04 })), [
    ["base", "builtin:tiny"],
    ["version", "v2 · 31 steps · loss 0.04"],
  ]);
  const learned = { ...section("learned", 0), version: 4, times_seen: 31, loss_before: 2.91, loss_after: 0.04 };
  assert.equal(sectionFacts(learned), "learned · v4 · seen 31 times · loss 2.91 → 0.04");
});

test("the server's lines keep their level", () => {
  const line = "2026-11-24 18:31:48,123 WARNING dlm_lsp.store: the lock is old";
  assert.deepEqual(told(line), { level: "warn", text: "dlm_lsp.store: the lock is old" });
  assert.equal(told("2026-11-24 18:31:48,123 CRITICAL dlm_lsp: x").level, "error");
  assert.deepEqual(told("Traceback (most recent call last):"), {
    level: "info",
    text: "Traceback (most recent call last):",
  });
  assert.equal(told("an ERROR in the middle of a sentence").level, "info");
});
