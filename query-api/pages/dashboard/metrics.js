// Reads the metrics of the endpoint and the consumer. No other file knows the names of metrics.

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Parses the reply of /metrics. A part that this process does not have is `null`. */
export function parse(text) {
  const events = [];
  const lag = [];
  let seconds = null;
  for (const line of text.split("\n")) {
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    if (name === "bookend_ingest_events_total") events.push({ ...labelsOf(labels), events: Number(value) });
    if (name === "bookend_consumer_lag_records") lag.push(Number(value));
    if (name === "bookend_consumer_lag_seconds") seconds = Number(value);
  }
  return {
    events: events.length > 0 ? events : null,
    // Right after its start, a consumer has not yet determined the number of unprocessed records.
    lag: seconds === null ? null : { seconds, records: lag.length > 0 ? sum(lag) : null },
  };
}

function labelsOf(text = "") {
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) labels[name] = value.replace(/\\(.)/g, "$1");
  return labels;
}

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);
