// Sessions as bars on a common time axis. Each one is a button, whose text also says what its bar shows.

import { el } from "./dom.js";
import { day, instant, length, minute, time } from "./format.js";

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
/** Possible distances between ticks. */
const STEPS = [1, 5, 15, 30].map((n) => n * MINUTE).concat([1, 3, 6, 12].map((n) => n * HOUR), [1, 2, 7, 14, 30, 60, 120].map((n) => n * DAY));
/** Maximum number of ticks, for the width of a phone. */
const TICKS = 4;

/** Converts a session of a reply for drawing. An unknown time is `null`. */
export function sessionOf({ session_id: id, country, started_at: started, ended_at: ended }, status) {
  const start = started ? Date.parse(started) : null;
  const end = ended ? Date.parse(ended) : null;
  return { id, status, country, started, ended, start, end, at: end ?? start };
}

/** Returns the axis and the list. `choose(id)` is called with the session that the reader selects. */
export function timeline(sessions, choose) {
  const axis = axisOf(sessions);
  const items = sessions.map((session) => el("li", {}, button(session, axis, choose)));
  const list = el("ol", { class: "sessions", "aria-label": "Sessions, newest first", keydown: moveFocus }, ...items);
  const labels = axis.ticks.map((tick) => {
    const place = axis.place(tick);
    // At the ends of the axis a label is beside its tick, because centred text would not fit.
    const side = place < 12 ? "first" : place > 88 ? "last" : "";
    return at(el("span", { class: side }, label(tick, axis.step)), place);
  });
  const head = el("div", { class: "axis", "aria-hidden": "true" }, el("div", { class: "bar" }, ...labels));
  return [head, list];
}

function axisOf(sessions) {
  const times = sessions.flatMap(({ start, end }) => [start, end]).filter((ms) => ms !== null);
  const [least, most] = [Math.min(...times), Math.max(...times)];
  const margin = Math.max(MINUTE, (most - least) * 0.03);
  const [from, to] = [least - margin, most + margin];
  const step = STEPS.find((length) => (to - from) / length <= TICKS) ?? STEPS.at(-1);
  const ticks = [];
  for (let tick = Math.ceil(from / step) * step; tick < to; tick += step) ticks.push(tick);
  return { step, ticks, place: (ms) => (100 * (ms - from)) / (to - from) };
}

const label = (tick, step) => (step >= DAY ? day(tick) : step >= HOUR ? `${day(tick)} ${time(tick)}` : time(tick));

/** Positions an element on the axis. It uses the style object, because the content security policy forbids style attributes. */
function at(element, left, width = null) {
  element.style.left = `${left}%`;
  if (width !== null) element.style.width = `${width}%`;
  return element;
}

function button(session, axis, choose) {
  const { id, status, country } = session;
  const lines = axis.ticks.map((tick) => at(el("i", { class: "tick" }), axis.place(tick)));
  // An open session extends to the right edge, an orphan starts at the left edge.
  const left = session.start === null ? 0 : axis.place(session.start);
  const right = session.end === null ? 100 : axis.place(session.end);
  return el(
    "button",
    { type: "button", class: "session", "data-key": id, "aria-expanded": "false", click: () => choose(id) },
    el("span", { class: "id" }, id),
    el("span", { class: `status ${status}` }, status),
    el("span", { class: "when" }, when(session), ...(country ? [` in ${country}`] : [])),
    el("span", { class: "bar", "aria-hidden": "true" }, ...lines, at(el("b", { class: status }), left, right - left)),
  );
}

function when({ start, end, started, ended }) {
  if (end === null) return `started ${short(started)}`;
  if (start === null) return `ended ${short(ended)}`;
  return `${minute(start)}, ${length(end - start)}`;
}

const short = (text) => instant(text).slice(0, 16);

/** The up and down arrow keys move between sessions. */
function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const buttons = [...event.currentTarget.querySelectorAll("button.session")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !next || !buttons.includes(document.activeElement)) return;
  event.preventDefault();
  next.focus();
}
