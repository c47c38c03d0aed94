// Makes rates of counters that were read one after another, and remembers them for ten minutes. Draws nothing.

/** How long a reading is remembered, in seconds. */
const MEMORY = 600;
/** Readings further apart than this, in seconds, have a gap between them. */
const GAP = 30;

export class Rates {
  #last = null;
  #rows = [];

  /** Takes a reading: counters by name, and levels, which are kept as they are. `at` is in seconds, by any steady clock. */
  take(at, counters, levels) {
    const last = this.#last;
    this.#last = { at, counters };
    if (last && at <= last.at) return;
    if (last && at - last.at > GAP) this.#rows.push({ at: at - 0.001, values: {} });
    const values = { ...levels };
    for (const [name, total] of Object.entries(counters)) {
      const before = last?.counters[name];
      if (before === undefined) continue;
      // A counter that went back began anew with its process.
      values[name] = (total >= before ? total - before : total) / (at - last.at);
    }
    this.#rows.push({ at, values });
    this.#rows = this.#rows.filter((row) => row.at >= at - MEMORY);
  }

  /** The last value of `name`, if there is one. */
  last(name) {
    return this.#rows.at(-1)?.values[name];
  }

  /** Columns for a chart: seconds before the last reading, and the values of each name. */
  columns(names) {
    const end = this.#last?.at ?? 0;
    const ago = this.#rows.map((row) => row.at - end);
    return [ago, ...names.map((name) => this.#rows.map((row) => row.values[name] ?? null))];
  }

  /** Since how many seconds there are readings: the width of a chart of them, a minute at least. */
  get width() {
    const first = this.#rows[0];
    return Math.min(MEMORY, Math.max(60, first ? this.#last.at - first.at : 0));
  }
}
