// The session starts by country in a time range: a chart, the same numbers as a table, and a ranking.

import { fetchJson } from "./api.js";
import { Chart, KINDS } from "./charts.js";
import { byId, el, fill, notice, setText } from "./dom.js";
import { count, counted, countryName, minute } from "./format.js";
import { Poll } from "./poll.js";
import { Ranking } from "./ranking.js";
import { spanOf, slots } from "./span.js";
import { COLOURS, OTHERS, Palette, TOP, ranking, shown, stacked } from "./stack.js";
import { welcome } from "./welcome.js";

export class Starts {
  #view;
  #chart = new Chart(byId("starts-chart"), KINDS.stack, (index) => this.#describe(index));
  #ranking;
  #palette = new Palette();
  #reply = null;
  #shown = null;
  #ranked = [];
  #drawn = "";

  /** `report(state, message)` is called with the state of the requests. */
  constructor(view, report) {
    this.#view = view;
    this.#ranking = new Ranking((country) => view.change({ country }));
    this.poll = new Poll((signal) => this.#refresh(signal), (state, message) => {
      notice(byId("starts-notice"), state === "refused" ? `This time range cannot be shown: ${message}.` : "");
      report(state, message);
    });
    byId("all-countries").addEventListener("click", () => view.change({ country: "" }));
    byId("starts-table").addEventListener("toggle", () => this.#tabulate());
    view.on(["span", "from", "to"], () => this.poll.now());
    view.on(["country"], () => (this.#has(view.country) ? this.#draw() : this.poll.now()));
  }

  /** The last reply, or null. */
  get window() {
    return this.#reply;
  }

  async #refresh(signal) {
    const span = spanOf(this.#view);
    const path = ["v1", "session-starts", "counts"];
    const reply = await fetchJson(path, { ...span.query, step: span.step, top: TOP }, signal);
    this.#reply = reply;
    const { country } = this.#view;
    if (!this.#has(country)) {
      const { from, to, step } = reply;
      reply.only = (await fetchJson(path, { from, to, step, country }, signal)).series;
    }
    // The window moves with the clock. Redraw only if anything else changed.
    const drawing = JSON.stringify([reply.series, reply.others, reply.only, slots(reply)]);
    if (drawing !== this.#drawn) this.#draw();
    else this.#summarise();
    this.#drawn = drawing;
    return span.every;
  }

  /** Whether the reply has the numbers of this country; "" means all countries. */
  #has(country) {
    const { series, only } = this.#reply ?? {};
    return !country || country in { ...series, ...only };
  }

  #draw() {
    const reply = this.#reply;
    if (!reply) return;
    const { country } = this.#view;
    this.#ranked = ranking(reply, this.#palette);
    this.#shown = shown(reply, this.#ranked, country);
    welcome(Object.keys(reply.series).length === 0, reply.to);
    const answer = byId("starts-answer");
    answer.hidden = this.#ranked.length === 0;
    this.#summarise();
    this.#ranking.show(this.#ranked, this.#total(), country);
    byId("all-countries").hidden = !country;
    const others = reply.others.length > 0 ? null : this.#ranked.length - COLOURS;
    fill(byId("starts-legend"), this.#shown.columns.map(({ name, colour }) => legend(name, colour, others)));
    const { times, columns } = this.#shown;
    const length = times.length > 1 ? times[1] - times[0] : Date.parse(reply.to) - times[0];
    const range = [times[0] / 1_000, (times.at(-1) + length) / 1_000];
    const seconds = times.map((at) => at / 1_000);
    if (!answer.hidden) this.#chart.draw([seconds, ...stacked(columns)], columns.map(({ colour }) => colour).reverse(), range);
    this.#tabulate();
  }

  /** The number of starts in all countries. */
  #total() {
    return [...this.#ranked, ...this.#reply.others].reduce((all, { starts }) => all + starts, 0);
  }

  #summarise() {
    const { from, to, series, others } = this.#reply;
    const [known, total] = [Object.keys(series).length, this.#total()];
    const few = `${count(this.#ranked.length)} of ${counted(known, "known country", "known countries")}`;
    const where = others.length > 0 ? `more than ${TOP} countries` : few;
    const what = total > 0 ? `${counted(total, "session start")} in ${where}` : "No session starts in this time range";
    setText(byId("starts-summary"), `${what}, from ${minute(Date.parse(from))} to ${minute(Date.parse(to))}.`);
  }

  /** Describes the slot under the pointer. */
  #describe(index) {
    const { times, columns } = this.#shown ?? {};
    if (index === null || times?.[index] === undefined) return setText(byId("starts-readout"), "");
    const parts = columns.filter(({ starts }) => starts[index] > 0).map(({ name, starts }) => `${name} ${count(starts[index])}`);
    setText(byId("starts-readout"), `${minute(times[index])}: ${parts.join(", ") || "no starts"}`);
  }

  /** Fills the table, but only while it is open. */
  #tabulate() {
    const details = byId("starts-table");
    const place = details.querySelector(".scroll");
    if (!details.open || !this.#shown) return fill(place, []);
    const { times, columns } = this.#shown;
    const head = el("tr", {}, el("th", { scope: "col" }, "From"), ...columns.map(({ name }) => el("th", { scope: "col", class: "number" }, name)));
    const rows = times.flatMap((at, index) => {
      const numbers = columns.map(({ starts }) => starts[index]);
      if (numbers.every((number) => number === 0)) return [];
      const cells = numbers.map((number) => el("td", { class: "number" }, count(number)));
      return [el("tr", {}, el("th", { scope: "row" }, el("time", { datetime: new Date(at).toISOString() }, minute(at))), ...cells)];
    });
    const caption = el("caption", {}, `Session starts per ${this.#reply.step}; rows without starts are omitted`);
    fill(place, [el("table", {}, caption, el("thead", {}, head), el("tbody", {}, ...rows))]);
  }
}

/** `others` is the number of the other countries, or null if it is not known. */
function legend(name, colour, others) {
  const rest = others === null ? "other countries" : counted(others, "other country", "other countries");
  const title = name === OTHERS ? rest : name;
  const full = name === OTHERS ? "" : countryName(name);
  return el("li", {}, el("i", { class: `key ${colour}` }), title, ...(full ? [" ", el("span", { class: "name" }, full)] : []));
}
