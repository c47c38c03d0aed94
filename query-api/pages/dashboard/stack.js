// Makes of an answered series what is shown of it: who is ranked where, and the columns of the chart. Draws nothing.

import { slots } from "./span.js";

/** How many countries have a colour of their own; the others are one. */
export const COLOURS = 6;

/** The name of all countries without a colour. */
export const OTHERS = "others";

/** Which country has which colour: as long as one is among the first it keeps its own, also when others overtake it. */
export class Palette {
  #colours = new Map();

  /** The colour of each of these countries, the first ones in rank. */
  of(countries) {
    const named = countries.slice(0, COLOURS);
    const kept = new Map([...this.#colours].filter(([country]) => named.includes(country)));
    const taken = new Set(kept.values());
    const free = Array.from({ length: COLOURS }, (_, index) => `series-${index + 1}`).filter((colour) => !taken.has(colour));
    for (const country of named) if (!kept.has(country)) kept.set(country, free.shift());
    this.#colours = kept;
    return countries.map((country) => kept.get(country) ?? "series-others");
  }
}

/** The countries of a reply that have starts, most starts first, equal ones by code. */
export function ranking({ series }, palette) {
  const totals = Object.entries(series).map(([country, counted]) => ({
    country,
    starts: counted.reduce((all, slot) => all + slot.starts, 0),
  }));
  const ranked = totals.filter(({ starts }) => starts > 0);
  ranked.sort((a, b) => b.starts - a.starts || (a.country < b.country ? -1 : 1));
  const colours = palette.of(ranked.map(({ country }) => country));
  return ranked.map((entry, index) => ({ ...entry, rank: index + 1, colour: colours[index] }));
}

/**
 * The slots of a reply, and in each how many starts every shown country had: those with a colour and the others together, or
 * `only` the one that was chosen.
 */
export function shown(reply, ranked, only) {
  const times = slots(reply);
  const place = new Map(times.map((time, index) => [time, index]));
  const column = (countries) => {
    const starts = new Array(times.length).fill(0);
    for (const country of countries) {
      for (const slot of reply.series[country] ?? []) starts[place.get(Date.parse(slot.ts))] += slot.starts;
    }
    return starts;
  };
  if (only) {
    const colour = ranked.find(({ country }) => country === only)?.colour ?? "series-1";
    return { times, columns: [{ name: only, colour, starts: column([only]) }] };
  }
  const named = ranked.slice(0, COLOURS);
  const columns = named.map(({ country, colour }) => ({ name: country, colour, starts: column([country]) }));
  const others = ranked.slice(COLOURS).map(({ country }) => country);
  if (others.length > 0) columns.push({ name: OTHERS, colour: "series-others", starts: column(others) });
  return { times, columns };
}

/** Columns that stand on one another, the topmost first, as bars are drawn that hide what is behind them. */
export function stacked(columns) {
  const sums = [];
  for (const { starts } of columns) {
    const below = sums.at(-1);
    sums.push(starts.map((number, index) => number + (below?.[index] ?? 0)));
  }
  return sums.reverse();
}
