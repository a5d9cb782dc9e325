// The curve of the loss. Pointer and arrow keys move along it; the line below says what is there.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { h } from "./dom.ts";
import type { Curve } from "./model.ts";

/** How far apart, in steps, the marks of the axis may be: whole ones. */
const WHOLE = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000].flatMap((each) => [each, 2 * each, 5 * each]);
const NOTHING: Curve = { x: [], loss: [], versions: [], marks: [], about: [] };

export class Chart {
  readonly element: HTMLElement;
  private readonly place = h("div", { class: "plot", tabindex: "0", role: "img" });
  private readonly point = h("p", { class: "point", "aria-live": "polite" });
  private readonly hint = "Move along the curve with the pointer or the arrow keys.";
  private plot: uPlot | null = null;
  private curve = NOTHING;
  private drawn = "";
  private at = -1;

  constructor() {
    this.element = h("section", { class: "chart", "aria-label": "Loss" }, this.place, this.point);
    this.place.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.place);
    // The editor tells another theme by other classes of the body; colours of a canvas do not follow by themselves.
    new MutationObserver(() => this.make()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
  }

  show(curve: Curve): void {
    this.element.hidden = curve.x.length === 0;
    const state = JSON.stringify([curve.x.length, curve.loss.at(-1), curve.versions, curve.marks, curve.about.at(-1)]);
    if (state === this.drawn) return;
    this.drawn = state;
    this.curve = curve;
    if (this.plot === null) this.make();
    else this.plot.setData(data(curve));
    const last = curve.about.at(-1) ?? "";
    this.place.setAttribute("aria-label", `The loss over ${curve.x.at(-1) ?? 0} steps. Newest: ${last}`);
    if (this.at < 0) this.point.textContent = last === "" ? this.hint : last;
  }

  private make(): void {
    if (this.curve.x.length === 0) return;
    this.plot?.destroy();
    const { clientWidth: width, clientHeight: height } = this.place;
    if (width === 0) return; // not shown; the observer of its size comes back
    this.plot = new uPlot(this.options(width, height), data(this.curve), this.place);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (this.plot === null) this.make();
    else if (width > 0) this.plot.setSize({ width, height });
  }

  private options(width: number, height: number): uPlot.Options {
    const ink = colour("--ink");
    const faint = colour("--faint");
    const line = colour("--curve");
    const axis = {
      stroke: ink,
      grid: { stroke: faint, width: 1 },
      ticks: { stroke: faint, width: 1, size: 4 },
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
    };
    return {
      width,
      height,
      padding: [14, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 0.1) * 1.08] } },
      axes: [
        { ...axis, size: 26, space: 44, incrs: WHOLE },
        { ...axis, size: 40, space: 28 },
      ],
      series: [
        {},
        { label: "loss", stroke: line, width: 1.5, points: { show: false }, spanGaps: false },
        { label: "versions", stroke: line, width: 0, paths: () => null, points: { show: true, size: 6, fill: line } },
      ],
      hooks: {
        draw: [(plot) => this.drawMarks(plot, ink, faint)],
        setCursor: [(plot) => this.moved(plot.cursor.idx ?? -1)],
      },
    };
  }

  /** An upright line at each version, with its name as long as there is room. */
  private drawMarks(plot: uPlot, ink: string, faint: string): void {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    let free = Number.NEGATIVE_INFINITY;
    ctx.save();
    ctx.font = `${10 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "center";
    ctx.lineWidth = ratio;
    for (const mark of this.curve.marks) {
      const x = Math.round(plot.valToPos(mark.x, "x", true));
      if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
      ctx.strokeStyle = faint;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const name = `v${mark.version}`;
      const half = ctx.measureText(name).width / 2;
      if (x - half < free) continue;
      ctx.fillStyle = ink;
      ctx.fillText(name, x, bbox.top - 4 * ratio);
      free = x + half + 4 * ratio;
    }
    ctx.restore();
  }

  private moved(index: number): void {
    this.at = index;
    this.point.textContent = this.curve.about[index] ?? this.curve.about.at(-1) ?? this.hint;
  }

  private key(event: KeyboardEvent): void {
    const last = this.curve.x.length - 1;
    const now = this.at < 0 ? last : this.at;
    const to: Record<string, number> = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last };
    const index = to[event.key];
    if (index === undefined || this.plot === null) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(last, index));
    this.plot.setCursor({ left: this.plot.valToPos(this.curve.x[at] ?? 0, "x"), top: 0 });
  }
}

function data(curve: Curve): uPlot.AlignedData {
  return [curve.x, curve.loss, curve.versions];
}

function colour(name: string): string {
  return getComputedStyle(document.body).getPropertyValue(name).trim();
}
