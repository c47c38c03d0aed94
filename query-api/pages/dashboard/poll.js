// Repeats a request: one at a time, less often after failures, and never while the page is paused or hidden.

/** The longest backoff after a failure, in milliseconds. */
const MAX_BACKOFF = 60_000;

export class Poll {
  #refresh;
  #report;
  #timer = 0;
  #request = null;
  #failures = 0;
  #paused = false;

  /**
   * `refresh(signal)` sends the request, shows the reply, and returns the milliseconds until the next request.
   * `report(state, message, status)` is called with `live`, with `retrying` and the reason, with `locked` if the service wants
   * another API key, or with `refused` and the reason if a retry cannot succeed.
   */
  constructor(refresh, report) {
    this.#refresh = refresh;
    this.#report = report;
  }

  /** Sends a request now, also while paused. A request in flight is cancelled. */
  now() {
    this.#stop();
    this.#next();
  }

  /** Pauses or resumes the requests. */
  pause(paused) {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#stop();
    else this.now();
  }

  #stop() {
    this.#request?.abort();
    clearTimeout(this.#timer);
  }

  async #next() {
    const request = new AbortController();
    this.#request = request;
    let pause;
    try {
      const start = performance.now();
      pause = await this.#refresh(request.signal);
      if (request.signal.aborted) return;
      // Slow requests are repeated less often.
      pause = Math.max(pause, 10 * (performance.now() - start));
      this.#failures = 0;
      this.#report("live");
    } catch (error) {
      if (request.signal.aborted) return;
      this.#failures += 1;
      const refused = error.status === 401 ? "locked" : "refused";
      this.#report(error.isTransient ? "retrying" : refused, error.message, error.status);
      if (error.isTransient === undefined) throw error;
      if (!error.isTransient) return;
      // The jitter keeps pages that lost the service together from returning together.
      const backoff = Math.min(MAX_BACKOFF, 500 * 2 ** this.#failures) * (0.75 + Math.random() / 2);
      pause = Math.max(backoff, error.retryAfter * 1_000);
    }
    if (!request.signal.aborted && !this.#paused) this.#timer = setTimeout(() => this.#next(), pause);
  }
}
