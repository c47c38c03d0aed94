// What the endpoint takes and how far the pairing is behind: figures, their last minutes, and the totals by code.

import { text } from "./api.js";
import { Chart, KINDS } from "./charts.js";
import { byId, el, fill, notice, say } from "./dom.js";
import { count, length, rate } from "./format.js";
import { read } from "./metrics.js";
import { Poll } from "./poll.js";
import { Rates } from "./rates.js";

const EVERY = 5_000;
const OUTCOMES = ["accepted", "discarded", "rejected"];

export class Events {
  #rates = new Rates();
  #rateChart = new Chart(byId("rate-chart"), KINDS.lines);
  #lagChart = new Chart(byId("lag-chart"), KINDS.lines);
  #codes = "";

  /** `told` hears how the question fares. */
  constructor(told) {
    this.poll = new Poll((signal) => this.#ask(signal), told);
  }

  async #ask(signal) {
    const { events, lag } = read(await text("metrics", signal));
    const totals = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, total(events ?? [], outcome)]));
    // A steady clock, for how long ago something was is all that is said here.
    this.#rates.take(performance.now() / 1_000, events ? totals : {}, lag ? { lag: lag.records } : {});
    notice(byId("events-notice"), lacking(events, lag));
    byId("events-answer").hidden = !events && !lag;
    byId("ingest-part").hidden = !events;
    byId("codes").hidden = !events;
    byId("pairing-part").hidden = !lag;
    const range = [-this.#rates.width, 0];
    if (events) this.#showEvents(events, range);
    if (lag) this.#showLag(lag, range);
    return EVERY;
  }

  #showEvents(events, range) {
    for (const outcome of OUTCOMES) {
      const now = this.#rates.last(outcome);
      say(byId(`rate-${outcome}`), now === undefined ? "–" : `${rate(now)}/s`);
    }
    this.#rateChart.draw(this.#rates.columns(OUTCOMES), OUTCOMES, range);
    // Every rejection there can be has a series; what never happened says nothing.
    const rows = events.filter(({ outcome, events: number }) => outcome !== "rejected" || number > 0);
    rows.sort((a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome) || b.events - a.events);
    if (!rows.some(({ outcome }) => outcome === "rejected")) rows.push({ outcome: "rejected", code: "", events: 0 });
    const codes = JSON.stringify(rows);
    if (codes !== this.#codes) fill(byId("codes").tBodies[0], rows.map(codeRow));
    this.#codes = codes;
  }

  #showLag({ seconds, records }, range) {
    say(byId("lag-records"), records === null ? "–" : count(records));
    say(byId("lag-seconds"), seconds === 0 ? "0 s" : length(seconds * 1_000));
    this.#lagChart.draw(this.#rates.columns(["lag"]), ["waiting"], range);
  }
}

function codeRow({ outcome, code, events }) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, el("i", { class: `key ${outcome}` }), outcome),
    el("td", {}, code ? el("code", {}, code) : ""),
    el("td", { class: "number" }, count(events)),
  );
}

const total = (events, outcome) =>
  events.filter((sample) => sample.outcome === outcome).reduce((all, sample) => all + sample.events, 0);

/** What this process cannot tell, in a sentence. */
function lacking(events, lag) {
  if (!events && !lag) return "This process only answers questions: see the /metrics of ingest for events and pairing.";
  if (!events) return "This process takes no events: see the /metrics of the ingest that does.";
  if (!lag) return "This process pairs no events: see the /metrics of the ingest that does.";
  return "";
}
