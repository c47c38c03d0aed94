// Computes the ranking and the columns of the chart from a reply. It draws nothing.

import { slots } from "./span.js";

/** Number of countries with a colour of their own. The others are summed up. */
export const COLOURS = 6;

/** Number of countries that are asked for. The reply has the sum of the others. */
export const TOP = 100;

/** The name of the sum of the other countries. */
export const OTHERS = "others";

/** Assigns colours to countries. A country keeps its colour while it is among the first, even if its rank changes. */
export class Palette {
  #colours = new Map();

  /** Returns the colour of each of these countries, which are in order of rank. */
  of(countries) {
    const named = countries.slice(0, COLOURS);
    const kept = new Map([...this.#colours].filter(([country]) => named.includes(country)));
    const used = new Set(kept.values());
    const free = Array.from({ length: COLOURS }, (_, index) => `series-${index + 1}`).filter((colour) => !used.has(colour));
    for (const country of named) if (!kept.has(country)) kept.set(country, free.shift());
    this.#colours = kept;
    return countries.map((country) => kept.get(country) ?? "series-others");
  }
}

/** The countries with starts, by descending starts, then by code. */
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
 * The slots of a reply with the starts of each shown country: the first countries and the sum of the others, or just the country
 * `only`.
 */
export function shown(reply, ranked, only) {
  const times = slots(reply);
  // A chosen country may be behind those that were asked for.
  const numbers = { ...reply.only, ...reply.series };
  const place = new Map(times.map((time, index) => [time, index]));
  const column = (countries, more = []) => {
    const starts = new Array(times.length).fill(0);
    for (const counted of [...countries.map((country) => numbers[country] ?? []), more]) {
      for (const slot of counted) starts[place.get(Date.parse(slot.ts))] += slot.starts;
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
  if (others.length > 0) columns.push({ name: OTHERS, colour: "series-others", starts: column(others, reply.others) });
  return { times, columns };
}

/** The cumulative sums of the columns, the largest first, because later bars are drawn over earlier ones. */
export function stacked(columns) {
  const sums = [];
  for (const { starts } of columns) {
    const below = sums.at(-1);
    sums.push(starts.map((number, index) => number + (below?.[index] ?? 0)));
  }
  return sums.reverse();
}
