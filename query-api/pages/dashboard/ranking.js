// The table of countries: sorted as the reader likes, and a button in each row that shows this country alone.

import { byId, el, fill } from "./dom.js";
import { count, countryName, share } from "./format.js";

/** How many rows are shown unless all are asked for. */
const FEW = 12;

const COLUMNS = [
  { key: "rank", title: "#", kind: "number", sorted: (a, b) => a.rank - b.rank },
  { key: "country", title: "Country", kind: "name", sorted: (a, b) => (a.country < b.country ? -1 : 1) },
  { key: "starts", title: "Starts", kind: "number", sorted: (a, b) => b.starts - a.starts || a.rank - b.rank },
];

export class Ranking {
  #choose;
  #sort = { key: "rank", turned: false };
  #all = false;
  #rows = { ranked: [], chosen: "" };

  /** `choose(country)` hears which country is to be shown alone, "" for all of them. */
  constructor(choose) {
    this.#choose = choose;
    byId("more-countries").addEventListener("click", () => {
      this.#all = !this.#all;
      this.#draw();
    });
  }

  show(ranked, chosen) {
    this.#rows = { ranked, chosen };
    this.#draw();
  }

  #draw() {
    const { ranked } = this.#rows;
    const table = byId("ranking");
    const { sorted } = COLUMNS.find(({ key }) => key === this.#sort.key);
    const rows = ranked.toSorted(sorted);
    if (this.#sort.turned) rows.reverse();
    const total = ranked.reduce((all, { starts }) => all + starts, 0);
    const visible = this.#all ? rows : rows.slice(0, FEW);
    fill(table.tHead, [el("tr", {}, ...COLUMNS.map((column) => this.#head(column)), el("th", { scope: "col", class: "number" }, "Share"))]);
    fill(table.tBodies[0], visible.map((row) => this.#row(row, total)));
    const more = byId("more-countries");
    more.hidden = ranked.length <= FEW;
    more.textContent = this.#all ? `Show the first ${FEW}` : `Show all ${count(ranked.length)} countries`;
  }

  #head({ key, title, kind }) {
    const active = this.#sort.key === key;
    const direction = this.#sort.turned ? "descending" : "ascending";
    // Most starts first is how starts are sorted to begin with.
    const said = key === "starts" ? (this.#sort.turned ? "ascending" : "descending") : direction;
    const sort = () => {
      this.#sort = { key, turned: active && !this.#sort.turned };
      this.#draw();
    };
    const label = key === "rank" ? { "aria-label": "Rank" } : {};
    const button = el("button", { type: "button", class: "sort", "data-key": `sort ${key}`, click: sort, ...label }, title);
    return el("th", { scope: "col", class: kind, "aria-sort": active && said }, button);
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
