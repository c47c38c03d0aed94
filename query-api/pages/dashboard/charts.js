// Draws time series with uPlot, in the colours and at the width of the page. It knows nothing about the meaning of the data.

import { compact, day, rate, time } from "./format.js";

const { uPlot } = globalThis;
const DAY = 86_400;
const FONT = "12px system-ui, sans-serif";
/** Distances between ticks: whole numbers for counts, also tenths for rates. */
const WHOLE = Array.from({ length: 28 }, (_, n) => [1, 2, 5][n % 3] * 10 ** Math.floor(n / 3));
const TENTHS = [0.1, 0.2, 0.5, ...WHOLE];
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #host;
  #kind;
  #cursor;
  #plot = null;
  #drawn = { series: "[]" };

  /** A chart in `host`; `kind` is one of `KINDS`. `cursor(index)` is called with the slot under the pointer, or `null`. */
  constructor(host, kind, cursor = () => {}) {
    this.#host = host;
    this.#kind = kind;
    this.#cursor = cursor;
    // A hidden element has no size.
    new ResizeObserver(() => host.clientWidth > 0 && this.#plot?.setSize(this.#size())).observe(host);
    dark.addEventListener("change", () => this.#build());
  }

  /** Draws `data`: a column of seconds, then one of values per series. `series` are names of colours, `range` the ends of the x axis. */
  draw(data, series, range) {
    const same = this.#plot && this.#drawn.series === JSON.stringify(series);
    this.#drawn = { data, range, series: JSON.stringify(series) };
    if (same) this.#plot.setData(data);
    else this.#build();
  }

  #size() {
    return { width: this.#host.clientWidth, height: this.#host.clientHeight };
  }

  #build() {
    if (!this.#drawn.data) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(colour), this.#drawn.data, this.#host);
  }

  #options(colour) {
    const axis = { stroke: colour("muted"), font: FONT, ticks: { show: false } };
    const grid = { stroke: colour("grid"), width: 1 };
    return {
      ...this.#size(),
      ...this.#kind.options,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      hooks: { setCursor: [({ cursor }) => this.#cursor(cursor.idx ?? null)] },
      scales: {
        x: { time: this.#kind.time, range: () => this.#drawn.range },
        y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.05)] },
      },
      axes: [
        { ...axis, space: 64, gap: 6, size: 44, grid: { show: false }, ...this.#kind.x },
        { ...axis, grid, gap: 6, space: 32, size: labelWidth, ...this.#kind.y },
      ],
      series: [{}, ...JSON.parse(this.#drawn.series).map((name) => this.#kind.series(colour(name)))],
    };
  }
}

/** The width of an axis, from its longest label. */
const labelWidth = (_plot, labels) => 14 + 7 * Math.max(1, ...(labels ?? []).map((label) => label.length));

/** The time of each tick, with the date where it changes. */
function timeLabels(_plot, ticks, _axis, _space, step) {
  let last = "";
  return ticks.map((tick) => {
    const today = day(tick * 1_000);
    if (step >= DAY) return today;
    const label = today === last ? time(tick * 1_000) : `${time(tick * 1_000)}\n${today}`;
    last = today;
    return label;
  });
}

const agoLabels = (_plot, ticks) =>
  ticks.map((tick) => (tick === 0 ? "now" : tick % 60 === 0 ? `−${-tick / 60} min` : `−${-tick} s`));

export const KINDS = {
  /** Stacked bars. Every bar starts at zero and lower ones are drawn over higher ones. */
  stack: {
    time: true,
    options: { tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC") },
    x: { values: timeLabels },
    y: { incrs: WHOLE, values: (_plot, ticks) => ticks.map(compact) },
    series: (colour) => ({
      fill: colour,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ align: 1, size: [0.86, Infinity] }),
    }),
  },
  /** Lines over the last minutes, up to now. */
  lines: {
    time: false,
    options: {},
    x: { values: agoLabels, incrs: [10, 15, 30, 60, 120, 300], size: 28 },
    y: { incrs: TENTHS, values: (_plot, ticks) => ticks.map((tick) => (tick < 10 ? rate(tick) : compact(tick))) },
    series: (colour) => ({ stroke: colour, width: 2, points: { show: false } }),
  },
};
