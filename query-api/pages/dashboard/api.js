// Asks the service that this page came from, and nobody else. An answer that is none is a Failure, worded for the reader.

/** Where the service is: a proxy may serve it below a path of its own. */
const ROOT = new URL("../", import.meta.url);

/** How long an answer may take, in milliseconds. */
const PATIENCE = 60_000;

/** Why there is no answer. */
export class Failure extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether asking again may help; else the question itself is wrong. */
  get passes() {
    return this.status === 0 || this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** The JSON that the address of these path segments is answered with; `params` are its query. */
export async function ask(segments, params = {}, signal = null) {
  const url = new URL(segments.map(escaped).join("/"), ROOT);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return reply(url, signal, (response) => response.json());
}

/** The text at `path`. */
export async function text(path, signal) {
  return reply(new URL(path, ROOT), signal, (response) => response.text());
}

async function reply(url, signal, read) {
  const limits = [AbortSignal.timeout(PATIENCE), signal].filter(Boolean);
  try {
    const response = await fetch(url, { signal: AbortSignal.any(limits), cache: "no-store" });
    if (!response.ok) throw await refusal(response);
    return await read(response);
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") throw error;
    const late = error.name === "TimeoutError";
    throw new Failure(late ? "the service did not answer within a minute" : "the service is not reachable");
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const message = body?.error?.message ?? `the service answered ${response.status}`;
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  return new Failure(message, { status: response.status, code: body?.error?.code, retryAfter });
}

/** One segment of a path, whatever it holds. */
function escaped(segment) {
  // A browser takes even the escaped `.` and `..` for steps in the path, so such an id cannot be asked for from here.
  if (segment === "." || segment === "..") {
    throw new Failure(`a browser cannot ask for the id “${segment}”: ask with curl --path-as-is`, { status: 400 });
  }
  return encodeURIComponent(segment.toWellFormed());
}
