// Shows why a session is what it is: the service's sentence, and the facts that it follows from.

import { el } from "./dom.js";
import { countryName, instant, length } from "./format.js";

/** What is shown of an explained session. */
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
  const lasted = session ? [el("p", {}, `It lasted ${length(session.duration_ms)}.`)] : [];
  return [
    el("p", { class: "why" }, why),
    ...lasted,
    el(
      "table",
      { class: "facts" },
      el("caption", {}, "All that is known of the session ", el("code", {}, id)),
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", {}, ...rows),
    ),
  ];
}

const place = (country) => [country, countryName(country)].filter(Boolean).join(" ");
