// The table of countries, sortable, with a button in each row that filters the chart by this country.

import { byId, el, fill } from "./dom.js";
import { count, countryName, share } from "./format.js";

/** Number of rows before the table is expanded. */
const COLLAPSED = 12;

const COLUMNS = [
  { key: "rank", title: "#", kind: "number", sorted: (a, b) => a.rank - b.rank },
  { key: "country", title: "Country", kind: "name", sorted: (a, b) => (a.country < b.country ? -1 : 1) },
  { key: "starts", title: "Starts", kind: "number", sorted: (a, b) => b.starts - a.starts || a.rank - b.rank },
];

export class Ranking {
  #choose;
  #sort = { key: "rank", reversed: false };
  #all = false;
  #rows = { ranked: [], total: 0, chosen: "" };

  /** `choose(country)` is called with the country to filter by, or "" for all. */
  constructor(choose) {
    this.#choose = choose;
    byId("more-countries").addEventListener("click", () => {
      this.#all = !this.#all;
      this.#draw();
    });
  }

  /** Shows the ranked countries, with their shares of `total`, which includes the starts of countries that are not listed. */
  show(ranked, total, chosen) {
    this.#rows = { ranked, total, chosen };
    this.#draw();
  }

  #draw() {
    const { ranked, total } = this.#rows;
    const table = byId("ranking");
    const { sorted } = COLUMNS.find(({ key }) => key === this.#sort.key);
    const rows = ranked.toSorted(sorted);
    if (this.#sort.reversed) rows.reverse();
    const visible = this.#all ? rows : rows.slice(0, COLLAPSED);
    fill(table.tHead, [el("tr", {}, ...COLUMNS.map((column) => this.#head(column)), el("th", { scope: "col", class: "number" }, "Share"))]);
    fill(table.tBodies[0], visible.map((row) => this.#row(row, total)));
    const more = byId("more-countries");
    more.hidden = ranked.length <= COLLAPSED;
    more.textContent = this.#all ? `Show only ${COLLAPSED} countries` : `Show all ${count(ranked.length)} countries`;
  }

  #head({ key, title, kind }) {
    const active = this.#sort.key === key;
    const direction = this.#sort.reversed ? "descending" : "ascending";
    // Unlike the other columns, starts are first sorted in descending order.
    const order = key === "starts" ? (this.#sort.reversed ? "ascending" : "descending") : direction;
    const sort = () => {
      this.#sort = { key, reversed: active && !this.#sort.reversed };
      this.#draw();
    };
    const label = key === "rank" ? { "aria-label": "Rank" } : {};
    const button = el("button", { type: "button", class: "sort", "data-key": `sort ${key}`, click: sort, ...label }, title);
    return el("th", { scope: "col", class: kind, "aria-sort": active && order }, button);
  }

  #row({ country, starts, rank, colour }, total) {
    const chosen = this.#rows.chosen === country;
    const name = countryName(country);
    const button = el(
      "button",
      {
        type: "button",
        class: "country",
        "data-key": `country ${country}`,
        "aria-pressed": String(chosen),
        click: () => this.#choose(chosen ? "" : country),
      },
      el("i", { class: `key ${colour}` }),
      el("span", { class: "code" }, country),
      ...(name ? [" ", el("span", { class: "name" }, name)] : []),
    );
    return el(
      "tr",
      { class: chosen && "chosen" },
      el("td", { class: "number" }, count(rank)),
      el("th", { scope: "row" }, button),
      el("td", { class: "number starts" }, count(starts)),
      el("td", { class: "number" }, share(starts / total)),
    );
  }
}
