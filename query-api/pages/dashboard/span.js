// The windows of time that a reader may choose, and into which slots each is cut. Says nothing of what happened in them.

const SECOND = 1_000;
const STEPS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** What is offered: how the service is asked for it, its slots, and how often the answer is asked for anew. */
export const SPANS = new Map([
  ["1h", { label: "1 hour", query: { hours: 1 }, step: "minute", every: 5 * SECOND }],
  ["6h", { label: "6 hours", query: { hours: 6 }, step: "minute", every: 10 * SECOND }],
  ["1d", { label: "1 day", query: { days: 1 }, step: "hour", every: 20 * SECOND }],
  ["7d", { label: "7 days", query: { days: 7 }, step: "hour", every: 60 * SECOND }],
  ["30d", { label: "30 days", query: { days: 30 }, step: "day", every: 120 * SECOND }],
  ["1y", { label: "1 year", query: { days: 365 }, step: "day", every: 300 * SECOND }],
  ["custom", { label: "From … to", query: {}, step: "day", every: 120 * SECOND }],
]);

/** What is shown unless it is said. */
export const DEFAULT = "1d";

/** The span of a view. One from an instant to another has slots that its length asks for. */
export function spanOf({ span, from, to }) {
  const chosen = SPANS.get(span) ?? SPANS.get(DEFAULT);
  if (span !== "custom") return chosen;
  const length = to ? Date.parse(to) - Date.parse(from) : Infinity;
  const step = length <= 12 * STEPS.hour ? "minute" : length <= 14 * STEPS.day ? "hour" : "day";
  return { ...chosen, query: to ? { from, to } : { from }, step };
}

/** Where each slot of an answered window begins, in milliseconds: also those in which nothing happened. */
export function slots({ from, to, step }) {
  const length = STEPS[step];
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const first = Math.floor(begin / length) * length;
  const number = Math.max(0, Math.ceil((end - first) / length));
  return Array.from({ length: number }, (_, index) => first + index * length);
}

/** What a field of local time holds, as the instant in UTC that is meant; "" when it is empty. */
export const asInstant = (field) => (field ? `${field.slice(0, 16)}:00Z` : "");

/** The other way: an instant as such a field wants it. */
export const asField = (instant) => (instant ? new Date(instant).toISOString().slice(0, 16) : "");
