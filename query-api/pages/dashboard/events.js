// Event rates of the endpoint and the lag of the consumer: current values, the last minutes, and totals by code.

import { fetchText } from "./api.js";
import { Chart, KINDS } from "./charts.js";
import { byId, el, fill, notice, setText } from "./dom.js";
import { count, length, rate } from "./format.js";
import { parse } from "./metrics.js";
import { Poll } from "./poll.js";
import { Rates } from "./rates.js";

/** Milliseconds between requests. */
const INTERVAL = 5_000;
const OUTCOMES = ["accepted", "discarded", "rejected"];

export class Events {
  #rates = new Rates();
  #rateChart = new Chart(byId("rate-chart"), KINDS.lines);
  #lagChart = new Chart(byId("lag-chart"), KINDS.lines);
  #codes = "";

  /** `report(state, message)` is called with the state of the requests. */
  constructor(report) {
    this.poll = new Poll((signal) => this.#refresh(signal), (state, message, status) => {
      if (state === "refused") this.#explain(message, status);
      report(state, message);
    });
  }

  /** Says why there are no metrics. */
  #explain(message, status) {
    const elsewhere = "this service serves its metrics at another address, that of --operations-listen";
    notice(byId("events-notice"), `Events and lag cannot be shown: ${status === 404 ? elsewhere : message}.`);
    byId("events-answer").hidden = true;
    byId("metrics-link").hidden = true;
  }

  async #refresh(signal) {
    const { events, lag } = parse(await fetchText("metrics", signal));
    const totals = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, total(events ?? [], outcome)]));
    // A monotonic clock, because the chart only shows ages.
    this.#rates.add(performance.now() / 1_000, events ? totals : {}, lag ? { lag: lag.records } : {});
    notice(byId("events-notice"), missingPart(events, lag));
    byId("events-answer").hidden = !events && !lag;
    byId("ingest-part").hidden = !events;
    byId("codes").hidden = !events;
    byId("pairing-part").hidden = !lag;
    const range = [-this.#rates.width, 0];
    if (events) this.#showEvents(events, range);
    if (lag) this.#showLag(lag, range);
    return INTERVAL;
  }

  #showEvents(events, range) {
    for (const outcome of OUTCOMES) {
      const now = this.#rates.last(outcome);
      setText(byId(`rate-${outcome}`), now === undefined ? "–" : `${rate(now)}/s`);
    }
    this.#rateChart.draw(this.#rates.columns(OUTCOMES), OUTCOMES, range);
    // Every rejection code has a metric. Codes that never occurred are hidden.
    const rows = events.filter(({ outcome, events: number }) => outcome !== "rejected" || number > 0);
    rows.sort((a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome) || b.events - a.events);
    if (!rows.some(({ outcome }) => outcome === "rejected")) rows.push({ outcome: "rejected", code: "", events: 0 });
    const codes = JSON.stringify(rows);
    if (codes !== this.#codes) fill(byId("codes").tBodies[0], rows.map(codeRow));
    this.#codes = codes;
  }

  #showLag({ seconds, records }, range) {
    setText(byId("lag-records"), records === null ? "–" : count(records));
    setText(byId("lag-seconds"), seconds === 0 ? "0 s" : length(seconds * 1_000));
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

/** A sentence about the metrics that this process does not have. */
function missingPart(events, lag) {
  if (!events && !lag) return "This process only serves queries. The ingest processes report events and lag.";
  if (!events) return "This process receives no events. The ingest processes with the HTTP role report them.";
  if (!lag) return "This process does not consume events. The ingest processes with the consumer role report the lag.";
  return "";
}
