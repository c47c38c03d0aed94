// Asks again and again: one request at a time, less often while there is no answer, not at all while nobody looks.

/** The longest pause after a failure, in milliseconds. */
const LONGEST = 60_000;

export class Poll {
  #ask;
  #told;
  #timer = 0;
  #asking = null;
  #failures = 0;
  #paused = false;

  /**
   * `ask(signal)` asks, shows the answer, and says after how many milliseconds to ask again. `told(state, message)` hears of
   * `live`, of `retrying` and why, and of `refused` when asking the same again is of no use.
   */
  constructor(ask, told) {
    this.#ask = ask;
    this.#told = told;
  }

  /** Asks now, once also while paused; what was asked before is not waited for. */
  now() {
    this.#stop();
    this.#next();
  }

  /** Asks no more by itself, or goes on. */
  pause(paused) {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#stop();
    else this.now();
  }

  #stop() {
    this.#asking?.abort();
    clearTimeout(this.#timer);
  }

  async #next() {
    const asking = new AbortController();
    this.#asking = asking;
    let pause;
    try {
      const began = performance.now();
      pause = await this.#ask(asking.signal);
      if (asking.signal.aborted) return;
      // What takes long to answer is not asked for all the time.
      pause = Math.max(pause, 10 * (performance.now() - began));
      this.#failures = 0;
      this.#told("live");
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#failures += 1;
      this.#told(error.passes ? "retrying" : "refused", error.message);
      if (error.passes === undefined) throw error;
      if (!error.passes) return;
      // Not all pages that lost the service at one moment come back at one moment.
      const own = Math.min(LONGEST, 500 * 2 ** this.#failures) * (0.75 + Math.random() / 2);
      pause = Math.max(own, error.retryAfter * 1_000);
    }
    if (!asking.signal.aborted && !this.#paused) this.#timer = setTimeout(() => this.#next(), pause);
  }
}
