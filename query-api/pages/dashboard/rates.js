// Computes rates from successive readings of counters, and keeps them for ten minutes. It draws nothing.

/** How long readings are kept, in seconds. */
const KEEP = 600;
/** Readings further apart than this, in seconds, are not connected in the chart. */
const GAP = 30;

export class Rates {
  #last = null;
  #rows = [];

  /** Adds a reading: counters become rates, gauges are kept unchanged. `at` is in seconds of a monotonic clock. */
  add(at, counters, gauges) {
    const last = this.#last;
    this.#last = { at, counters };
    if (last && at <= last.at) return;
    if (last && at - last.at > GAP) this.#rows.push({ at: at - 0.001, values: {} });
    const values = { ...gauges };
    for (const [name, total] of Object.entries(counters)) {
      const before = last?.counters[name];
      if (before === undefined) continue;
      // A counter that decreased was reset by a restart of the process.
      values[name] = (total >= before ? total - before : total) / (at - last.at);
    }
    this.#rows.push({ at, values });
    this.#rows = this.#rows.filter((row) => row.at >= at - KEEP);
  }

  /** The last value of `name`, or undefined. */
  last(name) {
    return this.#rows.at(-1)?.values[name];
  }

  /** Columns for a chart: the seconds relative to the last reading, then the values of each name. */
  columns(names) {
    const end = this.#last?.at ?? 0;
    const ago = this.#rows.map((row) => row.at - end);
    return [ago, ...names.map((name) => this.#rows.map((row) => row.values[name] ?? null))];
  }

  /** The time range of the readings in seconds, at least one minute. */
  get width() {
    const first = this.#rows[0];
    return Math.min(KEEP, Math.max(60, first ? this.#last.at - first.at : 0));
  }
}
