// The status line: whether the page is live, from the states of all its requests.

import { byId, setText } from "./dom.js";

export class Status {
  #states = new Map();
  #paused = false;

  /** Returns the function that reports the state of the requests of one section. */
  reporter(name) {
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
    const failed = states.find(({ state }) => state === "retrying");
    const locked = states.some(({ state }) => state === "locked");
    const [state, text] = this.#paused
      ? ["paused", "Paused"]
      : failed
        ? ["retrying", `Retrying: ${failed.message}`]
        : locked
          ? ["locked", "Waiting for an API key"]
          : states.length > 0
            ? ["live", "Live"]
            : ["loading", "Loading"];
    byId("state").dataset.state = state;
    setText(byId("state"), text);
  }
}
