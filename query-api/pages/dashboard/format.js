// Formats numbers, times and countries. Times are always UTC, never in the reader's time zone.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const SHARE = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const REGIONS = new Intl.DisplayNames("en", { type: "region", fallback: "none" });
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

export const count = (number) => WHOLE.format(number);
export const compact = (number) => SHORT.format(number);
export const share = (part) => SHARE.format(part);

/** A rate, with one decimal below 100. */
export const rate = (number) => (number < 100 ? FINE : WHOLE).format(number);

/** A number with a singular or plural noun. */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** `2016-12-02 15:00:00`, with milliseconds unless they are zero. */
export function instant(text) {
  return text.replace("T", " ").replace("Z", "");
}

/** `2016-12-02 15:00` of milliseconds since 1970. */
export const minute = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

/** `2 Dec` of milliseconds since 1970. */
export function day(ms) {
  const date = new Date(ms);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

/** `15:00` of milliseconds since 1970. */
export const time = (ms) => new Date(ms).toISOString().slice(11, 16);

/** A duration in milliseconds in its two largest units: `1 d 12 h`, `35 min`. */
export function length(ms) {
  if (ms < 1_000) return `${count(ms)} ms`;
  const largest = UNITS.findIndex(([, seconds]) => ms >= seconds * 1_000);
  let rest = Math.floor(ms / 1_000);
  const parts = UNITS.slice(largest, largest + 2).map(([unit, seconds]) => {
    const whole = Math.floor(rest / seconds);
    rest %= seconds;
    return whole > 0 ? `${whole} ${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** The English name of a country code, or an empty string. */
export function countryName(code) {
  if (code === "ZZ") return "unknown";
  return /^[A-Z]{2}$/.test(code) ? (REGIONS.of(code) ?? "") : "";
}
