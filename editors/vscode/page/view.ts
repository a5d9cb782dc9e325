// The page: a line on what goes on, the curve, the figures, the versions, what was forgotten, answers before and after.

import { pairsOf } from "../src/commands/answersPage.ts";
import type { FromPage, PageCommand } from "../src/panel/messages.ts";
import { type Forgotten, words } from "../src/protocol.ts";
import { Chart } from "./chart.ts";
import { h, Part } from "./dom.ts";
import { curve, type Model, phaseTimes, runsOf, speed } from "./model.ts";

const PHASES: Readonly<Record<string, string>> = {
  import: "importing",
  download: "download",
  load: "loading",
  tokenise: "tokenising",
  train: "training",
  write: "writing",
};

const MOST_SECTIONS = 50;

export class View {
  /** What may be asked for; null: everything. */
  private commands: readonly PageCommand[] | null = null;
  private readonly head = new Part(h("header"));
  private readonly now = new Part(h("section", { class: "now", "aria-label": "Now" }));
  private readonly chart = new Chart();
  private readonly figures = new Part(h("section", { class: "figures", "aria-label": "Figures" }));
  private readonly sections = new Part(h("section", { "aria-label": "Sections" }));
  private readonly forgotten = new Part(h("section", { "aria-label": "Forgotten" }));
  private readonly answers = new Part(h("section", { "aria-label": "Answers" }));
  private readonly versions = new Part(h("section", { "aria-label": "Versions" }));

  constructor(
    root: HTMLElement,
    private readonly send: (message: FromPage) => void,
  ) {
    const parts = [this.figures, this.sections, this.forgotten, this.answers, this.versions].map(
      (part) => part.element,
    );
    root.replaceChildren(
      this.head.element,
      this.now.element,
      this.chart.element,
      h("div", { class: "parts" }, ...parts),
    );
  }

  show(model: Model): void {
    this.commands = model.commands;
    this.showHead(model);
    this.showNow(model);
    this.chart.show(curve(model));
    this.showFigures(model);
    this.showSections(model);
    this.showForgotten(model);
    this.showAnswers(model);
    this.showVersions(model);
  }

  private showHead({ documents, selected }: Model): void {
    this.head.show([documents, selected], () => {
      if (documents.length < 2) return documents.map(({ name }) => h("h1", {}, name));
      const pick = h(
        "select",
        { "aria-label": "Document", "data-key": "document" },
        ...documents.map(({ uri, name }) => h("option", { value: uri, selected: uri === selected }, name)),
      ) as HTMLSelectElement;
      pick.addEventListener("change", () => this.send({ type: "select", uri: pick.value }));
      return [pick];
    });
  }

  private showNow(model: Model): void {
    const { status, server, trusted } = model;
    const run = status?.run ?? null;
    const line = server !== "running" ? sentenceOf(server) : (status?.message ?? "Open a .dlm document, and save it.");
    const note = !trusted ? "This workspace is not trusted: nothing is trained in it." : (status?.note ?? "");
    const running = run !== null;
    const percentage = run?.percentage ?? null;
    const trains = status?.dlm_id != null; // without an id there is no store to train into
    this.now.show(
      [line, note, running, trains, percentage, status?.pending, status?.version, trusted, status?.uri, this.commands],
      () => [
        h("p", { class: "line", role: "status" }, line),
        percentage === null ? null : h("progress", { max: "100", value: `${percentage}`, "aria-label": "Progress" }),
        note === "" ? null : h("p", { class: "quiet" }, note),
        status === null || !trusted
          ? null
          : h(
              "div",
              { class: "buttons" },
              running ? this.button("Cancel", "cancel") : null,
              !running && trains && status.pending > 0 ? this.button("Train now", "train") : null,
              running || !trains ? null : this.button("Full retrain", "retrain", undefined, true),
              status.version === null ? null : this.button("Ask…", "ask", undefined, true),
              status.version === null ? null : this.button("Before and after", "answers", undefined, true),
            ),
      ],
    );
  }

  private showFigures(model: Model): void {
    const run = runsOf(model).at(-1);
    const status = model.status;
    const tokens = speed(run);
    const times = phaseTimes(run, Date.now() / 1000).map(({ name, seconds }) => [
      PHASES[name] ?? name,
      duration(seconds),
    ]);
    const facts: [string, string][] = [];
    if (status?.base != null) facts.push(["base", status.base]);
    if (status?.device != null) facts.push(["device", status.device]);
    if (tokens !== null) facts.push(["tokens per second", tokens >= 100 ? tokens.toFixed(0) : tokens.toFixed(1)]);
    if (status !== null && status.removed > 0) facts.push(["known though removed", `${status.removed}`]);
    this.figures.show([facts, times], () => [
      facts.length + times.length === 0
        ? null
        : h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      times.length === 0 ? null : h("h2", {}, "Time of the last run"),
      times.length === 0
        ? null
        : h(
            "dl",
            { class: "phases" },
            ...times.flatMap(([name = "", value = ""]) => [h("dt", {}, name), h("dd", {}, value)]),
          ),
    ]);
  }

  private showSections({ status, names }: Model): void {
    const found = (status?.sections ?? []).map((section, index) => ({
      id: section.section_id,
      name: names[index] ?? section.kind,
      state: section.state,
      said: words(section),
      loss: section.loss_after,
    }));
    const count = status?.section_count ?? found.length;
    this.sections.show([found.slice(0, MOST_SECTIONS), count, status?.uri, this.commands], () =>
      found.length === 0
        ? []
        : [
            h("h2", {}, "Sections"),
            h(
              "ul",
              { class: "sections" },
              ...found
                .slice(0, MOST_SECTIONS)
                .map(({ id, name, state, said, loss }) =>
                  h(
                    "li",
                    { "data-state": state },
                    this.link(name, id),
                    h("span", { class: "quiet" }, loss === null ? ` ${said}` : ` ${said} · ${loss.toFixed(2)}`),
                  ),
                ),
            ),
            count > MOST_SECTIONS ? h("p", { class: "quiet" }, `and ${count - MOST_SECTIONS} more`) : null,
          ],
    );
  }

  private showForgotten({ status, names }: Model): void {
    const found = (status?.sections ?? []).flatMap((section, index) =>
      (section.forgotten ?? []).map((each) => ({ id: section.section_id, name: names[index] ?? section.kind, each })),
    );
    this.forgotten.show([found, status?.uri], () =>
      found.length === 0
        ? []
        : [
            h("h2", {}, "Forgotten since it was learned"),
            h(
              "ul",
              {},
              ...found.map(({ id, name, each }) => h("li", {}, this.link(name, id), ` ${lossSentence(each)}`)),
            ),
          ],
    );
  }

  private showAnswers({ answers, selected }: Model): void {
    const pairs = pairsOf(answers).slice(0, 20);
    this.answers.show([pairs, selected], () =>
      pairs.length === 0
        ? []
        : [
            h("h2", {}, "Answers, before and after"),
            ...pairs.map((pair) =>
              h(
                "article",
                {},
                h("h3", {}, pair.question),
                h("p", { class: "before" }, h("span", { class: "tag" }, "before"), pair.before ?? "–"),
                h("p", { class: "after" }, h("span", { class: "tag" }, "after"), pair.after ?? "–"),
              ),
            ),
          ],
    );
  }

  private showVersions({ history, status, trusted }: Model): void {
    const versions = [...(history?.versions ?? [])].sort((one, other) => other.version - one.version);
    const current = status?.version ?? null;
    const idle = status !== null && status.run === null && trusted;
    this.versions.show([versions, current, idle, status?.uri], () =>
      versions.length === 0
        ? []
        : [
            h("h2", {}, "Versions"),
            h(
              "table",
              {},
              h(
                "tbody",
                {},
                ...versions.map((each) =>
                  h(
                    "tr",
                    { class: each.version === current ? "current" : "" },
                    h("th", { scope: "row" }, `v${each.version}`),
                    h("td", {}, each.kind === "full" ? "full retrain" : ""),
                    h("td", { class: "number" }, each.steps === null ? "" : `${each.steps} steps`),
                    h("td", { class: "number" }, each.loss === null ? "" : each.loss.toFixed(2)),
                    h("td", { class: "quiet" }, each.at === null ? "" : moment(each.at)),
                    h(
                      "td",
                      {},
                      each.version === current
                        ? h("span", { class: "tag" }, "current")
                        : idle
                          ? this.button("Revert", "revert", each.version, true)
                          : null,
                    ),
                  ),
                ),
              ),
            ),
          ],
    );
  }

  private button(text: string, command: PageCommand, version?: number, second = false): HTMLElement | null {
    if (this.commands !== null && !this.commands.includes(command)) return null;
    return h(
      "button",
      {
        type: "button",
        class: second ? "second" : "",
        "data-key": `${command} ${version ?? ""}`,
        ...(version === undefined ? {} : { "aria-label": `${text} to v${version}` }),
        click: () => {
          const uri = this.uri;
          if (uri !== null) {
            this.send({ type: "command", command, uri, ...(version === undefined ? {} : { version }) });
          }
        },
      },
      text,
    );
  }

  /** The document that is shown; set by whoever holds the model. */
  uri: string | null = null;

  private link(text: string, section: string): HTMLElement {
    if (this.commands !== null) return h("span", {}, text);
    return h(
      "button",
      {
        type: "button",
        class: "link",
        "data-key": `section ${section}`,
        click: () => {
          if (this.uri !== null) this.send({ type: "reveal", uri: this.uri, section });
        },
      },
      text,
    );
  }
}

function sentenceOf(server: string): string {
  switch (server) {
    case "starting":
      return "The server is starting.";
    case "absent":
      return "The language server is not installed.";
    case "gone":
      return "The server ended unexpectedly.";
    default:
      return "The server is not running.";
  }
}

function lossSentence(each: Forgotten): string {
  const was = each.was === null ? "" : `was ${each.was.toFixed(2)}, `;
  const now = each.now === null ? "" : `is ${each.now.toFixed(2)} `;
  const back = each.revert_to === null ? "" : `; v${each.revert_to} still knew it`;
  return `${was}${now}since v${each.since}${back}`;
}

function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function moment(at: number): string {
  const when = new Date(at * 1000);
  const today = when.toDateString() === new Date().toDateString();
  return today ? when.toLocaleTimeString() : when.toLocaleString();
}
