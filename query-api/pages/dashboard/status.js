// Says whether the page is live: one sentence made of what all its questions have come to.

import { byId, say } from "./dom.js";

export class Status {
  #states = new Map();
  #paused = false;

  /** What hears of the state of one question. */
  of(name) {
    return (state, message) => {
      this.#states.set(name, { state, message });
      this.#show();
    };
  }

  pause(paused) {
    this.#paused = paused;
    this.#show();
  }

  #show() {
    const states = [...this.#states.values()];
    const trouble = states.find(({ state }) => state === "retrying");
    const [state, text] = this.#paused
      ? ["paused", "Paused"]
      : trouble
        ? ["retrying", `Retrying: ${trouble.message}`]
        : states.length > 0
          ? ["live", "Live"]
          : ["asking", "Asking for the first time"];
    byId("state").dataset.state = state;
    say(byId("state"), text);
  }
}
