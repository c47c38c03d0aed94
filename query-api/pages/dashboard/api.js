// Requests to the service that served this page, and never to another host. Errors are a Failure with a message for the reader.

import { current, refused } from "./key.js";

/** The base URL of the service, which may include a path prefix of a proxy. */
const ROOT = new URL("../", import.meta.url);

/** Time limit of a request, in milliseconds. */
const TIMEOUT = 60_000;

/** A request that failed. */
export class Failure extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether a retry may succeed. Otherwise the request itself is invalid. */
  get isTransient() {
    return this.status === 0 || this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** Returns the JSON reply at the path of these segments; `params` are the query parameters. */
export async function fetchJson(segments, params = {}, signal = null) {
  const url = new URL(segments.map(escaped).join("/"), ROOT);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return reply(url, signal, (response) => response.json());
}

/** Returns the text reply at `path`. */
export async function fetchText(path, signal) {
  return reply(new URL(path, ROOT), signal, (response) => response.text());
}

async function reply(url, signal, read) {
  const limits = AbortSignal.any([AbortSignal.timeout(TIMEOUT), signal].filter(Boolean));
  const key = current();
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  try {
    // A redirect could lead the key to another host.
    const response = await fetch(url, { signal: limits, cache: "no-store", redirect: "error", headers });
    if (!response.ok) throw await failure(response, key);
    return await read(response);
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") throw error;
    const isTimeout = error.name === "TimeoutError";
    throw new Failure(isTimeout ? "the service did not reply within a minute" : "the service is not reachable");
  }
}

async function failure(response, key) {
  const body = await response.json().catch(() => ({}));
  const message = body?.error?.message ?? `the service replied with status ${response.status}`;
  if (response.status === 401) refused(key, message);
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  return new Failure(message, { status: response.status, code: body?.error?.code, retryAfter });
}

/** A percent-encoded path segment. */
function escaped(segment) {
  // Browsers resolve even the escaped segments `.` and `..`, so they cannot request these ids.
  if (segment === "." || segment === "..") {
    throw new Failure(`browsers cannot request the id “${segment}”; use curl --path-as-is`, { status: 400 });
  }
  return encodeURIComponent(segment.toWellFormed());
}
