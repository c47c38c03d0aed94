// The time ranges that a reader can choose, and their slots.

const SECOND = 1_000;
const STEPS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** The choices: query parameters, length of a slot, and milliseconds between requests. */
export const SPANS = new Map([
  ["1h", { label: "1 hour", query: { hours: 1 }, step: "minute", every: 5 * SECOND }],
  ["6h", { label: "6 hours", query: { hours: 6 }, step: "minute", every: 10 * SECOND }],
  ["1d", { label: "1 day", query: { days: 1 }, step: "hour", every: 20 * SECOND }],
  ["7d", { label: "7 days", query: { days: 7 }, step: "hour", every: 60 * SECOND }],
  ["30d", { label: "30 days", query: { days: 30 }, step: "day", every: 120 * SECOND }],
  ["1y", { label: "1 year", query: { days: 365 }, step: "day", every: 300 * SECOND }],
  ["custom", { label: "Custom", query: {}, step: "day", every: 120 * SECOND }],
]);

/** The time range of an address that names none. */
export const DEFAULT = "1d";

/** The time range of a view. The length of a custom range determines its slots. */
export function spanOf({ span, from, to }) {
  const chosen = SPANS.get(span) ?? SPANS.get(DEFAULT);
  if (span !== "custom") return chosen;
  const length = to ? Date.parse(to) - Date.parse(from) : Infinity;
  const step = length <= 12 * STEPS.hour ? "minute" : length <= 14 * STEPS.day ? "hour" : "day";
  return { ...chosen, query: to ? { from, to } : { from }, step };
}

/** The start of every slot of a reply in milliseconds, including empty slots. */
export function slots({ from, to, step }) {
  const length = STEPS[step];
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const first = Math.floor(begin / length) * length;
  const number = Math.max(0, Math.ceil((end - first) / length));
  return Array.from({ length: number }, (_, index) => first + index * length);
}

/** The value of a datetime-local field, which the reader enters in UTC, as an instant; "" if it is empty. */
export const asInstant = (field) => (field ? `${field.slice(0, 16)}:00Z` : "");

/** An instant as the value of a datetime-local field. */
export const asField = (instant) => (instant ? new Date(instant).toISOString().slice(0, 16) : "");
