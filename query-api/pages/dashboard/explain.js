// Explains the status of a session: the explanation of the service, and the facts that it is based on.

import { el } from "./dom.js";
import { countryName, instant, length } from "./format.js";

/** Returns the elements that explain a session. */
export function explanation({ session_id: id, facts, session, why }) {
  const rows = facts.map(({ kind, ts, country }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, kind),
      el("td", {}, el("time", { datetime: ts }, instant(ts))),
      el("td", {}, country ? place(country) : ""),
    ),
  );
  const heads = ["Event", "Time", "Country"].map((title) => el("th", { scope: "col" }, title));
  const duration = session ? [el("p", {}, `Duration: ${length(session.duration_ms)}.`)] : [];
  return [
    el("p", { class: "why" }, why),
    ...duration,
    el(
      "table",
      { class: "facts" },
      el("caption", {}, "Facts of session ", el("code", {}, id)),
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", {}, ...rows),
    ),
  ];
}

const place = (country) => [country, countryName(country)].filter(Boolean).join(" ");
